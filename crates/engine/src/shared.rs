//! Shared Subscriptions: a group has its home in one shard, which deals each message to one member, wherever it is.
//!
//! In:    messages; members that come and go; what became of the deals.
//! Out:   deals, in turn, to members that are connected and have room.
//! Never: a QoS 1 message stranded with a member that is gone: the group keeps it until it is acknowledged.
//! Spec:  MQTT 5.0 section 4.8.2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_codec::{QoS, SubscriptionOptions, TopicFilter};

use crate::ceiling::Memory;
use crate::counters::Drop;
use crate::durability::Durability;
use crate::engine::Engine;
use crate::explain::{GroupFound, What};
use crate::frame::Passing;
use crate::hub::{Cx, Hub};
use crate::interest::Waiter;
use crate::journal::group_partition;
use crate::mail::{Deal, DealOptions, DealOutcome, Letter, Mail, MemberEvent, SessionRef};
use crate::map::{Map, seeded};
use crate::message::{Message, MessageView};
use crate::partition::ShardId;
use crate::policy::Policy;
use crate::session::entry::Home;
use crate::slots::Slots;

/// Messages that the members with room may not receive, and that are passed by to find one that they may.
const SCAN: usize = 256;

/// The groups homed in this shard.
#[derive(Debug)]
pub(crate) struct Groups {
    slots: Slots<Group>,
    by_name: Map<(Box<str>, Box<str>), u32>,
    /// Groups with messages that wait for mail to a shard to be taken.
    starved: BTreeMap<ShardId, BTreeSet<u32>>,
    /// Numbers of messages, in the order they came; of all groups together, so that what becomes of a deal of a group that is no
    /// more means nothing to the group that has its place.
    next: u64,
    /// Those that a restart found, until the first Client comes.
    found: Vec<u32>,
}

/// Messages of a group that members have not acknowledged, while memory is scarce.
const DEALT_SCARCE: usize = 64;

#[derive(Debug)]
struct Group {
    members: Vec<Member>,
    /// Whose turn it is.
    turn: usize,
    /// Waiting for a member with room.
    pending: BTreeMap<u64, Kept>,
    pending_bytes: usize,
    /// With a member.
    dealt: Map<u64, (Kept, SessionRef)>,
    share: Box<str>,
    filter: Box<str>,
    /// Where its records are.
    partition: u8,
}

/// A message of a group, and where its record is.
#[derive(Debug)]
struct Kept {
    message: Message,
    home: Home,
}

#[derive(Debug)]
struct Member {
    session: SessionRef,
    options: SubscriptionOptions,
    subscription_identifier: u32,
    /// Number of its SUBSCRIBE.
    joined: u32,
    connected: bool,
    /// Deals it takes at a time, and has.
    window: u16,
    /// Its Session outlives the process.
    durable: bool,
    outstanding: u16,
    /// Its queue refused the last deal, and has not said that there is room again.
    is_full: bool,
    /// Asked about each message.
    policy: Option<Arc<dyn Policy>>,
}

impl Member {
    fn may_receive(&self, topic: &str) -> bool {
        self.policy.as_ref().is_none_or(|policy| policy.may_receive(topic))
    }

    fn has_room(&self, mail: &Mail) -> bool {
        self.connected
            && !self.is_full
            && self.outstanding < self.window
            && !mail.is_congested(self.session.shard)
    }
}

impl Groups {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Slots::default(),
            by_name: seeded(seed),
            next: 0,
            starved: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// What there is of a group: its share name and filter, members, those of them with a connection, messages that wait, and
    /// those that are with a member.
    pub(crate) fn outline(&self, index: u32) -> Option<(&str, &str, [usize; 4])> {
        let group = self.slots.get(index)?;
        let connected = group.members.iter().filter(|member| member.connected).count();
        let numbers = [group.members.len(), connected, group.pending.len(), group.dealt.len()];
        Some((&group.share, &group.filter, numbers))
    }

    /// A message for a group [MQTT-4.8.2-3].
    pub(crate) fn publish(&mut self, cx: &mut Cx<'_>, hub: &mut Hub, index: u32, passing: &mut Passing<'_>) {
        let Some(group) = self.slots.get_mut(index) else { return };
        let topic = passing.view.topic;
        if !group.members.iter().any(|member| member.may_receive(topic)) {
            hub.withheld(1);
            return group.note_drop(cx, hub, passing.view, Drop::Denied);
        }
        if passing.view.qos == QoS::AtMostOnce {
            let mail = &cx.fx.mail;
            let fits = |member: &Member| {
                member.connected && !mail.is_congested(member.session.shard) && member.may_receive(topic)
            };
            return match take_turn(&group.members, &mut group.turn, fits) {
                Some(at) => group.members[at].give(cx, hub, None, passing),
                None if group.members.iter().any(|member| member.connected && member.may_receive(topic)) => {
                    group.dropped(cx, hub, passing.view, Drop::OutputFull)
                }
                None => group.dropped(cx, hub, passing.view, Drop::Offline),
            };
        }
        let limits = &hub.settings.limits;
        let weight = passing.view.weight();
        let is_full = group.pending.len() >= limits.queue_messages_maximum as usize
            || (group.pending_bytes + weight) as u64 > limits.queue_bytes_maximum;
        // Only what a member takes at once, and some others have not acknowledged.
        let is_kept = |group: &Group, mail: &Mail| {
            group.dealt.len() >= DEALT_SCARCE || !group.members.iter().any(|member| member.has_room(mail))
        };
        if hub.memory >= Memory::Scarce && is_kept(group, &cx.fx.mail) {
            return group.dropped(cx, hub, passing.view, Drop::MemoryFull);
        }
        if is_full {
            return group.dropped(cx, hub, passing.view, Drop::QueueFull);
        }
        let number = self.next;
        self.next += 1;
        let mut kept = Kept { message: passing.stored(), home: Home::None };
        if hub.journal.enabled
            && passing.view.durability != Durability::Memory
            && group.members.iter().any(|member| member.durable)
        {
            let message = kept.message.clone();
            kept.home = hub.journal.group_message(cx.now, group.partition, index, number, message);
        }
        // Nobody waits before it.
        let left = if group.pending.is_empty() {
            group.deal_one(cx, hub, (index, number), kept, passing)
        } else {
            Some(kept)
        };
        if let Some(kept) = left {
            group.keep(number, kept);
            self.deal(cx, hub, index);
        }
    }

    /// A deal is over.
    pub(crate) fn deal_ended(&mut self, cx: &mut Cx<'_>, hub: &mut Hub, deal: Deal, outcome: DealOutcome) {
        let Some(group) = self.slots.get_mut(deal.group) else { return };
        let Some((message, session)) = group.dealt.remove(&deal.number) else { return };
        if let Some(member) = group.members.iter_mut().find(|member| member.session == session) {
            member.outstanding -= 1;
            member.is_full |= outcome == DealOutcome::Refused;
        }
        if outcome == DealOutcome::Done {
            hub.journal.group_done(cx.now, group.partition, message.home);
        } else {
            // Before everything that came later.
            group.keep(deal.number, message);
        }
        self.deal(cx, hub, deal.group);
    }

    /// A member whose queue was full has room again.
    pub(crate) fn room_again(&mut self, cx: &mut Cx<'_>, hub: &mut Hub, index: u32, session: SessionRef) {
        let Some(group) = self.slots.get_mut(index) else { return };
        if let Some(member) = group.members.iter_mut().find(|member| member.session == session) {
            member.is_full = false;
            self.deal(cx, hub, index);
        }
    }

    /// Mail for a shard was taken: members there may get what waited for that.
    pub(crate) fn mail_taken(&mut self, cx: &mut Cx<'_>, hub: &mut Hub, to: ShardId) {
        for index in self.starved.remove(&to).unwrap_or_default() {
            self.deal(cx, hub, index);
        }
    }

    /// Deals what waits, as far as members have room; remembers a group that waits for mail to be taken.
    fn deal(&mut self, cx: &mut Cx<'_>, hub: &mut Hub, index: u32) {
        let Some(group) = self.slots.get_mut(index) else { return };
        if !group.pending.is_empty() {
            group.deal_pending(cx, hub, index);
        }
        if group.pending.is_empty() {
            return;
        }
        for member in group.members.iter().filter(|member| cx.fx.mail.is_congested(member.session.shard)) {
            self.starved.entry(member.session.shard).or_default().insert(index);
        }
    }

    /// What the members of a group were granted.
    pub(crate) fn members_qos(&self, index: u32) -> impl Iterator<Item = QoS> {
        self.slots.get(index).into_iter().flat_map(|group| &group.members).map(|member| member.options.qos)
    }

    fn insert(&mut self, share: &str, filter: &str) -> u32 {
        let group = Group {
            members: Vec::new(),
            turn: 0,
            pending: BTreeMap::new(),
            pending_bytes: 0,
            // Its keys are numbers of our own.
            dealt: seeded(0),
            share: share.into(),
            filter: filter.into(),
            partition: group_partition(share, filter).index(),
        };
        let (index, _) = self.slots.insert(group);
        self.by_name.insert((share.into(), filter.into()), index);
        index
    }

    /// A message as a restart found it. Its group has no members yet.
    pub(crate) fn restore_message(&mut self, share: &str, filter: &str, number: u64, view: &MessageView<'_>) {
        let index = self.find(share, filter).unwrap_or_else(|| self.insert(share, filter));
        let deal = self.next;
        self.next += 1;
        if let Some(group) = self.slots.get_mut(index) {
            let home = Home::Record { number, shared: false };
            group.keep(deal, Kept { message: view.to_message(), home });
        }
    }

    /// Everything is restored: messages whose records do not count were done with before.
    pub(crate) fn restored(&mut self, counts: impl Fn(u8, u64) -> bool) {
        let mut found: Vec<u32> = self.by_name.values().copied().collect();
        found.sort_unstable();
        for index in &found {
            let Some(Group { pending, pending_bytes, partition, .. }) = self.slots.get_mut(*index) else {
                continue;
            };
            pending.retain(|_, kept| {
                let lives = matches!(kept.home, Home::Record { number, .. } if counts(*partition, number));
                *pending_bytes -= if lives { 0 } else { kept.message.weight() };
                lives
            });
        }
        self.found = found;
    }

    /// All Sessions that are members have said so: of groups that a restart found, those without any concern nobody.
    pub(crate) fn end_empty(&mut self, cx: &Cx<'_>, hub: &mut Hub) {
        for index in std::mem::take(&mut self.found) {
            if self.slots.get(index).is_none_or(|group| !group.members.is_empty()) {
                continue;
            }
            let Some(group) = self.slots.remove(index) else { continue };
            hub.counters.drop_many(Drop::SessionEnded, group.pending.len() as u64);
            for kept in group.pending.into_values() {
                hub.journal.group_done(cx.now, group.partition, kept.home);
            }
            self.by_name.remove(&(group.share, group.filter));
        }
    }

    /// The name of a message's group, and where to note its record; `None` where it is done with.
    pub(crate) fn message_home(&mut self, group: u32, number: u64) -> Option<(&str, &str, &mut Home)> {
        let Group { pending, dealt, share, filter, .. } = self.slots.get_mut(group)?;
        let kept = pending.get_mut(&number).or_else(|| dealt.get_mut(&number).map(|(kept, _)| kept))?;
        Some((share, filter, &mut kept.home))
    }

    /// For whoever asks about a topic.
    pub(crate) fn found(&self, index: u32) -> Option<GroupFound> {
        let group = self.slots.get(index)?;
        Some(GroupFound {
            share: group.share.clone(),
            filter: group.filter.clone(),
            members: group.members.len(),
            connected: group.members.iter().filter(|member| member.connected).count(),
            pending: group.pending.len(),
        })
    }

    fn find(&self, share: &str, filter: &str) -> Option<u32> {
        self.by_name.get(&(share.into(), filter.into())).copied()
    }
}

/// The next member, from whose turn it is, for which `fits` holds.
fn take_turn(members: &[Member], turn: &mut usize, fits: impl Fn(&Member) -> bool) -> Option<usize> {
    let (count, first) = (members.len(), *turn);
    let at = (first..count).chain(0..first).find(|at| fits(&members[*at]))?;
    *turn = if at + 1 == count { 0 } else { at + 1 };
    Some(at)
}

impl Group {
    /// Counts a message that no member gets.
    fn dropped(&self, cx: &Cx<'_>, hub: &mut Hub, view: &MessageView<'_>, bound: Drop) {
        hub.counters.drop(bound);
        self.note_drop(cx, hub, view, bound);
    }

    fn note_drop(&self, cx: &Cx<'_>, hub: &mut Hub, view: &MessageView<'_>, bound: Drop) {
        let what = What::GroupDropped(bound);
        hub.ledger.failure(cx.now, &self.filter, view.topic, what, view.number);
    }

    fn keep(&mut self, number: u64, kept: Kept) {
        self.pending_bytes += kept.message.weight();
        self.pending.insert(number, kept);
    }

    fn deal_pending(&mut self, cx: &mut Cx<'_>, hub: &mut Hub, index: u32) {
        let (mut from, mut passed_by) = (0, 0);
        while passed_by < SCAN
            && self.members.iter().any(|member| member.has_room(&cx.fx.mail))
            && let Some((&number, _)) = self.pending.range(from..).next()
            && let Some(kept) = self.pending.remove(&number)
        {
            self.pending_bytes -= kept.message.weight();
            let message = kept.message.clone();
            let view = message.view();
            let passing = &mut Passing::of_stored(&message, &view);
            let Some(kept) = self.deal_one(cx, hub, (index, number), kept, passing) else { continue };
            // Those with room may not receive it: it waits for another, and does not hold up the rest.
            from = number + 1;
            passed_by += 1;
            if self.members.iter().any(|member| member.may_receive(view.topic)) {
                self.keep(number, kept);
            } else {
                hub.withheld(1);
                self.note_drop(cx, hub, &view, Drop::Denied);
                hub.journal.group_done(cx.now, self.partition, kept.home);
            }
        }
    }

    /// Gives a message to the next member with room that may receive it; back where there is none. `index`, `number`: of the group,
    /// and of the message in it.
    fn deal_one(
        &mut self,
        cx: &mut Cx<'_>,
        hub: &mut Hub,
        (index, number): (u32, u64),
        kept: Kept,
        passing: &mut Passing<'_>,
    ) -> Option<Kept> {
        let topic = passing.view.topic;
        let fits = |member: &Member| member.has_room(&cx.fx.mail) && member.may_receive(topic);
        let Some(at) = take_turn(&self.members, &mut self.turn, fits) else { return Some(kept) };
        if passing.view.is_expired(cx.now) {
            self.dropped(cx, hub, passing.view, Drop::Expired);
            hub.journal.group_done(cx.now, self.partition, kept.home);
            return None;
        }
        let member = &mut self.members[at];
        if member.options.qos == QoS::AtMostOnce {
            member.give(cx, hub, None, passing);
            hub.journal.group_done(cx.now, self.partition, kept.home);
            return None;
        }
        member.outstanding += 1;
        let session = member.session;
        self.dealt.insert(number, (kept, session));
        member.give(cx, hub, Some(Deal { home: hub.shard, group: index, number }), passing);
        None
    }
}

impl Member {
    /// A Session of this shard gets it at once, any other by mail.
    fn give(&self, cx: &mut Cx<'_>, hub: &mut Hub, deal: Option<Deal>, passing: &mut Passing<'_>) {
        let view = passing.view;
        let options = DealOptions {
            qos: view.qos.min(self.options.qos),
            retain: view.retain && self.options.retain_as_published,
            subscription_identifier: self.subscription_identifier,
            joined: self.joined,
        };
        let SessionRef { shard, session } = self.session;
        if shard == hub.shard {
            return hub.dealt(cx, session, deal, options, passing);
        }
        cx.fx.mail.post(shard, Letter::Deal { session, deal, message: passing.stored(), options });
    }
}

impl Engine {
    /// Something happened to a member of a group homed here.
    pub(crate) fn group_letter(
        &mut self,
        cx: &mut Cx<'_>,
        share: &str,
        filter: &str,
        session: SessionRef,
        event: MemberEvent,
    ) {
        let Ok(parsed) = TopicFilter::parse(filter) else { return };
        if let MemberEvent::Join {
            options,
            subscription_identifier,
            joined,
            connected,
            window,
            durable,
            token,
            policy,
        } = event
        {
            let index = self.group_or_new(cx, share, parsed);
            let member = Member {
                session,
                options,
                subscription_identifier,
                joined,
                connected,
                window,
                durable,
                outstanding: 0,
                is_full: false,
                policy,
            };
            self.join(index, member);
            self.when_seen(cx, Waiter::Joined(session.shard, token));
            // What waited for a member need not wait for the next message too.
            let Self { groups, hub, .. } = self;
            return groups.deal(cx, hub, index);
        }
        let Some(index) = self.groups.find(share, filter) else { return };
        let Self { groups, hub, .. } = self;
        let Some(group) = groups.slots.get_mut(index) else { return };
        let Some(at) = group.members.iter().position(|member| member.session == session) else { return };
        let member = &mut group.members[at];
        match event {
            MemberEvent::Online { window } => {
                member.connected = true;
                member.is_full = false;
                member.window = window;
            }
            MemberEvent::Offline => member.connected = false,
            MemberEvent::Rights { joined, policy } => {
                member.joined = joined;
                member.policy = policy;
            }
            MemberEvent::Join { .. } | MemberEvent::Leave => {
                group.members.remove(at);
                group.turn = 0;
            }
        }
        if group.members.is_empty() {
            return self.end_group(cx, index, share, parsed);
        }
        groups.deal(cx, hub, index);
    }

    fn group_or_new(&mut self, cx: &mut Cx<'_>, share: &str, filter: TopicFilter<'_>) -> u32 {
        let found = self.groups.find(share, filter.as_str());
        let index = found.unwrap_or_else(|| self.groups.insert(share, filter.as_str()));
        // One that a restart found has no members yet, and nobody knows of it.
        if self.groups.slots.get(index).is_some_and(|group| !group.members.is_empty()) {
            return index;
        }
        if self.router.tree.add_group(filter, index) {
            self.announce(cx, filter, true);
        }
        index
    }

    fn join(&mut self, index: u32, member: Member) {
        let Some(group) = self.groups.slots.get_mut(index) else { return };
        // One that left and comes back still has what it was dealt before.
        let outstanding = group.dealt.values().filter(|(_, session)| *session == member.session).count();
        let member = Member { outstanding: u16::try_from(outstanding).unwrap_or(u16::MAX), ..member };
        match group.members.iter_mut().find(|other| other.session == member.session) {
            Some(known) => *known = member,
            None => group.members.push(member),
        }
    }

    /// Nobody is left: what waits concerns nobody.
    fn end_group(&mut self, cx: &mut Cx<'_>, index: u32, share: &str, filter: TopicFilter<'_>) {
        let Some(group) = self.groups.slots.remove(index) else { return };
        self.groups.by_name.remove(&(Box::from(share), Box::from(filter.as_str())));
        self.hub.counters.drop_many(Drop::SessionEnded, group.pending.len() as u64);
        for kept in group.pending.into_values().chain(group.dealt.into_values().map(|(kept, _)| kept)) {
            self.hub.journal.group_done(cx.now, group.partition, kept.home);
        }
        if self.router.tree.remove_group(filter, index) {
            self.announce(cx, filter, false);
        }
    }
}
