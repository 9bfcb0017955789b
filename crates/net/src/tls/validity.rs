//! How long a certificate is valid.
//!
//! In:    a certificate in DER.
//! Out:   its end.
//! Never: a judgement: whether it is to be trusted is not looked at.
//! Spec:  RFC 5280 section 4.1.

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Its `notAfter` in seconds since 1970; `None` where the bytes are no certificate, or it ended before 1970.
pub(super) fn not_after(der: &[u8]) -> Option<u64> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = any(rest)?.2;
    }
    // serialNumber, signature, issuer.
    for _ in 0..3 {
        rest = any(rest)?.2;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (tag, time, _) = any(any(validity)?.2)?;
    seconds(tag, std::str::from_utf8(time).ok()?)
}

/// The contents of the first element, which must have this tag, and what follows.
fn element(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, contents, rest) = any(der)?;
    (tag == wanted).then_some((contents, rest))
}

/// Tag and contents of the first element, and what follows.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let (length, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        rest = after;
        // More than four bytes are no certificate.
        if length.len() > 4 {
            return None;
        }
        length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn seconds(tag: u8, text: &str) -> Option<u64> {
    let digits = text.strip_suffix('Z').filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year: u64 = digits[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<u64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(((days(year, month) + day - 1) * 24 + part(4)?) * 3600 + part(6)? * 60 + part(8)?)
}

/// From the beginning of 1970 to that of a month.
fn days(year: u64, month: u64) -> u64 {
    // Counted from March, so that the leap day is the last of a year.
    let year = if month < 3 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    (year * 365 + leap_days + (month * 306 + 5) / 10).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "000229120000Z"), Some(951_825_600));
        assert_eq!(seconds(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(seconds(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(seconds(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn what_is_no_time_is_none() {
        assert_eq!(seconds(UTC_TIME, "7001010000Z"), None);
        assert_eq!(seconds(UTC_TIME, "701301000000Z"), None);
        assert_eq!(seconds(UTC_TIME, "690101000000+0100"), None);
        assert_eq!(seconds(GENERALIZED_TIME, "19691231235959Z"), None);
    }

    #[test]
    fn cut_or_wrong_bytes_are_no_certificate() {
        for der in [&[][..], &[0x30], &[0x30, 0x82, 1], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x31, 0]] {
            assert_eq!(not_after(der), None);
        }
    }

    #[test]
    fn the_end_of_a_certificate_is_found() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let certificate = parameters.self_signed(&key).unwrap();
        assert_eq!(not_after(certificate.der()), Some(1_927_843_200));
    }
}
