//! MQTT Control Packets of 3.1, 3.1.1 and 5.0: bytes to packets and packets to bytes.
//!
//! In:    bytes of one connection and what the Server tolerates ([`Tolerance`]).
//! Out:   [`Packet`]s that borrow from those bytes, or why the bytes are none ([`DecodeError`]).
//! Never: I/O, clocks, sessions, allocation while decoding.
//! Spec:  MQTT 5.0 chapters 1.5, 2, 3 and 4.7; MQTT 3.1.1 and 3.1 where they differ.

mod decode;
mod encode;
mod error;
mod filter_list;
mod frame;
mod packet;
mod packet_id;
mod property;
mod property_buf;
mod publish;
mod reader;
mod reason;
mod rule;
mod subscription;
mod topic;
mod utf8;
mod varint;

pub use error::DecodeError;
pub use filter_list::{FilterBuf, FilterList, SubscribeBuf, SubscribeList};
pub use frame::{Frame, Framing};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, ProtocolVersion, SubAck, UnsubAck, Unsubscribe, Will,
};
pub use packet_id::PacketId;
pub use property::{Properties, PropertiesIter, Property};
pub use property_buf::PropertyBuf;
pub use publish::{Publish, QoS};
pub use reason::ReasonCode;
pub use rule::{Rule, RuleSet, Tolerance};
pub use subscription::{RetainHandling, Subscribe, SubscriptionOptions};
pub use topic::{ShareName, SharedFilter, TopicFilter, TopicFilterError, TopicName, TopicNameError, matches};
pub use varint::VarInt;
