//! A publisher that keeps its state across kills, as a client must: what is in flight is sent again in its order.
//!
//! In:    a pace, topics; the broker's answers.
//! Out:   PUBLISH and PUBREL; the ledger.
//! Never: a message sent again after its PUBREC, or as a new one where the broker forgot the Session: both would hide a loss.
//! Spec:  MQTT 5.0 sections 4.3, 4.4 and 4.6.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dunlin_codec::{Packet, PacketId, Properties, Publish, QoS, ReasonCode};

use super::judge::Fault;
use super::ledger::Fate;
use super::rng::Rng;
use super::wire::{Connection, Identity, Incoming, Lost};
use super::world::{Stage, World};

/// Messages in flight at most. Few brokers take fewer, and what they announce is kept to.
const WINDOW: usize = 10;
/// How long the broker has to answer everything once nothing new is sent.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until PUBACK or PUBREC.
    Published,
    /// From PUBREC to PUBCOMP.
    Released,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    packet: PacketId,
    message: u64,
    phase: Phase,
}

/// Where a publisher publishes: indexes into the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topics {
    pub(crate) plain: Vec<usize>,
    pub(crate) retained: Vec<usize>,
}

impl Topics {
    /// Every eighth message is retained. Of those topics each gets half of what the one before it gets: some change all the
    /// time, and others so rarely that nothing new covers up a value that was lost.
    fn pick(&self, rng: &mut Rng) -> usize {
        if !rng.one_in(8) {
            return self.plain[usize::try_from(rng.next()).unwrap_or(0) % self.plain.len()];
        }
        let mut at = 0;
        while at + 1 < self.retained.len() && rng.one_in(2) {
            at += 1;
        }
        self.retained[at]
    }
}

/// A publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    who: Identity,
    topics: Topics,
    /// Between two messages.
    pace: Duration,
    rng: Rng,
    /// The broker has said that it has the Session.
    established: bool,
    next: PacketId,
    flights: VecDeque<Flight>,
    window: usize,
}

impl Publisher {
    pub(crate) fn new(who: Identity, topics: Topics, pace: Duration, rng: Rng) -> Self {
        let flights = VecDeque::new();
        Self { who, topics, pace, rng, established: false, next: PacketId::MIN, flights, window: WINDOW }
    }

    /// Publishes until the storm is over and everything is answered.
    pub(crate) fn run(mut self, world: &World) {
        let mut due = Instant::now();
        let mut calm = None;
        while !self.is_done(world, &mut calm) {
            match Connection::open(world.port, &self.who) {
                Ok((mut connection, welcome)) => {
                    self.window = WINDOW.min(usize::from(welcome.receive_maximum));
                    self.resume(world, welcome.session_present);
                    let end = self.converse(world, &mut connection, &mut due, &mut calm);
                    match end {
                        Ok(()) => connection.disconnect(),
                        Err(lost) => world.lost(&self.who.client_id, lost),
                    }
                }
                Err(lost) => world.lost(&self.who.client_id, lost),
            }
            world.rest(Duration::from_millis(10));
        }
        if !self.flights.is_empty() {
            let (client, messages) = (self.who.client_id.clone(), self.flights.len());
            world.fault(Fault::Unanswered { client, messages });
        }
    }

    fn is_done(&self, world: &World, calm: &mut Option<Instant>) -> bool {
        let stage = world.stage();
        if stage == Stage::Storm {
            return false;
        }
        let since = *calm.get_or_insert_with(Instant::now);
        self.flights.is_empty() || since.elapsed() > PATIENCE || stage == Stage::End
    }

    /// [MQTT-3.2.2-5] Session Present 0: the client's own state is to be discarded.
    fn resume(&mut self, world: &World, session_present: bool) {
        if self.established && !session_present {
            world.fault(Fault::SessionForgotten { client: self.who.client_id.clone() });
            let mut ledger = world.ledger();
            for flight in self.flights.drain(..) {
                ledger.settle(flight.message, Fate::Abandoned);
            }
        }
        self.established = true;
    }

    fn converse(
        &mut self,
        world: &World,
        connection: &mut Connection,
        due: &mut Instant,
        calm: &mut Option<Instant>,
    ) -> Result<(), Lost> {
        // [MQTT-4.4.0-1] [MQTT-4.6.0-1]: again, in the order in which they were sent.
        for flight in self.flights.clone() {
            match flight.phase {
                Phase::Published => self.publish(world, connection, &flight, true)?,
                Phase::Released => connection.answer(Packet::PubRel, flight.packet)?,
            }
        }
        while !self.is_done(world, calm) {
            let now = Instant::now();
            let may_send = world.stage() == Stage::Storm && self.flights.len() < self.window;
            if may_send && now >= *due {
                *due = (*due + self.pace).max(now.checked_sub(Duration::from_millis(200)).unwrap_or(now));
                self.publish_new(world, connection)?;
                continue;
            }
            let wait = if may_send { *due - now } else { Duration::from_millis(20) };
            if let Some(packet) = connection.receive(wait.min(Duration::from_millis(20)))? {
                self.answered(world, connection, packet)?;
            }
        }
        Ok(())
    }

    fn publish_new(&mut self, world: &World, connection: &mut Connection) -> Result<(), Lost> {
        let topic = self.topics.pick(&mut self.rng);
        let filler = usize::try_from(self.rng.between(0, 250)).unwrap_or(0);
        let clears = self.rng.one_in(8);
        let message = {
            let mut ledger = world.ledger();
            let clears = clears && ledger.topics[topic].retained;
            ledger.send(topic, (!clears).then_some(filler))
        };
        while self.flights.iter().any(|flight| flight.packet == self.next) {
            self.next = self.next.next();
        }
        let flight = Flight { packet: self.next, message, phase: Phase::Published };
        self.next = self.next.next();
        self.flights.push_back(flight);
        self.publish(world, connection, &flight, false)
    }

    fn publish(
        &self,
        world: &World,
        connection: &mut Connection,
        flight: &Flight,
        dup: bool,
    ) -> Result<(), Lost> {
        let (topic, payload) = {
            let ledger = world.ledger();
            let topic = ledger.topic_of(flight.message).cloned();
            (topic, ledger.payload(flight.message))
        };
        let Some(topic) = topic else { unreachable!("what is in flight is in the ledger") };
        connection.publish(&Publish {
            dup,
            qos: topic.qos,
            retain: topic.retained,
            topic: &topic.name,
            packet_id: Some(flight.packet),
            properties: Properties::EMPTY,
            payload: &payload,
        })
    }

    fn answered(&mut self, world: &World, connection: &mut Connection, packet: Incoming) -> Result<(), Lost> {
        match packet {
            Incoming::Acknowledged(id, reason) => self.ends(world, id, QoS::AtLeastOnce, reason),
            Incoming::Taken(id, reason) if is_failure(reason) => {
                self.ends(world, id, QoS::ExactlyOnce, reason)
            }
            Incoming::Taken(id, reason) => {
                let flight = self.flights.iter_mut().find(|flight| flight.packet == id);
                let Some(flight) = flight else { return Err(nothing_in_flight("PUBREC", id)) };
                flight.phase = Phase::Released;
                let number = flight.message;
                world.ledger().settle(number, fate(reason));
                connection.answer(Packet::PubRel, id)
            }
            Incoming::Complete(id) => {
                let released = |flight: &Flight| flight.packet == id && flight.phase == Phase::Released;
                let at = self.flights.iter().position(released);
                let at = at.ok_or_else(|| nothing_in_flight("PUBCOMP", id))?;
                self.flights.remove(at);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The last answer to a message.
    fn ends(&mut self, world: &World, id: PacketId, qos: QoS, reason: ReasonCode) -> Result<(), Lost> {
        let name = if qos == QoS::AtLeastOnce { "PUBACK" } else { "PUBREC" };
        let published = |flight: &Flight| flight.packet == id && flight.phase == Phase::Published;
        let at = self.flights.iter().position(published).ok_or_else(|| nothing_in_flight(name, id))?;
        let Some(flight) = self.flights.remove(at) else { unreachable!("it was just found") };
        let mut ledger = world.ledger();
        if ledger.topic_of(flight.message).is_none_or(|topic| topic.qos != qos) {
            return Err(Lost::Protocol(format!("{name} for a message of another QoS")));
        }
        ledger.settle(flight.message, fate(reason));
        Ok(())
    }
}

const fn is_failure(reason: ReasonCode) -> bool {
    reason as u8 >= 0x80
}

const fn fate(reason: ReasonCode) -> Fate {
    if is_failure(reason) { Fate::Refused(reason) } else { Fate::Acknowledged }
}

fn nothing_in_flight(name: &str, id: PacketId) -> Lost {
    Lost::Protocol(format!("{name} for the packet identifier {}, which is not in use", id.get()))
}
