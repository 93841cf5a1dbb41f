//! What authorizers have granted for a while: a yes is kept for the time its plugin gave it, a no never. The only home
//! of `quick_cache`.
//!
//! A decision is about a question: plugin and version, action, topic, channel, and who asks – the user with the roles
//! the plugin was shown. A connection without a user is nobody but itself, so its decisions are its own: an authorizer
//! that told connections apart would otherwise answer for strangers.

use std::time::Duration;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use tokio::time::Instant;

use super::CallContext;
use super::ports::{Action, PluginVersion};
use crate::protocol::{ConnectionId, PluginName, Topic};
use crate::telemetry;

/// Longest time a decision is kept, whatever the plugin grants.
pub(super) const TTL_MAX: Duration = Duration::from_secs(60 * 60);

/// Decisions that may be reused, `limits.authorizer_cache` at most; the ones used least give way.
pub(super) struct Decisions {
    /// `None` when the operator allows none.
    granted: Option<Cache<Asked, Instant, UnitWeighter, DefaultHashBuilder, CountEvictions>>,
}

/// The question of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    plugin: PluginName,
    version: PluginVersion,
    action: Action,
    topic: Topic,
    /// A reload may declare the topic by another channel, with other params.
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
}

impl Decisions {
    /// Room for so many decisions; none at all with 0.
    pub(super) fn new(decisions_max: usize) -> Self {
        let cache = || {
            let weight = decisions_max as u64;
            Cache::with(decisions_max, weight, UnitWeighter, DefaultHashBuilder::default(), CountEvictions)
        };
        Self { granted: (decisions_max > 0).then(cache) }
    }

    /// Whether this very question was answered with a yes that still holds.
    pub(super) fn holds(&self, asked: &Asked) -> bool {
        let Some(cache) = &self.granted else { return false };
        let holds = match cache.get(asked) {
            Some(until) if Instant::now() < until => true,
            Some(_) => {
                cache.remove_if(asked, |until| *until <= Instant::now());
                false
            }
            None => false,
        };
        telemetry::authorizer_cache(asked.plugin.as_str(), if holds { "hit" } else { "miss" });
        holds
    }

    /// Keeps a yes, an hour at most. Without a time it is for this once.
    pub(super) fn keep(&self, asked: Asked, ttl: Duration) {
        if let Some(cache) = &self.granted
            && !ttl.is_zero()
        {
            cache.insert(asked, Instant::now() + ttl.min(TTL_MAX));
        }
    }

    /// Forgets what no longer holds.
    pub(super) fn sweep(&self) {
        if let Some(cache) = &self.granted {
            let now = Instant::now();
            cache.retain(|_, until| now < *until);
        }
    }
}

/// Counts the decisions that had to give way to others.
#[derive(Debug, Clone, Copy)]
struct CountEvictions;

impl Lifecycle<Asked, Instant> for CountEvictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), asked: Asked, until: Instant) {
        if Instant::now() < until {
            telemetry::authorizer_cache(asked.plugin.as_str(), "evicted");
        }
    }
}
