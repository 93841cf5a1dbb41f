//! The file of a recording: a first line that tells what was recorded, and a line for each call.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::listener::Ended;
use super::redact::Redaction;
use crate::plugin::Plugin;
use crate::tape::Entry;
use crate::tape::record::micros;
use crate::vectors::{Question, catalog_of};
use tidegate_core::channels::{Catalog, PluginKind};
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{Action, Phase};
use tidegate_core::protocol::{BusEvent, ConnectionId, Payload, User};

/// The version of the format.
pub(super) const FORMAT: u64 = 1;
/// The keys of `plugin.yaml` that a replay needs.
const MANIFEST_KEYS: [&str; 5] = ["kinds", "config", "grants", "limits", "instances"];

/// The first line, for calls of this version that are recorded from now on.
pub(super) fn head(plugin: &Plugin, by: &str, calls_max: usize, at_ms: u64, redaction: &Redaction) -> Value {
    let mut manifest = Map::new();
    for key in MANIFEST_KEYS {
        if let Some(value) = plugin.manifest.node.get(key) {
            manifest.insert(key.to_owned(), value.to_json());
        }
    }
    let mut head = json!({
        "tidegate_recording": FORMAT,
        "plugin": plugin.name.as_str(),
        "version": plugin.version.to_string(),
        "component": plugin.digest.as_str(),
        "kinds": plugin.kinds.iter().map(PluginKind::as_str).collect::<Vec<_>>(),
        "plugin_yaml": manifest,
        "by": by,
        "begun_at_ms": at_ms,
        "calls_max": calls_max,
    });
    redaction.of(&mut head, false);
    head["redacted"] = redaction.told();
    head
}

/// A call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// When it came in, in milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    kind: PluginKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<ActionWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phase: Option<PhaseWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    /// As the text that the plugin read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    pub(super) imports: Vec<Entry>,
    /// In the words of `expect`.
    pub(super) answer: Value,
    /// From the question to the answer.
    pub(super) took_us: u64,
    /// The plugin's own part of it.
    pub(super) busy_us: u64,
    /// Linear memory after the call; `null` after a fault.
    pub(super) memory_bytes: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActionWord {
    Connect,
    Subscribe,
    Send,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PhaseWord {
    Connected,
    Disconnected,
}

/// What a plugin knows of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLine {
    id: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

impl From<&User> for UserLine {
    fn from(user: &User) -> Self {
        Self { id: user.id.clone(), roles: user.roles.clone(), tenant: user.tenant.clone() }
    }
}

impl From<UserLine> for User {
    fn from(UserLine { id, roles, tenant }: UserLine) -> Self {
        Self::new(id, roles, tenant)
    }
}

fn raw(payload: &Payload) -> Box<RawValue> {
    payload.as_raw().to_owned()
}

impl From<Ended> for Line {
    fn from(Ended { question, answer, heard, took }: Ended) -> Self {
        let mut line = Self {
            at_ms: heard.received_at_ms,
            kind: question.kind(),
            action: None,
            phase: None,
            channel: None,
            topic: None,
            user: None,
            connection: None,
            payload: None,
            event: None,
            imports: heard.entries,
            answer,
            took_us: micros(took),
            busy_us: micros(heard.busy),
            memory_bytes: heard.memory_bytes,
        };
        match question {
            Question::Handler { context, payload } => {
                line.payload = Some(raw(&payload));
                line.of(&context);
            }
            Question::Authorizer { context, action, payload } => {
                line.payload = payload.as_ref().map(raw);
                line.action = Some(if action == Action::Send { ActionWord::Send } else { ActionWord::Subscribe });
                line.of(&context);
            }
            Question::Identity { connection, credential } => {
                line.payload = Some(raw(&credential));
                line.action = Some(ActionWord::Connect);
                line.connection = Some(connection.as_str().to_owned());
            }
            Question::Snapshot { context } => line.of(&context),
            Question::Transform { channel, topic, event, payload } => {
                line.event = RawValue::from_string(event.to_text()).ok();
                line.payload = Some(raw(&payload));
                (line.channel, line.topic) = (Some(channel), Some(topic));
            }
            Question::Connection { connection, user, phase } => {
                let is_open = phase == Phase::Connected;
                line.phase = Some(if is_open { PhaseWord::Connected } else { PhaseWord::Disconnected });
                line.user = user.as_ref().map(UserLine::from);
                line.connection = Some(connection.as_str().to_owned());
            }
        }
        line
    }
}

impl Line {
    fn of(&mut self, context: &CallContext) {
        self.channel = Some(context.channel().to_owned());
        self.topic = Some(context.topic().as_str().to_owned());
        self.user = context.user.as_deref().map(UserLine::from);
        self.connection = Some(context.connection.as_str().to_owned());
    }

    /// The line as text, without what is not shown. `None` if it cannot be told whether it shows something.
    pub(super) fn redacted(&self, redaction: &Redaction) -> Option<Payload> {
        let text = serde_json::to_string(self).ok()?;
        let whole: Value = serde_json::from_str(&text).ok()?;
        let mut shown = whole.clone();
        redaction.of(&mut shown, self.action == Some(ActionWord::Connect));
        // What needs no redaction keeps the digits of its numbers.
        Payload::parse(if shown == whole { text } else { shown.to_string() }).ok()
    }

    /// The question of the call.
    ///
    /// # Errors
    /// What the line lacks.
    pub(super) fn question(&self, catalogs: &mut Catalogs) -> Result<Question, String> {
        let payload = || self.payload.clone().map(Payload::from);
        let needs = |what: &str| format!("`{what}` is missing");
        let connection = || ConnectionId::new(self.connection.as_deref().unwrap_or_default());
        Ok(match (self.kind, self.action) {
            (PluginKind::Handler, _) => Question::Handler {
                context: self.context(catalogs)?,
                payload: payload().ok_or_else(|| needs("payload"))?,
            },
            (PluginKind::Authorizer, Some(ActionWord::Connect)) => {
                let credential = payload().ok_or_else(|| needs("payload"))?;
                Question::Identity { connection: connection(), credential }
            }
            (PluginKind::Authorizer, action) => {
                let sends = action.ok_or_else(|| needs("action"))? == ActionWord::Send;
                let action = if sends { Action::Send } else { Action::Subscribe };
                Question::Authorizer { context: self.context(catalogs)?, action, payload: payload() }
            }
            (PluginKind::Snapshot, _) => Question::Snapshot { context: self.context(catalogs)? },
            (PluginKind::Transform, _) => {
                let event = self.event.as_ref().and_then(|event| BusEvent::kept(event.get()));
                Question::Transform {
                    channel: self.channel.clone().ok_or_else(|| needs("channel"))?,
                    topic: self.topic.clone().ok_or_else(|| needs("topic"))?,
                    event: Box::new(event.ok_or_else(|| needs("event"))?),
                    payload: payload().ok_or_else(|| needs("payload"))?,
                }
            }
            (PluginKind::Connection, _) => {
                let phase = match self.phase.ok_or_else(|| needs("phase"))? {
                    PhaseWord::Connected => Phase::Connected,
                    PhaseWord::Disconnected => Phase::Disconnected,
                };
                Question::Connection { connection: connection(), user: self.user.clone().map(User::from), phase }
            }
        })
    }

    fn context(&self, catalogs: &mut Catalogs) -> Result<CallContext, String> {
        let channel = self.channel.as_deref().ok_or("`channel` is missing")?;
        let topic = self.topic.as_deref().ok_or("`topic` is missing")?;
        let resolved = catalogs.of(channel)?.resolve(topic);
        let resolved = resolved.ok_or_else(|| format!("the topic `{topic}` is none of the channel `{channel}`"))?;
        let user = self.user.clone().map(|user| Arc::new(User::from(user)));
        Ok(CallContext {
            resolved,
            user,
            connection: ConnectionId::new(self.connection.as_deref().unwrap_or_default()),
        })
    }
}

/// A catalog for each channel of a file.
#[derive(Default)]
pub(super) struct Catalogs(BTreeMap<String, Catalog>);

impl Catalogs {
    fn of(&mut self, channel: &str) -> Result<&Catalog, String> {
        if !self.0.contains_key(channel) {
            let catalog = catalog_of(channel).map_err(|why| format!("the channel `{channel}` is not valid: {why}"))?;
            self.0.insert(channel.to_owned(), catalog);
        }
        self.0.get(channel).ok_or_else(|| format!("the channel `{channel}` is not valid"))
    }
}
