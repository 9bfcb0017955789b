//! Scenarios in which messages flow: fan-in, fan-out, pairs, shared groups, wildcards.

use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::QoS;

use crate::actors;
use crate::clock::{Nanos, nanos, seconds};
use crate::collate::Account;
use crate::crew::{Crew, TICK, Watch, share};
use crate::measure::{Mark, Meter, Stretch, bytes_each};
use crate::plan::{Extent, Pace, Plan, Scenario};
use crate::report::{Better, Figure, Latency, Report, Settings};
use crate::run::{BenchError, Progress};
use crate::shared::{Counts, Phase};
use crate::topology::Topology;

/// A closed loop that has waited this long for a copy waits for it no more.
const STALL: Duration = Duration::from_secs(1);
/// Everything has arrived when it had arrived this long: a duplicate may follow on its heels.
const SETTLE: Duration = Duration::from_millis(25);
/// How often the broker's memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Conducts a crew while messages flow.
pub(crate) struct Flow<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) crew: &'a Crew,
    pub(crate) meter: &'a mut Meter,
    pub(crate) copies: u64,
    /// Messages in all; `u64::MAX` where time ends the run.
    pub(crate) quota: u64,
    /// Messages that came from elsewhere.
    pub(crate) sent_before: u64,
    pub(crate) stalls: u64,
    last_delivery: (u64, Nanos),
    last_look: Nanos,
    last_rate: (u64, Nanos, f64),
}

impl<'a> Flow<'a> {
    pub(crate) fn new(plan: &'a Plan, crew: &'a Crew, meter: &'a mut Meter, copies: u64, quota: u64) -> Self {
        let now = crew.clock.now();
        Self {
            plan,
            crew,
            meter,
            copies,
            quota,
            sent_before: 0,
            stalls: 0,
            last_delivery: (0, now),
            last_look: now,
            last_rate: (0, now, 0.0),
        }
    }

    fn now(&self) -> Nanos {
        self.crew.clock.now()
    }

    fn counts(&self) -> &'a Counts {
        self.crew.counts()
    }

    /// Lets a moment pass.
    fn tick(&mut self, step: &'static str, done: f64, watch: Watch<'_>) {
        Crew::pause(TICK);
        let now = self.now();
        let delivered = self.counts().delivered.get();
        let under_way = ((self.counts().sent.get() + self.sent_before) * self.copies)
            .saturating_sub(delivered + self.counts().given_up.get());
        if delivered != self.last_delivery.0 || under_way == 0 {
            self.last_delivery = (delivered, now);
        } else if now - self.last_delivery.1 > nanos(STALL) {
            self.counts().given_up.add(under_way);
            self.stalls += 1;
        }
        if now - self.last_look > nanos(LOOK) {
            self.meter.look();
            self.last_look = now;
            let (before, at, _) = self.last_rate;
            let moved = if self.copies == 0 { self.counts().acknowledged.get() } else { delivered };
            self.last_rate = (moved, now, crate::measure::per(moved - before, seconds(at, now)));
            watch(Progress { step, done, rate: Some(self.last_rate.2) });
        }
    }

    /// Warms up, then measures for a time.
    fn timed(&mut self, warm_up: Duration, duration: Duration, watch: Watch<'_>) -> Stretch {
        self.pass("warming up", warm_up, watch);
        let from = self.meter.mark(self.crew);
        self.crew.shared.measure_from(from.at);
        self.pass("measuring", duration, watch);
        let until = self.meter.mark(self.crew);
        self.crew.shared.measure_until(until.at);
        self.crew.shared.enter(Phase::Drain);
        self.drain(watch);
        Stretch { from, until }
    }

    fn pass(&mut self, step: &'static str, time: Duration, watch: Watch<'_>) {
        let begin = self.now();
        let end = begin + nanos(time);
        while self.now() < end && !self.crew.is_broken() {
            let done = share(self.now() - begin, nanos(time));
            self.tick(step, done, watch);
        }
    }

    /// Measures until everything has arrived.
    pub(crate) fn counted(&mut self, from: Mark, watch: Watch<'_>) -> Stretch {
        self.drain(watch);
        let mut until = self.meter.mark(self.crew);
        // The time that showed that nothing more comes is no time that the broker took.
        until.at = self.crew.shared.last().clamp(from.at, until.at);
        self.crew.shared.enter(Phase::Drain);
        Stretch { from, until }
    }

    /// Waits until everything has arrived, or nothing has for the time of grace.
    fn drain(&mut self, watch: Watch<'_>) {
        let is_done = |flow: &Self| {
            let counts = flow.counts();
            let sent = counts.sent.get();
            let due = if matches!(flow.plan.pace, Pace::Open { .. }) { counts.due.get() } else { 0 };
            let is_sent = if flow.quota == u64::MAX { sent >= due } else { sent >= flow.quota };
            let is_acknowledged =
                flow.plan.qos == QoS::AtMostOnce || counts.acknowledged.get() + counts.refused.get() >= sent;
            let arrived = counts.delivered.get();
            is_sent && is_acknowledged && arrived >= (sent + flow.sent_before) * flow.copies
        };
        let progress =
            |counts: &Counts| counts.sent.get() + counts.acknowledged.get() + counts.delivered.get();
        let mut last = (progress(self.counts()), self.now());
        loop {
            let made = progress(self.counts());
            let now = self.now();
            if made != last.0 {
                last = (made, now);
            }
            let patience = if is_done(self) { SETTLE } else { self.plan.grace };
            if now - last.1 > nanos(patience) || self.crew.is_broken() {
                return;
            }
            let all = if self.quota == u64::MAX { self.counts().sent.get() } else { self.quota };
            let all = (all + self.sent_before) * self.copies.max(1);
            let moved = if self.copies == 0 {
                self.counts().acknowledged.get()
            } else {
                self.counts().delivered.get()
            };
            let step = if self.quota == u64::MAX { "draining" } else { "measuring" };
            self.tick(step, share(moved, all), watch);
        }
    }

    /// Open loop: what was due and is not sent.
    fn unsent(&self) -> u64 {
        self.counts().due.get().min(self.quota).saturating_sub(self.counts().sent.get())
    }
}

/// Runs one of these scenarios.
pub(crate) fn run(plan: &Arc<Plan>, watch: Watch<'_>) -> Result<Report, BenchError> {
    let topology = Topology::of(plan);
    let mut meter = Meter::start(plan);
    let (quota, extent) = match plan.extent {
        Extent::Messages(messages) => (messages, None),
        Extent::Time { warm_up, duration } => (u64::MAX, Some((warm_up, duration))),
    };
    let (mut actors, group) = actors::subscribers(plan, &topology);
    actors.extend(actors::publishers(plan, &topology, quota));
    let filters = topology.interests.iter().map(|interest| interest.filters.len() as u64).sum();
    let crew = Crew::start(plan, actors, topology.copies)?;
    crew.connect(watch)?;
    let connected = meter.mark(&crew);
    crew.subscribe(filters, watch)?;
    let subscribed = meter.mark(&crew);

    let mut flow = Flow::new(plan, &crew, &mut meter, topology.copies, quota);
    let stretch = match extent {
        Some((warm_up, duration)) => {
            crew.shared.enter(Phase::Flow);
            flow.timed(warm_up, duration, watch)
        }
        None => {
            crew.shared.measure_from(crew.clock.now());
            crew.shared.enter(Phase::Flow);
            flow.counted(subscribed, watch)
        }
    };
    let (stalls, unsent) = (flow.stalls, flow.unsent());
    meter.look();
    let shared = crew.shared.clone();
    let mut account = Account::new(topology.topics.len(), group);
    account.take(crew.finish()?);

    let mut figures = figures(&stretch, &account);
    figures.extend(Latency::of(&account.wait).map(|wait| waiting(&wait)));
    if plan.scenario == Scenario::Wildcards {
        figures.extend(subscribing(&Stretch { from: connected, until: subscribed }, filters));
    }
    let counts = &shared.counts;
    Ok(Report {
        settings: Settings::of(plan),
        seconds: stretch.seconds(),
        figures,
        latency: Latency::of(&account.latency),
        wait: Latency::of(&account.wait),
        sent: counts.sent.get(),
        acknowledged: counts.acknowledged.get(),
        refused: counts.refused.get(),
        expected: counts.sent.get() * topology.copies,
        delivered: counts.delivered.get(),
        unsent,
        stalls,
        faults: account.faults(),
        disconnected: counts.disconnected.get(),
        errors: shared.errors(),
        broker: meter.process(&stretch),
        generator: stretch.generator(stretch.delivered(), plan.threads),
    })
}

/// What every such scenario is about.
fn figures(stretch: &Stretch, account: &Account) -> Vec<Figure> {
    let delivered = stretch.delivered();
    let published = stretch.rate("published_per_second", "published", "msg/s", stretch.sent());
    let mut figures = vec![
        stretch.rate("delivered_per_second", "delivered", "msg/s", delivered),
        Figure { better: Better::Neither, ..published },
    ];
    let label = "delivered per broker CPU second";
    figures.extend(stretch.per_cpu("delivered_per_broker_cpu_second", label, "msg", delivered));
    figures.extend(stretch.broker_busy());
    figures.extend(latencies(&Latency::of(&account.latency)));
    figures
}

/// The percentiles that are compared.
pub(crate) fn latencies(latency: &Option<Latency>) -> Vec<Figure> {
    let Some(latency) = latency else { return Vec::new() };
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    let figure = |key, label, nanos: u64| Figure::new(key, label, "µs", nanos as f64 / 1e3, Better::Lower);
    vec![
        figure("latency_p50_us", "latency, median", latency.p50),
        figure("latency_p99_us", "latency, 99 %", latency.p99),
        figure("latency_p999_us", "latency, 99.9 %", latency.p999),
        figure("latency_max_us", "latency, worst", latency.maximum),
    ]
}

/// Open loop: how long messages waited to be written, because windows or sockets were full.
#[allow(clippy::cast_precision_loss, reason = "a measurement")]
fn waiting(wait: &Latency) -> Figure {
    let micros = wait.p99 as f64 / 1e3;
    Figure::new("wait_p99_us", "of it before it was sent, 99 %", "µs", micros, Better::Neither)
}

/// What subscribing cost.
fn subscribing(stretch: &Stretch, filters: u64) -> Vec<Figure> {
    let mut figures = vec![stretch.rate("subscribed_per_second", "subscribed", "filters/s", filters)];
    let label = "subscribed per broker CPU second";
    figures.extend(stretch.per_cpu("subscribed_per_broker_cpu_second", label, "filters", filters));
    if let (Some(from), Some(until)) = (stretch.from.broker, stretch.until.broker) {
        let each = bytes_each(from.memory, until.memory, filters);
        figures.push(Figure::new("memory_per_filter", "memory per filter", "B", each, Better::Lower));
    }
    figures
}
