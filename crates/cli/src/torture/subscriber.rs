//! A durable subscriber that is online and offline by turns, and keeps its QoS 2 state across kills.
//!
//! In:    PUBLISH and PUBREL.
//! Out:   acknowledgements; each message that the protocol says to hand on, into its receipts.
//! Never: a message compared with those before to decide whether it is new: that is the broker's promise, not ours.
//! Spec:  MQTT 5.0 section 4.3.3, method B of figure 4.3.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use dunlin_codec::{Packet, PacketId, QoS};

use super::judge::Fault;
use super::receipts::Receipts;
use super::rng::Rng;
use super::wire::{ANSWER, Connection, Identity, Incoming, Lost, Received};
use super::world::{Stage, World};

/// A subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber {
    who: Identity,
    receipts: Receipts,
    /// It comes when the broker was started so often.
    joins: u32,
    /// The longest time that it is online or offline at a stretch; zero: always online.
    spell: Duration,
    rng: Rng,
    established: bool,
    /// QoS 2 messages that were handed on and not released yet.
    held: HashSet<PacketId>,
}

impl Subscriber {
    pub(crate) fn new(who: Identity, receipts: Receipts, joins: u32, spell: Duration, rng: Rng) -> Self {
        Self { who, receipts, joins, spell, rng, established: false, held: HashSet::new() }
    }

    /// Receives until the end; then gives account.
    pub(crate) fn run(mut self, world: &World) -> Receipts {
        while world.starts() < self.joins && world.stage() == Stage::Storm {
            world.rest(Duration::from_millis(10));
        }
        while world.stage() != Stage::End {
            let mut leaves = false;
            match Connection::open(world.port, &self.who) {
                Ok((mut connection, welcome)) => {
                    let end = self.converse(world, &mut connection, welcome.session_present);
                    leaves = end.is_ok();
                    match end {
                        // Half of the time it says goodbye; the other half it is just gone, messages under way.
                        Ok(()) if self.rng.one_in(2) || world.stage() != Stage::Storm => {
                            connection.disconnect()
                        }
                        Ok(()) => {}
                        Err(lost) => world.lost(&self.who.client_id, lost),
                    }
                }
                Err(lost) => world.lost(&self.who.client_id, lost),
            }
            if leaves {
                world.rest(self.turn());
            }
            world.rest(Duration::from_millis(10));
        }
        self.receipts
    }

    fn turn(&mut self) -> Duration {
        let most = u64::try_from(self.spell.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(self.rng.between(most / 10, most))
    }

    fn converse(&mut self, world: &World, connection: &mut Connection, present: bool) -> Result<(), Lost> {
        if !present {
            if self.established {
                world.fault(Fault::SessionForgotten { client: self.who.client_id.clone() });
            }
            self.held.clear();
        }
        self.established = true;
        if !present || self.receipts.subscribed.is_none() {
            self.subscribe(world, connection)?;
        }
        let until = (!self.spell.is_zero()).then(|| Instant::now() + self.turn());
        loop {
            let is_over = until.is_some_and(|until| Instant::now() > until);
            if world.stage() == Stage::End || (is_over && world.stage() == Stage::Storm) {
                return Ok(());
            }
            if let Some(packet) = connection.receive(Duration::from_millis(20))? {
                self.incoming(world, connection, packet)?;
            }
        }
    }

    fn subscribe(&mut self, world: &World, connection: &mut Connection) -> Result<(), Lost> {
        connection.subscribe(&self.receipts.filter, self.receipts.qos)?;
        let until = Instant::now() + ANSWER;
        while Instant::now() < until {
            match connection.receive(Duration::from_millis(20))? {
                Some(Incoming::Subscribed(codes)) if codes == [self.receipts.qos as u8] => {
                    let moment = world.ledger().moment();
                    self.receipts.subscribed.get_or_insert(moment);
                    return Ok(());
                }
                Some(Incoming::Subscribed(codes)) => {
                    return Err(Lost::Protocol(format!("SUBACK with {codes:02x?}")));
                }
                Some(packet) => self.incoming(world, connection, packet)?,
                None => {}
            }
        }
        Err(Lost::Gone)
    }

    fn incoming(&mut self, world: &World, connection: &mut Connection, packet: Incoming) -> Result<(), Lost> {
        match packet {
            Incoming::Publish(message) => self.publish(world, connection, &message),
            Incoming::Release(id) => {
                self.held.remove(&id);
                connection.answer(Packet::PubComp, id)
            }
            _ => Ok(()),
        }
    }

    fn publish(
        &mut self,
        world: &World,
        connection: &mut Connection,
        message: &Received,
    ) -> Result<(), Lost> {
        match (message.qos, message.id) {
            (QoS::AtLeastOnce, Some(id)) => {
                self.take(world, message);
                connection.answer(Packet::PubAck, id)
            }
            (QoS::ExactlyOnce, Some(id)) => {
                // [MQTT-4.3.3-10] Until PUBREL the same identifier is the same message.
                if self.held.insert(id) {
                    self.take(world, message);
                }
                connection.answer(Packet::PubRec, id)
            }
            _ => {
                self.take(world, message);
                Ok(())
            }
        }
    }

    fn take(&mut self, world: &World, message: &Received) {
        self.receipts.take(&world.ledger(), message);
        world.delivered();
    }
}
