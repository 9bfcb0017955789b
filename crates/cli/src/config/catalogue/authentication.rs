//! `[authentication]` and what is below it

use super::{Form, Key, Kind, Section};

/// What a chain may consist of.
pub(super) const PROOFS: &[&str] = &["certificate", "password", "scram", "jwt", "http", "ldap", "anonymous"];

const FIELDS: &[&str] =
    &["common_name", "organizational_unit", "organization", "dns", "email", "uri", "serial", "subject"];

const BINDINGS: &[&str] = &["free", "match", "assign"];

/// Longest name that is compared with what somebody says.
const TEXT: Kind = Kind::Text { most: 1024 };

pub(super) const AUTHENTICATION: Section = Section {
    name: "authentication",
    form: Form::Table,
    about: "Who is let in, and by what; not with --dev. docs/identity.md has examples. Secrets stand in files of their own, \
            so that this one can be shown to whoever has to read it. All of it is read again at a reload, with the \
            files that it names: connections stay, but for those whose log-in would no longer be asked for. Where \
            something cannot be used, everything stays as it was and the log says why.",
    keys: &[Key {
        name: "chain",
        kind: Kind::Choices(PROOFS),
        reloads: true,
        about: "What clients are let in by, asked in this order, at listeners that have no list of their own; the \
                first that knows a client decides, and whom none knows is refused. certificate: one of client_ca. \
                password, scram (SCRAM-SHA-256, of 5.0): a user of the file of users. jwt: a token of an issuer. \
                http, ldap: a service that is asked. anonymous: nothing, and the group anonymous in the access rules.",
        example: Some("[\"certificate\", \"password\", \"scram\"]"),
    }],
};

pub(super) const FAILURES: Section = Section {
    name: "authentication.failures",
    form: Form::Table,
    about: "How many failed log-ins lead to which ban. A failure is what may have been a guess.",
    keys: &[
        Key {
            name: "address_maximum",
            kind: Kind::Integer { least: 0, most: 65_535, unit: "failures" },
            reloads: true,
            about: "Failures from one address that lead to a ban; 0: none does. A fleet behind one address has typos.",
            example: None,
        },
        Key {
            name: "name_maximum",
            kind: Kind::Integer { least: 0, most: 65_535, unit: "failures" },
            reloads: true,
            about: "Failures for one user name that lead to a ban, which spares the addresses from where it has logged \
                    in; 0: none does. A person mistypes thrice.",
            example: None,
        },
        Key {
            name: "window_seconds",
            kind: Kind::Integer { least: 1, most: 86_400, unit: "seconds" },
            reloads: true,
            about: "How long a failure counts.",
            example: None,
        },
        Key {
            name: "ban_seconds",
            kind: Kind::Integer { least: 1, most: 86_400, unit: "seconds" },
            reloads: true,
            about: "The first ban; each further one is twice as long.",
            example: None,
        },
        Key {
            name: "ban_maximum_seconds",
            kind: Kind::Integer { least: 1, most: 604_800, unit: "seconds" },
            reloads: true,
            about: "The longest ban. A change of this table forgets all failures and bans.",
            example: None,
        },
        Key {
            name: "exempt",
            kind: Kind::Addresses,
            reloads: true,
            about: "Addresses that are never banned, such as a gateway in front of many clients.",
            example: Some("[\"192.0.2.1\"]"),
        },
    ],
};

pub(super) const PASSWORD: Section = Section {
    name: "authentication.password",
    form: Form::Table,
    about: "Of password and scram.",
    keys: &[Key {
        name: "file",
        kind: Kind::File,
        reloads: true,
        about: "The file of users, in the form of Mosquitto, in place of `users` in the data directory. It is read again \
                within a second of a change.",
        example: Some("\"/etc/dunlin/users\""),
    }],
};

pub(super) const CERTIFICATE: Section = Section {
    name: "authentication.certificate",
    form: Form::Table,
    about: "Of certificate, where the listener has a client_ca of yours. Those of the built-in authority always have the \
            device's name as their Common Name, which is the user name and must be the client identifier.",
    keys: &[
        Key {
            name: "username_field",
            kind: Kind::Choice(FIELDS),
            reloads: true,
            about: "The field that is the user name. A certificate that does not have it exactly once is refused.",
            example: None,
        },
        Key {
            name: "client_id",
            kind: Kind::Choice(BINDINGS),
            reloads: true,
            about: "match: the client identifier must be a value of client_id_field, and an empty one becomes it. assign: \
                    it is the value of that field, whatever the client says. free: it is as the client says; then rules \
                    for client identifiers are worth nothing.",
            example: None,
        },
        Key {
            name: "client_id_field",
            kind: Kind::Choice(FIELDS),
            reloads: true,
            about: "The field of client_id.",
            example: None,
        },
    ],
};

pub(super) const JWT: Section = Section {
    name: "authentication.jwt",
    form: Form::OptionalBlocks,
    about: "Of jwt: JSON Web Tokens of an issuer. One of secret_file, key_file and jwks_url says what they are signed with. Of \
            several such blocks each has an issuer of its own, by which it knows its tokens; jwt in a chain stands for all of \
            them.",
    keys: &[
        Key {
            name: "secret_file",
            kind: Kind::File,
            reloads: true,
            about: "File with the secret that the issuer shares with this server (HS256, HS384, HS512): 32 bytes or more; \
                    line ends at its end do not count. Read again at a reload.",
            example: Some("\"/etc/dunlin/jwt.secret\""),
        },
        Key {
            name: "key_file",
            kind: Kind::File,
            reloads: true,
            about: "File with a key set (JWKS), or one public key in PEM: RSA from 2048 bits, P-256, P-384, Ed25519. Read \
                    again within a second of a change.",
            example: Some("\"/etc/dunlin/issuer.jwks\""),
        },
        Key {
            name: "jwks_url",
            kind: Kind::Service(&["https", "http"]),
            reloads: true,
            about: "Where the issuer publishes its key set. Asked with the first token, every jwks_refresh_seconds, and \
                    when a token names another key, but not more often than twice a minute. Where nobody answers, the keys \
                    that are there serve for a day; where there are none, clients are refused with 0x88.",
            example: Some("\"https://id.example.org/jwks.json\""),
        },
        Key {
            name: "jwks_refresh_seconds",
            kind: Kind::Integer { least: 30, most: 86_400, unit: "seconds" },
            reloads: true,
            about: "How often the keys of jwks_url are asked for. A key that the issuer takes back is believed so much longer.",
            example: None,
        },
        Key {
            name: "timeout_ms",
            kind: TIMEOUT,
            reloads: true,
            about: "Time for an answer of jwks_url.",
            example: None,
        },
        CA_FILE,
        INSECURE,
        Key {
            name: "issuer",
            kind: TEXT,
            reloads: true,
            about: "What iss must be; tokens with another are left to the next of the chain. Not set: iss is not looked at; with several blocks \
                    each must have one.",
            example: Some("\"https://id.example.org/\""),
        },
        Key {
            name: "audiences",
            kind: Kind::Texts,
            reloads: true,
            about: "What aud must name one of. Not set: aud is not looked at, and a token for another service lets in.",
            example: Some("[\"mqtt\"]"),
        },
        Key {
            name: "leeway_seconds",
            kind: Kind::Integer { least: 0, most: 600, unit: "seconds" },
            reloads: true,
            about: "How far the clocks of issuer and server may differ, for exp and nbf.",
            example: None,
        },
        Key {
            name: "expiry_required",
            kind: Kind::Switch,
            reloads: true,
            about: "Is a token without exp refused? One that is taken holds until the key is another.",
            example: None,
        },
        Key {
            name: "token_in",
            kind: Kind::Choice(&["password", "username"]),
            reloads: true,
            about: "Where clients put the token. username is for clients that can set nothing else: user names stand in logs.",
            example: None,
        },
        Key {
            name: "username_claim",
            kind: TEXT,
            reloads: true,
            about: "The claim that is the user name; it must be there.",
            example: None,
        },
        Key {
            name: "client_id",
            kind: Kind::Choice(BINDINGS),
            reloads: true,
            about: "match: the client identifier must be what client_id_claim says, and an empty one becomes it. assign: it \
                    is that, whatever the client says. free: as the client says.",
            example: None,
        },
        Key {
            name: "client_id_claim",
            kind: TEXT,
            reloads: true,
            about: "The claim of client_id.",
            example: None,
        },
        Key {
            name: "groups_claim",
            kind: TEXT,
            reloads: true,
            about: "The claim with the groups: an array, or words with spaces between.",
            example: None,
        },
        Key {
            name: "acl_claim",
            kind: TEXT,
            reloads: true,
            about: "The claim with rules for this client, beside those of the policy.",
            example: None,
        },
        Key {
            name: "attribute_claims",
            kind: Kind::Texts,
            reloads: true,
            about: "Claims that the access rules may ask about, as attribute:claim.NAME=VALUE and ${claim.NAME}.",
            example: Some("[\"site\"]"),
        },
    ],
};

pub(super) const HTTP: Section = Section {
    name: "authentication.http",
    form: Form::Table,
    about: "Of http: a service of yours that is asked about each client, with JSON by POST.",
    keys: &[
        Key {
            name: "url",
            kind: Kind::Service(&["https", "http"]),
            reloads: true,
            about: "Where it is.",
            example: Some("\"https://auth.example.org/mqtt\""),
        },
        Key {
            name: "authorization_file",
            kind: Kind::File,
            reloads: true,
            about: "File with the value of the header Authorization of each request, such as Bearer and a token. Read again \
                    at a reload.",
            example: Some("\"/etc/dunlin/auth.token\""),
        },
        CA_FILE,
        INSECURE,
        Key {
            name: "timeout_ms",
            kind: TIMEOUT,
            reloads: true,
            about: "Time for a request, from its connection to the last byte of the answer. The client waits meanwhile.",
            example: None,
        },
        Key {
            name: "connect_timeout_ms",
            kind: TIMEOUT,
            reloads: true,
            about: "Time for the connection and its TLS alone.",
            example: None,
        },
        Key {
            name: "allow_cache_seconds",
            kind: Kind::Integer { least: 0, most: 86_400, unit: "seconds" },
            reloads: true,
            about: "How long a yes is kept, for the same question. What the service takes back holds so much longer for \
                    newcomers.",
            example: None,
        },
        Key {
            name: "deny_cache_seconds",
            kind: Kind::Integer { least: 0, most: 86_400, unit: "seconds" },
            reloads: true,
            about: "How long a no is kept: whom the service has just added waits so long.",
            example: None,
        },
        Key {
            name: "cache_entries_maximum",
            kind: Kind::Integer { least: 0, most: 10_000_000, unit: "answers" },
            reloads: true,
            about: "Answers that are kept, some 300 bytes each; then the oldest goes. A reload forgets all.",
            example: None,
        },
        REQUESTS,
        Key {
            name: "breaker_failures",
            kind: Kind::Integer { least: 1, most: 10_000, unit: "requests" },
            reloads: true,
            about: "Requests without an answer, one after the other, after which the service is left alone.",
            example: None,
        },
        Key {
            name: "breaker_rest_ms",
            kind: Kind::Integer { least: 1, most: 3_600_000, unit: "milliseconds" },
            reloads: true,
            about: "For how long at first; then one client tries for all, and each rest is twice as long.",
            example: None,
        },
        Key {
            name: "breaker_rest_maximum_ms",
            kind: Kind::Integer { least: 1, most: 3_600_000, unit: "milliseconds" },
            reloads: true,
            about: "The longest rest.",
            example: None,
        },
        Key {
            name: "without_answer",
            kind: Kind::Choice(&["deny", "pass"]),
            reloads: true,
            about: "What becomes of a client about which the service does not answer. deny: it is refused with 0x88, and \
                    may try again. pass: the next of the chain is asked, so that whoever can stop the service chooses \
                    what clients are held to.",
            example: None,
        },
        Key {
            name: "recheck_seconds",
            kind: RECHECK,
            reloads: true,
            about: "How often the service is asked whether those whom it let in may stay, with the field recheck and without a \
                    password; whom it denies then is disconnected (0x87). 0: never: whoever is in stays in.",
            example: None,
        },
    ],
};

pub(super) const LDAP: Section = Section {
    name: "authentication.ldap",
    form: Form::Table,
    about: "Of ldap: a directory that users bind to with their names and passwords. Either user_dn says how the entry of a \
            user is called, or search_base and search_filter find it.",
    keys: &[
        Key {
            name: "url",
            kind: Kind::Service(&["ldaps", "ldap"]),
            reloads: true,
            about: "Where it is.",
            example: Some("\"ldaps://directory.example.org\""),
        },
        Key {
            name: "start_tls",
            kind: Kind::Switch,
            reloads: true,
            about: "Is a connection to ldap:// encrypted before anything is said?",
            example: None,
        },
        CA_FILE,
        INSECURE,
        Key {
            name: "timeout_ms",
            kind: TIMEOUT,
            reloads: true,
            about: "Time for each of connecting, binding and searching.",
            example: None,
        },
        Key {
            name: "user_dn",
            kind: TEXT,
            reloads: true,
            about: "The distinguished name of a user's entry, with ${username} in it. Names that are not there cannot be told \
                    from wrong passwords then, and are refused, not passed on.",
            example: Some("\"uid=${username},ou=people,dc=example,dc=org\""),
        },
        Key {
            name: "search_base",
            kind: TEXT,
            reloads: true,
            about: "Below which entry users are searched.",
            example: Some("\"ou=people,dc=example,dc=org\""),
        },
        Key {
            name: "search_filter",
            kind: TEXT,
            reloads: true,
            about: "What finds exactly one entry, with ${username} in it.",
            example: Some("\"(&(objectClass=person)(uid=${username}))\""),
        },
        Key {
            name: "bind_dn",
            kind: TEXT,
            reloads: true,
            about: "Who searches. Not set: nobody in particular.",
            example: Some("\"cn=dunlin,dc=example,dc=org\""),
        },
        Key {
            name: "bind_password_file",
            kind: Kind::File,
            reloads: true,
            about: "File with the password of bind_dn; line ends at its end do not count. Read again at a reload.",
            example: Some("\"/etc/dunlin/ldap.password\""),
        },
        Key {
            name: "groups_attribute",
            kind: TEXT,
            reloads: true,
            about: "The attribute of the user's entry that names groups; of cn=ops,ou=groups,dc=example it is the group ops.",
            example: Some("\"memberOf\""),
        },
        Key {
            name: "attributes",
            kind: Kind::Texts,
            reloads: true,
            about: "Attributes of the entry that the access rules may ask about, as attribute:ldap.NAME=VALUE and \
                    ${ldap.NAME}, where they have one value.",
            example: Some("[\"departmentNumber\"]"),
        },
        REQUESTS,
        Key {
            name: "recheck_seconds",
            kind: RECHECK,
            reloads: true,
            about: "How often is looked whether the search still finds the users who were let in; whoever is not found is \
                    disconnected (0x87). 0: never: whoever is in stays in. Needs search_base and search_filter.",
            example: None,
        },
    ],
};

const TIMEOUT: Kind = Kind::Integer { least: 10, most: 60_000, unit: "milliseconds" };

const RECHECK: Kind = Kind::Integer { least: 0, most: 604_800, unit: "seconds" };

const CA_FILE: Key = Key {
    name: "ca_file",
    kind: Kind::File,
    reloads: true,
    about: "PEM file with the authorities that its certificate may be from. Not set: those of the operating system.",
    example: Some("\"/etc/dunlin/services.crt\""),
};

const INSECURE: Key = Key {
    name: "insecure",
    kind: Kind::Switch,
    reloads: true,
    about: "May it be asked without encryption on another machine? Whoever is in between reads passwords, and answers in its \
            place.",
    example: None,
};

const REQUESTS: Key = Key {
    name: "requests_maximum",
    kind: Kind::Integer { least: 1, most: 1024, unit: "requests" },
    reloads: true,
    about: "Requests at a time; clients beyond are told to come back (0x89), so that a slow service leaves threads to others. \
            There is one thread for each core.",
    example: None,
};
