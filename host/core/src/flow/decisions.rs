//! Cached grants of authorizers: a yes is kept for the time that its plugin granted, a no is never kept. The only home
//! of `quick_cache`.
//!
//! The key of a decision is the whole question: plugin and version, action, topic, channel, and the user with the roles
//! that the plugin saw. A connection without a user has its own decisions, because an authorizer may tell such
//! connections apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use tokio::time::Instant;

use super::ports::{Action, PluginVersion};
use super::{CallContext, Elapsed};
use crate::protocol::{ConnectionId, PluginName, Topic};
use crate::telemetry;

/// Longest time a decision is kept, whatever the plugin grants.
pub(super) const TTL_MAX: Duration = Duration::from_secs(60 * 60);
/// Most users and topics whose earlier decisions are void. Beyond this number all earlier decisions are void: that
/// costs plugin calls, but admits nobody wrongly.
const FORGOTTEN_MAX: usize = 100_000;
/// The last tenth of a grant is divided into so many moments.
const TURNS: u32 = 1000;

/// The reusable decisions, at most `limits.authorizer_cache`. The least used are dropped first.
pub(super) struct Decisions {
    /// `None` if the operator turned the cache off.
    granted: Option<Cache<Asked, Granted, UnitWeighter, DefaultHashBuilder, CountEvictions>>,
    forgotten: RwLock<Forgotten>,
    /// After how long a subscription is re-authorized if its authorizer grants no time; `None`: never.
    recheck: Option<Duration>,
    /// Spreads re-authorizations over time.
    turns: AtomicU32,
    elapsed: Arc<Elapsed>,
}

/// A yes of an authorizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    /// The age of the question among revocations: the answer knows nothing of later ones.
    pub(super) asked_at: Age,
    /// Until when it answers the same question, in the time of [`Decisions::now`]; `None`: only this once.
    pub(super) until: Option<Instant>,
    /// When a subscription that rests on it must be re-authorized; `None`: never.
    pub(super) ask_again: Option<Instant>,
}

/// A point in the sequence of revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Age(u64);

/// The users and topics whose earlier decisions are void. An entry matters until the last of those decisions would have
/// ended.
#[derive(Default)]
struct Forgotten {
    now: Age,
    users: HashMap<String, (Age, Instant)>,
    topics: HashMap<Topic, (Age, Instant)>,
    /// For all users and topics.
    all: Age,
}

impl Forgotten {
    fn since(&self, user: Option<&str>, topic: &Topic) -> Age {
        let of_user = user.and_then(|user| self.users.get(user)).map(|(age, _)| *age);
        let of_topic = self.topics.get(topic).map(|(age, _)| *age);
        self.all.max(of_user.unwrap_or_default()).max(of_topic.unwrap_or_default())
    }
}

/// The question of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    plugin: PluginName,
    version: PluginVersion,
    action: Action,
    topic: Topic,
    /// A reload may declare the topic with another channel and other params.
    channel: String,
    by: Asker,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asker {
    User { id: String, roles: Vec<String>, tenant: Option<String> },
    Anonymous(ConnectionId),
}

impl Asked {
    pub(super) fn new(plugin: &PluginName, version: PluginVersion, action: Action, context: &CallContext) -> Self {
        let by = match &context.user {
            Some(user) => Asker::User { id: user.id.clone(), roles: user.roles.clone(), tenant: user.tenant.clone() },
            None => Asker::Anonymous(context.connection.clone()),
        };
        let (topic, channel) = (context.topic().clone(), context.channel().to_owned());
        Self { plugin: plugin.clone(), version, action, topic, channel, by }
    }

    fn user(&self) -> Option<&str> {
        match &self.by {
            Asker::User { id, .. } => Some(id),
            Asker::Anonymous(_) => None,
        }
    }
}

impl Decisions {
    /// Room for at most `decisions_max` decisions; 0 turns the cache off. `recheck` is how long a subscription is held
    /// on a yes without a time; zero: for as long as it lasts.
    pub(super) fn new(decisions_max: usize, recheck: Duration, elapsed: Arc<Elapsed>) -> Self {
        let cache = || {
            let (weight, counts) = (decisions_max as u64, CountEvictions(elapsed.clone()));
            Cache::with(decisions_max, weight, UnitWeighter, DefaultHashBuilder::default(), counts)
        };
        let recheck = (!recheck.is_zero()).then_some(recheck);
        let granted = (decisions_max > 0).then(cache);
        Self { granted, forgotten: RwLock::default(), recheck, turns: AtomicU32::new(0), elapsed }
    }

    /// The present time for grants.
    pub(super) fn now(&self) -> Instant {
        self.elapsed.now()
    }

    /// A yes that answered exactly this question and is still valid.
    pub(super) fn find(&self, asked: &Asked) -> Option<Granted> {
        let cache = self.granted.as_ref()?;
        let now = self.now();
        let found = cache.get(asked);
        let holds =
            found.filter(|granted| granted.holds(now) && self.counts(asked.user(), &asked.topic, granted.asked_at));
        if found.is_some() && holds.is_none() {
            cache.remove_if(asked, |granted| Some(*granted) == found);
        }
        telemetry::authorizer_cache(asked.plugin.as_str(), if holds.is_some() { "hit" } else { "miss" });
        holds
    }

    /// Keeps a yes to a question of age `asked_at`, for an hour at most. Without a time it is only for this once.
    pub(super) fn keep(&self, asked: Option<Asked>, asked_at: Age, ttl: Duration) -> Granted {
        let (now, ttl) = (self.now(), ttl.min(TTL_MAX));
        let until = (!ttl.is_zero()).then(|| now + ttl);
        let ask_again = if ttl.is_zero() { self.recheck } else { Some(ttl) };
        let granted = Granted { asked_at, until, ask_again: ask_again.map(|time| now + self.early(time)) };
        if let (Some(cache), Some(asked), Some(_)) = (&self.granted, asked, until) {
            cache.insert(asked, granted);
        }
        granted
    }

    /// Nine tenths of a time plus a part of the last tenth, so that subscriptions granted at the same time are not all
    /// re-authorized at the same time.
    pub(super) fn early(&self, time: Duration) -> Duration {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % TURNS;
        time * (9 * TURNS + turn) / (10 * TURNS)
    }

    /// A time plus up to half of it, so that subscriptions that fell into doubt at the same time are not all asked
    /// about at the same time.
    pub(super) fn late(&self, time: Duration) -> Duration {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % TURNS;
        time + time * turn / (2 * TURNS)
    }

    /// Whether no revocation has affected this user or topic since the question was asked.
    pub(super) fn counts(&self, user: Option<&str>, topic: &Topic, asked_at: Age) -> bool {
        asked_at >= self.forgotten.read().since(user, topic)
    }

    /// The present point in the sequence of revocations.
    pub(super) fn age(&self) -> Age {
        self.forgotten.read().now
    }

    /// Voids all decisions so far about a user's subscriptions, or, without a user, about those of a topic.
    pub(super) fn forget(&self, user: Option<&str>, topic: Option<&Topic>) {
        let mut forgotten = self.forgotten.write();
        let now = Age(forgotten.now.0 + 1);
        if forgotten.users.len() + forgotten.topics.len() >= FORGOTTEN_MAX {
            *forgotten = Forgotten { all: now, ..Forgotten::default() };
        }
        forgotten.now = now;
        match (user, topic) {
            (Some(user), _) => drop(forgotten.users.insert(user.to_owned(), (now, self.now()))),
            (None, Some(topic)) => drop(forgotten.topics.insert(topic.clone(), (now, self.now()))),
            (None, None) => {}
        }
    }

    /// Removes expired decisions.
    pub(super) fn sweep(&self) {
        let now = self.now();
        if let Some(cache) = &self.granted {
            cache.retain(|_, granted| granted.holds(now));
        }
        let mut forgotten = self.forgotten.write();
        let matters = |at: Instant| now.saturating_duration_since(at) <= TTL_MAX;
        forgotten.users.retain(|_, (_, at)| matters(*at));
        forgotten.topics.retain(|_, (_, at)| matters(*at));
    }
}

impl Granted {
    /// A grant where no authorizer is needed.
    pub(super) const fn to_everyone(asked_at: Age) -> Self {
        Self { asked_at, until: None, ask_again: None }
    }

    fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Counts the decisions that the cache dropped for others.
#[derive(Clone)]
struct CountEvictions(Arc<Elapsed>);

impl Lifecycle<Asked, Granted> for CountEvictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), asked: Asked, granted: Granted) {
        if granted.holds(self.0.now()) {
            telemetry::authorizer_cache(asked.plugin.as_str(), "evicted");
        }
    }
}
