//! What the flow needs of the world, as traits: each has a real implementation in an adapter and a fake in the tests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use super::broker::Broker;
pub use super::fault::{Exceeded, Fault, FaultKind};
pub use super::letters::{DeadLetters, Letters, LettersAway};
use super::revoke::{Revocation, Revocations};
pub use super::roster::{LastFault, PluginRoster, PluginService, PluginState, PluginStatus};
use super::{CallContext, Publication, Shown};
use crate::protocol::{BusEvent, ConnectionId, Payload, PluginName, Topic, User};

/// The plugins of one generation, by name.
///
/// An implementation enforces grants and limits, and logs and counts every fault; the flow only maps a fault to a
/// code. Calls must be safe to cancel by dropping the future.
#[async_trait]
pub trait Plugins: Send + Sync + 'static {
    /// What tells this plugin from every other that ever bore its name; `None` when there is none of that name.
    fn version(&self, plugin: &PluginName) -> Option<PluginVersion>;

    /// Asks an authorizer whether this user may do this on this topic.
    ///
    /// # Errors
    /// [`Fault`] when there is no decision; the caller denies where the plugin is at fault, and otherwise cannot tell.
    async fn authorize(&self, plugin: &PluginName, call: AuthorizerCall<'_>) -> Result<Decision, Fault>;

    /// Asks an authorizer whose a credential is.
    ///
    /// # Errors
    /// [`Fault`] when there is no decision; the caller lets nobody in.
    async fn identify(&self, plugin: &PluginName, call: IdentifyCall<'_>) -> Result<Recognition, Fault>;

    /// Has a handler answer a message that met its schema.
    ///
    /// # Errors
    /// [`Fault`] when the plugin failed; none of its effects may happen.
    async fn handle(&self, plugin: &PluginName, call: HandlerCall<'_>) -> Result<Answer, Fault>;

    /// Has a snapshot provider give a topic's state, not yet checked against the channel's schema.
    ///
    /// # Errors
    /// [`Fault`] when there is none to be had; the caller refuses the subscription.
    async fn provide(&self, plugin: &PluginName, context: &CallContext) -> Result<Vec<Payload>, Fault>;

    /// Has a transform make the payload of a bridge rule; `None` when the event should not cross.
    ///
    /// # Errors
    /// [`Fault`] when it failed; the event goes to the dead letters.
    async fn transform(&self, plugin: &PluginName, call: TransformCall<'_>) -> Result<Option<Payload>, Fault>;

    /// The plugins that hear of connections, in the order they are told.
    fn listeners(&self) -> Vec<PluginName>;

    /// Tells a plugin of a connection, and returns what it wants to happen: granted, not yet checked against schemas.
    ///
    /// # Errors
    /// [`Fault`] when the plugin failed; none of its effects may happen.
    async fn changed(&self, plugin: &PluginName, call: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Fault>;
}

/// An event on its way to a topic.
#[derive(Debug, Clone, Copy)]
pub struct TransformCall<'a> {
    /// The template of the channel that the rule feeds, for the log.
    pub channel: &'a str,
    /// The event.
    pub event: &'a BusEvent,
    /// The topic the rule leads to.
    pub topic: &'a str,
    /// What the rule's `payload` made of the event.
    pub payload: &'a Payload,
}

/// A connection that came or went.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionCall<'a> {
    /// The connection.
    pub connection: &'a ConnectionId,
    /// The user; `None` is anonymous.
    pub user: Option<&'a User>,
    /// What happened.
    pub phase: Phase,
}

/// What a connection did.
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

/// What a plugin is made of, component and manifest, as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PluginVersion(pub [u8; 32]);

impl PluginVersion {
    /// The first 12 hexadecimal digits: what logs and people tell versions apart by.
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

/// A credential to be recognised.
#[derive(Debug, Clone, Copy)]
pub struct IdentifyCall<'a> {
    /// The connection that brought it.
    pub connection: &'a ConnectionId,
    /// The credential as the contract has it: `{"token": "…"}` or `{"cookies": {"sid": "…"}}`.
    pub credential: &'a Payload,
}

/// What an authorizer makes of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognition {
    /// It is good.
    Admitted {
        /// Whose it is; `None` is nobody's in particular: an anonymous connection. Its `expires_at` is not set.
        user: Option<User>,
        /// How long it is good; zero is as long as the connection lasts.
        ttl: Duration,
    },
    /// It is not; the reason is for the log, never for the client.
    Refused {
        /// The plugin's own words.
        reason: String,
    },
    /// What that depends on is away; the reason is for the log, never for the client.
    Unknown {
        /// The plugin's own words.
        reason: String,
    },
}

/// What an authorizer is asked.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizerCall<'a> {
    /// Who asks, on which topic.
    pub context: &'a CallContext,
    /// What they want to do.
    pub action: Action,
    /// The message, when the action is [`Action::Send`].
    pub payload: Option<&'a Payload>,
}

/// What an authorizer decides on.
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
    /// Neither: what it depends on is away. The reason is for the log, never for the client.
    CannotTell {
        /// The plugin's own words.
        reason: String,
    },
}

/// How far a yes goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// How long the same question has the same answer; zero is for this once. An hour at most counts.
    pub ttl: Duration,
}

impl Decision {
    /// Yes, for this once.
    #[must_use]
    pub const fn allow() -> Self {
        Self::allow_for(Duration::ZERO)
    }

    /// Yes, and for so long.
    #[must_use]
    pub const fn allow_for(ttl: Duration) -> Self {
        Self::Allow(Grant { ttl })
    }
}

/// What a handler is asked.
#[derive(Debug, Clone, Copy)]
pub struct HandlerCall<'a> {
    /// Who sends, on which topic.
    pub context: &'a CallContext,
    /// The message, having met the channel's inbound schema.
    pub payload: &'a Payload,
}

/// A handler's answer: it took the message, or it refused it.
pub type Answer = Result<Outcome, PluginRefusal>;

/// What a handler that took the message wants to happen, granted but not yet checked against schemas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The receipt for the sender.
    pub reply: Option<Payload>,
    /// In the order the plugin returned them.
    pub effects: Vec<PluginEffect>,
}

/// One effect, as a plugin asks for it.
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
}

/// A handler's no. The client sees a code; only the sentence of `InvalidPayload` reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginRefusal {
    /// The message is not acceptable; the sentence tells the client why.
    InvalidPayload(String),
    /// This user may not; the sentence is for the log.
    Forbidden(String),
    /// Not now; the sentence is for the log.
    Unavailable(String),
    /// The handler could not do its work; the sentence is for the log.
    Failed(String),
}

/// Where cleared publications go: the connections subscribed to the topic.
pub trait Rooms: Send + Sync + 'static {
    /// Queues a publication for every subscriber of its topic; never waits.
    fn deliver(&self, publication: &Publication);
    /// Tells every subscriber of a topic that it may have missed publications; never waits.
    fn tell_gap(&self, topic: &Topic);
    /// Tells every subscriber of every topic of these channels, named by their templates, the same; never waits. Returns
    /// how many topics that were.
    fn tell_gap_in(&self, channels: &BTreeSet<&str>) -> usize;
}

/// The clients connected to this node.
pub trait Clients: Send + Sync + 'static {
    /// Ends the sessions whose credential a revocation covers, or takes its topic from whom it covers, tells them, and has
    /// the gates of what its user holds besides asked again, soon. Never waits.
    fn revoke(&self, revocation: &Arc<Revocation>) -> Touched;
}

/// What a revocation ended on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Touched {
    /// Sessions ended.
    pub sessions: usize,
    /// Subscriptions left, in sessions that go on.
    pub subscriptions: usize,
    /// Sessions that go on and whose subscriptions are judged again.
    pub rechecked: usize,
}

/// Where bus events go: the queue the bridge reads.
pub trait Bus: Send + Sync + 'static {
    /// Queues all of the events or none.
    ///
    /// # Errors
    /// [`BusFull`] when there is no room for all of them.
    fn publish(&self, events: Vec<BusEvent>) -> Result<(), BusFull>;
}

/// The bus's queue has no room (`limits.bus_queue`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bus queue is full")]
pub struct BusFull;

/// Recognises one kind of credential.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The cookies it is shown besides `auth.cookie`, where the client gave no token.
    fn cookies(&self) -> &[String] {
        &[]
    }

    /// Looks at a credential. Bounds the time it takes by itself, below the time a handshake may take.
    async fn identify(&self, shown: &Shown<'_>) -> Identity;

    /// Whether it can judge credentials at all: not before the keys it checks them with were read for the first time.
    /// Until it can, the server is not ready.
    fn has_keys(&self) -> bool {
        true
    }

    /// What a credential with this id of its own is called in [`User::token_id`]; `None` where none has one.
    fn token_id(&self, id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    /// Whether it can look again at a credential whose user it found.
    fn looks_again(&self) -> bool {
        false
    }

    /// Looks again at a credential by which it found this user. Not a use of it, and bounded in time as
    /// [`Provider::identify`] is.
    async fn look_again(&self, _shown: &Shown<'_>, _user: &User) -> Identity {
        Identity::NotMine
    }

    /// Whether what it asks, and is to answer, fits: not before that was looked at. Until it does nobody comes in by it, and
    /// the server is not ready.
    fn is_fit(&self) -> bool {
        true
    }

    /// Something of this user was revoked: answers about them that are kept, or asked for and not there yet, answer for
    /// nobody who comes from now on. Never waits.
    fn forget(&self, _user_id: &str) {}
}

/// What a provider makes of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Another kind of credential; ask the next provider.
    NotMine,
    /// This user.
    User(User),
    /// This kind of credential, but no good.
    Refused(crate::protocol::Code),
}

/// Whether what survives a restart can be reached.
pub trait StoreHealth: Send + Sync + 'static {
    /// Whether the store was opened and does not work now. Until it does, the server is not ready.
    fn is_away(&self) -> bool;
}

/// Whether the sources of bus events could be read.
pub trait BusSources: Send + Sync + 'static {
    /// The sources that this process has not read once since it started, by the names that metrics have:
    /// `postgres:tidegate_outbox`. While there is one the server is not ready; a source that is away later leaves it ready.
    fn unread(&self) -> Vec<String>;
}

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since the Unix epoch.
    fn now_unix_s(&self) -> u64;

    /// Milliseconds since the Unix epoch.
    fn now_unix_ms(&self) -> u64 {
        self.now_unix_s().saturating_mul(1000)
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_unix_s(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn now_unix_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The ports of a gate keeper, chosen once in `app`.
#[derive(Clone)]
pub struct Ports {
    /// Publications out.
    pub rooms: Arc<dyn Rooms>,
    /// The other nodes.
    pub broker: Arc<dyn Broker>,
    /// Bus events out.
    pub bus: Arc<dyn Bus>,
    /// Bus events that could not cross.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Sessions and subscriptions that end before their time.
    pub clients: Arc<dyn Clients>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
}
