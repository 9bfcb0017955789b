//! Finding out who a Client is: from CONNECT to its admission, and again while it is connected.
//!
//! In:    CONNECT where nobody is let in unasked; AUTH; answers of whoever knows the Clients.
//! Out:   questions; AUTH to the Client; a CONNECT that goes on as if it had just come, here or where its Session lives.
//! Never: reads on while somebody is finding out: what follows CONNECT waits where it is.
//! Spec:  MQTT 5.0 sections 3.15 and 4.12.

use std::sync::Arc;

use dunlin_codec::{
    Auth, ConnAck, Connect, Frame, Framing, Packet, Properties, Property, PropertyBuf, ProtocolVersion,
    ReasonCode, RuleSet,
};

use crate::admission::{
    Admission, Credentials, Exchange, Identity, Outcome, Pledge, Review, SecretBytes, Step,
};
use crate::connection::{Authentication, Pause, Phase};
use crate::effect::{Effect, Notice};
use crate::engine::Engine;
use crate::event::{ConnectionId, Peer};
use crate::hub::Cx;
use crate::rarely::Rarely;
use crate::session::SessionId;

/// Authentication Method and Data.
#[derive(Clone, Copy, Default)]
struct Said<'a> {
    method: Option<&'a str>,
    data: Option<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn of(properties: Properties<'a>) -> Self {
        let mut said = Self::default();
        for property in properties {
            match property {
                Property::AuthenticationMethod(method) => said.method = Some(method),
                Property::AuthenticationData(data) => said.data = Some(data),
                _ => {}
            }
        }
        said
    }
}

impl Credentials {
    fn of(connect: &Connect<'_>, assigned: Option<&str>, peer: Peer, said: Said<'_>, step: Step) -> Self {
        Self {
            client_id: assigned.unwrap_or(connect.client_id).into(),
            is_assigned: assigned.is_some(),
            user_name: connect.user_name.map(Into::into),
            password: connect.password.map(SecretBytes::of),
            peer,
            certificates: Vec::new(),
            version: connect.version,
            method: said.method.map(Into::into),
            data: said.data.map(SecretBytes::of),
            step,
        }
    }

    /// Of a Client that is connected, as `identity`.
    fn again(identity: &Identity, version: ProtocolVersion, peer: Peer, said: Said<'_>, step: Step) -> Self {
        Self {
            client_id: identity.client_id.clone(),
            is_assigned: false,
            user_name: Some(identity.name.clone()),
            password: None,
            peer,
            certificates: Vec::new(),
            version,
            method: said.method.map(Into::into),
            data: said.data.map(SecretBytes::of),
            step,
        }
    }
}

impl Engine {
    /// A CONNECT where nobody is let in unasked; `packet` is all of it.
    pub(crate) fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        connect: &Connect<'_>,
        packet: &[u8],
        assigned: Option<Box<str>>,
    ) {
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let said = Said::of(connect.properties);
        let credentials =
            Credentials::of(connect, assigned.as_deref(), connection.peer.whole(), said, Step::Connect);
        connection.phase = Phase::Asking;
        connection.paused = Some(Pause::Authentication);
        connection.seldom.make().authentication = Some(Box::new(Authentication {
            method: said.method.map(Into::into),
            asking: true,
            connect: Some((SecretBytes::of(packet), assigned)),
            exchange: None,
        }));
        cx.fx.list.push(Effect::Authenticate { connection: id, credentials: Box::new(credentials) });
    }

    /// Whoever was asked has answered.
    pub(crate) fn authenticated(&mut self, cx: &mut Cx<'_>, id: ConnectionId, outcome: Outcome) {
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let phase = connection.phase;
        let Some(asked) = connection.authentication().filter(|asked| asked.asking) else { return };
        asked.asking = false;
        self.hub.counters.authentications[outcome.ordinal()] += 1;
        match (outcome, phase) {
            (Outcome::Continue { data, exchange }, _) => self.ask_client(cx, id, &data, exchange),
            (Outcome::Admitted(admission), Phase::Connected(session)) => {
                self.admitted_again(cx, id, session, admission);
            }
            (Outcome::Admitted(admission), Phase::New | Phase::Asking | Phase::Opening(_)) => {
                let Some((connect, assigned)) = asked.connect.take() else { return };
                self.redeem(cx, id, Box::new(Pledge { admission, connect, assigned }));
            }
            (Outcome::Refused { reason, detail }, _) => self.refuse_stranger(cx, id, reason, &detail),
        }
    }

    /// AUTH before CONNACK, or DISCONNECT; nothing else may come [MQTT-3.1.2-30].
    pub(crate) fn packet_of_stranger(&mut self, cx: &mut Cx<'_>, id: ConnectionId, packet: &Packet<'_>) {
        match packet {
            Packet::Auth(auth) if auth.reason == ReasonCode::ContinueAuthentication => {
                self.client_continues(cx, id, auth);
            }
            // Before CONNACK there is no Will.
            Packet::Disconnect(_) => {
                self.turn_away(cx, id, "", ReasonCode::Success, "gone before it was let in")
            }
            other => {
                let detail = format!("{} before CONNACK", other.name());
                self.refuse_stranger(cx, id, ReasonCode::ProtocolError, &detail);
            }
        }
    }

    /// AUTH of a Client that is connected. Without an Authentication Method in its CONNECT it sends none, and gets none
    /// [MQTT-4.12.0-6] [MQTT-4.12.0-7]; with one it may begin again at any time [MQTT-4.12.1-1].
    pub(crate) fn auth_received(&mut self, cx: &mut Cx<'_>, id: ConnectionId, auth: &Auth<'_>) {
        match auth.reason {
            ReasonCode::ReAuthenticate => {}
            ReasonCode::ContinueAuthentication => return self.client_continues(cx, id, auth),
            _ => {
                let detail = "a Client's AUTH continues or begins again";
                return self.disconnect(cx, id, ReasonCode::ProtocolError, detail);
            }
        }
        let identity = self.identity(id);
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let (Some(asked), Some(identity)) = (connection.authentication(), identity) else {
            let detail = "no authentication method was agreed";
            return self.disconnect(cx, id, ReasonCode::BadAuthenticationMethod, detail);
        };
        let said = Said::of(auth.properties);
        if asked.asking || asked.exchange.is_some() || said.method != asked.method.as_deref() {
            let detail = "re-authentication out of turn, or by another method";
            return self.disconnect(cx, id, ReasonCode::ProtocolError, detail);
        }
        asked.asking = true;
        let step = Step::Again(Arc::clone(&identity));
        let credentials =
            Credentials::again(&identity, connection.version, connection.peer.whole(), said, step);
        cx.fx.list.push(Effect::Authenticate { connection: id, credentials: Box::new(credentials) });
    }

    /// Whom the Client of a connection was recognised as.
    fn identity(&self, id: ConnectionId) -> Option<Arc<Identity>> {
        let session = self.hub.connections.get(id)?.session()?;
        Some(Arc::clone(&self.hub.sessions.get(session)?.access.as_ref()?.identity))
    }

    /// The Client has to say more: AUTH with 0x18 and the method of its CONNECT [MQTT-4.12.0-2] [MQTT-4.12.0-5].
    fn ask_client(&mut self, cx: &mut Cx<'_>, id: ConnectionId, data: &[u8], exchange: Exchange) {
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let Some(asked) = connection.authentication() else { return };
        if asked.method.is_none() {
            // [MQTT-4.12.0-6]
            let detail = "its authentication goes on, and it named no method";
            return self.refuse_stranger(cx, id, ReasonCode::NotAuthorized, detail);
        }
        asked.exchange = Some(exchange);
        self.send_auth(cx, id, ReasonCode::ContinueAuthentication, Some(data));
        self.read_on(cx, id, Pause::Authentication);
    }

    /// Without Reason String and User Properties, which could be too much [MQTT-3.15.2-2] [MQTT-3.15.2-3].
    fn send_auth(&mut self, cx: &mut Cx<'_>, id: ConnectionId, reason: ReasonCode, data: Option<&[u8]>) {
        let method =
            self.hub.connections.get(id).and_then(|connection| connection.seldom.authentication.as_ref());
        let Some(method) = method.and_then(|asked| asked.method.as_deref()) else { return };
        let properties = authentication_properties(method, data);
        if !self.hub.send(cx, id, &Packet::Auth(Auth { reason, properties: properties.as_properties() })) {
            self.refuse_stranger(
                cx,
                id,
                ReasonCode::PacketTooLarge,
                "the client does not take so large an AUTH",
            );
        }
    }

    /// The Client's answer to AUTH, by the same method [MQTT-4.12.0-3] [MQTT-4.12.0-5].
    fn client_continues(&mut self, cx: &mut Cx<'_>, id: ConnectionId, auth: &Auth<'_>) {
        let tolerance = self.hub.tolerance;
        let identity = self.identity(id);
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let said = Said::of(auth.properties);
        let asked = connection.seldom.existing().and_then(|seldom| seldom.authentication.as_mut());
        let asked = asked.filter(|asked| said.method == asked.method.as_deref());
        let Some((asked, exchange)) = asked.and_then(|asked| {
            let exchange = asked.exchange.take()?;
            Some((asked, exchange))
        }) else {
            let detail = "AUTH that nobody asked for, or of another method";
            return self.refuse_stranger(cx, id, ReasonCode::ProtocolError, detail);
        };
        asked.asking = true;
        let step = Step::Continue(exchange);
        let credentials = match &asked.connect {
            Some((packet, assigned)) => with_connect(packet, tolerance, |connect| {
                Credentials::of(connect, assigned.as_deref(), connection.peer.whole(), said, step)
            }),
            None => identity.map(|identity| {
                Credentials::again(&identity, connection.version, connection.peer.whole(), said, step)
            }),
        };
        let Some(credentials) = credentials else { return };
        if connection.phase == Phase::Asking {
            connection.paused = Some(Pause::Authentication);
        }
        cx.fx.list.push(Effect::Authenticate { connection: id, credentials: Box::new(credentials) });
    }

    /// Goes on with a CONNECT that was admitted; where its Session lives elsewhere, there.
    pub(crate) fn redeem(&mut self, cx: &mut Cx<'_>, id: ConnectionId, mut pledge: Box<Pledge>) {
        match self.review_of(&pledge.admission.identity) {
            Review::Unchanged => {}
            Review::Policy(policy) => pledge.admission.policy = policy,
            Review::Revoked(reason) => {
                return self.refuse_stranger(cx, id, reason, "revoked while it was admitted");
            }
        }
        let packet = std::mem::take(&mut pledge.connect);
        let tolerance = self.hub.tolerance;
        let seated = with_connect(&packet, tolerance, |connect| {
            let chosen = pledge.admission.client_id.as_deref().or(pledge.assigned.as_deref());
            let client_id: Box<str> = chosen.unwrap_or(connect.client_id).into();
            if let Some(to) = self.home_elsewhere(&client_id) {
                return Err((pledge, to));
            }
            if let Some(connection) = self.hub.connections.get_mut(id) {
                connection.version = connect.version;
                let method = Said::of(connect.properties).method;
                // Nothing else of what few have is there yet.
                connection.seldom = Rarely::default();
                if let Some(method) = method {
                    let method = Some(method.into());
                    let authentication =
                        Authentication { method, asking: false, connect: None, exchange: None };
                    connection.seldom.make().authentication = Some(Box::new(authentication));
                }
            }
            self.seat(cx, id, connect, &client_id, Some(pledge.admission), packet.expose());
            Ok(())
        });
        match seated {
            Some(Ok(())) => self.read_on(cx, id, Pause::Authentication),
            Some(Err((pledge, to))) => {
                self.hub.connections.remove(id);
                let pledge = Some(Box::new(Pledge { connect: packet, ..*pledge }));
                cx.fx.list.push(Effect::HandOver { connection: id, to, pledge });
            }
            // What was tolerated when it came is not any more.
            None => {
                self.turn_away(cx, id, "", ReasonCode::MalformedPacket, "no CONNECT by the settings of now")
            }
        }
    }

    /// Re-authentication came to its end: the Client has the rights of whom it was recognised as now.
    fn admitted_again(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        admission: Admission,
    ) {
        let is_same = self.hub.sessions.get(session).and_then(|session| session.access.as_ref());
        if is_same.is_some_and(|access| access.identity.name != admission.identity.name) {
            return self.refuse_stranger(
                cx,
                id,
                ReasonCode::NotAuthorized,
                "re-authenticated as somebody else",
            );
        }
        let data = admission.data.clone();
        self.grant(cx, id, session, Some(admission));
        self.send_auth(cx, id, ReasonCode::Success, data.as_deref());
    }

    /// Refuses without telling why: CONNACK before it is let in [MQTT-4.12.0-1] [MQTT-4.12.0-4], DISCONNECT after [MQTT-4.12.1-2].
    pub(crate) fn refuse_stranger(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        reason: ReasonCode,
        detail: &str,
    ) {
        let reason = if reason.is_failure() { reason } else { ReasonCode::NotAuthorized };
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let session = connection.session();
        let asked = connection.seldom.authentication.as_deref();
        let packet = asked.and_then(|asked| asked.connect.as_ref());
        let said = packet.and_then(|(packet, _)| {
            with_connect(packet, self.hub.tolerance, |connect| Box::<str>::from(connect.client_id))
        });
        let client_id = said.unwrap_or_default();
        let Some(session) = session else {
            let connack = ConnAck { session_present: false, reason, properties: Properties::EMPTY };
            self.hub.send(cx, id, &Packet::ConnAck(connack));
            return self.turn_away(cx, id, &client_id, reason, detail);
        };
        let address = connection.peer.address();
        let client_id =
            self.hub.sessions.get(session).map(|session| session.client_id.clone()).unwrap_or_default();
        let notice = Notice::Refused { client_id, address, reason, detail: detail.into() };
        cx.fx.list.push(Effect::Notice(Box::new(notice)));
        self.disconnect(cx, id, for_disconnect(reason), "");
    }
}

/// The method of CONNECT, which every AUTH and the CONNACK repeat [MQTT-4.12.0-5], and data.
pub(crate) fn authentication_properties(method: &str, data: Option<&[u8]>) -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    properties.push(Property::AuthenticationMethod(method));
    if let Some(data) = data {
        properties.push(Property::AuthenticationData(data));
    }
    properties
}

/// Some Reason Codes are of CONNACK alone.
fn for_disconnect(reason: ReasonCode) -> ReasonCode {
    match reason {
        ReasonCode::ServerUnavailable => ReasonCode::ServerBusy,
        ReasonCode::BadUserNameOrPassword | ReasonCode::Banned | ReasonCode::ClientIdentifierNotValid => {
            ReasonCode::NotAuthorized
        }
        other => other,
    }
}

/// A CONNECT that was kept, decoded again.
pub(crate) fn with_connect<T>(
    packet: &SecretBytes,
    tolerance: dunlin_codec::Tolerance,
    then: impl FnOnce(&Connect<'_>) -> T,
) -> Option<T> {
    let Ok(Framing::Complete { frame, .. }) = Frame::split(packet.expose(), u32::MAX) else { return None };
    // Counted when it came.
    let mut broken = RuleSet::EMPTY;
    match Packet::decode(frame, ProtocolVersion::V5, tolerance, &mut broken) {
        Ok(Packet::Connect(connect)) => Some(then(&connect)),
        Ok(_) | Err(_) => None,
    }
}
