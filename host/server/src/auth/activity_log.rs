//! When sessions were used: kept in memory while their connections last, and written back in batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use tidegate_core::flow::ports::Clock;
use tidegate_core::flow::sessions::{BATCH_MAX, SessionKey, SessionUse, Sessions};
use tidegate_core::protocol::Activity;
use tidegate_core::telemetry;

/// Most sessions in memory. For further ones only the connection itself knows when it was used.
const SESSIONS_MAX: usize = 200_000;
/// How long a session's record outlives its last use, beyond its longest timeout: as long as it must not be accepted
/// again.
const KEPT_BEYOND: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Most sessions that the store is asked about in one interval; the sessions of different users rarely become idle at
/// the same time.
const ASKED_MAX: usize = 1000;
const ASKED_AT_ONCE_MAX: usize = 16;
/// How often old records are removed.
const FORGET_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The sessions with connections, and those whose last use is not written back yet.
pub(super) struct ActivityLog {
    sessions: Arc<dyn Sessions>,
    clock: Arc<dyn Clock>,
    followed: Mutex<HashMap<SessionKey, Followed>>,
    /// Notified when first uses should be written at once.
    hurry: Notify,
    /// How often it is written back, and how long that may take.
    interval: Duration,
    patience: Duration,
    /// How long a record is useful after its last change.
    kept: Duration,
}

/// What to write back.
#[derive(Clone, Copy)]
enum What {
    /// Sessions that the store does not know.
    FirstUses,
    /// All sessions that were used since.
    All,
}

struct Followed {
    activity: Activity,
    first_unix_s: u64,
    /// The last use that the store knows.
    written_unix_s: u64,
    /// When the store was last asked about uses on other nodes.
    asked_unix_s: u64,
}

impl Followed {
    fn is_to_be_asked_about(&self, now_unix_s: u64, interval: Duration) -> bool {
        let Some(ends_at) = self.activity.ends_at().filter(|_| !self.activity.is_left()) else { return false };
        let last_unix_s = self.activity.last_unix_s();
        let half_unix_s = last_unix_s + (ends_at - last_unix_s) / 2;
        // Another node may have written its latest activity up to one interval late, and this node asks again after
        // another interval.
        let soon_unix_s = ends_at.saturating_sub(interval.saturating_mul(2).as_secs().max(1));
        now_unix_s < ends_at
            && now_unix_s >= half_unix_s
            && (self.asked_unix_s < half_unix_s || now_unix_s >= soon_unix_s)
    }
}

impl ActivityLog {
    pub(super) fn new(
        sessions: Arc<dyn Sessions>,
        clock: Arc<dyn Clock>,
        interval: Duration,
        patience: Duration,
        longest: Duration,
    ) -> Self {
        let kept = longest.saturating_add(KEPT_BEYOND);
        Self { sessions, clock, followed: Mutex::default(), hurry: Notify::new(), interval, patience, kept }
    }

    /// The known use of a session that has or had a connection here.
    pub(super) fn used(&self, key: &SessionKey) -> Option<SessionUse> {
        let followed = self.followed.lock();
        let session = followed.get(key)?;
        Some(SessionUse { first_unix_s: session.first_unix_s, last_unix_s: session.activity.last_unix_s() })
    }

    /// A session is used now; `stored` is its use in the store.
    pub(super) fn follow(&self, key: SessionKey, stored: Option<SessionUse>, idle_s: u64) -> Activity {
        let now_unix_s = self.clock.now_unix_s();
        let mut followed = self.followed.lock();
        if let Some(session) = followed.get(&key) {
            session.activity.heard(now_unix_s);
            return session.activity.clone();
        }
        let activity = Activity::new(now_unix_s, idle_s);
        if followed.len() >= SESSIONS_MAX {
            telemetry::auth_activity("dropped", 1);
            return activity;
        }
        let first_unix_s = stored.map_or(now_unix_s, |stored| stored.first_unix_s.min(now_unix_s));
        let written_unix_s = stored.map_or(0, |stored| stored.last_unix_s);
        let asked_unix_s = now_unix_s;
        followed.insert(key, Followed { activity: activity.clone(), first_unix_s, written_unix_s, asked_unix_s });
        activity
    }

    /// Writes sessions with a new first use at once.
    pub(super) fn write_first_uses_now(&self) {
        self.hurry.notify_one();
    }

    /// Writes changes back, batch by batch; what cannot be written waits for the next time.
    async fn write_back(&self, what: What) {
        let changed: Vec<(SessionKey, SessionUse)> = {
            let followed = self.followed.lock();
            let changed = followed.iter().filter(|(_, session)| match what {
                What::FirstUses => session.written_unix_s == 0,
                What::All => session.activity.last_unix_s() > session.written_unix_s,
            });
            let used = |session: &Followed| SessionUse {
                first_unix_s: session.first_unix_s,
                last_unix_s: session.activity.last_unix_s(),
            };
            changed.map(|(key, session)| (key.clone(), used(session))).collect()
        };
        for batch in changed.chunks(BATCH_MAX) {
            let written = timeout(self.patience, self.sessions.write_back(batch)).await;
            let why = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {:?}", self.patience)),
            };
            if let Some(why) = why {
                telemetry::auth_activity("failed", batch.len());
                tracing::debug!(
                    why,
                    sessions = batch.len(),
                    "the activity of sessions is not written back yet, trying again"
                );
                break;
            }
            telemetry::auth_activity("written", batch.len());
            let mut followed = self.followed.lock();
            for (key, used) in batch {
                if let Some(session) = followed.get_mut(key) {
                    session.written_unix_s = session.written_unix_s.max(used.last_unix_s);
                }
            }
        }
        let is_wanted =
            |session: &Followed| !session.activity.is_left() || session.activity.last_unix_s() > session.written_unix_s;
        self.followed.lock().retain(|_, session| is_wanted(session));
    }

    /// Asks the store about uses on other nodes, before a session would end here that is used there: once for sessions
    /// at half of their idle time, and every time for those that end soon.
    async fn hear_of_others(&self) {
        let now_unix_s = self.clock.now_unix_s();
        let mut silent = Vec::new();
        for (key, session) in self.followed.lock().iter_mut() {
            if silent.len() < ASKED_MAX && session.is_to_be_asked_about(now_unix_s, self.interval) {
                session.asked_unix_s = now_unix_s;
                silent.push((key.clone(), session.activity.clone()));
            }
        }
        let ask = |(key, activity): (SessionKey, Activity)| async move {
            match timeout(self.patience, self.sessions.used(&key)).await {
                Ok(Ok(Some(used))) => activity.heard(used.last_unix_s.min(now_unix_s)),
                Ok(Ok(None)) => {}
                Ok(Err(_)) | Err(_) => tracing::debug!("cannot find out whether a session is used on another node"),
            }
        };
        futures_util::stream::iter(silent).for_each_concurrent(ASKED_AT_ONCE_MAX, ask).await;
    }

    /// Writes back periodically, and once more at the end.
    pub(super) async fn run(&self, shutdown: CancellationToken) {
        let mut since_forgotten = Duration::ZERO;
        while shutdown.run_until_cancelled(self.pause()).await.is_some() {
            self.write_back(What::All).await;
            self.hear_of_others().await;
            since_forgotten = since_forgotten.saturating_add(self.interval);
            if since_forgotten >= FORGET_INTERVAL {
                since_forgotten = Duration::ZERO;
                let before = self.clock.now_unix_s().saturating_sub(self.kept.as_secs());
                if let Ok(Err(error)) = timeout(self.patience, self.sessions.forget(before)).await {
                    tracing::debug!(%error, "old sessions are not removed yet, trying again");
                }
            }
        }
        self.write_back(What::All).await;
    }

    /// Waits until everything should be written back. First uses are written meanwhile.
    async fn pause(&self) {
        let over = sleep(self.interval);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                () = self.hurry.notified() => self.write_back(What::FirstUses).await,
            }
        }
    }
}
