//! What a seed means: how many shards and clients, which limits, how slow the network.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use dunlin_engine::{
    AccessRules, CheckpointRules, Durability, DurabilityRules, Limits, QueueFull, Settings, WideSubscriptions,
};
use dunlin_store::sim_disk::Faults;

use crate::Options;
use crate::model::Rules;
use crate::rng::Rng;

/// A Server whose state outlives it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Journaling {
    /// Longest time until a batch is stored, in microseconds.
    pub(crate) sync: usize,
    /// How often the process ends without warning.
    pub(crate) crashes: usize,
    /// Longest time until it begins anew, in milliseconds.
    pub(crate) outage: usize,
    /// Only the process ends, never the power: what is written is safe.
    pub(crate) kills_only: bool,
    /// What is written need not be synced.
    durability: Written,
    /// How often the disk fills.
    pub(crate) fills: usize,
    /// What goes wrong with the disk.
    pub(crate) faults: Faults,
    /// Bytes of a segment of the log.
    pub(crate) segment: u64,
    /// Bytes that the log writes at once.
    pub(crate) batch_max: u64,
    /// Is the log encrypted?
    pub(crate) sealed: bool,
    /// Control records before a checkpoint takes their place.
    checkpoint: usize,
}

/// Of which messages it is enough that they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    None,
    Some,
    All,
}

/// The shape of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) shards: usize,
    pub(crate) polite: usize,
    pub(crate) hostile: usize,
    /// How long clients act.
    pub(crate) duration: Duration,
    pub(crate) settings: Arc<Settings>,
    pub(crate) rules: Rules,
    /// Longest time that a bag of mail travels, in microseconds; now and then ten times as long.
    pub(crate) mail_delay: usize,
    /// Bags between two shards at most.
    pub(crate) mail_credit: usize,
    /// Longest time from an event to the flush after it, in microseconds.
    pub(crate) tick: usize,
    /// Longest time that bytes travel, in microseconds.
    pub(crate) latency: usize,
    /// Bytes that a client's socket holds before it is read.
    pub(crate) window: usize,
    /// Bytes of output below which the engine is told that it drained.
    pub(crate) low_water: usize,
    /// Chances in a thousand that a connected client does something drastic instead of publishing.
    pub(crate) unrest: usize,
    /// Many large payloads: mail and output fill.
    pub(crate) heavy: bool,
    /// Bytes of a payload at most.
    pub(crate) payload_maximum: usize,
    /// The run ends with a shutdown of the Server.
    pub(crate) shutdown: bool,
    /// The Server asks who clients are, and what they may do.
    pub(crate) guarded: bool,
    /// What is known outlives the process.
    pub(crate) journal: Option<Journaling>,
}

impl Scenario {
    pub(crate) fn new(seed: u64, rng: &mut Rng, options: &Options) -> Self {
        // Not from `rng`: a run that is not guarded goes as it went before there were any.
        let guarded = options.guarded.unwrap_or_else(|| Rng::new(!seed).percent(40));
        let mut access = AccessRules::default();
        if guarded {
            access.wide_subscriptions = WideSubscriptions::Filter;
        }
        let heavy = rng.percent(2);
        let journal = Journaling::new(seed, options, heavy);
        let generous = !rng.percent(20);
        let mut limits = if generous { generous_limits(rng) } else { tight_limits(rng) };
        if journal.is_some() && limits.queue_full == QueueFull::Disconnect {
            // A client that hears itself would be disconnected for its own message before its acknowledgement is due, for ever.
            limits.queue_full = QueueFull::DropNewest;
        }
        let (durability, checkpoints) = journal.as_ref().map(Journaling::rules).unwrap_or_default();
        let rules = Rules {
            journal: journal.is_some(),
            generous,
            full_disconnects: limits.queue_full == QueueFull::Disconnect && !generous,
            inflight: limits.inflight_maximum.get(),
            queue: limits.queue_messages_maximum as usize,
            queue_bytes: limits.queue_bytes_maximum,
            drops_oldest: limits.queue_full == QueueFull::DropOldest,
            expiry_v3: limits.session_expiry_interval_v3,
            expiry_max: limits.session_expiry_interval_maximum,
        };
        Self {
            shards: options.shards.unwrap_or_else(|| rng.pick(&[1, 2, 2, 3, 4])).max(1),
            polite: rng.between(3, 10),
            hostile: rng.pick(&[0, 0, 1, 2]),
            duration: Duration::from_millis(rng.between(4_000, 16_000) as u64),
            settings: Arc::new(Settings { limits, access, durability, checkpoints, ..Settings::default() }),
            rules,
            mail_delay: if heavy { 400_000 } else { rng.pick(&[50, 2_000, 30_000]) },
            mail_credit: rng.between(1, 3),
            tick: rng.pick(&[0, 100, 5_000]),
            latency: rng.pick(&[200, 5_000, 50_000]),
            window: rng.pick(&[200, 3_000, 60_000]),
            low_water: rng.pick(&[0, 1_000, 16_384]),
            unrest: rng.pick(&[10, 60, 150]),
            heavy,
            payload_maximum: journal.map_or(usize::MAX, |journal| journal.payload_maximum()),
            shutdown: rng.percent(30),
            guarded,
            journal,
        }
    }
}

impl Journaling {
    /// Not from the generator of the run either.
    fn new(seed: u64, options: &Options, heavy: bool) -> Option<Self> {
        let mut rng = Rng::new(seed.rotate_left(32) ^ 0x006a_6f75_726e_616c);
        let drawn = rng.percent(40);
        let (sync, crashes) = (rng.pick(&[0, 300, 5_000, 80_000]), rng.pick(&[0, 1, 1, 2, 4]));
        let outage = rng.pick(&[0, 0, 100, 4_000, 30_000]);
        let durability =
            rng.pick(&[Written::None, Written::None, Written::None, Written::Some, Written::All]);
        let faulty = rng.percent(30);
        let mut often = |of: u16| if faulty && rng.percent(50) { of } else { 0 };
        let faults = Faults {
            write_error: often(10),
            no_space: often(10),
            sync_error: often(20),
            sync_lies: 0,
            read_error: often(50),
            short_read: often(300),
        };
        let segment = if heavy { 2 << 20 } else { rng.pick(&[64 << 10, 64 << 10, 256 << 10, 1 << 20]) };
        options.journal.unwrap_or(drawn).then(|| Self {
            sync,
            crashes,
            outage,
            kills_only: durability != Written::None || rng.percent(15),
            durability,
            fills: rng.pick(&[0, 0, 0, 1, 2]),
            faults,
            segment,
            batch_max: rng.pick(&[6_000, 1 << 20]),
            sealed: rng.percent(15),
            checkpoint: rng.pick(&[3, 20, 1024]),
        })
    }

    /// Bytes of a payload at most.
    const fn payload_maximum(&self) -> usize {
        match self.segment {
            ..0x4_0000 => 9_000,
            0x4_0000..0x10_0000 => 40_000,
            _ => usize::MAX,
        }
    }

    fn rules(&self) -> (DurabilityRules, CheckpointRules) {
        let default = if self.durability == Written::All { Durability::Written } else { Durability::Synced };
        let topics = if self.durability == Written::Some {
            vec![("a/#".to_owned(), Durability::Written), ("s/0".to_owned(), Durability::Written)]
        } else {
            Vec::new()
        };
        let checkpoints = CheckpointRules { controls_minimum: self.checkpoint, controls_per_session: 1 };
        (DurabilityRules { default, topics }, checkpoints)
    }
}

fn nonzero16(value: usize) -> NonZeroU16 {
    u16::try_from(value).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN)
}

fn generous_limits(rng: &mut Rng) -> Limits {
    Limits {
        receive_maximum: nonzero16(rng.pick(&[1, 3, 20, 256])),
        topic_alias_maximum: rng.pick(&[0, 2, 64]),
        session_expiry_interval_v3: rng.pick(&[5, 60]),
        session_expiry_interval_maximum: 100,
        inflight_maximum: nonzero16(rng.pick(&[1, 5, 1024])),
        slow_publisher_maximum_ms: rng.pick(&[100, 5_000]),
        // To the models a CONNECT holds from when it is read; one that waits for a fight would hold later.
        takeover_delay_maximum_ms: 0,
        ..Limits::default()
    }
}

fn tight_limits(rng: &mut Rng) -> Limits {
    Limits {
        queue_messages_maximum: rng.pick(&[1, 5, 30]),
        queue_bytes_maximum: rng.pick(&[2_000, 50_000, 1_000_000]),
        queue_full: rng.pick(&[QueueFull::DropOldest, QueueFull::DropNewest, QueueFull::Disconnect]),
        inflight_maximum: nonzero16(rng.pick(&[1, 3, 20])),
        output_bytes_maximum: rng.pick(&[2_000, 60_000]),
        maximum_packet_size: NonZeroU32::new(400_000).unwrap_or(NonZeroU32::MAX),
        retained_messages_maximum: rng.pick(&[2, 1_000]),
        ..generous_limits(rng)
    }
}
