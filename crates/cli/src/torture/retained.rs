//! What the broker retains, compared with what it acknowledged.
//!
//! In:    the ledger; what a new subscriber is sent.
//! Out:   topics whose value is older than the newest acknowledged one.
//! Never: a complaint about a value that was sent later and not acknowledged: the broker may have it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dunlin_codec::{Packet, ProtocolVersion, QoS};

use super::judge::Fault;
use super::ledger::Ledger;
use super::wire::{Connection, Identity, Incoming, Lost};
use super::world::World;

/// Looks at what is retained, again and again.
#[derive(Debug, Default)]
pub(crate) struct Inspector {
    looks: u32,
    /// Topics and messages that were complained about.
    known: BTreeSet<(usize, u64)>,
}

/// What a topic must not be older than.
type Floor = BTreeMap<usize, u64>;

impl Inspector {
    /// Subscribes as a new client and waits until nothing is missing, or for `patience`.
    pub(crate) fn look(&mut self, world: &World, filter: &str, patience: Duration) {
        self.looks += 1;
        let client_id = format!("torture-inspector-{}", self.looks);
        let floor = floor(&world.ledger());
        let who = Identity { client_id, version: ProtocolVersion::V5, durable: false };
        let Ok((mut connection, _)) = Connection::open(world.port, &who) else { return };
        let mut found = BTreeMap::new();
        match receive(world, &mut connection, filter, &floor, &mut found, patience) {
            Ok(()) => {
                connection.disconnect();
                self.judge(world, &floor, &found);
            }
            Err(lost) => world.lost(&who.client_id, lost),
        }
    }

    fn judge(&mut self, world: &World, floor: &Floor, found: &Floor) {
        let stale: Vec<Fault> = {
            let ledger = world.ledger();
            let stale =
                floor.iter().filter(|(topic, floor)| !holds(&ledger, **topic, **floor, found.get(topic)));
            let unknown = stale.filter(|(topic, floor)| self.known.insert((**topic, **floor)));
            let faults = unknown.map(|(topic, expected)| Fault::RetainedStale {
                topic: ledger.topics[*topic].name.clone(),
                expected: *expected,
                found: found.get(topic).copied(),
            });
            faults.collect()
        };
        stale.into_iter().for_each(|fault| world.fault(fault));
    }
}

/// The newest acknowledged message of each retained topic.
fn floor(ledger: &Ledger) -> Floor {
    let retained = ledger.topics.iter().enumerate().filter(|(_, topic)| topic.retained);
    retained.filter_map(|(at, _)| Some((at, ledger.newest_acknowledged(at)?))).collect()
}

/// Whether what was found, a message or nothing, may be there.
fn holds(ledger: &Ledger, topic: usize, floor: u64, found: Option<&u64>) -> bool {
    match found {
        Some(number) => *number >= floor,
        None => {
            let later = ledger.topics[topic].messages.iter().filter(|number| **number >= floor);
            later.filter_map(|number| ledger.message(*number)).any(|message| message.length == 0)
        }
    }
}

fn receive(
    world: &World,
    connection: &mut Connection,
    filter: &str,
    floor: &Floor,
    found: &mut Floor,
    patience: Duration,
) -> Result<(), Lost> {
    connection.subscribe(filter, QoS::AtLeastOnce)?;
    connection.ping()?;
    let until = Instant::now() + patience;
    let mut answered = false;
    while Instant::now() < until {
        let is_enough = {
            let ledger = world.ledger();
            answered && floor.iter().all(|(topic, floor)| holds(&ledger, *topic, *floor, found.get(topic)))
        };
        if is_enough {
            return Ok(());
        }
        match connection.receive(Duration::from_millis(50))? {
            Some(Incoming::Pong) => answered = true,
            Some(Incoming::Publish(message)) => {
                let ledger = world.ledger();
                if let Some(number) = ledger.recognise(&message.topic, &message.payload)
                    && let Some(about) = ledger.message(number)
                {
                    found.insert(about.topic, number);
                }
                drop(ledger);
                if let Some(id) = message.id {
                    connection.answer(Packet::PubAck, id)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::ledger::Fate;

    #[test]
    fn only_what_is_older_than_the_newest_acknowledged_is_stale() {
        let mut ledger = Ledger::new(1);
        let topic = ledger.add_topic("r".to_owned(), QoS::AtLeastOnce, true);
        let (old, newest, later) =
            (ledger.send(topic, Some(0)), ledger.send(topic, Some(0)), ledger.send(topic, Some(0)));
        ledger.settle(old, Fate::Acknowledged);
        ledger.settle(newest, Fate::Acknowledged);
        assert_eq!(floor(&ledger), Floor::from([(topic, newest)]));
        assert!(!holds(&ledger, topic, newest, Some(&old)));
        assert!(holds(&ledger, topic, newest, Some(&newest)));
        assert!(holds(&ledger, topic, newest, Some(&later)));
        assert!(!holds(&ledger, topic, newest, None));
        ledger.send(topic, None);
        assert!(holds(&ledger, topic, newest, None), "a removal that was not acknowledged may have happened");
    }
}
