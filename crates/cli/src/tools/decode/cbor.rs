//! CBOR (RFC 8949) as JSON. Tags are left out, their contents shown.

use super::super::json;
use super::binary::{self, DEPTH_MAX, Reader};

/// The text of one value, which is all that the payload holds.
pub(super) fn to_json(payload: &[u8]) -> Result<String, String> {
    let mut reader = Reader(payload);
    let mut out = String::new();
    let result = value(&mut reader, 0, &mut out).and_then(|()| reader.end());
    result.map(|()| out).map_err(|why| format!("not CBOR: {why}"))
}

/// The argument of a head; `None`: of indefinite length.
fn argument(info: u8, reader: &mut Reader<'_>) -> Result<Option<u64>, String> {
    match info {
        0..=23 => Ok(Some(info.into())),
        24..=27 => reader.number(1 << (info - 24)).map(Some),
        31 => Ok(None),
        _ => Err(format!("a reserved length {info}")),
    }
}

fn value(reader: &mut Reader<'_>, depth: u32, out: &mut String) -> Result<(), String> {
    let head = reader.byte()?;
    item(head, reader, depth, out)
}

fn item(head: u8, reader: &mut Reader<'_>, depth: u32, out: &mut String) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("more than {DEPTH_MAX} values within each other"));
    }
    let (major, info) = (head >> 5, head & 31);
    if major == 7 {
        return simple(info, reader, out);
    }
    let argument = argument(info, reader)?;
    match (major, argument) {
        (0, Some(number)) => binary::integer(number, out),
        (1, Some(number)) => binary::integer(-1 - i128::from(number), out),
        (2, length) => {
            let mut all = Vec::new();
            chunks(2, length, reader, |reader, length| {
                all.extend_from_slice(reader.take(length)?);
                Ok(())
            })?;
            binary::bytes(&all, out);
        }
        (3, length) => {
            let mut all = String::new();
            chunks(3, length, reader, |reader, length| {
                all.push_str(reader.text(length)?);
                Ok(())
            })?;
            json::string(&all, out);
        }
        (4, length) => array(length, reader, depth, out)?,
        (5, length) => map(length, reader, depth, out)?,
        (6, Some(_)) => value(reader, depth + 1, out)?,
        _ => return Err("a number or a tag of indefinite length".to_owned()),
    }
    Ok(())
}

fn simple(info: u8, reader: &mut Reader<'_>, out: &mut String) -> Result<(), String> {
    match info {
        20 => out.push_str("false"),
        21 => out.push_str("true"),
        22 | 23 => out.push_str("null"),
        0..=19 => binary::integer(info, out),
        24 => binary::integer(reader.byte()?, out),
        25 => {
            let bits = u16::try_from(reader.number(2)?).unwrap_or_default();
            binary::float(half(bits), out);
        }
        26 => {
            let bits = u32::try_from(reader.number(4)?).unwrap_or_default();
            binary::float(f32::from_bits(bits).into(), out);
        }
        27 => binary::float(f64::from_bits(reader.number(8)?), out),
        _ => return Err("an end of what has not begun".to_owned()),
    }
    Ok(())
}

/// Appendix D.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let value = match exponent {
        0 => fraction * f64::powi(2.0, -24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * f64::powi(2.0, exponent - 25),
    };
    if bits >> 15 == 0 { value } else { -value }
}

/// Is the end of something of indefinite length next? It is taken then.
fn ends(reader: &mut Reader<'_>) -> Result<bool, String> {
    let end = *reader.0.first().ok_or("it ends within a value")? == 0xff;
    if end {
        reader.byte()?;
    }
    Ok(end)
}

fn chunks<'a>(
    major: u8,
    length: Option<u64>,
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>, u64) -> Result<(), String>,
) -> Result<(), String> {
    if let Some(length) = length {
        return each(reader, length);
    }
    while !ends(reader)? {
        let head = reader.byte()?;
        let length = argument(head & 31, reader)?.filter(|_| head >> 5 == major);
        each(reader, length.ok_or("a chunk of another kind")?)?;
    }
    Ok(())
}

fn array(length: Option<u64>, reader: &mut Reader<'_>, depth: u32, out: &mut String) -> Result<(), String> {
    out.push('[');
    let mut count = 0;
    while more(length, count, reader)? {
        if count > 0 {
            out.push(',');
        }
        value(reader, depth + 1, out)?;
        count += 1;
    }
    out.push(']');
    Ok(())
}

fn map(length: Option<u64>, reader: &mut Reader<'_>, depth: u32, out: &mut String) -> Result<(), String> {
    out.push('{');
    let mut count = 0;
    while more(length, count, reader)? {
        if count > 0 {
            out.push(',');
        }
        let mut key = String::new();
        value(reader, depth + 1, &mut key)?;
        binary::name(&key, out);
        value(reader, depth + 1, out)?;
        count += 1;
    }
    out.push('}');
    Ok(())
}

fn more(length: Option<u64>, count: u64, reader: &mut Reader<'_>) -> Result<bool, String> {
    length.map_or_else(|| ends(reader).map(|end| !end), |length| Ok(count < length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// Appendix A.
    #[test]
    fn the_examples_of_the_rfc() {
        for (bytes, expected) in [
            ("1864", "100"),
            ("1bffffffffffffffff", "18446744073709551615"),
            ("3bffffffffffffffff", "-18446744073709551616"),
            ("f93c00", "1.0"),
            ("f97bff", "65504.0"),
            ("f90001", "5.960464477539063e-8"),
            ("f9c400", "-4.0"),
            ("f97c00", "null"),
            ("fa47c35000", "100000.0"),
            ("fb7e37e43c8800759c", "1e+300"),
            ("f4", "false"),
            ("f7", "null"),
            ("c11a514b67b0", "1363896240"),
            ("4401020304", "\"AQIDBA\""),
            ("62225c", "\"\\\"\\\\\""),
            ("8301820203820405", "[1,[2,3],[4,5]]"),
            ("a201020304", "{\"1\":2,\"3\":4}"),
            ("a26161016162820203", "{\"a\":1,\"b\":[2,3]}"),
            ("5f42010243030405ff", "\"AQIDBAU\""),
            ("7f657374726561646d696e67ff", "\"streaming\""),
            ("9f018202039f0405ffff", "[1,[2,3],[4,5]]"),
            ("bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"),
        ] {
            assert_eq!(to_json(&hex(bytes)).as_deref(), Ok(expected), "{bytes}");
        }
    }

    #[test]
    fn what_is_no_cbor() {
        for bytes in
            ["", "18", "1c", "61ff", "8201", "9f01", "0000", "5f6161ff", "ff", "9bffffffffffffffff", "1f"]
        {
            assert!(to_json(&hex(bytes)).is_err(), "{bytes}");
        }
        assert!(to_json(&[0x81; 100_000]).unwrap_err().contains("within each other"));
        assert!(to_json(&[0xc1; 100_000]).unwrap_err().contains("within each other"));
    }
}
