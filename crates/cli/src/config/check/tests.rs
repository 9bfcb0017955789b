//! What the faults of files say, and where.

use super::*;

/// What a file's faults say, each with its line and column.
fn faults(text: &str) -> Vec<String> {
    let faults = Config::parse(text).unwrap_err();
    faults.iter().map(|fault| format!("{}:{}: {fault}", fault.line, fault.column)).collect()
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse(""), Ok(Config::default()));
    assert_eq!(Config::parse("# nothing\n\n[limits]\n[log]\n"), Ok(Config::default()));
}

#[test]
fn what_a_file_says_holds() {
    let text = "shards = 3\n\
                [[listener]]\nurl = \"127.0.0.1:1884\"\n\
                [[listener]]\nurl = \"tcp://[::1]:0\"\n\
                [log]\nformat = \"json\"\nareas = { connection = \"debug\" }\n\
                [limits]\nreceive_maximum = 0x10\nqueue_full = \"disconnect\"\n\
                [strictness]\nreserved_bits = \"warn\"\n";
    let config = Config::parse(text).unwrap();
    assert_eq!(config.shards, 3);
    let urls: Vec<String> = config.listener.iter().map(|listener| listener.url.to_string()).collect();
    assert_eq!(urls, ["tcp://127.0.0.1:1884", "tcp://[::1]:0"]);
    assert_eq!(config.log.format, crate::config::Format::Json);
    assert_eq!(config.log.areas[&crate::config::Area::Connection], crate::config::Level::Debug);
    let settings = config.settings(Vec::new());
    assert_eq!(settings.limits.receive_maximum.get(), 16);
    assert_eq!(settings.limits.queue_full, dunlin_engine::QueueFull::Disconnect);
    assert_eq!(settings.strictness.reserved_bits, dunlin_engine::Strict::Warn);
}

#[test]
fn a_number_beyond_its_bounds_is_named_with_them() {
    assert_eq!(
        faults("[limits]\nreceive_maximum = 0\n  topic_levels_maximum = 65_536"),
        [
            "2:19: limits.receive_maximum = 0: out of range; allowed: 1 to 65535 (messages)",
            "3:26: limits.topic_levels_maximum = 65_536: out of range; allowed: 1 to 65535 (levels)",
        ]
    );
    assert_eq!(
        faults("limits.maximum_packet_size = -1"),
        ["1:30: limits.maximum_packet_size = -1: out of range; allowed: 1024 to 268435460 (bytes)"]
    );
    assert_eq!(
        faults("shards = 99999999999999999999"),
        ["1:10: shards = 99999999999999999999: out of range; allowed: 0 to 64 (threads)"]
    );
}

#[test]
fn a_value_of_another_type_is_named_with_both() {
    assert_eq!(
        faults("shards = \"two\"\n[log]\nlevel = 3\n[limits]\nreceive_maximum = 1.5"),
        [
            "1:10: shards = \"two\": a string, not an integer; allowed: 0 to 64 (threads)",
            "3:9: log.level = 3: an integer, not a string; \
             allowed: \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
            "5:19: limits.receive_maximum = 1.5: a float, not an integer; allowed: 1 to 65535 (messages)",
        ]
    );
}

#[test]
fn a_text_has_a_bound_and_no_control_characters() {
    let long = format!("protocol.response_information = \"{}\"", "x".repeat(1025));
    assert!(
        faults(&long)[0].ends_with("...: too long; allowed: up to 1024 bytes without control characters")
    );
    assert_eq!(
        faults("protocol.response_information = \"a\\tb\"\nprotocol.no_matching_subscribers = 1"),
        [
            "1:33: protocol.response_information = \"a\\tb\": has a control character; \
             allowed: up to 1024 bytes without control characters",
            "2:36: protocol.no_matching_subscribers = 1: an integer, not a boolean; allowed: true, false",
        ]
    );
}

#[test]
fn a_choice_that_is_none_is_named_with_the_nearest() {
    assert_eq!(
        faults("[strictness]\nreserved_bits = \"alow\"\npacket_too_large = \"never\""),
        [
            "2:17: strictness.reserved_bits = \"alow\": not one of the choices (did you mean \"allow\"?); \
             allowed: \"reject\", \"warn\", \"allow\"",
            "3:20: strictness.packet_too_large = \"never\": not one of the choices; \
             allowed: \"reject\", \"warn\", \"allow\"",
        ]
    );
}

#[test]
fn a_key_that_is_not_known_is_named_with_the_nearest() {
    let text =
        "[limits]\nmax_packet_size = 5\n[log]\nreceive_maximum = 3\n[log.areas]\nconnections = \"info\"";
    assert_eq!(
        faults(text),
        [
            "2:1: limits.max_packet_size = 5: not known (did you mean limits.maximum_packet_size?)",
            "4:1: log.receive_maximum = 3: not known (did you mean limits.receive_maximum?)",
            "6:1: log.areas.connections = \"info\": not known (did you mean log.areas.connection?)",
        ]
    );
    assert_eq!(faults("[limit]"), ["1:2: limit: not known (did you mean limits?)"]);
    assert_eq!(
        faults("persistence = true"),
        [
            "1:1: persistence = true: not known; allowed: shards, listener, storage, metrics, opentelemetry, api, log, admission, limits, strictness, protocol, authentication, access"
        ]
    );
}

#[test]
fn the_metrics_are_at_an_address_with_a_port() {
    let wanted = "an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464";
    assert_eq!(
        faults("[metrics]\nlisten = \"localhost\""),
        [format!("2:10: metrics.listen = \"localhost\": not an address and a port; allowed: {wanted}")]
    );
    assert!(Config::parse("[metrics]\nlisten = \"[::1]:9464\"").is_ok());
}

#[test]
fn listeners_are_a_list_of_tables_with_a_url() {
    assert_eq!(
        faults("[listener]\nurl = \"127.0.0.1:1883\""),
        ["1:1: listener: a table, not a list of tables; allowed: [[listener]]"]
    );
    assert_eq!(faults("log = 1"), ["1:7: log: an integer, not a table; allowed: [log]"]);
    let url = crate::listen::ALLOWED;
    assert_eq!(faults("[[listener]]"), [format!("1:1: listener.url: missing; allowed: {url}")]);
    assert_eq!(faults("listener = [1]"), ["1:13: listener: an integer, not a table"]);
    assert_eq!(
        faults("[[listener]]\nurl = \"http://127.0.0.1:8883\"\n[[listener]]\nurl = \"localhost\""),
        [
            format!("2:7: listener.url = \"http://127.0.0.1:8883\": http:// is not known; allowed: {url}"),
            format!("4:7: listener.url = \"localhost\": the port is missing; allowed: {url}"),
        ]
    );
}

#[test]
fn a_key_of_another_kind_of_listener_is_named_with_the_kinds_that_have_it() {
    assert_eq!(
        faults("[[listener]]\nurl = \"127.0.0.1:0\"\npermissions = \"600\""),
        ["3:15: listener.permissions = \"600\": not a key of tcp listeners; allowed: with unix"]
    );
    assert_eq!(
        faults("[[listener]]\nurl = \"unix:/x\"\npermissions = \"0o600\""),
        ["3:15: listener.permissions = \"0o600\": not the mode of a file; \
             allowed: three octal digits in quotes"]
    );
    assert!(Config::parse("[[listener]]\nurl = \"unix:/x\"\npermissions = \"640\"").is_ok());
}

#[test]
fn listeners_of_tls_and_websocket_have_keys_of_their_own() {
    let wss = "[[listener]]\nurl = \"wss://127.0.0.1:0\"\ncertificate = \"a\"\nkey = \"b\"\n\
               client_ca = \"c\"\nclient_certificate = \"optional\"\npath = \"/x\"\norigins = [\"*\"]";
    assert!(Config::parse(wss).is_ok());
    assert!(Config::parse("[[listener]]\nurl = \"tls://127.0.0.1:0\"").is_ok());
    let found = faults(
        "[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = \"a\"\nclient_certificate = \"required\"",
    );
    let missing: Vec<_> = found.iter().map(|fault| fault.split(';').next().unwrap()).collect();
    assert_eq!(missing, ["1:1: listener.key: missing", "1:1: listener.client_ca: missing"]);
    let found =
        faults("[[listener]]\nurl = \"ws://127.0.0.1:0\"\npath = \"mqtt\"\norigins = [1]\nkey = \"k\"");
    assert!(found[0].starts_with("3:8: listener.path = \"mqtt\": not a path; allowed: "), "{found:?}");
    assert!(found[1].starts_with("4:11: listener.origins = [1]: an integer, not a string"), "{found:?}");
    assert_eq!(
        found[2],
        "5:7: listener.key = \"k\": not a key of ws listeners; allowed: with tls, wss, quic"
    );
}

#[test]
fn values_that_do_not_fit_together_are_named() {
    assert_eq!(
        faults("[limits]\nqueue_bytes_maximum = 1024"),
        ["2:23: limits.queue_bytes_maximum = 1024: less than limits.maximum_packet_size = 2097152; \
             allowed: 2097152 or more (a packet that is taken must fit)"]
    );
    // The defaults of the two others are too small for this packet.
    let found = faults("[limits]\nmaximum_packet_size = 268_435_456");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|fault| fault.starts_with("2:23: limits.")), "{found:?}");
    let all = "[limits]\nmaximum_packet_size = 268_435_456\nqueue_bytes_maximum = 268_435_456\n\
               output_bytes_maximum = 268_435_456";
    assert!(Config::parse(all).is_ok());
}

#[test]
fn what_is_no_toml_is_named_with_its_place() {
    let found = faults("[limits]\nreceive_maximum 5\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("2:") && found[0].contains("not valid TOML: "), "{found:?}");
    let found = faults("shards = 1\nshards = 2\n");
    assert!(found[0].starts_with("2:1: not valid TOML: duplicate key"), "{found:?}");
    assert!(found[0].ends_with("at `shards`"), "{found:?}");
}

#[test]
fn columns_count_characters_and_long_values_are_cut() {
    let found = faults(&format!("\"é\" = 1\nlog.level = \"{}\"", "é".repeat(100)));
    assert!(found[0].starts_with("1:1: é = 1: not known"), "{found:?}");
    assert!(found[1].contains("é..."), "{found:?}");
    assert_eq!(faults("log = { \"é\" = 1, level = 1 }")[1].split(": ").next(), Some("1:26"));
}

proptest::proptest! {
    /// Whatever stands in a file, the answer: a configuration or a place in the file.
    #[test]
    fn no_text_is_too_strange(text in "[\\[\\]a-z.=\"'0-9{},# \n\r\té-]{0,80}") {
        if let Err(faults) = Config::parse(&text) {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| fault.line >= 1 && fault.column >= 1));
        }
    }
}

#[test]
fn a_listener_has_settings_of_its_own() {
    let config = Config::parse(
        "[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = [\"a.crt\", \"b.crt\"]\nkey = [\"a.key\", \"b.key\"]\n\
         ocsp = \"a.ocsp\"\nproxies = [\"10.0.0.0/8\"]\nversions = [\"3.1.1\", \"5.0\"]\nmaximum_packet_size = 65_536\n\
         connections_maximum = 10\nconnections_per_second = 5\nalpn = [\"mqtt\", \"x\"]\n",
    );
    let listener = &config.unwrap().listener[0];
    let files = listener.tls_files().unwrap();
    assert_eq!(files.identities.len(), 2);
    assert_eq!(files.identities[0].ocsp.as_deref(), Some(std::path::Path::new("a.ocsp")));
    assert_eq!((files.identities[1].key.to_str(), &files.identities[1].ocsp), (Some("b.key"), &None));
    assert_eq!(listener.alpn(), [b"mqtt".to_vec(), b"x".to_vec()]);
    assert_eq!(listener.proxies().unwrap().len(), 1);
    let rules = listener.rules();
    let lets_in = |version| rules.versions.unwrap().contains(version);
    assert!(lets_in(dunlin_codec::ProtocolVersion::V311) && !lets_in(dunlin_codec::ProtocolVersion::V31));
    assert_eq!(rules.maximum_packet_size.unwrap().get(), 65_536);
    let limits = listener.limits();
    assert_eq!((limits.connections_maximum, limits.connections_per_second), (10, 5));
}

#[test]
fn settings_of_a_listener_that_cannot_be_are_named() {
    let tls = "[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = [\"a\", \"b\"]\n";
    for (line, fault) in [
        ("key = \"a\"", "4:7: listener.key: as many as certificate has are expected: 2"),
        ("key = [\"a\", \"\"]", "4:7: listener.key = [\"a\", \"\"]: missing"),
        ("key = [\"a\", \"b\"]\nclient_crl = \"c\"", "1:1: listener.client_ca: missing"),
        (
            "key = [\"a\", \"b\"]\nversions = [\"4\"]",
            "5:12: listener.versions = [\"4\"]: not one of the choices",
        ),
        ("key = [\"a\", \"b\"]\nversions = []", "5:12: listener.versions = []: missing"),
        (
            "key = [\"a\", \"b\"]\nproxies = [\"lb.example\"]",
            "5:11: listener.proxies = [\"lb.example\"]: \"lb.example\" is not an address or a network",
        ),
        (
            "key = [\"a\", \"b\"]\nmaximum_packet_size = 3_000_000",
            "5:23: listener.maximum_packet_size = 3000000: more than limits.maximum_packet_size = 2097152",
        ),
    ] {
        let found = faults(&format!("{tls}{line}"));
        assert!(found.len() == 1 && found[0].starts_with(fault), "{line}: {found:?}");
    }
    let unix = faults("[[listener]]\nurl = \"unix:/x\"\nproxies = [\"::1\"]");
    assert_eq!(
        unix,
        ["3:11: listener.proxies = [\"::1\"]: not a key of unix listeners; allowed: with tcp, tls, ws, wss"]
    );
}
