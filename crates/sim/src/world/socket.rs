//! Sockets: bytes arrive in pieces, writes are partial, readers stall, connections are cut.

use std::collections::VecDeque;

use dunlin_engine::{CloseCause, Event};

use super::link::{Ending, Tag};
use super::{Action, World};
use crate::model::Broken;

/// A connection that is not read for this long after its client closed it is found broken (microseconds).
const UNREAD_END: usize = 1_000_000;

impl World {
    /// A client sends bytes that mean `tag`.
    pub(super) fn send(&mut self, link: usize, bytes: &[u8], tag: Tag) {
        let state = &mut self.links[link];
        if state.over || state.ending.is_some() {
            return;
        }
        self.trace.bytes(bytes);
        state.wire.extend(bytes);
        state.sent += bytes.len() as u64;
        state.tags.push_back((state.sent, tag));
        self.plan_arrive(link);
    }

    fn plan_arrive(&mut self, link: usize) {
        let state = &mut self.links[link];
        if state.arrive_planned || (state.wire.is_empty() && state.ending.is_none()) {
            return;
        }
        state.arrive_planned = true;
        let held = state.held;
        let delay = self.rng.below(self.scenario.latency + 1) as u64;
        let at = self.now.after(std::time::Duration::from_micros(delay)).max(held);
        self.plan_at(at, Action::Arrive(link));
    }

    /// A piece of what the client sent reaches the Server.
    pub(super) fn arrive(&mut self, link: usize) -> Result<(), Broken> {
        let whole = self.rng.percent(70);
        let len = self.links[link].wire.len();
        let count = if whole { len } else { self.rng.between(1, len.max(1)).min(len) };
        let state = &mut self.links[link];
        state.arrive_planned = false;
        if state.closed {
            state.wire.clear();
            return Ok(());
        }
        move_bytes(&mut state.wire, count, &mut state.kernel);
        if state.wire.is_empty() && state.ending.is_some() {
            self.plan(0, Action::End(link));
        } else {
            self.plan_arrive(link);
        }
        if self.links[link].paused || count == 0 { Ok(()) } else { self.offer(link) }
    }

    /// Packets that the engine consumed.
    pub(super) fn take_packets(&mut self, link: usize) {
        loop {
            let state = &mut self.links[link];
            if state.tags.front().is_none_or(|(end, _)| *end > state.consumed) {
                return;
            }
            let Some((_, tag)) = state.tags.pop_front() else { return };
            state.last_taken = None;
            self.trace.note(&[10, link], || format!("link {link}: the Server took {tag:?}"));
            self.summary.packets += 1;
            self.model.packet_taken(link);
            match tag {
                Tag::Connect(connect) if self.scenario.guarded => self.links[link].greeting = Some(connect),
                // What it may not say is as if it had not been said.
                Tag::Publish(message) if self.model.is_unsaid(message) => {}
                Tag::Connect(connect) => self.connect_taken(link, &connect),
                Tag::Publish(message) => {
                    self.links[link].last_taken = Some((self.step, message));
                    self.model.publish_taken(message);
                }
                Tag::Subscribe(packet, wishes) => self.model.subscribe_taken(link, packet, &wishes),
                Tag::Unsubscribe(packet, filters) => self.model.unsubscribe_taken(link, packet, &filters),
                Tag::Done(packet) => self.model.exchange_ended(link, packet),
                Tag::PubRec(packet) => self.model.exchange_released(link, packet),
                Tag::Disconnect { with_will, expiry } => self.model.disconnect_taken(link, with_will, expiry),
                Tag::Other => {}
            }
        }
    }

    /// A client closes its end.
    pub(super) fn cut(&mut self, link: usize, ending: Ending) {
        let state = &mut self.links[link];
        if state.over || state.ending.is_some() {
            return;
        }
        self.trace.note(&[11, link], || format!("link {link}: the client ends it with {ending:?}"));
        state.ending = Some(ending);
        state.over = true;
        state.flight.clear();
        state.linger.clear();
        if ending == Ending::Reset {
            state.wire.clear();
        }
        self.plan_arrive(link);
    }

    /// The end of the client's stream reaches the Server.
    pub(super) fn end_arrives(&mut self, link: usize) -> Result<(), Broken> {
        let state = &mut self.links[link];
        let Some((shard, connection)) = state.place else { return Ok(()) };
        let unread = state.paused && state.ending == Some(Ending::Fin);
        if unread {
            // The Server does not read: it learns of the end when a write or a probe fails.
            state.ending = Some(Ending::Reset);
            self.plan(UNREAD_END, Action::End(link));
            return Ok(());
        }
        let cause = match state.ending {
            Some(Ending::Reset) => CloseCause::Failed,
            _ => CloseCause::ByPeer,
        };
        self.run_timers(shard)?;
        if self.links[link].place.is_none() {
            return Ok(());
        }
        self.trace.note(&[12, link], || format!("shard {shard}: link {link} is gone ({cause:?})"));
        self.model.closed_by_client(link);
        self.links[link].place = None;
        self.shards[shard].dirty.retain(|dirty| *dirty != link);
        self.links[link].closed = true;
        self.shards[shard].release(connection);
        self.tell(shard, Event::Closed { connection, cause })?;
        self.shards[shard].effects.outbox.clear(connection);
        Ok(())
    }

    /// Moves output into the socket as far as it takes it.
    pub(super) fn server_writes(&mut self, link: usize) -> Result<(), Broken> {
        let Some((shard, connection)) = self.links[link].place else { return Ok(()) };
        let state = &self.links[link];
        let room =
            if state.over { usize::MAX } else { self.scenario.window.saturating_sub(state.flight.len()) };
        let waiting = self.shards[shard].effects.outbox.len(connection);
        let mut limit = room.min(waiting);
        if limit > 1 && self.rng.percent(10) {
            limit = self.rng.between(1, limit);
        }
        let mut drained = false;
        loop {
            let (bytes, owed) = self.take_output(shard, connection, limit);
            drained |= owed;
            limit -= bytes.len();
            let state = &mut self.links[link];
            state.written += bytes.len() as u64;
            if bytes.is_empty() {
                break;
            }
            state.written_at = self.now;
            if !state.over {
                state.flight.extend(bytes);
            }
        }
        self.plan_read(link);
        if drained {
            self.trace.note(&[13, link], || format!("shard {shard}: output of link {link} drained"));
            self.tell(shard, Event::Drained { connection })?;
        }
        Ok(())
    }

    pub(super) fn plan_read(&mut self, link: usize) {
        let state = &mut self.links[link];
        if state.read_planned || state.over {
            return;
        }
        state.read_planned = true;
        let stalled = state.stalled;
        let delay = self.rng.below(self.scenario.latency + 1) as u64;
        let at = self.now.after(std::time::Duration::from_micros(delay)).max(stalled);
        self.plan_at(at, Action::Read(link));
    }

    /// The client reads a piece; the Server may write more.
    pub(super) fn client_reads(&mut self, link: usize) -> Result<(), Broken> {
        let state = &mut self.links[link];
        state.read_planned = false;
        if state.over {
            return Ok(());
        }
        if state.stalled > self.now {
            self.plan_read(link);
            return Ok(());
        }
        let len = state.flight.len();
        let count = if self.rng.percent(70) { len } else { self.rng.between(1, len.max(1)).min(len) };
        let state = &mut self.links[link];
        let old = state.inbox.len();
        move_bytes(&mut state.flight, count, &mut state.inbox);
        self.trace.bytes(&state.inbox[old..]);
        self.receive(link)?;
        self.lingering_writes(link);
        if let Some((shard, connection)) = self.links[link].place
            && !self.shards[shard].effects.outbox.is_empty(connection)
            && !self.shards[shard].dirty.contains(&link)
        {
            self.shards[shard].dirty.push(link);
            self.plan_flush(shard);
        }
        let state = &self.links[link];
        if !state.flight.is_empty() {
            self.plan_read(link);
        } else if state.closed && state.linger.is_empty() && !state.over {
            self.links[link].over = true;
            self.client_sees_end(link)?;
        }
        Ok(())
    }

    pub(super) fn lingering_writes(&mut self, link: usize) {
        let window = self.scenario.window;
        let state = &mut self.links[link];
        let room = window.saturating_sub(state.flight.len()).min(state.linger.len());
        let mut piece = Vec::new();
        move_bytes(&mut state.linger, room, &mut piece);
        state.flight.extend(piece);
        if !state.flight.is_empty() {
            self.plan_read(link);
        }
    }

    pub(super) fn linger_over(&mut self, link: usize) -> Result<(), Broken> {
        let state = &mut self.links[link];
        if !state.linger.is_empty() {
            state.linger.clear();
            state.truncated = true;
        }
        Ok(())
    }
}

/// The first `count` bytes; an iterator would take them one by one.
fn move_bytes(from: &mut VecDeque<u8>, count: usize, to: &mut Vec<u8>) {
    let (front, back) = from.as_slices();
    let first = count.min(front.len());
    to.extend_from_slice(&front[..first]);
    to.extend_from_slice(&back[..count - first]);
    from.drain(..count);
}
