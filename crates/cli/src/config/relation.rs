//! Values that are allowed alone and make no sense together.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Config, chain};
use dunlin_security::source::Source;

use super::fault::{Fault, Problem};

/// Where the values that stand in the file are.
pub(super) type Places = BTreeMap<String, Range<usize>>;

const PACKET: &str = "limits.maximum_packet_size";

/// Every pair that does not fit.
pub(super) fn faults(config: &Config, source: Source<'_>, places: &Places) -> Vec<Fault> {
    let limits = &config.limits;
    let packet = u64::from(limits.maximum_packet_size.get());
    let mut faults: Vec<_> = [
        ("limits.queue_bytes_maximum", limits.queue_bytes_maximum),
        ("limits.output_bytes_maximum", u64::from(limits.output_bytes_maximum)),
    ]
    .into_iter()
    .filter(|(_, value)| *value < packet)
    .map(|(key, value)| {
        // The default of one may be too small for what the file says of the other: then the fault is there.
        let at = places.get(key).or_else(|| places.get(PACKET)).cloned().unwrap_or_default();
        let fault = Fault::at(source, &at, Problem::LessThan { than: PACKET, value: packet });
        Fault {
            key: Some(key.to_owned()),
            value: Some(value.to_string()),
            allowed: Some(format!("{packet} or more (a packet that is taken must fit)")),
            ..fault
        }
    })
    .collect();
    faults.extend(of_listeners(config, source, places));
    faults.extend(chain::faults(config, source, places));
    faults
}

/// A listener takes no packet that the rest could not carry.
fn of_listeners<'a>(
    config: &'a Config,
    source: Source<'a>,
    places: &'a Places,
) -> impl Iterator<Item = Fault> + 'a {
    const KEY: &str = "listener.maximum_packet_size";
    let most = u64::from(config.limits.maximum_packet_size.get());
    let sizes = config.listener.iter().filter_map(|listener| listener.maximum_packet_size);
    sizes.map(|size| u64::from(size.get())).filter(move |size| *size > most).map(move |size| {
        let at = places.get(KEY).or_else(|| places.get(PACKET)).cloned().unwrap_or_default();
        let fault = Fault::at(source, &at, Problem::MoreThan { than: PACKET, value: most });
        let allowed = Some(format!("1024 to {most}"));
        Fault { key: Some(KEY.to_owned()), value: Some(size.to_string()), allowed, ..fault }
    })
}
