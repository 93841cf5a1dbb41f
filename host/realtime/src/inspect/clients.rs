//! The clients of this node.

use std::sync::Arc;

use serde::Serialize;

use super::page::{Collect, Page};
use crate::Realtime;
use crate::connections::Connection;
use crate::refusals::Refused;
use tidegate_core::protocol::Topic;

/// Most topics of a client that are named.
const TOPICS_MAX: usize = 100;

/// Which clients are asked for.
#[derive(Debug, Clone, Default)]
pub struct ClientsAsked {
    /// Those of this user.
    pub user: Option<String>,
    /// Those that hold this topic.
    pub topic: Option<String>,
    /// The one with this id.
    pub connection: Option<String>,
    /// Those after this id.
    pub after: Option<String>,
    /// The most.
    pub limit: usize,
}

/// A client.
#[derive(Debug, Clone, Serialize)]
pub struct Client {
    /// The id of its connection.
    pub connection: String,
    /// Its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Its address, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The origin of its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<str>>,
    /// What carries it.
    pub transport: &'static str,
    /// Since when it is connected, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When its credential ends, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_ends_at: Option<u64>,
    /// How far it is behind.
    pub lag_ms: f64,
    /// What waits for it.
    pub outbound_bytes: usize,
    /// The first topics that it holds, by name.
    pub topics: Vec<Topic>,
    /// How many it holds.
    pub topics_count: usize,
    /// What was refused to it last, the newest first.
    pub last_refusals: Vec<Refused>,
}

impl Realtime {
    /// The clients, in the order of their ids.
    #[must_use]
    pub fn clients(&self, asked: &ClientsAsked) -> Page<Client> {
        let ClientsAsked { user, topic, connection, after, limit } = asked;
        let topic = topic.as_deref().map(Topic::parse);
        let Ok(topic) = topic.transpose() else { return Collect::new(None, *limit).page() };
        let mut page = Collect::new(after.as_deref(), *limit);
        let mut see = |found: &Arc<Connection>| page.see(found.id().as_str(), || Arc::clone(found));
        let is_of = |found: &Connection| {
            user.as_ref().is_none_or(|user| found.session.user().is_some_and(|found| found.id == *user))
                && topic.as_ref().is_none_or(|topic| found.session.holds(topic))
        };
        // From the narrowest list that there is.
        match (connection, user, &topic) {
            (Some(id), ..) => self.connections.get(id).iter().filter(|found| is_of(found)).for_each(see),
            (None, Some(user), _) => {
                self.connections.of_user(user).iter().filter(|found| is_of(found)).for_each(see);
            }
            (None, None, Some(topic)) => {
                self.rooms.see_members(topic, see);
            }
            (None, None, None) => self.connections.see(&mut see),
        }
        page.page().map(|connection| shown(&connection))
    }
}

fn shown(connection: &Connection) -> Client {
    let user = connection.session.user();
    let mut topics = connection.session.topics();
    topics.sort_unstable();
    let topics_count = topics.len();
    topics.truncate(TOPICS_MAX);
    Client {
        connection: connection.id().to_string(),
        user: user.as_ref().map(|user| user.id.clone()),
        tenant: user.as_ref().and_then(|user| user.tenant.clone()),
        address: connection.arrival.address.map(|address| address.to_string()),
        origin: connection.arrival.origin.clone(),
        transport: connection.carrier(),
        since_ms: connection.arrival.at_ms,
        credential_ends_at: user.as_ref().and_then(|user| user.ends_at()),
        lag_ms: connection.lag().as_secs_f64() * 1000.0,
        outbound_bytes: connection.waiting_bytes(),
        topics,
        topics_count,
        last_refusals: connection.last_refusals(),
    }
}
