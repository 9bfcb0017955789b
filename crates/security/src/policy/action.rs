//! What a rule is about: actions and their conditions, as one set of bits that a question is one bit of.
//!
//! A PUBLISH is one of six cases (QoS, RETAIN), a SUBSCRIBE one of three (QoS), a delivery is one.

use std::fmt;

use dunlin_codec::QoS;

/// What a Client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It sends a message.
    Publish,
    /// It asks for the messages of a Topic Filter.
    Subscribe,
    /// It is sent a message.
    Receive,
}

impl Action {
    /// In the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Publish, Self::Subscribe, Self::Receive];

    /// As it stands in a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Whether a rule gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes, whatever others give.
    Deny,
}

impl Effect {
    /// As it stands in a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What.
    pub action: Action,
    /// A Topic Name; of a SUBSCRIBE, a Topic Filter without `$share/name/`.
    pub topic: &'a str,
    /// Of a PUBLISH or a SUBSCRIBE.
    pub qos: QoS,
    /// Of a PUBLISH.
    pub retain: bool,
}

impl<'a> Request<'a> {
    /// A message.
    #[must_use]
    pub const fn publish(topic: &'a str, qos: QoS, retain: bool) -> Self {
        Self { action: Action::Publish, topic, qos, retain }
    }

    /// A subscription.
    #[must_use]
    pub const fn subscribe(filter: &'a str, qos: QoS) -> Self {
        Self { action: Action::Subscribe, topic: filter, qos, retain: false }
    }

    /// A delivery.
    #[must_use]
    pub const fn receive(topic: &'a str) -> Self {
        Self { action: Action::Receive, topic, qos: QoS::AtMostOnce, retain: false }
    }

    /// The one case that it is.
    pub(super) const fn case(&self) -> Cases {
        match self.action {
            Action::Publish => Cases::publish(self.qos, self.retain),
            Action::Subscribe => Cases::subscribe(self.qos),
            Action::Receive => Cases::RECEIVE,
        }
    }
}

/// A set of cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cases(u16);

impl Cases {
    pub(super) const NONE: Self = Self(0);
    pub(super) const SUBSCRIBE: Self = Self(0b111 << 6);
    pub(super) const RECEIVE: Self = Self(1 << 9);

    pub(super) const fn publish(qos: QoS, retain: bool) -> Self {
        Self(1 << (qos as u16 * 2 + retain as u16))
    }

    pub(super) const fn subscribe(qos: QoS) -> Self {
        Self(1 << (6 + qos as u16))
    }

    /// The cases of a SUBSCRIBE, one by one.
    pub(super) const fn each_subscribe() -> [Self; 3] {
        [Self(1 << 6), Self(1 << 7), Self(1 << 8)]
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The conditions of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Of these alone; empty: of all.
    pub qos: Vec<QoS>,
    /// With or without RETAIN alone.
    pub retain: Option<bool>,
}

impl Conditions {
    fn qos_levels(&self) -> impl Iterator<Item = QoS> {
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
            .into_iter()
            .filter(|qos| self.qos.is_empty() || self.qos.contains(qos))
    }

    /// The cases that a rule is about.
    ///
    /// To subscribe is of no use without receiving, so allowing it allows both. What a Client may not receive, it may not
    /// subscribe to; and what it may not subscribe to at any QoS, a wider subscription must not bring it either.
    pub(super) fn cases(&self, effect: Effect, actions: &[Action]) -> Cases {
        let mut cases = Cases::NONE;
        for action in actions {
            cases = match action {
                Action::Publish => self.qos_levels().fold(cases, |cases, qos| {
                    [false, true]
                        .into_iter()
                        .filter(|retain| self.retain.is_none_or(|wanted| wanted == *retain))
                        .fold(cases, |cases, retain| cases.with(Cases::publish(qos, retain)))
                }),
                Action::Subscribe => {
                    let levels =
                        self.qos_levels().fold(Cases::NONE, |levels, qos| levels.with(Cases::subscribe(qos)));
                    let receives = effect == Effect::Allow || levels.holds(Cases::SUBSCRIBE);
                    cases.with(levels).with(if receives { Cases::RECEIVE } else { Cases::NONE })
                }
                Action::Receive if effect == Effect::Deny => {
                    cases.with(Cases::RECEIVE).with(Cases::SUBSCRIBE)
                }
                Action::Receive => cases.with(Cases::RECEIVE),
            };
        }
        cases
    }
}

/// What the rules at one place give and take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) allow: Cases,
    pub(super) deny: Cases,
}

impl Marks {
    pub(super) const fn of(effect: Effect, cases: Cases) -> Self {
        match effect {
            Effect::Allow => Self { allow: cases, deny: Cases::NONE },
            Effect::Deny => Self { allow: Cases::NONE, deny: cases },
        }
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self { allow: self.allow.with(other.allow), deny: self.deny.with(other.deny) }
    }

    /// Is it allowed, and not denied?
    pub(super) const fn permit(self, case: Cases) -> bool {
        self.allow.meets(case) && !self.deny.meets(case)
    }

    /// Does any of it matter for the case?
    pub(super) const fn concern(self, case: Cases) -> bool {
        self.allow.meets(case) || self.deny.meets(case)
    }
}
