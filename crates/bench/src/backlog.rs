//! Messages for sessions whose clients are away: how fast they are taken, what each costs, how fast they come out again,
//! and whether all of them do.

use std::sync::Arc;

use crate::actors;
use crate::collate::Account;
use crate::crew::{Crew, Watch};
use crate::measure::{Meter, Stretch, bytes_each};
use crate::plan::{Extent, Plan};
use crate::report::{Better, Figure, Report, Settings};
use crate::run::BenchError;
use crate::shared::{Phase, Shared};
use crate::topology::Topology;
use crate::traffic::Flow;

/// Subscribe and leave; publish; come back; remove the sessions.
pub(crate) fn run(plan: &Arc<Plan>, watch: Watch<'_>) -> Result<Report, BenchError> {
    let topology = Topology::of(plan);
    let Extent::Messages(messages) = plan.extent else { unreachable!("the plan was checked") };
    let mut meter = Meter::start(plan);
    let mut account = Account::new(topology.topics.len(), None);
    let away = || actors::subscribers(plan, &topology).0;

    let crew = Crew::start(plan, away(), 0)?;
    crew.connect(watch)?;
    crew.subscribe(topology.interests.len() as u64, watch)?;
    // Nothing arrived, and nothing was expected.
    crew.finish()?;

    let (filling, publishers) = fill(plan, &topology, messages, &mut meter, &mut account, watch)?;

    let mut arrived = Account::new(topology.topics.len(), None);
    let crew = Crew::start(plan, away(), topology.copies)?;
    let begin = meter.mark(&crew);
    let came_back = crew.connect(watch);
    let mut flow = Flow::new(plan, &crew, &mut meter, topology.copies, 0);
    flow.sent_before = account.sent.iter().sum();
    let draining = flow.counted(begin, watch);
    let subscribers = crew.shared.clone();
    arrived.take(crew.finish()?);
    arrived.sent.clone_from(&account.sent);
    forget(plan, &topology, watch)?;
    came_back?;

    let figures = figures(&filling, &draining, &topology);
    let either = |count: fn(&Shared) -> u64| count(&publishers) + count(&subscribers);
    Ok(Report {
        settings: Settings::of(plan),
        seconds: filling.seconds() + draining.seconds(),
        figures,
        // How long a message was away says nothing about the broker.
        latency: None,
        wait: None,
        sent: publishers.counts.sent.get(),
        acknowledged: publishers.counts.acknowledged.get(),
        refused: publishers.counts.refused.get(),
        expected: publishers.counts.sent.get() * topology.copies,
        delivered: subscribers.counts.delivered.get(),
        unsent: 0,
        stalls: 0,
        faults: arrived.faults(),
        disconnected: either(|shared| shared.counts.disconnected.get()),
        errors: publishers.errors().into_iter().chain(subscribers.errors()).collect(),
        broker: meter.process(&filling),
        generator: filling.generator(filling.sent(), plan.threads),
    })
}

/// Publishes everything, and waits for the acknowledgements.
fn fill(
    plan: &Arc<Plan>,
    topology: &Topology,
    messages: u64,
    meter: &mut Meter,
    account: &mut Account,
    watch: Watch<'_>,
) -> Result<(Stretch, Arc<Shared>), BenchError> {
    let crew = Crew::start(plan, actors::publishers(plan, topology, messages), 0)?;
    crew.connect(watch)?;
    let begin = meter.mark(&crew);
    crew.shared.enter(Phase::Flow);
    let filling = Flow::new(plan, &crew, meter, 0, messages).counted(begin, watch);
    let shared = crew.shared.clone();
    account.take(crew.finish()?);
    Ok((filling, shared))
}

/// Removes the sessions: a clean start forgets them, and this time they end with the connection.
fn forget(plan: &Arc<Plan>, topology: &Topology, watch: Watch<'_>) -> Result<(), BenchError> {
    let crew = Crew::start(plan, actors::subscribers(plan, topology).0, 0)?;
    crew.connect(watch)?;
    crew.finish().map(drop)
}

fn figures(filling: &Stretch, draining: &Stretch, topology: &Topology) -> Vec<Figure> {
    let (published, drained) = (filling.sent(), draining.delivered());
    let mut figures = vec![filling.rate("published_per_second", "published", "msg/s", published)];
    let label = "published per broker CPU second";
    figures.extend(filling.per_cpu("published_per_broker_cpu_second", label, "msg", published));
    figures.push(draining.rate("drained_per_second", "drained", "msg/s", drained));
    let label = "drained per broker CPU second";
    figures.extend(draining.per_cpu("drained_per_broker_cpu_second", label, "msg", drained));
    if let (Some(from), Some(until)) = (filling.from.broker, filling.until.broker) {
        let each = bytes_each(from.memory, until.memory, published * topology.copies);
        figures.push(Figure::new("memory_per_message", "memory per queued copy", "B", each, Better::Lower));
    }
    figures
}
