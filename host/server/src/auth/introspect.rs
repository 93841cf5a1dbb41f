//! The `introspect` provider: asks a web application who the user of a credential is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::claims;
use super::compact::{TOKEN_BYTES_MAX, strict};
use super::health::Health;
use tidegate_core::config::{EVERY_COOKIE, IntrospectProvider};
use tidegate_core::flow::http_client::{HttpClient, HttpRequest};
use tidegate_core::flow::ports::{Clock, Identity, Provider};
use tidegate_core::flow::{Elapsed, Shown};
use tidegate_core::protocol::{Code, User};
use tidegate_core::telemetry;

/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Asks a URL.
pub(super) struct Introspect {
    provider: IntrospectProvider,
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    elapsed: Elapsed,
    cache: Mutex<Cache>,
    /// Running requests, so that one credential is asked about only once, however many connections present it.
    flights: Mutex<HashMap<Key, Weak<Flight>>>,
    health: Health,
}

/// The SHA-256 of the forwarded data: the credential itself is not kept.
type Key = [u8; 32];
type Flight = OnceCell<Identity>;

/// Answers that are still valid, by the credential's hash.
#[derive(Default)]
struct Cache {
    users: HashMap<Key, (User, Instant)>,
    /// In the order in which they expire.
    order: VecDeque<(Key, Instant)>,
    /// How often answers were dropped: an answer that was requested before that is not kept.
    forgotten: u64,
}

impl Cache {
    fn get(&self, key: &Key, now: Instant) -> Option<User> {
        self.users.get(key).filter(|(_, until)| now < *until).map(|(user, _)| user.clone())
    }

    fn put(&mut self, key: Key, user: User, now: Instant, ttl: Duration, entries_max: usize) {
        let until = now + ttl;
        self.users.insert(key, (user, until));
        self.order.push_back((key, until));
        while self.order.front().is_some_and(|(_, until)| *until <= now || self.order.len() > entries_max) {
            let Some((oldest, ended)) = self.order.pop_front() else { break };
            // It may have been requested again since, and be in the order once more.
            if self.users.get(&oldest).is_some_and(|(_, until)| *until == ended) {
                self.users.remove(&oldest);
            }
        }
    }

    fn forget(&mut self, user_id: &str) {
        self.forgotten += 1;
        let Self { users, order, .. } = self;
        users.retain(|_, (user, _)| user.id != user_id);
        order.retain(|(key, _)| users.contains_key(key));
    }
}

/// A place in a running request. The last one to leave removes the request.
struct Boarding<'a> {
    flights: &'a Mutex<HashMap<Key, Weak<Flight>>>,
    key: Key,
    flight: Option<Arc<Flight>>,
}

impl<'a> Boarding<'a> {
    fn new(flights: &'a Mutex<HashMap<Key, Weak<Flight>>>, key: Key) -> Self {
        let mut under_way = flights.lock();
        let flight = under_way.get(&key).and_then(Weak::upgrade).unwrap_or_default();
        under_way.insert(key, Arc::downgrade(&flight));
        drop(under_way);
        Self { flights, key, flight: Some(flight) }
    }
}

impl Drop for Boarding<'_> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        drop(self.flight.take());
        if under_way.get(&self.key).is_some_and(|flight| flight.strong_count() == 0) {
            under_way.remove(&self.key);
        }
    }
}

impl Introspect {
    pub(super) fn new(provider: IntrospectProvider, http: Arc<dyn HttpClient>, clock: Arc<dyn Clock>) -> Self {
        let health = Health::new("introspect", provider.url.shown().to_owned());
        let elapsed = Elapsed::new(clock.clone());
        Self { provider, http, clock, elapsed, cache: Mutex::default(), flights: Mutex::default(), health }
    }

    /// The header fields that forward the credential; empty if there is nothing to ask about.
    fn forwarded(&self, shown: &Shown<'_>) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if let Some(token) = shown.token.filter(|_| self.provider.bearer) {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        // Other cookies of a browser must not keep its user out.
        let goes = |pair: &String| !self.takes_every_cookie() || is_plain(pair);
        let pairs = shown.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<String> = pairs.filter(goes).collect();
        if !pairs.is_empty() {
            headers.push(("cookie".to_owned(), pairs.join("; ")));
        }
        headers
    }

    fn takes_every_cookie(&self) -> bool {
        self.provider.cookies.iter().any(|cookie| cookie == EVERY_COOKIE)
    }

    async fn ask(&self, headers: Vec<(String, String)>) -> Identity {
        // The application may have known its answer before it was asked, but not earlier: revocations since then count.
        let asked_at_unix_s = self.clock.now_unix_s();
        let accept = ("accept".to_owned(), "application/json".to_owned());
        let headers = headers.into_iter().chain([accept]).collect();
        let url = self.provider.url.clone();
        let request = HttpRequest { method: "GET".to_owned(), url, headers, body: None };
        let patience = self.provider.timeout.get();
        let answer = match timeout(patience, self.http.exchange(&request, ANSWER_BYTES_MAX)).await {
            Ok(Ok(response)) => match response.status {
                200 => match strict(&response.body) {
                    Ok(answer) => Ok(self.read(&answer, asked_at_unix_s)),
                    Err(_) => Err("its answer is not valid JSON, or has a key twice".to_owned()),
                },
                401 | 403 => Ok(Ok(None)),
                other => Err(format!("it answers {other}")),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {patience:?}")),
        };
        let (outcome, identity) = match answer {
            Ok(Ok(Some(user))) => ("user", Identity::User(user)),
            Ok(Ok(None)) => ("refused", Identity::Refused(Code::Unauthenticated)),
            // The application answers. Its answer about this one credential names no user that could be accepted.
            Ok(Err(why)) => {
                telemetry::auth_odd("introspect", self.health.source(), &why);
                ("odd", Identity::Refused(Code::Unauthenticated))
            }
            Err(why) => {
                self.health.failed(&why);
                telemetry::auth_lookup("introspect", "unavailable");
                return Identity::Refused(Code::Unavailable);
            }
        };
        self.health.answered();
        telemetry::auth_lookup("introspect", outcome);
        identity
    }

    /// The user in an answer; `None` if the answer says that there is none.
    ///
    /// # Errors
    /// What in it makes no sense, for the log.
    fn read(&self, answer: &Value, asked_at_unix_s: u64) -> Result<Option<User>, String> {
        let id = match answer.pointer(&self.provider.user) {
            None | Some(Value::Null) => return Ok(None),
            Some(id) => claims::text(id).filter(|id| !id.is_empty()),
        };
        let id = id.ok_or_else(|| format!("`{}` of its answer is not a valid id", self.provider.user))?;
        let roles = claims::roles(answer.pointer(&self.provider.roles));
        let roles = roles.ok_or_else(|| format!("`{}` of its answer is not a list of roles", self.provider.roles))?;
        let tenant = match self.provider.tenant.as_ref().and_then(|at| answer.pointer(at)) {
            None | Some(Value::Null) => None,
            Some(tenant) => Some(claims::text(tenant).ok_or("the tenant of its answer is not a text")?),
        };
        let lifetime_s = self.provider.lifetime.map(|lifetime| lifetime.get().as_secs().max(1));
        let expires_at = lifetime_s.map(|lifetime_s| asked_at_unix_s.saturating_add(lifetime_s));
        Ok(Some(User { expires_at, issued_at: Some(asked_at_unix_s), ..User::new(id, roles, tenant) }))
    }
}

#[async_trait]
impl Provider for Introspect {
    fn token_id(&self, _: &str) -> Option<String> {
        None
    }

    fn cookies(&self) -> &[String] {
        &self.provider.cookies
    }

    async fn identify(&self, shown: &Shown<'_>) -> Identity {
        let headers = self.forwarded(shown);
        if headers.is_empty() {
            return Identity::NotMine;
        }
        let bytes: usize = headers.iter().map(|(_, value)| value.len()).sum();
        if bytes > TOKEN_BYTES_MAX
            || !headers.iter().all(|(_, value)| is_plain(value))
            || shown.token.is_some_and(|token| token.contains(' '))
        {
            tracing::debug!(bytes, "credential refused: it is too long, or cannot be forwarded");
            return Identity::Refused(Code::Unauthenticated);
        }
        let key = hash(&headers);
        let cached =
            self.cache.lock().get(&key, self.elapsed.now()).filter(|user| !user.is_expired(self.clock.now_unix_s()));
        if let Some(user) = cached {
            telemetry::auth_lookup("introspect", "cached");
            return Identity::User(user);
        }
        let boarding = Boarding::new(&self.flights, key);
        let Some(flight) = &boarding.flight else { return Identity::Refused(Code::Internal) };
        let ask = || async {
            let forgotten = self.cache.lock().forgotten;
            let identity = self.ask(headers).await;
            let ttl = self.provider.cache.get();
            if let Identity::User(user) = &identity
                && !ttl.is_zero()
            {
                let mut cache = self.cache.lock();
                if cache.forgotten == forgotten {
                    cache.put(key, user.clone(), self.elapsed.now(), ttl, self.provider.cache_entries);
                }
            }
            identity
        };
        match flight.get_or_init(ask).await.clone() {
            // The cookies of a browser need not include a session's cookie.
            Identity::Refused(Code::Unauthenticated) if shown.token.is_none() && self.takes_every_cookie() => {
                Identity::NotMine
            }
            identity => identity,
        }
    }

    fn forget(&self, user_id: &str) {
        self.cache.lock().forget(user_id);
        // Waiting callers get this answer; later callers ask again.
        self.flights.lock().clear();
    }
}

/// Text that could begin another header field, or be read as another value, is not sent anywhere.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

fn hash(headers: &[(String, String)]) -> Key {
    let mut hash = Sha256::new();
    for (name, value) in headers {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(value.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_cache_keeps_so_many_answers_for_so_long() {
        let mut cache = Cache::default();
        let user = |id: u8| User::new(id.to_string(), Vec::new(), None);
        for id in 0..5_u8 {
            cache.put([id; 32], user(id), Instant::now(), Duration::from_secs(10), 3);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let kept =
            |cache: &Cache| (0..5_u8).filter(|id| cache.get(&[*id; 32], Instant::now()).is_some()).collect::<Vec<_>>();
        assert_eq!(kept(&cache), [2, 3, 4]);
        cache.put([2; 32], user(2), Instant::now(), Duration::from_secs(10), 3);
        assert_eq!((cache.users.len(), cache.order.len()), (3, 3));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(kept(&cache), [2], "the others are over");
        cache.put([9; 32], user(9), Instant::now(), Duration::from_secs(10), 3);
        assert_eq!(cache.users.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_of_one_user_takes_nothing_from_others_and_no_room() {
        let mut cache = Cache::default();
        let user = |id: &str| User::new(id, Vec::new(), None);
        for (key, id) in [(1, "a"), (2, "b"), (3, "a")] {
            cache.put([key; 32], user(id), Instant::now(), Duration::from_secs(10), 3);
        }
        cache.forget("a");
        let kept = |cache: &Cache| {
            (0..9_u8).filter(|key| cache.get(&[*key; 32], Instant::now()).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&cache), [2]);
        for key in [4, 1] {
            cache.put([key; 32], user("a"), Instant::now(), Duration::from_secs(10), 3);
        }
        assert_eq!(kept(&cache), [1, 2, 4]);
    }
}
