//! Connections that do nothing: what each costs, and whether all of them stay.

use std::sync::Arc;

use crate::actors::prefix;
use crate::check::Faults;
use crate::clock::nanos;
use crate::crew::{Crew, TICK, Watch, share};
use crate::handle::{Actor, Role};
use crate::measure::{Meter, Stretch, bytes_each};
use crate::plan::{Extent, Plan};
use crate::report::{Better, Figure, Report, Settings};
use crate::run::{BenchError, Progress};

/// Opens the connections, and holds them.
pub(crate) fn run(plan: &Arc<Plan>, watch: Watch<'_>) -> Result<Report, BenchError> {
    let connections = plan.shape.connections;
    let name = |at: u32| format!("{}i{at}", prefix(plan));
    let actors = (0..connections).map(|at| Actor::new(name(at), Role::Idle)).collect();
    let mut meter = Meter::start(plan);
    let crew = Crew::start(plan, actors, 0)?;
    let begin = meter.mark(&crew);
    crew.connect(watch)?;
    let connected = meter.mark(&crew);
    let Extent::Time { duration, .. } = plan.extent else { unreachable!("the plan was checked") };
    let end = connected.at + nanos(duration);
    while crew.clock.now() < end && !crew.is_broken() {
        let done = share(crew.clock.now() - connected.at, nanos(duration));
        watch(Progress { step: "holding", done, rate: None });
        Crew::pause(TICK * 10);
    }
    let held = meter.mark(&crew);
    let shared = crew.shared.clone();
    let disconnected = shared.counts.disconnected.get();
    crew.finish()?;

    let opening = Stretch { from: begin, until: connected };
    let holding = Stretch { from: connected, until: held };
    let mut figures =
        vec![opening.rate("connects_per_second", "connected", "connections/s", u64::from(connections))];
    let label = "connected per broker CPU second";
    figures.extend(opening.per_cpu(
        "connects_per_broker_cpu_second",
        label,
        "connections",
        connections.into(),
    ));
    if let Some(usage) = held.broker {
        let each = bytes_each(meter.before(), usage.memory, connections.into());
        figures.push(Figure::new("memory_per_connection", "memory per connection", "B", each, Better::Lower));
    }
    figures.extend(holding.broker_busy());
    Ok(Report {
        settings: Settings::of(plan),
        seconds: holding.seconds(),
        figures,
        latency: None,
        wait: None,
        sent: 0,
        acknowledged: 0,
        refused: 0,
        expected: 0,
        delivered: 0,
        unsent: 0,
        stalls: 0,
        faults: Faults::default(),
        disconnected,
        errors: shared.errors(),
        broker: meter.process(&holding),
        generator: opening.generator(connections.into(), plan.threads),
    })
}
