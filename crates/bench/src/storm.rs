//! Connections that come and go: CONNECT, CONNACK, DISCONNECT, again, each with a new client identifier.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::prefix;
use crate::check::Faults;
use crate::clock::{nanos, seconds};
use crate::collate::Account;
use crate::crew::{Crew, TICK, Watch, share};
use crate::handle::{Actor, Role};
use crate::measure::{Mark, Meter, Stretch, per};
use crate::plan::{Extent, Plan};
use crate::report::{Latency, Report, Settings};
use crate::run::{BenchError, Progress};
use crate::shared::Phase;
use crate::traffic::latencies;

/// Runs the storm; a latency is from when a connection was due (or begun) to its CONNACK.
pub(crate) fn run(plan: &Arc<Plan>, watch: Watch<'_>) -> Result<Report, BenchError> {
    let role = |at: usize| Role::Storm { due: 0, prefix: format!("{}c{at}-", prefix(plan)) };
    let actors = (0..plan.connecting).map(|at| Actor::new(String::new(), role(at))).collect();
    let mut meter = Meter::start(plan);
    let crew = Crew::start(plan, actors, 0)?;
    let Extent::Time { warm_up, duration } = plan.extent else { unreachable!("the plan was checked") };
    crew.shared.enter(Phase::Flow);
    let begin = meter.mark(&crew);
    pass(&crew, "warming up", begin, warm_up, watch);
    let from = meter.mark(&crew);
    crew.shared.measure_from(from.at);
    pass(&crew, "measuring", from, duration, watch);
    let until = meter.mark(&crew);
    crew.shared.measure_until(until.at);
    let shared = crew.shared.clone();
    let mut account = Account::new(0, None);
    account.take(crew.finish()?);

    let stretch = Stretch { from, until };
    let connects = stretch.delivered();
    let mut figures = vec![stretch.rate("connects_per_second", "connected", "connections/s", connects)];
    let label = "connected per broker CPU second";
    figures.extend(stretch.per_cpu("connects_per_broker_cpu_second", label, "connections", connects));
    figures.extend(stretch.broker_busy());
    let latency = Latency::of(&account.latency);
    figures.extend(latencies(&latency));
    Ok(Report {
        settings: Settings::of(plan),
        seconds: stretch.seconds(),
        figures,
        latency,
        wait: None,
        sent: 0,
        acknowledged: 0,
        refused: 0,
        expected: 0,
        delivered: 0,
        unsent: 0,
        stalls: 0,
        faults: Faults::default(),
        disconnected: shared.counts.disconnected.get(),
        errors: shared.errors(),
        broker: meter.process(&stretch),
        generator: stretch.generator(connects, plan.threads),
    })
}

fn pass(crew: &Crew, step: &'static str, from: Mark, time: Duration, watch: Watch<'_>) {
    while crew.clock.now() < from.at + nanos(time) && !crew.is_broken() {
        Crew::pause(TICK * 10);
        let now = crew.clock.now();
        let rate = per(crew.counts().delivered.get() - from.delivered, seconds(from.at, now));
        watch(Progress { step, done: share(now - from.at, nanos(time)), rate: Some(rate) });
    }
}
