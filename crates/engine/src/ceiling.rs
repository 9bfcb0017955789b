//! How near the process is to the ceiling of its memory, and what is bounded or refused because of it.
//!
//! In:    `Event::Memory`, whenever it changes, and again and again while memory is exhausted.
//! Out:   smaller bounds, payloads forgotten that the journal has, refusals, slow consumers disconnected; all of it counted.
//! Never: a measurement: whoever runs the engine knows what the process holds. Never a message lost that the journal has.

use dunlin_codec::{Publish, QoS, ReasonCode};

use crate::counters::Drop;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::{Cx, Hub};

/// How much of the memory that the process may hold is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Memory {
    /// Enough.
    #[default]
    Ample,
    /// Buffers are kept small, and what the journal has is not kept in memory.
    Tight,
    /// What would be kept for later is refused.
    Scarce,
    /// As [`Self::Scarce`]; and whoever makes the Server keep the most is disconnected.
    Exhausted,
}

/// Output of a connection while memory is tight: enough to keep a link of 100 Mbit/s busy for 20 ms.
const OUTPUT_TIGHT: usize = 256 * 1024;
/// The same while it is scarce. A hundred such connections have 6 MiB.
const OUTPUT_SCARCE: usize = 64 * 1024;
/// QoS 1 and 2 wait in the queue behind this much output while memory is tight; see `OUTPUT_HIGH_WATER`.
const HIGH_WATER_TIGHT: usize = 64 * 1024;
/// Messages kept in flight to a Session that the journal does not know, while memory is scarce,
const FLIGHT_SCARCE: usize = 16;
/// and how large they may be.
const FLIGHT_WEIGHT_SCARCE: usize = 4 * 1024;
/// Of the memory that the process may hold, all shards together may have one part in so many copied into outputs. It is the only
/// growth that one packet multiplies, and so the only one that a look at the process every few milliseconds cannot follow.
const OUTPUT_SHARE: u64 = 16;
/// Of the slow consumers, one in so many is disconnected each time that memory is found exhausted.
const DISCONNECTED_SHARE: usize = 8;

impl Engine {
    /// What is left of the memory was found out.
    pub(crate) fn memory_measured(&mut self, cx: &mut Cx<'_>, memory: Memory) {
        let before = std::mem::replace(&mut self.hub.memory, memory);
        self.hub.journal.memory = memory;
        let tight = memory != Memory::Ample;
        cx.fx.outbox.keep_buffers(!tight);
        cx.fx.mail.set_tight(tight);
        self.router.set_tight(tight);
        if memory >= Memory::Tight && memory > before {
            self.hub.forget_what_the_journal_has();
        }
        if memory == Memory::Exhausted {
            self.disconnect_the_slowest(cx);
        }
    }

    /// Closes connections that take least of what waits for them: those with more than everybody may have now, the worst of them.
    fn disconnect_the_slowest(&mut self, cx: &mut Cx<'_>) {
        let mut slow: Vec<(usize, ConnectionId)> = Vec::new();
        for id in self.hub.connections.ids() {
            let waiting = cx.fx.outbox.len(id);
            if waiting > OUTPUT_SCARCE / 2 {
                slow.push((waiting, id));
            }
        }
        slow.sort_unstable();
        for (_, id) in slow.iter().rev().take(slow.len().div_ceil(DISCONNECTED_SHARE)) {
            self.hub.counters.memory_refusals += 1;
            let detail = "it takes too little of what waits for it, and memory is exhausted";
            self.disconnect(cx, *id, ReasonCode::QuotaExceeded, detail);
            // What it did not take in time it will not take now.
            cx.fx.outbox.clear(*id);
        }
    }

    /// Would this PUBLISH make the Server keep something, which it cannot afford?
    pub(crate) fn is_beyond_memory(&mut self, cx: &Cx<'_>, publish: &Publish<'_>, topic: &str) -> bool {
        if self.hub.memory < Memory::Scarce {
            return false;
        }
        if publish.retain && !publish.payload.is_empty() {
            return true;
        }
        if publish.qos == QoS::AtMostOnce {
            return false;
        }
        let Self { router, hub, .. } = self;
        let Ok(route) = router.route(topic, &hub.sessions) else { return false };
        let route = router.get(route);
        if hub.memory == Memory::Exhausted && hub.journal.enabled && !route.remote.is_empty() {
            // Another shard may have to queue it for a Session that the journal knows, which it refuses for nothing.
            return true;
        }
        route.targets.iter().any(|target| {
            target.qos != QoS::AtMostOnce && hub.would_queue(cx, target.session, publish.payload.len())
        })
    }

    /// A Session that is not there yet is refused, a Subscription likewise.
    pub(crate) fn refuses_growth(&mut self) -> bool {
        let refuses = self.hub.memory >= Memory::Scarce;
        self.hub.counters.memory_refusals += u64::from(refuses);
        refuses
    }
}

impl Hub {
    /// Bytes of output that a connection may have waiting with QoS 0.
    #[inline]
    pub(crate) fn output_maximum(&self, cx: &Cx<'_>) -> usize {
        let configured = self.settings.limits.output_bytes_maximum as usize;
        if self.has_ample_output(cx) {
            return configured;
        }
        match self.memory {
            Memory::Ample | Memory::Tight if self.has_output_share(cx, 2) => configured.min(OUTPUT_TIGHT),
            Memory::Exhausted if !self.has_output_share(cx, 4) => 0,
            _ if self.has_output_share(cx, 4) => configured.min(OUTPUT_SCARCE),
            _ => 0,
        }
    }

    /// Output behind which QoS 1 and 2 wait in the queue.
    #[inline]
    pub(crate) fn high_water(&self, cx: &Cx<'_>, ample: usize) -> usize {
        if self.has_ample_output(cx) { ample } else { HIGH_WATER_TIGHT }
    }

    #[inline]
    fn has_ample_output(&self, cx: &Cx<'_>) -> bool {
        self.memory == Memory::Ample && self.has_output_share(cx, 1)
    }

    /// Have the connections of this shard together less output than so many parts of their share?
    #[inline]
    pub(crate) fn has_output_share(&self, cx: &Cx<'_>, parts: u64) -> bool {
        cx.fx.outbox.copied() as u64 <= self.output_share.saturating_mul(parts)
    }

    /// From the ceiling: what a shard may have copied into outputs before they shrink.
    pub(crate) fn set_output_share(&mut self) {
        let ceiling = self.settings.limits.memory_bytes_maximum;
        let shards = self.map.count() as u64;
        self.output_share = if ceiling == 0 { u64::MAX } else { ceiling / OUTPUT_SHARE / shards };
    }

    /// May another message be kept for a Session, beside those in flight to it?
    pub(crate) fn may_keep(&self, is_durable: bool, in_flight: usize, weight: usize) -> bool {
        match self.memory {
            Memory::Ample | Memory::Tight => true,
            Memory::Scarce | Memory::Exhausted if weight > FLIGHT_WEIGHT_SCARCE => {
                is_durable && in_flight == 0
            }
            Memory::Scarce | Memory::Exhausted => is_durable || in_flight < FLIGHT_SCARCE,
        }
    }

    fn would_queue(&self, cx: &Cx<'_>, index: u32, weight: usize) -> bool {
        let Some(session) = self.sessions.slots.get(index) else { return false };
        let Some(to) = session.connection() else { return true };
        let is_clear = session.outgoing.as_ref().is_none_or(|outgoing| outgoing.is_clear());
        let in_flight = session.outgoing.as_ref().map_or(0, |outgoing| outgoing.flight_len());
        let keeps = session.expiry != 0;
        !is_clear
            || cx.fx.outbox.len(to) >= HIGH_WATER_TIGHT
            || keeps && !self.may_keep(session.key != 0, in_flight, weight)
    }

    fn forget_what_the_journal_has(&mut self) {
        for index in 0..self.sessions.slots.capacity() {
            if let Some(outgoing) =
                self.sessions.slots.get_mut(index).and_then(|found| found.outgoing.as_mut())
            {
                outgoing.forget_recorded();
            }
        }
    }

    /// A message cannot be kept for a Session.
    pub(crate) fn drop_for_memory(&mut self, cx: &mut Cx<'_>, index: u32, message: (&str, u32)) {
        self.drop_message(cx, index, message, Drop::MemoryFull);
    }
}
