//! The four gates and the bridge. They decide and return effects; they use no socket, no WebAssembly and no database.
//!
//! There is one file for each verb. Every verb loads the [`Serving`] once, so that one event sees one generation from
//! beginning to end.

mod ages;
mod bridge;
mod broadcast;
pub mod broker;
mod budgets;
mod connect;
mod connection;
mod credential;
mod decisions;
mod doubt;
mod duplicates;
mod effects;
mod elapsed;
mod expiry;
mod explain;
mod explain_words;
mod held;
mod history_memory;
pub mod http_client;
mod inbound;
mod ingress;
mod inspect;
pub mod kv;
mod kv_memory;
mod live;
mod look;
mod nodes;
mod origin;
mod own_events;
pub mod ports;
mod presence;
mod publication;
mod publish;
pub mod queries;
mod rate;
mod recheck;
mod recordings;
mod recovery;
mod reloads;
mod restore;
mod retained;
mod retained_memory;
pub mod revoke;
mod roster;
mod session;
pub mod sessions;
mod shadow_status;
mod snapshot;
mod subscribe;
mod subscription;
mod thinning;
mod walk;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::time::Instant;

pub use budgets::{Budget, Budgets, LetterShare, Seat, Seats, Standing, TeamBudget};
pub use connect::{Admission, AuthPolicy, AuthProvider, Lifetimes};
pub use credential::{Handshake, Shown};
pub use effects::{Audience, DeadLetter, Effect, PendingPublish};
pub use elapsed::{Elapsed, LOOK_AGAIN};
pub use expiry::Ending;
pub use explain::{Asker, Explanation, Question, Step};
pub use held::{Held, HeldGuard, Turn, Verdict};
pub use history_memory::MemoryHistory;
pub use inbound::Receipt;
pub use inspect::{Kept, KeptValue};
pub use kv_memory::MemoryKv;
pub use look::Looked;
pub use own_events::{OwnEvent, Sieve};
pub use ports::Ports;
pub use publication::Publication;
pub use publish::{PublishReceipt, PublishRequest};
pub use recovery::{Asked, HistoryAnswer};
pub use reloads::{RELOADS_MAX, Reload, ReloadError, ReloadLog, ReloadOutcome};
pub use restore::{Left, Restored, Unrestored};
pub use retained_memory::MemoryRetained;
pub use session::Session;
pub use subscription::Membership;

use crate::channels::{Catalog, Channel, Resolved};
use crate::config::Limits;
use crate::protocol::{Code, ConnectionId, Generation, Params, Refusal, Topic, User};
use crate::telemetry::{self, Gate, Span, SpanKind, current_trace};

/// What one generation serves: the declared channels, and the plugins that answer. It is replaced as a whole.
#[derive(Clone)]
pub struct Serving {
    /// The declared channels and rules.
    pub catalog: Arc<Catalog>,
    /// The plugins.
    pub plugins: Arc<dyn ports::Plugins>,
}

/// The four gates.
pub struct Gates {
    serving: ArcSwap<Serving>,
    auth: AuthPolicy,
    rates: rate::Rates,
    decisions: decisions::Decisions,
    elapsed: Arc<Elapsed>,
    taken: duplicates::Taken,
    presence: Arc<presence::Presence>,
    thinning: thinning::Thinning,
    limits: Limits,
    ports: Ports,
    draining: AtomicBool,
    /// Clients can connect.
    is_serving: AtomicBool,
    /// It was told that this node is there.
    has_joined: AtomicBool,
}

/// The context of a plugin call: who calls, on which topic.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The topic with its channel and params.
    pub resolved: Resolved,
    /// The user, if the connection has one.
    pub user: Option<Arc<User>>,
    /// The connection.
    pub connection: ConnectionId,
}

impl CallContext {
    /// The topic.
    #[must_use]
    pub const fn topic(&self) -> &Topic {
        &self.resolved.topic
    }

    /// The topic's params.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.resolved.params
    }

    /// The user's id.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_deref().map(|user| user.id.as_str())
    }

    /// The channel's template, as declared.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.resolved.channel.template.as_str()
    }
}

impl Gates {
    /// Opens the gates with a first generation.
    #[must_use]
    pub fn new(serving: Serving, auth: AuthPolicy, limits: Limits, ports: Ports) -> Self {
        let elapsed = Arc::new(Elapsed::new(ports.clock.clone()));
        let recheck = auth.lifetimes.recheck;
        let gates = Self {
            serving: ArcSwap::from_pointee(serving),
            rates: rate::Rates::default(),
            decisions: decisions::Decisions::new(limits.authorizer_cache_max, recheck, elapsed.clone()),
            elapsed,
            auth,
            taken: duplicates::Taken::new(limits.duplicates_max, limits.duplicates_window),
            presence: presence::Presence::new(
                limits.presence_members_max,
                ports.clock.clone(),
                ports.shared_members.clone(),
            ),
            thinning: thinning::Thinning::new(limits.thinning_bytes_max),
            limits,
            ports,
            draining: AtomicBool::new(false),
            is_serving: AtomicBool::new(false),
            has_joined: AtomicBool::new(false),
        };
        gates.want_own_events();
        gates
    }

    /// The current generation. Hold it for one event and no longer: a reload replaces it.
    #[must_use]
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// The number of the current generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.serving.load().catalog.generation()
    }

    /// Puts the next generation in force. Running events finish on the generation that they began with.
    pub fn replace(&self, serving: Serving) {
        self.rates.keep_only(&serving.catalog);
        let before = self.serving.swap(Arc::new(serving));
        self.want_own_events();
        self.forget_unkept(&before, Channel::is_ordered, |is_kept| self.ports.history.keep_only(is_kept));
        let keeps = |channel: &Channel| channel.keeping().is_some();
        self.forget_unkept(&before, keeps, |is_kept| self.ports.retained.keep_only(is_kept));
    }

    /// Forgets what was kept of channels that keep it no more since another generation is served.
    fn forget_unkept(
        &self,
        before: &Serving,
        keeps: impl Fn(&Channel) -> bool,
        keep_only: impl FnOnce(&dyn Fn(&Topic) -> bool),
    ) {
        let now = self.serving();
        let keeping = |serving: &Serving| -> HashSet<String> {
            let keeping = serving.catalog.channels().filter(|channel| keeps(channel));
            keeping.map(|channel| channel.template.to_string()).collect()
        };
        if !keeping(before).is_subset(&keeping(&now)) {
            keep_only(&|topic| now.catalog.resolve(topic.as_str()).is_some_and(|found| keeps(&found.channel)));
        }
    }

    /// The budgets of teams.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.ports.budgets
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// From now on every gate answers `draining`.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.presence.freeze();
    }

    /// Whether [`Gates::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Removes data that is too old to matter: rate windows of silent users, expired decisions and revocations. Call it
    /// about once a minute.
    pub fn sweep(&self) {
        self.decisions.sweep();
        self.rates.sweep();
        self.ports.revocations.sweep(self.ports.clock.now_unix_s());
        self.ports.history.sweep();
        self.ports.retained.sweep();
    }

    /// The time for everything that is valid for a while.
    #[must_use]
    pub fn elapsed(&self) -> &Elapsed {
        &self.elapsed
    }

    /// Whether other nodes are unreachable now.
    #[must_use]
    pub fn is_broker_away(&self) -> bool {
        self.ports.broker.is_away()
    }

    fn refuse_while_draining(&self) -> Result<(), Refusal> {
        if self.is_draining() { Err(Code::Draining.into()) } else { Ok(()) }
    }

    /// The session's user; refused if the credential has expired. This counts as activity: a credential that ends when
    /// the user is idle lasts longer now.
    fn user_of(&self, session: &Session) -> Result<Option<Arc<User>>, Refusal> {
        let user = session.user();
        if let Some(user) = &user {
            let now_unix_s = self.ports.clock.now_unix_s();
            if user.is_expired(now_unix_s) {
                return Err(Code::TokenExpired.into());
            }
            if let Some(activity) = &user.activity {
                activity.heard(now_unix_s);
            }
        }
        Ok(user)
    }
}

/// The way of one event through a gate: counted, timed and traced.
struct Passage {
    gate: Gate,
    started: Instant,
    span: Span,
}

impl Passage {
    /// An event is before a gate. A trace may begin here.
    fn begin(gate: Gate) -> Self {
        Self::of(gate, Span::begin(gate.span(), SpanKind::Internal, current_trace()))
    }

    /// A publication is before gate 4, on behalf of what this task works for.
    fn inside(gate: Gate) -> Self {
        Self::of(gate, Span::inside(gate.span(), SpanKind::Internal))
    }

    fn of(gate: Gate, span: Span) -> Self {
        Self { gate, started: Instant::now(), span }
    }

    /// The event is through, or refused. Metrics have the channel's template and never the topic, so that the number of
    /// labels stays bounded.
    fn end<T>(mut self, resolved: Option<(&Channel, &Topic)>, result: &Result<T, Refusal>) {
        let outcome = result.as_ref().map_or_else(|refusal| refusal.code.as_str(), |_| "ok");
        let channel = resolved.map_or(telemetry::NO_CHANNEL, |(channel, _)| channel.template.as_str());
        telemetry::gate(self.gate, channel, outcome, self.started.elapsed());
        self.span.describe(|| [("tidegate.channel", channel.to_owned().into()), ("tidegate.outcome", outcome.into())]);
        if let Some((_, topic)) = resolved {
            self.span.describe(|| [("tidegate.topic", topic.as_str().to_owned().into())]);
        }
        if let Err(refusal) = result
            && matches!(refusal.code, Code::HandlerFailed | Code::HandlerTimeout | Code::Unavailable | Code::Internal)
        {
            self.span.fail(outcome);
        }
    }
}
