//! Limits how often one user may send on one channel. The only home of `governor`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::Clock;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::CallContext;
use crate::channels::{Catalog, Rate};
use crate::protocol::{Code, Refusal};

/// The windows of all channels with a rate. A window survives a reload that does not change the channel's rate.
#[derive(Default)]
pub(super) struct Rates {
    by_channel: DashMap<(String, Rate), Arc<Windows>>,
}

type Windows = RateLimiter<
    String,
    governor::state::keyed::DashMapStateStore<String>,
    TokioClock,
    governor::middleware::NoOpMiddleware<Nanos>,
>;

impl Rates {
    /// Takes one message from the sender's window: the window of the user, or of the connection if it is anonymous.
    pub(super) fn take(&self, channel: &str, rate: Rate, context: &CallContext) -> Result<(), Refusal> {
        let windows = self.windows(channel, rate);
        let sender = match &context.user {
            Some(user) => format!("user:{:?}", (&user.tenant, &user.id)),
            None => format!("connection:{}", context.connection),
        };
        windows.check_key(&sender).map_err(|_| Refusal::new(Code::RateLimited))
    }

    fn windows(&self, channel: &str, rate: Rate) -> Arc<Windows> {
        let key = (channel.to_owned(), rate);
        if let Some(windows) = self.by_channel.get(&key) {
            return windows.clone();
        }
        let entry = self.by_channel.entry(key);
        entry.or_insert_with(|| Arc::new(RateLimiter::dashmap_with_clock(quota(rate), TokioClock::new()))).clone()
    }

    /// Removes the windows of silent senders.
    pub(super) fn sweep(&self) {
        for windows in &self.by_channel {
            windows.retain_recent();
        }
    }

    /// Removes the windows of channels that a new catalog no longer has, or has with another rate.
    pub(super) fn keep_only(&self, catalog: &Catalog) {
        let rated: std::collections::HashSet<(String, Rate)> = catalog
            .channels()
            .filter_map(|channel| {
                let rate = channel.inbound.as_ref()?.rate?;
                Some((channel.template.as_str().to_owned(), rate))
            })
            .collect();
        self.by_channel.retain(|key, _| rated.contains(key));
    }
}

fn quota(rate: Rate) -> Quota {
    // A rate with less than a nanosecond for a message is not a useful rate; the floor keeps the quota well-defined.
    let period = (rate.per / rate.messages.get()).max(Duration::from_nanos(1));
    Quota::with_period(period).unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX)).allow_burst(rate.messages)
}

/// Tokio's clock, so that tests can stop and move it.
#[derive(Debug, Clone)]
struct TokioClock {
    started: Instant,
}

impl TokioClock {
    fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.started.elapsed())
    }
}
