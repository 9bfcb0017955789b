//! Facts and what is found in them: each bad Client beside one that comes close and is not.

use std::time::Duration;

use dunlin_codec::{ProtocolVersion, QoS};
use dunlin_engine::{Audience, ClientConduct, History, Losses, OriginConduct, OriginKey, Sample, Traffic};

use super::super::finding::{Check, Saving, Severity};
use super::{Case, Merged, Wire, judge, judge_origin};

/// One with which nothing is wrong, as many are.
fn good() -> ClientConduct {
    ClientConduct {
        client_id: "pump-7".into(),
        user: None,
        address: Some("192.0.2.7:4711".parse().unwrap()),
        rival: None,
        listener: Some(0),
        version: Some(ProtocolVersion::V5),
        is_connected: true,
        away: None,
        keep_alive: Duration::from_secs(60),
        expiry: 3600,
        has_will: true,
        traffic: Traffic {
            published: [1000, 100, 10],
            retained: 10,
            bytes: 60_000,
            delivered: 50,
            pings: 10,
            connected: Duration::from_secs(10_000),
        },
        losses: Losses::default(),
        waiting: 0,
        waiting_bytes: 0,
        resumed: 3,
        filters: vec![("pump/7/set".into(), QoS::AtLeastOnce)],
        history: Some(History { connects: 4, resumed: 3, lost: 3, had_will: true, ..History::default() }),
        samples: vec![sample("pump/7/speed", QoS::AtMostOnce, b"1500")],
    }
}

fn sample(topic: &str, qos: QoS, payload: &[u8]) -> Sample {
    let payload_len = u32::try_from(payload.len()).unwrap();
    Sample { topic: topic.to_owned(), qos, retain: false, payload_len, payload: payload.to_vec() }
}

fn found_with(
    wire: Wire,
    audience: Option<Audience>,
    change: impl FnOnce(&mut ClientConduct),
) -> Vec<(Check, Saving)> {
    let mut client = good();
    change(&mut client);
    let audiences = vec![audience; client.samples.len()];
    let findings = judge(&Case { client: &client, audiences: &audiences, wire });
    findings.into_iter().map(|finding| (finding.check, finding.saves)).collect()
}

fn found(change: impl FnOnce(&mut ClientConduct)) -> Vec<Check> {
    found_with(Wire::Private, None, change).into_iter().map(|(check, _)| check).collect()
}

#[test]
fn nothing_is_wrong_with_a_good_client() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn losses_count_when_they_are_many_and_not_few_among_many() {
    let lost = |away, delivered| {
        found(|client| {
            client.losses = Losses { away, slow: 0, by_subscription: away };
            client.traffic.delivered = delivered;
        })
    };
    assert_eq!(lost(10, 100), [Check::Qos0Loss]);
    assert!(lost(9, 0).is_empty());
    assert!(lost(10, 2_000).is_empty());
}

#[test]
fn qos_2_with_retain_does_no_more_than_qos_1() {
    let with = |retain| {
        found_with(Wire::Private, None, |client| {
            client.traffic.published[2] = 100;
            client.samples = vec![Sample { retain, ..sample("pump/7/state", QoS::ExactlyOnce, b"on") }];
        })
    };
    assert_eq!(with(true), [(Check::Qos2Unneeded, Saving::traffic(200, 800))]);
    assert!(with(false).is_empty());
}

#[test]
fn nobody_needs_more_qos_than_the_best_subscriber() {
    let with = |qos: QoS, receivers, best| {
        found_with(Wire::Private, Some(Audience { receivers, best }), |client| {
            client.traffic.published = [0; 3];
            client.traffic.published[qos as usize] = 100;
            client.samples = vec![sample("pump/7/speed", qos, b"1500")];
        })
    };
    let above = Check::QosAboveSubscribers;
    let zero = Some(QoS::AtMostOnce);
    assert_eq!(with(QoS::AtLeastOnce, 3, zero), [(above, Saving::traffic(100, 600))]);
    assert_eq!(with(QoS::ExactlyOnce, 3, zero), [(above, Saving::traffic(300, 1400))]);
    assert_eq!(with(QoS::ExactlyOnce, 1, Some(QoS::AtLeastOnce)), [(above, Saving::traffic(200, 800))]);
    assert!(with(QoS::AtLeastOnce, 1, Some(QoS::AtLeastOnce)).is_empty());
    assert!(with(QoS::AtLeastOnce, 0, None).is_empty(), "somebody may come");
}

#[test]
fn a_session_is_kept_to_be_resumed() {
    let never = [Check::SessionNeverResumed];
    let discards = |resumed| {
        found(|client| {
            client.resumed = resumed;
            client.history = Some(History { discarded: 3, resumed: resumed.into(), ..History::default() });
        })
    };
    assert_eq!(discards(0), never);
    assert!(discards(1).is_empty());
    let away = |hours: u64, waiting| {
        found_with(Wire::Private, None, |client| {
            client.is_connected = false;
            client.away = Some(Duration::from_secs(hours * 3600));
            (client.waiting, client.waiting_bytes) = (waiting, waiting * 100);
        })
    };
    let saves = Saving { messages: 7, bytes: 700, sessions: 1, packets: 0 };
    assert_eq!(away(24, 7), [(Check::SessionNeverResumed, saves)]);
    assert!(away(23, 7).is_empty());
    assert!(away(24, 0).is_empty(), "it came back before");
}

#[test]
fn keep_alive_is_neither_off_nor_long_nor_most_of_the_traffic() {
    let with = |seconds, pings, messages| {
        found_with(Wire::Private, None, |client| {
            client.keep_alive = Duration::from_secs(seconds);
            client.traffic.pings = pings;
            client.traffic.delivered = 0;
            client.traffic.published = [messages, 0, 0];
        })
    };
    assert_eq!(with(0, 0, 9)[0].0, Check::KeepAlive);
    assert_eq!(with(65_535, 0, 9)[0].0, Check::KeepAlive);
    assert_eq!(with(6, 100, 10), [(Check::KeepAlive, Saving::traffic(180, 360))]);
    assert!(with(6, 100, 100).is_empty(), "it has much to say");
    assert!(with(30, 100, 0).is_empty() && with(300, 1, 0).is_empty());
    assert!(found(|client| (client.keep_alive, client.is_connected) = (Duration::ZERO, false)).is_empty());
}

#[test]
fn a_will_is_missed_where_somebody_was_lost() {
    let with = |lost, retained, has_will| {
        found(|client| {
            client.history = Some(History { lost, ..History::default() });
            client.traffic.retained = retained;
            client.has_will = has_will;
        })
    };
    assert_eq!(with(1, 1, false), [Check::NoWill]);
    assert_eq!(with(3, 0, false), [Check::NoWill]);
    assert!(with(1, 0, false).is_empty() && with(0, 1, false).is_empty() && with(9, 9, true).is_empty());
}

#[test]
fn reconnects_and_takeovers_count_by_the_minute() {
    let with = |reconnects_in_a_minute, taken_over_in_a_minute| {
        found(|client| {
            client.history =
                Some(History { reconnects_in_a_minute, taken_over_in_a_minute, ..History::default() });
        })
    };
    assert_eq!(with(12, 0), [Check::NoBackoff]);
    assert_eq!(with(0, 4), [Check::ClientIdFight]);
    assert!(with(11, 3).is_empty());
}

#[test]
fn payloads_shrink_where_it_is_worth_it() {
    let text = br#"{"name":"temperature","value":21.5},"#.repeat(10);
    let with = |payload: &[u8], bytes| {
        found(|client| {
            client.samples = vec![sample("pump/7/report", QoS::AtMostOnce, payload)];
            client.traffic.bytes = bytes;
        })
    };
    assert_eq!(with(&text, 100_000), [Check::PayloadShrinks]);
    assert!(with(&text, 4_000).is_empty(), "too little");
    assert!(with(&text[..36], 100_000).is_empty(), "too short");
}

#[test]
fn retain_is_for_state() {
    let with = |topic: &str, retained, seconds| {
        found(|client| {
            client.samples = vec![Sample { retain: true, ..sample(topic, QoS::AtMostOnce, b"1") }];
            client.traffic.retained = retained;
            client.traffic.connected = Duration::from_secs(seconds);
        })
    };
    let misuse = [Check::RetainedMisuse];
    assert_eq!(with("lamp/7/set", 1, 100), misuse);
    assert_eq!(with("pump/7/speed", 500, 100), misuse, "a stream");
    assert!(with("pump/7/speed", 500, 1_000).is_empty() && with("pump/7/speed", 499, 1).is_empty());
    assert_eq!(with("log/1700000000", 5, 100), [Check::RetainedMisuse, Check::TopicShape]);
    // A gateway that tells of all its devices at once.
    let devices = (0..6).map(|number| Sample {
        retain: true,
        ..sample(&format!("homeassistant/sensor/{number}/config"), QoS::AtLeastOnce, b"1")
    });
    let burst = found(|client| {
        client.samples = devices.collect();
        client.traffic.retained = 1_000;
        client.traffic.connected = Duration::from_secs(1);
    });
    assert!(burst.is_empty());
}

#[test]
fn topics_of_publishers_and_of_subscribers_are_looked_at() {
    let with = |topic: &str, filter: &str| {
        found_with(Wire::Private, None, |client| {
            client.samples = vec![sample(topic, QoS::AtMostOnce, b"1")];
            client.filters = vec![(filter.into(), QoS::AtLeastOnce)];
        })
    };
    let shape = |bytes| vec![(Check::TopicShape, Saving::traffic(0, bytes))];
    assert_eq!(with("a/b/c/d/e/f/g/h/i", "#"), shape(14 * 1110));
    assert_eq!(with("a", "$share/g/a//b"), shape(0));
    assert!(with("a", "$share/g/a/b").is_empty());
}

#[test]
fn plain_text_counts_where_others_are_on_the_way() {
    let with = |wire, address: &str| {
        let address = address.parse().unwrap();
        found_with(wire, None, |client| client.address = Some(address)).len()
    };
    assert_eq!(with(Wire::Plain, "192.0.2.7:1"), 1);
    assert_eq!(with(Wire::Plain, "[::ffff:127.0.0.1]:1"), 0);
    assert_eq!((with(Wire::Private, "192.0.2.7:1"), with(Wire::Proxied, "192.0.2.7:1")), (0, 0));
}

fn origin(connects: u32, new_ids: u32, kept: u32, most_open: u32) -> OriginConduct {
    OriginConduct {
        key: OriginKey::Address("192.0.2.1".parse().unwrap()),
        connects,
        new_ids,
        kept,
        most_open,
        examples: vec!["mqttjs_1a2b".into()],
        refused: 0,
        refused_in_a_minute: 0,
    }
}

#[test]
fn ids_are_random_where_they_are_many_more_than_connections_at_a_time() {
    let found = |origin| {
        let findings = judge_origin(&origin);
        findings.into_iter().map(|found| (found.check, found.severity)).collect::<Vec<_>>()
    };
    let random = Check::RandomClientIds;
    assert_eq!(found(origin(8, 8, 0, 1)), [(random, Severity::Low)]);
    assert_eq!(found(origin(10, 8, 8, 2)), [(random, Severity::Medium)]);
    assert!(found(origin(11, 8, 8, 2)).is_empty(), "some come back");
    assert!(found(origin(500, 500, 0, 400)).is_empty(), "many devices behind one address");
    assert!(found(origin(7, 7, 0, 1)).is_empty());
    let refused = OriginConduct { refused: 100, refused_in_a_minute: 20, ..origin(0, 0, 0, 0) };
    assert_eq!(found(refused), [(Check::NoBackoff, Severity::Medium)]);
}

#[test]
fn what_shards_know_of_an_address_is_summed() {
    let mut merged = Merged::default();
    merged.add(vec![origin(5, 4, 1, 1)]);
    merged.add(vec![origin(5, 4, 2, 1)]);
    let all: Vec<_> = merged.into_all().collect();
    assert_eq!(all.len(), 1);
    let OriginConduct { connects, new_ids, kept, most_open, .. } = all[0];
    assert_eq!((connects, new_ids, kept, most_open, all[0].examples.len()), (10, 8, 3, 2, 2));
}
