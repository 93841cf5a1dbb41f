//! The plugins as the gates call them: the port, and the words of its calls and answers.

use std::time::Duration;

use async_trait::async_trait;

use super::Fault;
use crate::flow::CallContext;
use crate::protocol::{BusEvent, ConnectionId, Key, Payload, PluginName, User};

/// The plugins of one generation, by name.
///
/// An implementation enforces grants and limits, and logs and counts every fault. The flow only translates a fault to a
/// code. Calls must be safe to cancel by dropping the future.
#[async_trait]
pub trait Plugins: Send + Sync + 'static {
    /// The version of a plugin, which differs from every other version of that name; `None` if there is no such plugin.
    fn version(&self, plugin: &PluginName) -> Option<PluginVersion>;

    /// Asks an authorizer whether this user may do this on this topic.
    ///
    /// # Errors
    /// [`Fault`] if there is no decision. The caller denies if the plugin caused the fault; otherwise it treats the
    /// decision as unknown.
    async fn authorize(&self, plugin: &PluginName, call: AuthorizerCall<'_>) -> Result<Decision, Fault>;

    /// Asks an authorizer to identify the user of a credential.
    ///
    /// # Errors
    /// [`Fault`] if there is no decision; the caller accepts nobody.
    async fn identify(&self, plugin: &PluginName, call: IdentifyCall<'_>) -> Result<Recognition, Fault>;

    /// Lets a handler answer a message that matches its schema.
    ///
    /// # Errors
    /// [`Fault`] if the plugin failed; none of its effects may happen.
    async fn handle(&self, plugin: &PluginName, call: HandlerCall<'_>) -> Result<Answer, Fault>;

    /// Lets a snapshot plugin return a topic's state, not yet checked against the channel's schema.
    ///
    /// # Errors
    /// [`Fault`] if it returned none; the caller refuses the subscription.
    async fn provide(&self, plugin: &PluginName, context: &CallContext) -> Result<Vec<Payload>, Fault>;

    /// Lets a transform make the payload of a bridge rule; `None` if the event should not cross.
    ///
    /// # Errors
    /// [`Fault`] if it failed; the event becomes a dead letter.
    async fn transform(&self, plugin: &PluginName, call: TransformCall<'_>) -> Result<Option<Payload>, Fault>;

    /// The plugins that listen for connections, in the order in which they are called.
    fn listeners(&self) -> Vec<PluginName>;

    /// Announces a connection to a plugin, and returns the effects that it asks for: they are granted, but not yet
    /// checked against schemas.
    ///
    /// # Errors
    /// [`Fault`] if the plugin failed; none of its effects may happen.
    async fn changed(&self, plugin: &PluginName, call: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Fault>;
}

/// An event on its way to a topic.
#[derive(Debug, Clone, Copy)]
pub struct TransformCall<'a> {
    /// The template of the channel that the rule feeds, for the log.
    pub channel: &'a str,
    /// The event.
    pub event: &'a BusEvent,
    /// The topic that the rule leads to.
    pub topic: &'a str,
    /// The result of the rule's `payload`.
    pub payload: &'a Payload,
}

/// An opened or closed connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionCall<'a> {
    /// The connection.
    pub connection: &'a ConnectionId,
    /// The user; `None` is anonymous.
    pub user: Option<&'a User>,
    /// What happened.
    pub phase: Phase,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It cleared gate 1.
    Connected,
    /// It ended.
    Disconnected,
}

impl Phase {
    /// The name in logs and in the WIT contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        }
    }
}

/// The version of a plugin: a digest of its component and its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PluginVersion(pub [u8; 32]);

impl PluginVersion {
    /// The first 12 hexadecimal digits, by which logs and people tell versions apart.
    #[must_use]
    pub fn short(self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl std::fmt::Display for PluginVersion {
    /// All 64 hexadecimal digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A credential to identify.
#[derive(Debug, Clone, Copy)]
pub struct IdentifyCall<'a> {
    /// The connection that presented it.
    pub connection: &'a ConnectionId,
    /// The credential in the form of the contract: `{"token": "…"}` or `{"cookies": {"sid": "…"}}`.
    pub credential: &'a Payload,
}

/// An authorizer's answer about a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognition {
    /// The credential is valid.
    Admitted {
        /// The user; `None` for an anonymous connection. Its `expires_at` is not set.
        user: Option<User>,
        /// How long the credential is valid; zero: for as long as the connection lasts.
        ttl: Duration,
    },
    /// The credential is not valid. The reason is for the log, never for the client.
    Refused {
        /// The plugin's own words.
        reason: String,
    },
    /// A service that the answer depends on is away. The reason is for the log, never for the client.
    Unknown {
        /// The plugin's own words.
        reason: String,
    },
}

/// The question to an authorizer.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizerCall<'a> {
    /// Who asks, on which topic.
    pub context: &'a CallContext,
    /// What the user wants to do.
    pub action: Action,
    /// The message, when the action is [`Action::Send`].
    pub payload: Option<&'a Payload>,
}

/// The actions that an authorizer decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Gate 2.
    Subscribe,
    /// Gate 3.
    Send,
}

impl Action {
    /// The name in logs, metrics and the WIT contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Send => "send",
        }
    }
}

/// An authorizer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow(Grant),
    /// No; the reason is for the log, never for the client.
    Deny {
        /// The plugin's own words.
        reason: String,
    },
    /// Neither yes nor no: a service that the decision depends on is away. The reason is for the log, never for the
    /// client.
    CannotTell {
        /// The plugin's own words.
        reason: String,
    },
}

/// How far a yes goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// How long the same question has the same answer; zero: only this once. At most an hour counts.
    pub ttl: Duration,
}

impl Decision {
    /// Yes, only for this once.
    #[must_use]
    pub const fn allow() -> Self {
        Self::allow_for(Duration::ZERO)
    }

    /// Yes, for this time.
    #[must_use]
    pub const fn allow_for(ttl: Duration) -> Self {
        Self::Allow(Grant { ttl })
    }
}

/// The question to a handler.
#[derive(Debug, Clone, Copy)]
pub struct HandlerCall<'a> {
    /// Who sends, on which topic.
    pub context: &'a CallContext,
    /// The message; it matches the channel's inbound schema.
    pub payload: &'a Payload,
}

/// A handler's answer: it accepted the message, or refused it.
pub type Answer = Result<Outcome, PluginRefusal>;

/// The effects of a handler that accepted the message. They are granted, but not yet checked against schemas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The reply to the sender.
    pub reply: Option<Payload>,
    /// In the order in which the plugin returned them.
    pub effects: Vec<PluginEffect>,
}

/// One effect that a plugin asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginEffect {
    /// Publish a payload on a topic.
    Emit {
        /// The topic's name, unchecked.
        topic: String,
        /// The payload, not yet checked against the channel's schema.
        payload: Payload,
        /// Leave the sender out.
        others_only: bool,
    },
    /// Put an event on the bus.
    Publish {
        /// The CloudEvent's type.
        kind: String,
        /// The CloudEvent's subject.
        subject: Option<String>,
        /// The CloudEvent's data.
        data: Payload,
    },
    /// Take retained values away.
    Remove {
        /// The topic's name, unchecked.
        topic: String,
        /// The key of the value; all of them without it.
        key: Option<Key>,
    },
}

/// A handler's refusal. The client sees a code; only the sentence of `InvalidPayload` reaches the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginRefusal {
    /// The message is not acceptable; the sentence tells the client why.
    InvalidPayload(String),
    /// This user may not do it; the sentence is for the log.
    Forbidden(String),
    /// Not possible now; the sentence is for the log.
    Unavailable(String),
    /// The handler could not do its work; the sentence is for the log.
    Failed(String),
}
