//! What somebody wants to see, as parameters of a request say it.

use std::net::IpAddr;

use dunlin_codec::TopicFilter;
use dunlin_engine::{TapFilter, TapNetwork};

use super::describe::TYPES;
use crate::problem::Problem;

/// Entries of a list, at most: each packet is held against all of them.
const ENTRIES_MAXIMUM: usize = 64;
/// Bytes of payloads that are shown where nobody says how many.
const PAYLOAD_BYTES: u32 = 256;
/// Bytes of a packet that are copied, at most.
const PACKET_BYTES_MAXIMUM: u32 = 256 * 1024;

/// A request, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) filter: TapFilter,
    /// The packets themselves, too, in Base64.
    pub(super) packets: bool,
    pub(super) payload_bytes: usize,
    pub(super) seconds: Option<u64>,
}

impl Wanted {
    /// # Errors
    /// A parameter that is none, or has no such value.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut filter = TapFilter { packet_bytes_maximum: 0, ..TapFilter::default() };
        let (mut packets, mut payload_bytes, mut seconds) = (false, PAYLOAD_BYTES, None);
        for (name, value) in parameters {
            match name.as_str() {
                "client" => filter.clients.push(value.as_str().into()),
                "topic" => {
                    TopicFilter::parse(value).map_err(|error| Problem::value("topic", value, error))?;
                    filter.topics.push(value.as_str().into());
                }
                "address" => filter.addresses.push(network(value)?),
                "packet_type" => filter.packet_types |= packet_type(value)?,
                "secrets" => filter.secrets = flag("secrets", value)?,
                "packets" => packets = flag("packets", value)?,
                "payload_bytes" => payload_bytes = number("payload_bytes", value)?,
                "seconds" => seconds = Some(number("seconds", value)?.into()),
                _ => {
                    let known =
                        "client, topic, address, packet_type, secrets, packets, payload_bytes, seconds";
                    return Err(Problem::value("parameter", name, known));
                }
            }
        }
        if [filter.clients.len(), filter.topics.len(), filter.addresses.len()]
            .into_iter()
            .any(|len| len > ENTRIES_MAXIMUM)
        {
            return Err(Problem::value("list", "more", format_args!("{ENTRIES_MAXIMUM} of a kind at most")));
        }
        // A topic and properties stand before the payload; whoever wants packets gets them as whole as it goes.
        let reach = if packets { PACKET_BYTES_MAXIMUM } else { payload_bytes.saturating_add(64 * 1024) };
        filter.packet_bytes_maximum = reach.min(PACKET_BYTES_MAXIMUM);
        Ok(Self { filter, packets, payload_bytes: payload_bytes as usize, seconds })
    }
}

fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| Problem::value(name, value, "true or false"))
}

fn number(name: &str, value: &str) -> Result<u32, Problem> {
    value.parse().map_err(|_| Problem::value(name, value, "a number"))
}

/// `PUBLISH`, in any case.
fn packet_type(value: &str) -> Result<u16, Problem> {
    let found = TYPES.iter().skip(1).position(|name| name.eq_ignore_ascii_case(value));
    found.map(|at| 2 << at).ok_or_else(|| Problem::value("packet_type", value, TYPES[1..].join(", ")))
}

/// `10.0.0.0/8`, or one address.
fn network(value: &str) -> Result<TapNetwork, Problem> {
    let wrong = || Problem::value("address", value, "an address or a network, as 10.0.0.0/8");
    let (address, bits) = value.split_once('/').map_or((value, None), |(one, bits)| (one, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
    if bits > most { Err(wrong()) } else { Ok(TapNetwork { address, bits }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<Wanted, Problem> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Wanted::parse(&parameters.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn lists_are_parameters_that_come_again() {
        let wanted = parse(&[
            ("client", "a"),
            ("client", "b,c"),
            ("topic", "t/#"),
            ("address", "10.0.0.0/8"),
            ("address", "::1"),
            ("packet_type", "connect"),
            ("packet_type", "AUTH"),
        ])
        .unwrap();
        assert_eq!(wanted.filter.clients, ["a".into(), "b,c".into()]);
        assert_eq!(wanted.filter.packet_types, 1 << 1 | 1 << 15);
        assert_eq!(wanted.filter.addresses[1].bits, 128);
        assert!(!wanted.filter.secrets && !wanted.packets);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (name, value) in [
            ("topic", "a/#/b"),
            ("address", "10.0.0.0/33"),
            ("address", "host"),
            ("packet_type", "RESERVED"),
            ("secrets", "yes"),
            ("clients", "a"),
        ] {
            assert!(parse(&[(name, value)]).is_err(), "{name}={value}");
        }
    }
}
