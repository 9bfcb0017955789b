//! `[protocol]`

use super::{Form, Key, Kind, Section};

pub(super) const PROTOCOL: Section = Section {
    name: "protocol",
    form: Form::Table,
    about: "Choices that the specification leaves to a server.",
    keys: &[
        Key {
            name: "no_matching_subscribers",
            kind: Kind::Switch,
            reloads: true,
            about: "Answer a QoS 1 or 2 PUBLISH that nobody subscribes to with 0x10 No matching subscribers (5.0). \
                    It costs nothing and shows a misspelt topic at once.",
            example: None,
        },
        Key {
            name: "response_information",
            kind: Kind::Text { most: 1024 },
            reloads: true,
            about: "Response Information for 5.0 clients that ask for it; %c stands for the Client Identifier. Empty \
                    gives none, because what a topic for answers is called is the application's affair.",
            example: None,
        },
        Key {
            name: "refused_subscription_v31",
            kind: Kind::Choice(&["close", "grant"]),
            reloads: true,
            about: "What a 3.1 client gets for a subscription that is refused; 3.1 has no code for it. close: the \
                    connection is closed. grant: SUBACK as if it were granted. A client that believes in a \
                    subscription that it does not have waits for ever.",
            example: None,
        },
    ],
};
