//! MessagePack as JSON. Of extensions, the number and the bytes are shown.

use super::super::json;
use super::binary::{self, DEPTH_MAX, Reader};

/// The text of one value, which is all that the payload holds.
pub(super) fn to_json(payload: &[u8]) -> Result<String, String> {
    let mut reader = Reader(payload);
    let mut out = String::new();
    let result = value(&mut reader, 0, &mut out).and_then(|()| reader.end());
    result.map(|()| out).map_err(|why| format!("not MessagePack: {why}"))
}

fn value(reader: &mut Reader<'_>, depth: u32, out: &mut String) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("more than {DEPTH_MAX} values within each other"));
    }
    let head = reader.byte()?;
    // Lengths of 8, 16 and 32 bits follow one another.
    let wide = |first: u8| 1_u64 << (head - first);
    match head {
        0x00..=0x7f => binary::integer(head, out),
        0x80..=0x8f => map(u64::from(head & 15), reader, depth, out)?,
        0x90..=0x9f => array(u64::from(head & 15), reader, depth, out)?,
        0xa0..=0xbf => json::string(reader.text(u64::from(head & 31))?, out),
        0xc0 => out.push_str("null"),
        0xc1 => return Err("the byte that is never used".to_owned()),
        0xc2 => out.push_str("false"),
        0xc3 => out.push_str("true"),
        0xc4..=0xc6 => {
            let length = reader.number(wide(0xc4))?;
            binary::bytes(reader.take(length)?, out);
        }
        0xc7..=0xc9 => {
            let length = reader.number(wide(0xc7))?;
            extension(length, reader, out)?;
        }
        0xca => {
            let bits = u32::try_from(reader.number(4)?).unwrap_or_default();
            binary::float(f32::from_bits(bits).into(), out);
        }
        0xcb => binary::float(f64::from_bits(reader.number(8)?), out),
        0xcc..=0xcf => binary::integer(reader.number(wide(0xcc))?, out),
        0xd0..=0xd3 => {
            let bytes = wide(0xd0);
            let unused = 64 - 8 * bytes;
            binary::integer((reader.number(bytes)? << unused).cast_signed() >> unused, out);
        }
        0xd4..=0xd8 => extension(wide(0xd4), reader, out)?,
        0xd9..=0xdb => {
            let length = reader.number(wide(0xd9))?;
            json::string(reader.text(length)?, out);
        }
        0xdc | 0xdd => {
            let length = reader.number(2 * wide(0xdc))?;
            array(length, reader, depth, out)?;
        }
        0xde | 0xdf => {
            let length = reader.number(2 * wide(0xde))?;
            map(length, reader, depth, out)?;
        }
        0xe0..=0xff => binary::integer(head.cast_signed(), out),
    }
    Ok(())
}

fn extension(length: u64, reader: &mut Reader<'_>, out: &mut String) -> Result<(), String> {
    let kind = reader.byte()?.cast_signed();
    out.push('[');
    binary::integer(kind, out);
    out.push(',');
    binary::bytes(reader.take(length)?, out);
    out.push(']');
    Ok(())
}

fn array(length: u64, reader: &mut Reader<'_>, depth: u32, out: &mut String) -> Result<(), String> {
    out.push('[');
    for at in 0..length {
        if at > 0 {
            out.push(',');
        }
        value(reader, depth + 1, out)?;
    }
    out.push(']');
    Ok(())
}

fn map(length: u64, reader: &mut Reader<'_>, depth: u32, out: &mut String) -> Result<(), String> {
    out.push('{');
    for at in 0..length {
        if at > 0 {
            out.push(',');
        }
        let mut key = String::new();
        value(reader, depth + 1, &mut key)?;
        binary::name(&key, out);
        value(reader, depth + 1, out)?;
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind() {
        for (bytes, expected) in [
            (&b"\x07"[..], "7"),
            (b"\xff", "-1"),
            (b"\xcc\xff", "255"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xd0\x80", "-128"),
            (b"\xd2\xff\xff\xff\xfe", "-2"),
            (b"\xca\x3f\xc0\x00\x00", "1.5"),
            (b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "null"),
            (b"\xa2\"a", "\"\\\"a\""),
            (b"\xd9\x01b", "\"b\""),
            (b"\xc4\x02\x01\x02", "\"AQI\""),
            (b"\xd4\x05\x01", "[5,\"AQ\"]"),
            (b"\xc7\x00\xff", "[-1,\"\"]"),
            (b"\x93\xc0\xc2\xc3", "[null,false,true]"),
            (b"\xdc\x00\x01\x90", "[[]]"),
            (b"\x82\xa1a\x01\x02\x80", "{\"a\":1,\"2\":{}}"),
            (b"\xdf\x00\x00\x00\x00", "{}"),
        ] {
            assert_eq!(to_json(bytes).as_deref(), Ok(expected), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_no_messagepack() {
        for bytes in
            [&b""[..], b"\xc1", b"\x91", b"\xa1\xff", b"\x01\x01", b"\xdd\xff\xff\xff\xff", b"\xc4\x05a"]
        {
            assert!(to_json(bytes).is_err(), "{bytes:02x?}");
        }
        assert!(to_json(&[0x91; 100_000]).unwrap_err().contains("within each other"));
    }
}
