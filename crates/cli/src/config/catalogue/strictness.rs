//! `[strictness]`

use super::{Form, Key, Kind, Section};

pub(super) const STRICTNESS: Section = Section {
    name: "strictness",
    form: Form::Table,
    about: "Rules of the protocol that clients in the field break. reject: as the specification says. warn: let it \
            pass, count it and log it (area `protocol`). allow: let it pass and count it. The defaults are the \
            specification, except where a breach harms nobody.",
    keys: &[
        rule(
            "reserved_bits",
            "Reserved flags of a fixed header, of CONNECT or of Subscription Options are as the specification sets \
             them. Rejected: a client that sets them speaks another protocol.",
        ),
        rule(
            "utf8_discouraged",
            "Strings hold no control characters (U+0001 to U+001F, U+007F to U+009F) and no non-characters. \
             Rejected: they break logs, terminals and other clients.",
        ),
        rule("dup_at_qos0", "DUP is 0 in a QoS 0 PUBLISH. Rejected: QoS 0 is never sent again."),
        rule(
            "client_id_length_v31",
            "A 3.1 client's identifier has at most 23 characters. Allowed: 3.1 clients in the field have longer \
             ones, which every later version permits.",
        ),
        rule(
            "password_without_user_name",
            "3.1.1: no Password without a User Name. Rejected: such a client is set up wrongly, and should hear of it.",
        ),
        rule(
            "receive_maximum_exceeded",
            "No more unacknowledged messages than receive_maximum. Rejected: it is what bounds a client's memory.",
        ),
        rule(
            "packet_too_large",
            "No packet beyond maximum_packet_size. Rejected: it is what bounds a client's memory.",
        ),
        rule(
            "topic_alias_invalid",
            "No Topic Alias of 0 or beyond topic_alias_maximum. Rejected: there is no topic to deliver to.",
        ),
        rule(
            "topic_name_invalid",
            "No PUBLISH to a topic that is empty or has a wildcard. Rejected: nobody could subscribe to that name alone.",
        ),
        rule(
            "unknown_packet_id",
            "Acknowledgements name an exchange that is under way. Allowed: after a reconnect, late ones are common \
             and harmless.",
        ),
        rule(
            "packet_id_reused",
            "A Packet Identifier that is still in use for QoS 2 comes again only with DUP. Allowed: it is taken as \
             the repetition that it nearly always is.",
        ),
    ],
};

const fn rule(name: &'static str, about: &'static str) -> Key {
    Key { name, kind: Kind::Choice(&["reject", "warn", "allow"]), reloads: true, about, example: None }
}
