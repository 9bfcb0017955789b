//! SUBSCRIBE and the lists of Topic Filters in it and in UNSUBSCRIBE.
//!
//! Spec:  MQTT 5.0 sections 3.8 and 3.10.

use crate::{PacketId, Properties, QoS};

/// SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Of the exchange.
    pub packet_id: PacketId,
    /// Subscription Identifier and User Properties.
    pub properties: Properties<'a>,
    /// At least one [MQTT-3.8.3-2].
    pub filters: SubscribeList<'a>,
}

/// Subscription Options. For 3.x only `qos` is on the wire; the rest is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Maximum QoS of deliveries.
    pub qos: QoS,
    /// Not to the connection that published [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Keep the RETAIN flag of the publisher [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// Which retained messages a SUBSCRIBE fetches.
    pub retain_handling: RetainHandling,
}

/// Retain Handling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// 0: at every SUBSCRIBE.
    #[default]
    Send = 0,
    /// 1: only where the Subscription is new.
    SendIfNew = 1,
    /// 2: never.
    DoNotSend = 2,
}

/// The payload of a SUBSCRIBE, checked when it was decoded: iterating cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeList<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) v5: bool,
}

/// The payload of an UNSUBSCRIBE, checked when it was decoded: iterating cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterList<'a> {
    pub(crate) raw: &'a [u8],
}
