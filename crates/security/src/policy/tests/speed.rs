//! What a decision costs: printed, not judged. `cargo test -p dunlin-security --release -- --ignored --nocapture decision`

use std::hint::black_box;
use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement"]
fn time_of_a_decision() {
    for count in [10, 10_000] {
        let literal: String = (0..count)
            .map(|at| format!("[[rule]]\nallow = 'publish'\ntopics = 'site/{at}/+/state'\n"))
            .collect();
        let own: String = (0..count)
            .map(|at| {
                format!(
                    "[[rule]]\nfor = 'client:c{at}'\nallow = 'publish'\ntopics = 'site/${{client_id}}/#'\n"
                )
            })
            .collect();
        measure(&format!("{count} rules for everyone"), &literal, |at| {
            format!("site/{}/pump/state", at % count)
        });
        measure(&format!("{count} rules, one for each client"), &own, |at| format!("site/c3/{at}/state"));
    }
}

fn measure(name: &str, text: &str, topic: impl Fn(usize) -> String) {
    let rules = rules(text);
    let identity = client("c3");
    let started = Instant::now();
    let policy = rules.compile(&identity);
    let first = started.elapsed();
    let started = Instant::now();
    let again = rules.compile(&identity);
    let second = started.elapsed();
    let topics: Vec<String> = (0..1_000).map(|at| topic(at * 7)).collect();
    let rounds = 1_000;
    let started = Instant::now();
    for _ in 0..rounds {
        for topic in &topics {
            assert!(black_box(policy.may_publish(black_box(topic), QoS::AtLeastOnce, false)));
        }
    }
    let each = started.elapsed().as_nanos() / (rounds * topics.len() as u128);
    let started = Instant::now();
    let answer = again.may_subscribe("#", QoS::AtLeastOnce);
    println!(
        "{name}: {each} ns a decision, {first:?} to compile, {second:?} again, {:?} for # ({answer:?})",
        started.elapsed()
    );
}
