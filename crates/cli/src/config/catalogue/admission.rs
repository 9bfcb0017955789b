//! `[admission]`

use super::{Form, Key, Kind, Section};

const U32: u64 = u32::MAX as u64;

pub(super) const ADMISSION: Section = Section {
    name: "admission",
    form: Form::Table,
    about: "What newcomers are held to before they may say a word of MQTT; [limits] and each [[listener]] have more. \
            Whoever is beyond a bound is closed at once, counted, and named in the log (area `connection`). An address is \
            an IPv4 address or the first 64 bits of an IPv6 address; those of this machine have no bounds of their own. \
            Behind a load balancer, the PROXY protocol (listener.proxies) tells whose connection it is.",
    keys: &[
        Key {
            name: "handshake_timeout_ms",
            kind: Kind::Integer { least: 100, most: 600_000, unit: "milliseconds" },
            reloads: true,
            about: "Time for all that comes before MQTT: the PROXY header, TLS, the WebSocket request. \
                    limits.connect_timeout_ms begins afterwards. A connection that does nothing must not hold a place; \
                    ten seconds are a slow handshake over a satellite.",
            example: None,
        },
        Key {
            name: "connections_per_address",
            kind: Kind::Integer { least: 0, most: U32, unit: "connections" },
            reloads: true,
            about: "Connections that one address may have. 0, any number, because a plant of thousands of devices is \
                    behind one address as often as an attacker is; set it where you know your clients.",
            example: None,
        },
        Key {
            name: "connections_per_second_per_address",
            kind: Kind::Integer { least: 0, most: 1_000_000, unit: "connections a second" },
            reloads: true,
            about: "Connections that one address may make in a second in the long run; ten seconds' worth at once. 0: any \
                    number. 100: a thousand devices behind one router come back in a moment, and one attacker's TLS \
                    handshakes cost a fortieth of a core.",
            example: None,
        },
    ],
};
