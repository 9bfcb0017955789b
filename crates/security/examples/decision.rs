//! What a decision of the access rules costs: `cargo run --release -p dunlin-security --example decision`.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use dunlin_codec::QoS;
use dunlin_security::identity::Identity;
use dunlin_security::policy::PolicyFile;

fn main() -> Result<(), Box<dyn Error>> {
    for count in [10, 10_000] {
        let literal: String = (0..count)
            .map(|at| format!("[[rule]]\nallow = 'publish'\ntopics = 'site/{at}/+/state'\n"))
            .collect();
        measure(&format!("{count} rules for everyone"), &literal, |at| {
            format!("site/{}/pump/state", at % count)
        })?;
        let own: String = (0..count)
            .map(|at| {
                format!(
                    "[[rule]]\nfor = 'client:c{at}'\nallow = 'publish'\ntopics = 'site/${{client_id}}/#'\n"
                )
            })
            .collect();
        measure(&format!("{count} rules, one for each client"), &own, |at| format!("site/c3/{at}/state"))?;
    }
    Ok(())
}

fn measure(name: &str, text: &str, topic: impl Fn(usize) -> String) -> Result<(), Box<dyn Error>> {
    const ROUNDS: usize = 1_000;
    let rules = PolicyFile::parse(text).map_err(|faults| format!("{faults:?}"))?;
    let identity = Identity { client_id: "c3".into(), ..Identity::default() };
    let started = Instant::now();
    let policy = rules.compile(&identity);
    let first = started.elapsed();
    let started = Instant::now();
    black_box(rules.compile(&identity));
    let again = started.elapsed();
    let topics: Vec<String> = (0..1_000).map(|at| topic(at * 7)).collect();
    // The best of many rounds: what the machine does beside it is not the question.
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for topic in &topics {
            assert!(black_box(policy.may_publish(black_box(topic), QoS::AtLeastOnce, false)));
        }
        best = best.min(started.elapsed().as_nanos());
    }
    let nanoseconds = best / topics.len() as u128;
    println!("{name}: {nanoseconds} ns a decision; compiled in {first:?}, for the next client in {again:?}");
    Ok(())
}
