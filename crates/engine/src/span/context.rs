//! Who a message's spans belong to, as the publisher says it.
//!
//! Spec:  W3C Trace Context, sections 3.2 and 3.3, carried in the User Properties `traceparent` and `tracestate`.

use dunlin_codec::{Properties, Property};

/// Longest `tracestate` that is kept, in bytes: what every vendor has to forward.
const STATE_MAXIMUM: usize = 512;
const SAMPLED: u8 = 1;

/// What a publisher says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub(super) trace_id: [u8; 16],
    /// The span of the publisher.
    pub(super) parent: [u8; 8],
    pub(super) sampled: bool,
    pub(super) state: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// `None` where it says nothing, or nothing that can be understood: then it is as if it had said nothing (section 4.3).
    pub(super) fn of(properties: Properties<'a>) -> Option<Self> {
        let (mut parent, mut state) = (None, None);
        for property in properties {
            match property {
                Property::UserProperty("traceparent", value) => parent = Some(value),
                Property::UserProperty("tracestate", value) if value.len() <= STATE_MAXIMUM => {
                    state = Some(value);
                }
                _ => {}
            }
        }
        let said = Self::parse(parent?)?;
        Some(Self { state, ..said })
    }

    /// `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`; later versions may be longer.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version] = hex(parts.next()?)?;
        let (trace_id, parent) = (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?);
        let [flags] = hex(parts.next()?)?;
        let is_over = parts.next().is_none();
        if version == 0xff || version == 0 && !is_over || trace_id == [0; 16] || parent == [0; 8] {
            return None;
        }
        Some(Self { trace_id, parent, sampled: flags & SAMPLED != 0, state: None })
    }
}

/// Lower case only, as section 3.2.2 wants it.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != N * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_traceparent_is_read() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let said = Said::parse(&text).unwrap();
        assert_eq!((said.trace_id[0], said.trace_id[15], said.parent[0]), (0x0a, 0x9c, 0xb7));
        assert!(said.sampled);
        assert!(!Said::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().sampled);
        assert!(Said::parse(&format!("01-{TRACE}-{SPAN}-03-what-comes")).unwrap().sampled);
    }

    #[test]
    fn what_is_none_says_nothing() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}ab-{SPAN}-01"),
            "00-ä".to_owned(),
        ] {
            assert_eq!(Said::parse(&text), None, "{text}");
        }
    }
}
