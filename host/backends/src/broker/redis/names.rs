//! The names of keys and channels in Redis.

use super::retained_scripts::Shelf;
use tidegate_core::protocol::{IdempotencyKey, Topic, User};

/// The names of one installation.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
    topics: String,
}

impl Names {
    /// Names with this prefix. Pub/Sub does not separate databases, so a database other than 0 is a part of every name.
    pub(super) fn new(prefix: &str, database: i64) -> Self {
        let prefix = if database == 0 { prefix.to_owned() } else { format!("{prefix}:{database}") };
        Self { topics: format!("{prefix}:t:"), prefix }
    }

    /// The Pub/Sub channel of a topic.
    pub(super) fn channel(&self, topic: &Topic) -> String {
        format!("{}{topic}", self.topics)
    }

    /// The topic of a Pub/Sub channel.
    pub(super) fn topic<'a>(&self, channel: &'a str) -> Option<&'a str> {
        channel.strip_prefix(&self.topics)
    }

    /// The key of a topic's number of publications.
    pub(super) fn count(&self, topic: &Topic) -> String {
        format!("{}:n:{topic}", self.prefix)
    }

    /// The key of a topic's record: the state of its history.
    pub(super) fn record(&self, topic: &Topic) -> String {
        format!("{}:h:{topic}", self.prefix)
    }

    /// The key of the entries of a topic's history.
    pub(super) fn entries(&self, topic: &Topic) -> String {
        format!("{}:e:{topic}", self.prefix)
    }

    /// The keys of a topic's retained values, of their order, and of what is known of both.
    pub(super) fn shelf(&self, topic: &Topic) -> Shelf {
        let key = |kind: &str| format!("{}:{kind}:{topic}", self.prefix);
        Shelf { values: key("v"), ages: key("a"), shelf: key("s") }
    }

    /// The key of a publication that every node makes and that must be published once.
    pub(super) fn once(&self, digest: &str) -> String {
        format!("{}:o:{digest}", self.prefix)
    }

    /// The key of a user's rate window on a channel.
    pub(super) fn window(&self, channel: &str, user: &User) -> String {
        format!("{}:r:{channel}:{:?}", self.prefix, (&user.tenant, &user.id))
    }

    /// An idempotency key of a topic. A topic has no white space.
    pub(super) fn idempotency(&self, topic: &Topic, key: &IdempotencyKey) -> String {
        format!("{}:k:{topic} {}", self.prefix, key.as_str())
    }

    /// The sorted set of all idempotency keys.
    pub(super) fn idempotency_all(&self) -> String {
        format!("{}:keys", self.prefix)
    }

    /// The sorted set of nodes, by the ends of their leases.
    pub(super) fn leases(&self) -> String {
        format!("{}:p:nodes", self.prefix)
    }

    /// The hash of the members of a topic, on every node.
    pub(super) fn members(&self, topic: &str) -> String {
        format!("{}:p:m:{topic}", self.prefix)
    }

    /// The hash of the members of a topic, with the number of nodes that each is on.
    pub(super) fn member_nodes(&self, topic: &str) -> String {
        format!("{}:p:c:{topic}", self.prefix)
    }

    /// The key that changes with the members of a topic.
    pub(super) fn members_version(&self, topic: &str) -> String {
        format!("{}:p:v:{topic}", self.prefix)
    }

    /// The hash of the topics with members on a node, with their number.
    pub(super) fn member_topics(&self, node: &str) -> String {
        format!("{}:p:n:{node}", self.prefix)
    }

    /// The stream of messages between nodes.
    pub(super) fn control(&self) -> String {
        format!("{}:control", self.prefix)
    }

    /// The key, and the Pub/Sub channel without listeners, that test what Redis accepts.
    pub(super) fn probe(&self) -> String {
        format!("{}:probe", self.prefix)
    }

    /// The stream for the same test.
    pub(super) fn probe_stream(&self) -> String {
        format!("{}:probe:control", self.prefix)
    }

    /// The time at which the data of this Redis began: without it, all data is gone.
    pub(super) fn life(&self) -> String {
        format!("{}:life", self.prefix)
    }

    /// The Pub/Sub channel that every node listens to.
    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_and_installations_share_no_name() {
        let topic = Topic::parse("chat.a").unwrap();
        let names = Names::new("tidegate", 0);
        assert_eq!(names.channel(&topic), "tidegate:t:chat.a");
        assert_eq!(names.topic("tidegate:t:chat.a"), Some("chat.a"));
        assert_eq!(names.topic("other:t:chat.a"), None);
        assert_eq!(Names::new("tidegate", 3).count(&topic), "tidegate:3:n:chat.a");
    }

    #[test]
    fn users_of_two_tenants_share_no_window() {
        let names = Names::new("tidegate", 0);
        let user = |tenant: Option<&str>, id: &str| {
            names.window("chat.{room}", &User::new(id, Vec::new(), tenant.map(str::to_owned)))
        };
        let windows = [user(None, "a"), user(Some("a"), "a"), user(Some("b"), "a"), user(Some("a"), "b")];
        let different: std::collections::BTreeSet<_> = windows.iter().collect();
        assert_eq!(different.len(), windows.len());
    }
}
