//! How connections begin, are kept alive and end.
//!
//! Spec:  MQTT 5.0 sections 3.1.2.10, 3.2, 3.14, 4.11; MQTT 3.1.1 section 3.1.2.10.

use dunlin_codec::ConnAck;

use super::*;

/// Redirections that are followed one after another; a ring of Servers would otherwise be walked for ever.
const HOPS_MAXIMUM: u8 = 5;

impl Session {
    /// CONNACK.
    pub(super) fn greeted(
        &mut self,
        now: Time,
        ack: &ConnAck<'_>,
        effects: &mut Effects,
    ) -> Result<(), Disconnection> {
        if ack.reason.is_failure() {
            if let Some((reference, lasting)) = handshake::redirection(ack.reason, ack.properties)
                && self.redirect(now, reference, lasting, effects)
            {
                return Ok(());
            }
            let text = handshake::reason_string(ack.properties);
            if handshake::is_lasting(ack.reason) {
                self.backoff.discouraged();
            }
            let stop = self.settings.retry.stop_when_refused && handshake::is_lasting(ack.reason);
            let why = Disconnection::Refused { reason: ack.reason, text };
            self.end_connection(now, why, stop, effects);
            return Ok(());
        }
        self.authentication.connected(ack.properties)?;
        let keep_alive = handshake::keep_alive(&self.settings);
        self.peer = Peer::new(self.settings.version.into(), keep_alive, Some(ack));
        self.phase = Phase::Online { since: now };
        self.began = true;
        self.hops = 0;
        let present = ack.session_present;
        // First, so that what the Server forgot is recorded before what follows from it.
        self.incoming.connected(present, effects);
        self.outgoing.connected(present, self.peer.topic_alias_maximum, effects);
        self.subscriptions.connected(present, effects);
        if !present {
            self.unclaimed.take();
        }
        let assigned_client_id = self.peer.assigned_client_id.take();
        if let (Some(id), true) = (&assigned_client_id, self.settings.client_id.is_empty()) {
            // The Session is under that name: the next connection of this process resumes it.
            self.settings.client_id.clone_from(id);
        }
        effects
            .actions
            .push(Action::Status(Status::Connected { session_present: present, assigned_client_id }));
        Ok(())
    }

    /// DISCONNECT from the Server.
    pub(super) fn told(&mut self, now: Time, told: &Disconnect<'_>, effects: &mut Effects) {
        let reason = told.reason;
        if let Some((reference, lasting)) = handshake::redirection(reason, told.properties)
            && self.redirect(now, reference, lasting, effects)
        {
            return;
        }
        let text = handshake::reason_string(told.properties);
        // Another client has this identifier: coming back at once would take it from that one, and so on.
        if matches!(
            reason,
            ReasonCode::SessionTakenOver
                | ReasonCode::ServerBusy
                | ReasonCode::QuotaExceeded
                | ReasonCode::ConnectionRateExceeded
        ) {
            self.backoff.discouraged();
        }
        self.end_connection(now, Disconnection::Told { reason, text }, false, effects);
    }

    /// Goes where the Server says, at once; false where that is not to be.
    fn redirect(&mut self, now: Time, reference: String, lasting: bool, effects: &mut Effects) -> bool {
        let leaving = matches!(self.phase, Phase::Leaving { .. }) || self.stopping.is_some();
        if !self.settings.follow_redirections || leaving || self.hops >= HOPS_MAXIMUM {
            return false;
        }
        self.hops += 1;
        self.away = true;
        self.close_connection(now, effects);
        let why = Disconnection::Redirected(reference.clone());
        effects.actions.push(Action::Status(Status::Disconnected { why, retry_at: now }));
        effects.actions.push(Action::Redirect(Redirection::To { reference, lasting }));
        self.dial(now, effects);
        true
    }

    /// The application authenticates again [MQTT-4.12.1-1].
    pub(super) fn reauthenticate(&mut self, now: Time, effects: &mut Effects) {
        let until = now.after(self.settings.response_timeout);
        let refused = if !self.is_online() {
            Some(ReauthenticateError::Offline)
        } else if !self.authentication.again(until, &mut effects.output) {
            Some(ReauthenticateError::Impossible)
        } else {
            None
        };
        effects.actions.extend(refused.map(|why| Action::Reauthenticated(Err(why))));
    }

    /// The Server's fault: it is told where 5.0 lets it be.
    pub(super) fn fault(&mut self, now: Time, why: Disconnection, effects: &mut Effects) {
        let reason = match &why {
            Disconnection::Malformed(error) => match error.reason_code() {
                // Of a CONNECT, which no Server sends and DISCONNECT has no such code for.
                ReasonCode::UnsupportedProtocolVersion | ReasonCode::ClientIdentifierNotValid => {
                    ReasonCode::ProtocolError
                }
                reason => reason,
            },
            Disconnection::Untrusted(_) => ReasonCode::NotAuthorized,
            _ => ReasonCode::ProtocolError,
        };
        if self.is_online() {
            self.put_disconnect(reason, effects);
        }
        self.end_connection(now, why, false, effects);
    }

    fn put_disconnect(&self, reason: ReasonCode, effects: &mut Effects) {
        let mut properties = PropertyBuf::new();
        let v5 = self.peer.version == ProtocolVersion::V5;
        if v5 && self.settings.keep == Keep::Fresh && !reason.is_failure() {
            // The Session was kept for lost connections only.
            properties.push(Property::SessionExpiryInterval(0));
        }
        let properties = if v5 { properties.as_properties() } else { Properties::EMPTY };
        Packet::Disconnect(Disconnect { reason, properties }).encode(self.peer.version, &mut effects.output);
    }

    /// The transport is gone.
    pub(super) fn transport_lost(&mut self, now: Time, why: String, effects: &mut Effects) {
        effects.output.clear();
        match self.phase {
            Phase::Dialling { .. } => {
                self.end_connection(now, Disconnection::Unreachable(why), false, effects);
            }
            Phase::Greeting { .. } | Phase::Online { .. } => {
                self.end_connection(now, Disconnection::Lost(why), false, effects);
            }
            Phase::Leaving { .. } => self.stop(Disconnection::Asked, effects),
            Phase::Idle | Phase::Waiting { .. } | Phase::Stopped => {}
        }
    }

    /// The transport is closed, as asked.
    pub(super) fn closed(&mut self, effects: &mut Effects) {
        if matches!(self.phase, Phase::Leaving { .. }) {
            self.stop(Disconnection::Asked, effects);
        }
    }

    fn close_connection(&mut self, now: Time, effects: &mut Effects) {
        effects.actions.push(Action::Close);
        if self.authentication.lost() {
            effects.actions.push(Action::Reauthenticated(Err(ReauthenticateError::Offline)));
        }
        self.input.clear();
        self.pinged = None;
        self.outgoing.lost();
        if let Phase::Online { since } = self.phase
            && since.after(self.settings.retry.stable_after) <= now
        {
            self.backoff.succeeded();
        }
    }

    /// The connection is over, whoever ended it; there may be another.
    fn end_connection(&mut self, now: Time, why: Disconnection, stop: bool, effects: &mut Effects) {
        self.close_connection(now, effects);
        if std::mem::take(&mut self.away) {
            effects.actions.push(Action::Redirect(Redirection::Home));
        }
        self.hops = 0;
        if matches!(self.phase, Phase::Leaving { .. }) {
            return self.stop(Disconnection::Asked, effects);
        }
        let wait = self.backoff.failed(&self.settings.retry, &mut self.dice);
        match wait.filter(|_| !stop) {
            None => self.stop(why, effects),
            Some(wait) => {
                let until = now.after(wait);
                self.phase = Phase::Waiting { until };
                effects.actions.push(Action::Status(Status::Disconnected { why, retry_at: until }));
            }
        }
    }

    fn stop(&mut self, why: Disconnection, effects: &mut Effects) {
        self.phase = Phase::Stopped;
        self.stopping = None;
        self.outgoing.abandon(effects);
        self.subscriptions.abandon(effects);
        effects.actions.push(Action::Close);
        effects.actions.push(Action::Status(Status::Stopped(why)));
    }

    /// The application wants to stop, and nothing is left to wait for.
    pub(super) fn stop_if_done(&mut self, now: Time, effects: &mut Effects) {
        let Some((within, reason)) = self.stopping else { return };
        let late = within <= now;
        let done = self.outgoing.len() == 0;
        match self.phase {
            // Not while messages of QoS 0 are still on their way out: nobody else would know that they are.
            Phase::Online { .. }
                if late || (done && self.incoming.is_settled() && effects.output.is_empty()) =>
            {
                self.stopping = None;
                self.put_disconnect(reason, effects);
                self.phase = Phase::Leaving { deadline: now.after(CLOSE_TIMEOUT) };
                // [MQTT-3.14.4-1] [MQTT311-3.14.4-1]
                effects.actions.push(Action::Close);
            }
            Phase::Idle | Phase::Waiting { .. } | Phase::Dialling { .. } | Phase::Greeting { .. }
                if late || done =>
            {
                self.stop(Disconnection::Asked, effects);
            }
            _ => {}
        }
    }

    /// What is due.
    pub(super) fn timers(&mut self, now: Time, effects: &mut Effects) {
        self.outgoing.expire(now, effects);
        if self.authentication.deadline().is_some_and(|due| due <= now) {
            return self.end_connection(now, Disconnection::Timeout("auth"), false, effects);
        }
        match self.phase {
            Phase::Waiting { until } if until <= now => self.dial(now, effects),
            Phase::Dialling { deadline } if deadline <= now => {
                self.end_connection(now, Disconnection::Timeout("connecting"), false, effects);
            }
            Phase::Greeting { deadline } if deadline <= now => {
                self.end_connection(now, Disconnection::Timeout("connack"), false, effects);
            }
            Phase::Leaving { deadline } if deadline <= now => self.stop(Disconnection::Asked, effects),
            Phase::Online { .. } if self.ping_due().is_some_and(|due| due <= now) => self.ping(now, effects),
            _ => {}
        }
    }

    /// When silence has lasted too long, in either direction: a client that only sends would not notice that nobody
    /// hears it. While the answer to a ping is out, when it is late.
    pub(super) fn ping_due(&self) -> Option<Time> {
        match self.pinged {
            Some(_) if self.paused => None,
            Some(at) => Some(at.after(self.settings.response_timeout)),
            None if self.peer.keep_alive == 0 => None,
            None => {
                // Three quarters, so that it arrives within the Keep Alive [MQTT-3.1.2-20] [MQTT311-3.1.2-23].
                let silence = Duration::from_millis(u64::from(self.peer.keep_alive) * 750);
                let heard = if self.paused { self.last_sent } else { self.last_received };
                Some(self.last_sent.min(heard).after(silence))
            }
        }
    }

    fn ping(&mut self, now: Time, effects: &mut Effects) {
        if self.pinged.is_some() {
            return self.end_connection(now, Disconnection::Timeout("ping"), false, effects);
        }
        Packet::PingReq.encode(self.peer.version, &mut effects.output);
        self.last_sent = now;
        self.pinged = Some(now);
    }
}
