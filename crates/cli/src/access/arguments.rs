//! The command line of `dunlin acl` and `dunlin import`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use dunlin_codec::{QoS, TopicFilter, TopicName};
use dunlin_security::identity::Identity;
use dunlin_security::policy::{Action, Request};

use super::{AccessError, EXIT_HELP};
use crate::data::Data;

/// `dunlin acl`
#[derive(Debug, Subcommand)]
pub(crate) enum Acl {
    /// May a client publish, subscribe or receive? Names the rule that decides
    #[command(after_help = EXIT_HELP)]
    Can(Can),
    /// Who may publish, subscribe or receive, as the rules say it
    #[command(after_help = EXIT_HELP)]
    WhoCan(WhoCan),
    /// Hold a policy against a table of expectations
    #[command(after_help = EXIT_HELP)]
    Test(Test),
    /// Who would be affected by another policy, judged by what clients did
    #[command(after_help = EXIT_HELP)]
    DryRun(DryRun),
    /// Print the rules with their lines
    #[command(after_help = EXIT_HELP)]
    List(List),
    /// Add a rule to a policy file, which is made if it is not there
    #[command(after_help = EXIT_HELP)]
    Add(Add),
    /// Remove a rule from a policy file
    #[command(after_help = EXIT_HELP)]
    Remove(Remove),
}

/// `dunlin import`
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Turn Mosquitto's ACL and password files into a policy file and a file of users
    #[command(after_help = EXIT_HELP)]
    Mosquitto(Mosquitto),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Doing {
    Publish,
    Subscribe,
    Receive,
}

impl Doing {
    pub(super) const fn action(self) -> Action {
        match self {
            Self::Publish => Action::Publish,
            Self::Subscribe => Action::Subscribe,
            Self::Receive => Action::Receive,
        }
    }
}

/// What is done, and to which topic.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// What is done
    #[arg(value_name = "publish|subscribe|receive", hide_possible_values = true)]
    action: Doing,
    /// Topic name; with subscribe, a topic filter
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// QoS of the message or subscription
    #[arg(long, short, value_name = "0|1|2", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// The message is to be retained
    #[arg(long, short)]
    retain: bool,
}

/// Which policy.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgument {
    /// Policy file (TOML); without it, that of the broker on the data directory, or the one that holds where there is none
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(super) data: Data,
}

/// `dunlin acl can`
#[derive(Debug, Args)]
pub(crate) struct Can {
    /// Client identifier
    #[arg(value_name = "CLIENT")]
    client: String,
    #[command(flatten)]
    pub(super) what: What,
    #[command(flatten)]
    pub(super) policy: PolicyArgument,
    /// The user name that it proved; without it, it is anonymous
    #[arg(long, short, value_name = "NAME")]
    user: Option<String>,
    /// A group that authentication puts it in, beside those of the policy file; may be repeated
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// What else authentication knows, such as cert.cn=pump-7; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Vec<String>,
}

/// `dunlin acl who-can`
#[derive(Debug, Args)]
pub(crate) struct WhoCan {
    #[command(flatten)]
    pub(super) what: What,
    #[command(flatten)]
    pub(super) policy: PolicyArgument,
}

/// `dunlin acl test`
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Table of expectations (TOML)
    #[arg(value_name = "FILE")]
    pub(super) table: PathBuf,
    #[command(flatten)]
    pub(super) policy: PolicyArgument,
}

/// `dunlin acl dry-run`
#[derive(Debug, Args)]
pub(crate) struct DryRun {
    /// The other policy (TOML)
    #[arg(value_name = "NEWFILE")]
    pub(super) new: PathBuf,
    /// What clients did: a JSON object a line; `-` is standard input. Without it, the broker of the data directory is asked
    #[arg(long, value_name = "FILE")]
    pub(super) seen: Option<PathBuf>,
    /// How long the broker is asked what its clients do, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, conflicts_with = "seen")]
    pub(super) window: u32,
    #[command(flatten)]
    pub(super) policy: PolicyArgument,
    /// Print at most so many who are affected
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) most: usize,
}

/// `dunlin acl list`
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(super) policy: PolicyArgument,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Giving {
    Allow,
    Deny,
}

/// `dunlin acl add`
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Whether the rule gives or takes
    #[arg(value_name = "allow|deny", hide_possible_values = true)]
    pub(super) effect: Giving,
    /// What it is about, such as publish,subscribe
    #[arg(value_name = "ACTIONS", value_delimiter = ',', num_args = 1, required = true)]
    pub(super) actions: Vec<Doing>,
    /// Topic filters, which may hold variables such as ${client_id}
    #[arg(value_name = "TOPIC", required = true)]
    pub(super) topics: Vec<String>,
    #[command(flatten)]
    pub(super) policy: PolicyArgument,
    /// Whom it is for: user:NAME, client:ID, group:NAME, role:NAME, ...; may be repeated; without it, everyone
    #[arg(long = "for", value_name = "WHOM")]
    pub(super) subjects: Vec<String>,
    /// Of these QoS alone, such as 0,1
    #[arg(long, value_name = "QOS", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(super) qos: Vec<u8>,
    /// Of messages with (true) or without (false) RETAIN alone
    #[arg(long, value_name = "true|false")]
    pub(super) retain: Option<bool>,
    /// What you call it
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
}

/// `dunlin acl remove`
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The line at which the rule begins, as `dunlin acl list` prints it
    #[arg(value_name = "LINE")]
    pub(super) line: usize,
    #[command(flatten)]
    pub(super) policy: PolicyArgument,
}

/// `dunlin import mosquitto`
#[derive(Debug, Args)]
pub(crate) struct Mosquitto {
    /// Mosquitto's acl_file
    #[arg(long, value_name = "FILE", required_unless_present = "passwords")]
    pub(super) acl: Option<PathBuf>,
    /// Mosquitto's password_file
    #[arg(long, value_name = "FILE")]
    pub(super) passwords: Option<PathBuf>,
    /// Directory for access.toml and users, which must not be there yet
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
}

impl What {
    /// The question; a shared subscription is one to the filter that it shares.
    pub(super) fn request(&self) -> Result<Request<'_>, AccessError> {
        request(self.action.action(), &self.topic, qos(self.qos), self.retain).map_err(AccessError::Usage)
    }
}

/// A question whose topic is well-formed, or what is wrong with it.
pub(super) fn request(action: Action, topic: &str, qos: QoS, retain: bool) -> Result<Request<'_>, String> {
    let wrong = |error: String| format!("{topic}: {error}; allowed: a topic name");
    match action {
        Action::Publish => {
            let topic = TopicName::parse(topic).map_err(|error| wrong(error.to_string()))?;
            Ok(Request::publish(topic.as_str(), qos, retain))
        }
        Action::Receive => {
            let topic = TopicName::parse(topic).map_err(|error| wrong(error.to_string()))?;
            Ok(Request::receive(topic.as_str()))
        }
        Action::Subscribe => {
            let filter = TopicFilter::parse(topic)
                .map_err(|error| format!("{topic}: {error}; allowed: a topic filter"))?;
            let filter = filter.shared().map_or(filter, |shared| shared.filter);
            Ok(Request::subscribe(filter.as_str(), qos))
        }
    }
}

/// Of a number that was checked.
pub(super) const fn qos(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

impl Can {
    pub(super) fn identity(&self) -> Result<Identity, AccessError> {
        let attributes = self.attribute.iter().map(|text| {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                AccessError::Usage(format!("--attribute {text}: no `=`; allowed: NAME=VALUE"))
            })?;
            Ok((name.into(), value.into()))
        });
        Ok(Identity {
            username: self.user.as_deref().map(Into::into),
            client_id: self.client.as_str().into(),
            groups: self.group.iter().map(|group| group.as_str().into()).collect(),
            attributes: attributes.collect::<Result<_, AccessError>>()?,
        })
    }
}
