//! What the flow needs of the world, as traits, one file a port: each has a real implementation in an adapter and a fake
//! in the tests.

mod bus;
mod clients;
mod clock;
mod dead_letters;
mod fault;
mod history;
mod idempotency_keys;
mod plugins;
mod provider;
mod retained;
mod rooms;
mod shared_members;
mod store_health;
mod watch;

use std::sync::Arc;

pub use super::recordings::{NoRecording, RecordingEnd, RecordingPage, RecordingState, RecordingWish};
pub use super::roster::{
    BreakerStatus, LastFault, PluginRoster, PluginService, PluginState, PluginStatus, RememberedFault,
};
pub use super::shadow_status::{ShadowDifference, ShadowStatus};
pub use bus::{Bus, BusFull, BusSources};
pub use clients::{Clients, Touched};
pub use clock::{Clock, SystemClock};
pub use dead_letters::{DeadLetters, Letters, LettersAway};
pub use fault::{Exceeded, Fault, FaultKind};
pub use history::{Appended, ENTRY_BYTES, Entry, Extent, History, HistoryAway, Page, Wanted};
pub use idempotency_keys::{Claim, Claimed, IdempotencyKeys, KeysAway};
pub use plugins::{
    Action, Answer, AuthorizerCall, ConnectionCall, Decision, Grant, HandlerCall, IdentifyCall, Outcome, Phase,
    PluginEffect, PluginRefusal, PluginVersion, Plugins, Recognition, TransformCall,
};
pub use provider::{Identity, Provider};
pub use retained::{Removal, Removed, Retained, RetainedAway, Taken, Values, ValuesUnread};
pub use rooms::Rooms;
pub use shared_members::{Elsewhere, MemberThere, MembersAway, MembersNews, MembersUpdate, SharedMembers, TopicUpdate};
pub use store_health::StoreHealth;
pub use watch::{Unwatched, Watch};

use super::Budgets;
use super::broker::Broker;
use super::revoke::Revocations;

/// The ports of the gates, chosen once in `app`.
#[derive(Clone)]
pub struct Ports {
    /// Outgoing publications.
    pub rooms: Arc<dyn Rooms>,
    /// The other nodes.
    pub broker: Arc<dyn Broker>,
    /// The publications of channels with history.
    pub history: Arc<dyn History>,
    /// The last values and versions of channels that retain values or have versions.
    pub retained: Arc<dyn Retained>,
    /// Outgoing bus events.
    pub bus: Arc<dyn Bus>,
    /// Bus events that could not cross.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The sessions and subscriptions of this node, for revocations.
    pub clients: Arc<dyn Clients>,
    /// The idempotency keys of publishes.
    pub idempotency_keys: Arc<dyn IdempotencyKeys>,
    /// The members that all nodes have together.
    pub shared_members: Arc<dyn SharedMembers>,
    /// What happens to the server itself.
    pub watch: Arc<dyn Watch>,
    /// The revocations in force.
    pub revocations: Arc<Revocations>,
    /// The shares of teams, which plugins and stores count in, too.
    pub budgets: Arc<Budgets>,
}
