//! Enhanced authentication: what a method says, and what is expected next.
//!
//! In:    AUTH and CONNACK of the Server; the application's wish to authenticate again.
//! Out:   what CONNECT and AUTH carry.
//! Never: a Server taken for authenticated that has not proved it, where the method lets it prove itself.
//! Spec:  MQTT 5.0 section 4.12.

use std::fmt;
use std::sync::Arc;

use dunlin_codec::{Auth, Packet, Properties, Property, PropertyBuf, ProtocolVersion, ReasonCode};

use super::event::Disconnection;
use crate::Time;

/// A method of enhanced authentication, as an application has it: who one is, and the secret.
pub trait AuthenticationMethod: fmt::Debug + Send + Sync {
    /// Authentication Method, as the Server knows it; 65,535 bytes at most.
    fn name(&self) -> &str;

    /// Begins an exchange: one for each connection, and one for each time that the application authenticates again.
    /// `number` is another each time within the process.
    fn begin(&self, number: u64) -> Box<dyn AuthenticationExchange>;
}

/// One exchange of a method.
pub trait AuthenticationExchange: Send {
    /// Authentication Data that begins it, if any.
    fn first(&mut self) -> Option<Vec<u8>>;

    /// The answer to what the Server sent.
    ///
    /// # Errors
    /// In words, why there is none; the connection ends.
    fn answer(&mut self, data: &[u8]) -> Result<Vec<u8>, String>;

    /// The Server has accepted; `data` is what came with it, where something did.
    ///
    /// # Errors
    /// In words, why this is not the Server that knows the secret; the connection ends.
    fn accepted(&mut self, data: Option<&[u8]>) -> Result<(), String>;
}

/// What is under way.
#[derive(Default)]
pub(crate) struct Authentication {
    method: Option<Arc<dyn AuthenticationMethod>>,
    exchange: Option<Box<dyn AuthenticationExchange>>,
    exchanges: u64,
    /// The application authenticates again: until when the Server has to answer.
    again: Option<Time>,
}

impl Authentication {
    pub(crate) fn new(method: Option<Arc<dyn AuthenticationMethod>>) -> Self {
        Self { method, ..Self::default() }
    }

    /// A connection begins: what CONNECT carries.
    pub(crate) fn begin(&mut self, out: &mut PropertyBuf) {
        self.again = None;
        self.exchange = None;
        let Some(method) = self.method.clone() else { return };
        let data = self.first(&*method);
        put(&*method, data.as_deref(), out);
    }

    fn first(&mut self, method: &dyn AuthenticationMethod) -> Option<Vec<u8>> {
        self.exchanges += 1;
        let mut exchange = method.begin(self.exchanges);
        let data = exchange.first();
        self.exchange = Some(exchange);
        data
    }

    /// The application authenticates again; false where nothing is there to do it with, or it is under way.
    pub(crate) fn again(&mut self, until: Time, output: &mut Vec<u8>) -> bool {
        let Some(method) = self.method.clone().filter(|_| self.exchange.is_none()) else { return false };
        let data = self.first(&*method);
        self.again = Some(until);
        send(&*method, ReasonCode::ReAuthenticate, data.as_deref(), output);
        true
    }

    /// Until when the Server has to answer.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.again
    }

    /// The connection is gone: was the application authenticating again?
    pub(crate) fn lost(&mut self) -> bool {
        self.exchange = None;
        self.again.take().is_some()
    }

    /// AUTH. Whether the application has now authenticated again.
    pub(crate) fn heard(&mut self, auth: &Auth<'_>, output: &mut Vec<u8>) -> Result<bool, Disconnection> {
        let Some(method) = self.method.clone() else {
            // Section 4.12: the Server speaks of a method only to who named one.
            return Err(Disconnection::Protocol("auth without an authentication method"));
        };
        let (name, data) = read(auth.properties);
        // All that follow CONNECT repeat its method.
        if name != Some(method.name()) {
            return Err(Disconnection::Protocol("auth of another authentication method"));
        }
        let Some(exchange) = &mut self.exchange else {
            return Err(Disconnection::Protocol("auth that nobody asked for"));
        };
        match auth.reason {
            ReasonCode::ContinueAuthentication => {
                let answer = exchange.answer(data.unwrap_or_default()).map_err(Disconnection::Untrusted)?;
                send(&*method, ReasonCode::ContinueAuthentication, Some(&answer), output);
                Ok(false)
            }
            ReasonCode::Success if self.again.is_some() => {
                exchange.accepted(data).map_err(Disconnection::Untrusted)?;
                self.exchange = None;
                self.again = None;
                Ok(true)
            }
            _ => Err(Disconnection::Protocol("auth with a reason that a server does not send")),
        }
    }

    /// CONNACK, of success.
    pub(crate) fn connected(&mut self, properties: Properties<'_>) -> Result<(), Disconnection> {
        let (Some(method), Some(mut exchange)) = (&self.method, self.exchange.take()) else { return Ok(()) };
        let (name, data) = read(properties);
        // All that follow CONNECT repeat its method; a Server that leaves it out has not authenticated anybody.
        if name != Some(method.name()) {
            return Err(Disconnection::Protocol("connack without the authentication method"));
        }
        exchange.accepted(data).map_err(Disconnection::Untrusted)
    }
}

fn put(method: &dyn AuthenticationMethod, data: Option<&[u8]>, out: &mut PropertyBuf) {
    out.push(Property::AuthenticationMethod(method.name()));
    if let Some(data) = data {
        out.push(Property::AuthenticationData(data));
    }
}

fn send(method: &dyn AuthenticationMethod, reason: ReasonCode, data: Option<&[u8]>, output: &mut Vec<u8>) {
    let mut properties = PropertyBuf::new();
    put(method, data, &mut properties);
    Packet::Auth(Auth { reason, properties: properties.as_properties() }).encode(ProtocolVersion::V5, output);
}

fn read(properties: Properties<'_>) -> (Option<&str>, Option<&[u8]>) {
    let (mut name, mut data) = (None, None);
    for property in properties {
        match property {
            Property::AuthenticationMethod(text) => name = Some(text),
            Property::AuthenticationData(bytes) => data = Some(bytes),
            _ => {}
        }
    }
    (name, data)
}
