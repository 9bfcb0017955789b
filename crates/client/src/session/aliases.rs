//! Topic Aliases towards the Server: a topic that is sent again needs three bytes.
//!
//! Never: more than the Server takes; one of a former connection.
//! Spec:  MQTT 5.0 section 3.3.2.3.4.

use std::num::NonZeroU16;
use std::sync::Arc;

/// Aliases of one connection. They are few, so that looking for a topic among them is fast.
pub(crate) struct Aliases {
    /// Most that this client uses.
    own_maximum: u16,
    /// Most that it and the Server use.
    maximum: usize,
    topics: Vec<Slot>,
    /// The slot to be given away next, unless it was used since the last round.
    hand: usize,
}

struct Slot {
    topic: Arc<str>,
    used: bool,
}

/// How a topic is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alias {
    /// As it is.
    None,
    /// With this alias, which the Server has to learn.
    Learn(NonZeroU16),
    /// With this alias alone.
    Known(NonZeroU16),
}

impl Alias {
    pub(crate) const fn number(self) -> Option<NonZeroU16> {
        match self {
            Self::None => None,
            Self::Learn(number) | Self::Known(number) => Some(number),
        }
    }
}

impl Aliases {
    pub(crate) const fn new(own_maximum: u16) -> Self {
        Self { own_maximum, maximum: 0, topics: Vec::new(), hand: 0 }
    }

    /// A connection begins [MQTT-3.3.2-7] [MQTT-3.2.2-17].
    pub(crate) fn connected(&mut self, peer_maximum: u16) {
        self.maximum = peer_maximum.min(self.own_maximum).into();
        self.topics.clear();
        self.hand = 0;
    }

    /// How to send that topic. What is to be learnt is known when [`Aliases::sent`] says so.
    pub(crate) fn of(&mut self, topic: &Arc<str>) -> Alias {
        // The property is three bytes long: of a shorter topic, nothing is gained.
        if self.maximum == 0 || topic.len() <= 3 {
            return Alias::None;
        }
        let same = |slot: &Slot| Arc::ptr_eq(&slot.topic, topic) || slot.topic == *topic;
        if let Some(at) = self.topics.iter().position(same) {
            self.topics[at].used = true;
            return number(at).map_or(Alias::None, Alias::Known);
        }
        if self.topics.len() < self.maximum {
            return number(self.topics.len()).map_or(Alias::None, Alias::Learn);
        }
        while std::mem::take(&mut self.topics[self.hand].used) {
            self.hand = (self.hand + 1) % self.maximum;
        }
        number(self.hand).map_or(Alias::None, Alias::Learn)
    }

    /// It was sent so.
    pub(crate) fn sent(&mut self, topic: &Arc<str>, alias: Alias) {
        let Alias::Learn(number) = alias else { return };
        let slot = Slot { topic: topic.clone(), used: false };
        match self.topics.get_mut(usize::from(number.get()) - 1) {
            Some(old) => {
                *old = slot;
                self.hand = (self.hand + 1) % self.maximum;
            }
            None => self.topics.push(slot),
        }
    }
}

fn number(at: usize) -> Option<NonZeroU16> {
    u16::try_from(at + 1).ok().and_then(NonZeroU16::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(aliases: &mut Aliases, topic: &str) -> Alias {
        let topic: Arc<str> = topic.into();
        let alias = aliases.of(&topic);
        aliases.sent(&topic, alias);
        alias
    }

    fn learn(at: u16) -> Alias {
        Alias::Learn(NonZeroU16::new(at).unwrap())
    }

    fn known(at: u16) -> Alias {
        Alias::Known(NonZeroU16::new(at).unwrap())
    }

    #[test]
    fn topics_in_use_keep_theirs() {
        let mut aliases = Aliases::new(10);
        aliases.connected(2);
        assert_eq!(send(&mut aliases, "long/one"), learn(1));
        assert_eq!(send(&mut aliases, "long/two"), learn(2));
        assert_eq!(send(&mut aliases, "long/one"), known(1));
        // The second was not used again, so it goes.
        assert_eq!(send(&mut aliases, "long/three"), learn(2));
        assert_eq!(send(&mut aliases, "long/one"), known(1));
        assert_eq!(send(&mut aliases, "a/b"), Alias::None, "nothing is gained");
        aliases.connected(2);
        assert_eq!(send(&mut aliases, "long/one"), learn(1), "of a former connection");
        aliases.connected(0);
        assert_eq!(send(&mut aliases, "long/one"), Alias::None);
    }

    /// [MQTT-3.2.2-17]
    #[test]
    fn never_more_than_the_server_takes() {
        let mut aliases = Aliases::new(3);
        aliases.connected(1000);
        for round in 0..50_u16 {
            let alias = send(&mut aliases, &format!("topic/{}", round * 7 % 11));
            assert!(alias.number().is_some_and(|number| number.get() <= 3));
        }
    }
}
