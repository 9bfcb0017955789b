//! Mount points: what comes before every topic of the Clients of a listener.
//!
//! In:    names as such a Client says them, or as the Server knows them.
//! Out:   the other of the two. Topics, filters, Wills, Response Topics; within a Shared Subscription, what is shared.
//! Never: a change of names that begin with `$`, which belong to the Server; work for Clients of a listener without one.
//!
//! Everything but the two ends of a connection knows whole names only: Subscriptions, queues, retained messages, rules.

use std::sync::Arc;

use dunlin_codec::{Properties, Property, PropertyBuf, TopicFilter};

use crate::event::ConnectionId;
use crate::hub::Hub;

/// The beginning of names, with a `/` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount(Arc<str>);

impl Mount {
    pub(crate) fn new(prefix: Arc<str>) -> Self {
        Self(prefix)
    }

    /// The whole name of a topic. An empty one is no name, and stays so.
    #[must_use]
    pub fn topic(&self, topic: &str) -> String {
        if topic.is_empty() || topic.starts_with('$') {
            topic.to_owned()
        } else {
            format!("{}{topic}", self.0)
        }
    }

    /// The whole of a filter, which may be too long to be one.
    #[must_use]
    pub fn filter(&self, filter: TopicFilter<'_>) -> String {
        match filter.shared() {
            None => self.topic(filter.as_str()),
            Some(shared) => {
                format!("$share/{}/{}", shared.share_name.as_str(), self.topic(shared.filter.as_str()))
            }
        }
    }

    /// What a Client calls a topic; `None` where it has no name for it. `site1/#` matches `site1`, too.
    pub(crate) fn strip<'a>(&self, topic: &'a str) -> Option<&'a str> {
        if topic.starts_with('$') {
            return Some(topic);
        }
        topic.strip_prefix(&*self.0).filter(|rest| !rest.is_empty())
    }

    /// Properties with the whole name of the Response Topic; `None` where they have none.
    pub(crate) fn incoming(&self, properties: Properties<'_>) -> Option<PropertyBuf> {
        renamed(properties, |topic| Some(self.topic(topic)))
    }

    /// The same on the way to a Client, which may be given the name of a topic that it cannot publish to.
    pub(crate) fn outgoing(&self, properties: Properties<'_>) -> Option<PropertyBuf> {
        renamed(properties, |topic| self.strip(topic).map(str::to_owned))
    }
}

fn renamed(properties: Properties<'_>, name: impl Fn(&str) -> Option<String>) -> Option<PropertyBuf> {
    let has_topic = |property: &Property<'_>| matches!(property, Property::ResponseTopic(_));
    if properties.is_empty() || !properties.iter().any(|property| has_topic(&property)) {
        return None;
    }
    let mut out = PropertyBuf::new();
    for property in properties.iter() {
        match property {
            Property::ResponseTopic(topic) => {
                out.push(Property::ResponseTopic(name(topic).as_deref().unwrap_or(topic)));
            }
            other => out.push(other),
        }
    }
    Some(out)
}

impl Hub {
    /// The mount point of a connection.
    pub(crate) fn mount_of(&self, id: ConnectionId) -> Option<Mount> {
        if !self.has_mounts {
            return None;
        }
        self.connections.get(id)?.seldom.mount.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount() -> Mount {
        Mount::new("site1/".into())
    }

    fn filter(text: &str) -> String {
        mount().filter(TopicFilter::parse(text).unwrap())
    }

    #[test]
    fn names_get_the_mount_point_and_lose_it() {
        assert_eq!(mount().topic("a/b"), "site1/a/b");
        assert_eq!(mount().strip("site1/a/b"), Some("a/b"));
        assert_eq!(mount().strip("site2/a"), None);
        assert_eq!(mount().strip("site1"), None);
        assert_eq!(mount().strip("site1/"), None);
        assert_eq!(mount().topic(""), "");
    }

    #[test]
    fn names_of_the_server_stay() {
        assert_eq!(mount().topic("$SYS/broker/uptime"), "$SYS/broker/uptime");
        assert_eq!(filter("$SYS/#"), "$SYS/#");
        assert_eq!(mount().strip("$SYS/broker/uptime"), Some("$SYS/broker/uptime"));
    }

    #[test]
    fn of_a_shared_subscription_what_is_shared_is_mounted() {
        assert_eq!(filter("#"), "site1/#");
        assert_eq!(filter("+/a"), "site1/+/a");
        assert_eq!(filter("$share/g/+/a"), "$share/g/site1/+/a");
        assert_eq!(filter("$share/g/$SYS/#"), "$share/g/$SYS/#");
    }

    #[test]
    fn a_response_topic_is_mounted_and_other_properties_stay() {
        let mut properties = PropertyBuf::new();
        properties.push(Property::CorrelationData(b"7"));
        assert!(mount().incoming(properties.as_properties()).is_none());
        properties.push(Property::ResponseTopic("reply"));
        let whole = mount().incoming(properties.as_properties()).unwrap();
        let found: Vec<_> = whole.as_properties().iter().collect();
        assert_eq!(found, [Property::CorrelationData(b"7"), Property::ResponseTopic("site1/reply")]);
        let back = mount().outgoing(whole.as_properties()).unwrap();
        assert_eq!(back.as_properties().as_bytes(), properties.as_properties().as_bytes());
    }
}
