//! The topics of this node that have subscribers.

use std::collections::HashMap;

use serde::Serialize;

use super::page::{Collect, Page};
use crate::Realtime;
use tidegate_core::protocol::Topic;

/// Which topics are asked for.
#[derive(Debug, Clone, Default)]
pub struct TopicsAsked {
    /// Those of the channel with this template.
    pub channel: Option<String>,
    /// Those whose name contains this.
    pub search: Option<String>,
    /// Those after this name.
    pub after: Option<String>,
    /// The most.
    pub limit: usize,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedTopic {
    /// The topic.
    pub topic: Topic,
    /// The template of its channel.
    pub channel: String,
    /// How many connections of this node hold it.
    pub subscribers: usize,
}

/// What a channel has on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicCounts {
    /// Topics with subscribers.
    pub topics: usize,
    /// Subscribers of all its topics.
    pub subscriptions: usize,
}

/// A connection that holds a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscriber {
    /// The connection.
    pub connection: String,
    /// Its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The connections of this node that hold a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribers {
    /// The first of them, by the connection.
    pub first: Vec<Subscriber>,
    /// How many there are.
    pub count: usize,
}

impl Realtime {
    /// The topics with subscribers, in the order of their names.
    #[must_use]
    pub fn topics(&self, asked: &TopicsAsked) -> Page<ListedTopic> {
        let TopicsAsked { channel, search, after, limit } = asked;
        let mut page = Collect::new(after.as_deref(), *limit);
        self.rooms.see(|topic, template, subscribers| {
            let name = topic.as_str();
            if channel.as_ref().is_none_or(|channel| channel == template)
                && search.as_ref().is_none_or(|search| name.contains(search.as_str()))
            {
                page.see(name, || ListedTopic { topic: topic.clone(), channel: template.to_owned(), subscribers });
            }
        });
        page.page()
    }

    /// What each channel has on this node, by template. Channels without subscribers are not there.
    #[must_use]
    pub fn topic_counts(&self) -> HashMap<String, TopicCounts> {
        let mut counts: HashMap<String, TopicCounts> = HashMap::new();
        self.rooms.see(|_, template, subscribers| {
            if !counts.contains_key(template) {
                counts.insert(template.to_owned(), TopicCounts::default());
            }
            if let Some(of_channel) = counts.get_mut(template) {
                of_channel.topics += 1;
                of_channel.subscriptions += subscribers;
            }
        });
        counts
    }

    /// The connections that hold a topic: all are counted, the first `limit` are named.
    #[must_use]
    pub fn subscribers(&self, topic: &Topic, limit: usize) -> Subscribers {
        let mut page = Collect::new(None, limit);
        let count = self.rooms.see_members(topic, |connection| {
            page.see(connection.id().as_str(), || std::sync::Arc::clone(connection));
        });
        let first = page.page().entries.into_iter().map(|connection| Subscriber {
            connection: connection.id().to_string(),
            user: connection.session.user().map(|user| user.id.clone()),
        });
        Subscribers { first: first.collect(), count }
    }
}
