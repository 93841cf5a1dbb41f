//! The `session` provider: finds the sessions of a web application in the store, with a query.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::activity_log::ActivityLog;
use super::health::Health;
use super::web_session_row::{USER_ID, Unfit, judge_columns, moment, user};
use tidegate_core::config::{HumanDuration, SessionProvider};
use tidegate_core::flow::Shown;
use tidegate_core::flow::ports::{Clock, Identity, Provider};
use tidegate_core::flow::queries::{Queries, Query, QueryBounds, QueryError, QueryMistake, QueryParam};
use tidegate_core::flow::sessions::{SessionKey, SessionUse, Sessions, SessionsError};
use tidegate_core::protocol::{Code, User};
use tidegate_core::telemetry;

/// Longest id of a session, in bytes.
const ID_BYTES_MAX: usize = 1024;
/// One session has one row: a second row shows that the query finds several.
const ROWS_MAX: usize = 2;
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How often a query is checked again that the database could not check before.
const PREPARE_INTERVAL: Duration = Duration::from_secs(1);

/// Remembers nothing, for cases without connections: a check of the configuration, a store in memory.
pub struct NoSessions;

fn nothing_kept<T>() -> Result<T, SessionsError> {
    Err(SessionsError("this store keeps no sessions".to_owned()))
}

#[async_trait]
impl Sessions for NoSessions {
    async fn open(&self) -> Result<(), SessionsError> {
        nothing_kept()
    }

    async fn used(&self, _: &SessionKey) -> Result<Option<SessionUse>, SessionsError> {
        nothing_kept()
    }

    async fn write_back(&self, _: &[(SessionKey, SessionUse)]) -> Result<(), SessionsError> {
        nothing_kept()
    }

    async fn forget(&self, _: u64) -> Result<u64, SessionsError> {
        nothing_kept()
    }
}

/// Finds sessions in the store.
pub(super) struct WebSessions {
    provider: SessionProvider,
    cookies: [String; 1],
    queries: Arc<dyn Queries>,
    /// Prepared at the start, or as soon as the store is reachable.
    query: OnceCell<Query>,
    sessions: Arc<dyn Sessions>,
    log: ActivityLog,
    clock: Arc<dyn Clock>,
    health: Health,
}

/// Why a session is looked for.
#[derive(Clone, Copy)]
enum Asking<'a> {
    /// Somebody connects with it.
    First,
    /// This user, found by it earlier, is connected with it.
    Again(&'a User),
    /// Somebody wants to know whose it is.
    Question,
}

/// Why the query cannot be used.
enum Unprepared {
    /// Never: it has an error.
    Unfit(Unfit),
    /// The database could not be asked.
    Away(String),
}

/// The result for a session's id.
enum Found {
    User(User),
    /// There is no such session.
    Nobody,
    /// There was one, but it has ended.
    Over,
    /// Its row names no user that could be accepted; the message is for the log. Other rows may.
    Odd(String),
}

impl WebSessions {
    pub(super) fn new(
        provider: SessionProvider,
        queries: Arc<dyn Queries>,
        sessions: Arc<dyn Sessions>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (interval, patience) = (provider.write_back.get(), provider.timeout.get());
        let longest = provider.idle.get().max(provider.absolute.get());
        let log = ActivityLog::new(sessions.clone(), clock.clone(), interval, patience, longest);
        let cookies = [provider.cookie.clone()];
        let health = Health::new("session", provider.cookie.clone());
        Self { provider, cookies, queries, query: OnceCell::new(), sessions, log, clock, health }
    }

    /// Lets the database check the query. If the store is away, the query is checked later.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub(super) async fn check(&self) -> Result<(), Unfit> {
        match timeout(self.provider.timeout.get(), self.query()).await {
            Ok(Err(Unprepared::Unfit(unfit))) => {
                self.health.failed(&unfit.why);
                Err(unfit)
            }
            Ok(Err(Unprepared::Away(why))) => {
                self.health.failed(&why);
                Ok(())
            }
            Err(_) => {
                self.health.failed(&format!("no answer within {}", self.provider.timeout));
                Ok(())
            }
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Checks the query until it is known to fit, then records when sessions are used, until `shutdown`.
    pub(super) async fn run(&self, shutdown: CancellationToken) {
        let prepared = async {
            while self.query.get().is_none() {
                sleep(PREPARE_INTERVAL).await;
                // The reason for a failure was reported.
                let _ = self.check().await;
            }
            self.health.answered();
        };
        tokio::join!(shutdown.run_until_cancelled(prepared), self.log.run(shutdown.clone()));
    }

    async fn query(&self) -> Result<&Query, Unprepared> {
        let prepare = || async {
            let query = self.queries.prepare(&self.provider.query).await.map_err(|mistake| match mistake {
                QueryMistake::Refused(why) => Unprepared::Unfit(Unfit::new(why)),
                QueryMistake::Unavailable(why) => Unprepared::Away(why),
            })?;
            if let Some(params) = query.params.filter(|params| *params != 1) {
                let why = format!("has {params} parameters, but receives only the session's id");
                return Err(Unprepared::Unfit(Unfit::new(why)));
            }
            judge_columns(query.columns.as_deref()).map_err(Unprepared::Unfit)?;
            Ok(query)
        };
        self.query.get_or_try_init(prepare).await
    }

    /// Only [`Asking::First`] counts as a use of the session.
    async fn find(&self, id: &str, asking: Asking<'_>) -> Result<Found, String> {
        let query = self.query().await.map_err(|unprepared| match unprepared {
            Unprepared::Unfit(Unfit { why, .. }) | Unprepared::Away(why) => why,
        })?;
        let key = self.key(id);
        self.sessions.open().await.map_err(|error| error.to_string())?;
        let params = [QueryParam::Text(id.to_owned())];
        let time_max = self.provider.timeout.get();
        let bounds = QueryBounds { rows_max: ROWS_MAX, bytes_max: ANSWER_BYTES_MAX, time_max };
        let (rows, stored) = tokio::join!(self.queries.run(query, &params, bounds), self.sessions.used(&key));
        let rows = match rows {
            // A text that is not an id at all, for example where ids are UUIDs, belongs to nobody.
            Err(QueryError::Params(_)) => return Ok(Found::Nobody),
            rows => rows.map_err(|error| error.to_string())?,
        };
        let stored = stored.map_err(|error| error.to_string())?;
        let rows: Vec<Map<String, Value>> =
            serde_json::from_str(&rows).map_err(|_| "the query's answer cannot be read".to_owned())?;
        match rows.as_slice() {
            [] => Ok(Found::Nobody),
            [row] if !row.contains_key(USER_ID) => Err(format!("the query has no column `{USER_ID}`")),
            [row] => self.judge(row, key, stored, asking),
            _ => Ok(Found::Odd("the query finds several rows for one session".to_owned())),
        }
    }

    /// Checks that an existing session is still valid.
    ///
    /// # Errors
    /// A time in another form than the query should return: then every other session would have it, too.
    fn judge(
        &self,
        row: &Map<String, Value>,
        key: SessionKey,
        stored: Option<SessionUse>,
        asking: Asking<'_>,
    ) -> Result<Found, String> {
        let now_unix_s = self.clock.now_unix_s();
        let found_before = if let Asking::Again(user) = asking { Some(user) } else { None };
        let goes_on = found_before.and_then(|user| user.activity.clone());
        if let (Some(activity), Some(stored)) = (&goes_on, stored) {
            activity.heard(stored.last_unix_s.min(now_unix_s));
        }
        let here = self.log.used(&key).or_else(|| {
            let last_unix_s = goes_on.as_ref()?.last_unix_s();
            let first_unix_s = found_before.and_then(|user| user.issued_at).unwrap_or(last_unix_s);
            Some(SessionUse { first_unix_s, last_unix_s })
        });
        let known = match (stored, here) {
            (Some(stored), Some(here)) => Some(stored.widened(here)),
            (stored, here) => stored.or(here),
        };
        let (idle_s, absolute_s) = (whole_s(self.provider.idle), whole_s(self.provider.absolute));
        if idle_s > 0 && known.is_some_and(|known| now_unix_s >= known.last_unix_s.saturating_add(idle_s)) {
            return Ok(Found::Over);
        }
        let created = moment(row, "created_at")?;
        let began = created.or(known.map(|known| known.first_unix_s)).unwrap_or(now_unix_s);
        let ends = (absolute_s > 0).then(|| began.saturating_add(absolute_s));
        let expires_at = match (ends, moment(row, "expires_at")?) {
            (Some(ends), Some(expires)) => Some(ends.min(expires)),
            (ends, expires) => ends.or(expires),
        };
        if expires_at.is_some_and(|at| now_unix_s >= at) {
            return Ok(Found::Over);
        }
        // Guests have a session, too.
        let user = match user(row) {
            Ok(Some(user)) => user,
            Ok(None) => return Ok(Found::Nobody),
            Err(why) => return Ok(Found::Odd(why)),
        };
        let token_id = Some(key.as_str().to_owned());
        let activity = match asking {
            Asking::Question => None,
            Asking::First | Asking::Again(_) => Some(goes_on.unwrap_or_else(|| self.log.follow(key, stored, idle_s))),
        };
        // Its age is what it says: revoking a user's credentials ends the sessions that began before.
        Ok(Found::User(User { expires_at, token_id, issued_at: Some(began), activity, ..user }))
    }

    fn key(&self, id: &str) -> SessionKey {
        let mut hash = Sha256::new();
        hash.update(self.provider.cookie.as_bytes());
        hash.update([0]);
        hash.update(id.as_bytes());
        SessionKey::new(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

#[async_trait]
impl Provider for WebSessions {
    /// The age of a session without a beginning is its first use. Other nodes must know it before the user comes to
    /// them: otherwise it would be a new session there.
    fn forget(&self, _user_id: &str) {
        self.log.write_first_uses_now();
    }

    fn cookies(&self) -> &[String] {
        &self.cookies
    }

    fn is_fit(&self) -> bool {
        self.query.get().is_some()
    }

    fn token_id(&self, id: &str) -> Option<String> {
        Some(self.key(id).as_str().to_owned())
    }

    fn looks_again(&self) -> bool {
        true
    }

    async fn look_again(&self, shown: &Shown<'_>, user: &User) -> Identity {
        match self.id(shown) {
            Some(id) => self.answer(id, Asking::Again(user)).await,
            None => Identity::NotMine,
        }
    }

    async fn identify(&self, shown: &Shown<'_>) -> Identity {
        let Some(id) = self.id(shown) else { return Identity::NotMine };
        if id.len() > ID_BYTES_MAX {
            tracing::debug!(bytes = id.len(), "session refused: its id is too long");
            return Identity::Refused(Code::Unauthenticated);
        }
        self.answer(id, if shown.is_question { Asking::Question } else { Asking::First }).await
    }
}

impl WebSessions {
    /// The session's id in a credential.
    fn id<'a>(&self, shown: &Shown<'a>) -> Option<&'a str> {
        let by_cookie = shown.cookies.first().map(|(_, id)| *id);
        // A page can write a value into a URL or a script, which is different from a cookie: an attacker could make a
        // stranger use the attacker's session.
        let by_token = shown.token.filter(|_| self.provider.token && !shown.is_ambient);
        by_cookie.or(by_token)
    }

    /// The user of an id now.
    async fn answer(&self, id: &str, asking: Asking<'_>) -> Identity {
        let found = timeout(self.provider.timeout.get(), self.find(id, asking)).await;
        let found = found.unwrap_or_else(|_| Err(format!("no answer within {}", self.provider.timeout)));
        let (outcome, identity) = match found {
            Ok(Found::User(user)) => ("user", Identity::User(user)),
            Ok(Found::Nobody) => ("refused", Identity::Refused(Code::Unauthenticated)),
            Ok(Found::Over) => ("over", Identity::Refused(Code::TokenExpired)),
            Ok(Found::Odd(why)) => {
                telemetry::auth_odd("session", self.health.source(), &why);
                // A connection that was accepted by a readable row stays until the end that was known then.
                let code = if matches!(asking, Asking::Again(_)) { Code::Unavailable } else { Code::Unauthenticated };
                ("odd", Identity::Refused(code))
            }
            Err(why) => {
                self.health.failed(&why);
                telemetry::auth_lookup("session", "unavailable");
                return Identity::Refused(Code::Unavailable);
            }
        };
        self.health.answered();
        telemetry::auth_lookup("session", outcome);
        identity
    }
}

/// In whole seconds, rounded up: less than one second does not mean no limit.
fn whole_s(time: HumanDuration) -> u64 {
    let time = time.get();
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}
