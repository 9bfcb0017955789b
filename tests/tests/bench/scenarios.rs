//! Every scenario against the real broker: small, and the numbers add up.

use dunlin_tests::Broker;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use crate::{BROKEN, bench, count, measured, only};

/// Nothing went wrong, and what was sent is where it belongs.
fn adds_up(code: i32, value: &Value, sent: u64, copies: u64) {
    let report = only(value);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(count(report, "/sent"), sent, "{report:#}");
    if count(report, "/settings/qos") > 0 {
        assert_eq!(count(report, "/acknowledged"), sent);
    }
    assert_eq!(count(report, "/expected"), sent * copies);
    assert_eq!(count(report, "/delivered"), sent * copies);
    for path in ["/faults/lost", "/faults/duplicated", "/faults/out_of_order", "/faults/misrouted"] {
        assert_eq!(count(report, path), 0, "{path}");
    }
    assert_eq!(count(report, "/disconnected"), 0);
    assert!(report["broker"]["pid"].is_u64(), "the broker is found by its port");
}

fn every_scenario(version: &str) {
    let broker = Broker::start(&["--shards", "2"]);
    let id = u64::from(broker.id());
    for qos in 0..=2 {
        for (shape, copies) in [
            ("fan-in --publishers 5 --subscribers 2", 2),
            ("fan-out --publishers 1 --subscribers 7", 7),
            ("fan-out --publishers 2 --subscribers 3 --threads 3", 3),
            ("pairs --publishers 6", 1),
            ("shared --publishers 3 --subscribers 4 --threads 2", 1),
            ("wildcards --topics 203 --publishers 3 --subscribers 4", 1),
        ] {
            let (code, value) = measured(broker.address(), &format!("{shape} -q {qos} -V {version} -n 601"));
            adds_up(code, &value, 601, copies);
            assert_eq!(count(only(&value), "/latency/count"), 601 * copies, "every message is timed");
            assert_eq!(count(only(&value), "/broker/pid"), id);
        }
    }
    for qos in 1..=2 {
        let arguments = format!("backlog --publishers 2 --subscribers 2 -q {qos} -V {version} -n 301");
        let (code, value) = measured(broker.address(), &arguments);
        adds_up(code, &value, 301, 2);
    }
}

#[test]
fn every_scenario_adds_up_in_v311() {
    every_scenario("311");
}

#[test]
fn every_scenario_adds_up_in_v5() {
    every_scenario("5");
}

#[test]
fn a_time_ends_a_run_and_only_that_time_is_measured() {
    let broker = Broker::start(&[]);
    for pace in ["", "-r 500", "--burst 1"] {
        let arguments = format!("pairs --publishers 3 -q 1 -t 0.3 --warm-up 0.1 {pace}");
        let (code, value) = measured(broker.address(), &arguments);
        let report = only(&value);
        assert_eq!(code, 0, "{report:#}");
        let seconds = report["seconds"].as_f64().unwrap();
        assert!((0.3..5.0).contains(&seconds), "{seconds}");
        assert_eq!(count(report, "/delivered"), count(report, "/sent"));
        let timed = count(report, "/latency/count");
        assert!(timed > 0 && timed < count(report, "/sent"), "the warm-up is not timed: {timed}");
    }
}

#[test]
fn idle_connections_stay_and_a_storm_comes_and_goes() {
    let broker = Broker::start(&[]);
    let (code, value) = measured(broker.address(), "idle --connections 150 -t 0.2");
    assert_eq!(code, 0);
    assert_eq!(value["brokers"][0]["figures"][0]["key"], "connects_per_second");
    for pace in ["", "-r 200", "-r 200 --threads 2 -V 311"] {
        let (code, value) = measured(broker.address(), &format!("connect -t 0.3 --warm-up 0 {pace}"));
        assert_eq!(code, 0, "{value:#}");
        assert!(count(only(&value), "/latency/count") > 0, "{value:#}");
        assert_eq!(count(only(&value), "/disconnected"), 0);
    }
}

/// A queue of one message: the broker drops the others of a backlog, and says so to nobody.
#[test]
fn a_broker_whose_queues_are_too_short_is_found_out() {
    let broker = Broker::start_with_config("[limits]\nqueue_messages_maximum = 1\n", &[]);
    let arguments = "backlog --publishers 1 --subscribers 1 -q 1 -n 50 --grace 0.5";
    let (code, value) = measured(broker.address(), arguments);
    let report = only(&value);
    assert_eq!(code, BROKEN, "{report:#}");
    assert_eq!((count(report, "/sent"), count(report, "/acknowledged")), (50, 50));
    assert_eq!(count(report, "/faults/lost"), 49, "all but one");
    assert_eq!(count(report, "/delivered"), 1);
    assert_eq!(value["broken"], true);
}

#[test]
fn tls_is_verified_and_carries_everything() {
    let folder = std::env::temp_dir().join(format!("dunlin-bench-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (pem, secret) = (folder.join("it.pem"), folder.join("it.key"));
    std::fs::write(&pem, certificate.pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    let toml = format!(
        "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\n\n[[listener]]\nurl = \"tls://127.0.0.1:0\"\n\
         certificate = {:?}\nkey = {:?}\n",
        pem.display().to_string(),
        secret.display().to_string()
    );
    let broker = Broker::start_with_listeners(&toml, &[]);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], broker.port("tls")));
    let run = "fan-out --subscribers 3 -q 1 -n 500 -s 3000";
    let (code, value) = measured(address, &format!("{run} --cafile {}", pem.display()));
    adds_up(code, &value, 500, 3);
    assert_eq!(only(&value)["settings"]["tls"], true);

    let (code, _) = measured(address, &format!("{run} --insecure"));
    assert_eq!(code, 0);
    let refused = bench(address, &format!("{run} --tls"));
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("certificate"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}
