//! A compiled channel as data, for operators and scripts.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Channel, DeliveryPolicy, HistoryPolicy, InboundAction, Keeping, PresencePolicy, Scope};
use crate::config::HumanDuration;
use crate::protocol::PluginName;

/// A channel, described.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Described {
    /// The template.
    pub channel: String,
    /// The feature whose manifest declares it.
    pub feature: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who may join, as a manifest writes it.
    pub scope: Value,
    /// The plugin that is asked after the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorizer: Option<String>,
    /// The plugin that returns the state of a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What is retained: `{ keys, bytes, ttl }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<Value>,
    /// The schema of what subscribers receive.
    pub schema: Value,
    /// The schema of what clients may send: `{ payload? }`; without `payload` it is that of subscribers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Value>,
    /// The plugin that answers what clients send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Who receives what clients send, without a plugin: `others`, `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<&'static str>,
    /// How often a user may send: `20/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How members are told: `{ debounce, members, info? }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<Value>,
    /// What is kept: `{ messages, bytes, ttl }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Value>,
    /// `{ mode, key?, at_most?, version? }`.
    pub delivery: Value,
    /// The path of the manifest.
    pub manifest: String,
    /// The line in it, from 1.
    pub line: usize,
}

impl Channel {
    /// The channel as data.
    #[must_use]
    pub fn described(&self) -> Described {
        let name = |plugin: &PluginName| plugin.as_str().to_owned();
        let (handler, relay) = match self.inbound.as_ref().map(|inbound| &inbound.action) {
            Some(InboundAction::Handler(plugin)) => (Some(name(plugin)), None),
            Some(InboundAction::Relay { others_only: true }) => (None, Some("others")),
            Some(InboundAction::Relay { others_only: false }) => (None, Some("all")),
            None => (None, None),
        };
        Described {
            channel: self.template.to_string(),
            feature: self.feature.clone(),
            description: self.description.clone(),
            scope: self.scope.written(),
            authorizer: self.authorizer.as_ref().map(name),
            snapshot: self.snapshot.as_ref().map(name),
            retain: self.retain.map(|Keeping { keys_max, bytes_max, ttl, .. }| {
                json!({ "keys": keys_max, "bytes": bytes_max, "ttl": written(ttl) })
            }),
            schema: self.payload.written().clone(),
            inbound: self.inbound.as_ref().map(|inbound| match &inbound.payload {
                Some(schema) => json!({ "payload": schema.written() }),
                None => json!({}),
            }),
            handler,
            relay,
            rate: self.inbound.as_ref().and_then(|inbound| inbound.rate).map(|rate| rate.to_string()),
            presence: self.presence.as_ref().map(presence),
            history: self.history.map(|HistoryPolicy { messages_max, bytes_max, ttl }| {
                json!({ "messages": messages_max, "bytes": bytes_max, "ttl": written(ttl) })
            }),
            delivery: delivery(&self.delivery),
            manifest: self.place.source.path.clone(),
            line: self.place.line,
        }
    }
}

impl Scope {
    /// As a manifest writes it.
    #[must_use]
    pub fn written(&self) -> Value {
        match self {
            Self::Public => json!("public"),
            Self::Authenticated => json!("authenticated"),
            Self::AnyRole(roles) => json!({ "roles": roles }),
            Self::User { param } => json!({ "user": param }),
        }
    }
}

fn written(time: Duration) -> String {
    HumanDuration::new(time).to_string()
}

fn presence(presence: &PresencePolicy) -> Value {
    let PresencePolicy { debounce, members_max, info } = presence;
    let mut told = json!({ "debounce": written(*debounce), "members": members_max });
    if let Some(info) = info {
        told["info"] = info.written().clone();
    }
    told
}

fn delivery(delivery: &DeliveryPolicy) -> Value {
    let mut told = json!({ "mode": if delivery.latest { "latest" } else { "all" } });
    for (name, pointer) in [("key", &delivery.key), ("version", &delivery.version)] {
        if let Some(pointer) = pointer {
            told[name] = pointer.as_str().into();
        }
    }
    if let Some(rate) = delivery.at_most {
        told["at_most"] = rate.to_string().into();
    }
    told
}
