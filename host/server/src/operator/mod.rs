//! Who is an operator: an API key that may `operate`, or a session of the dashboard that began with one.
//!
//! A session is a cookie that is signed with the API key it began with (`seal`). So every node that has the key knows the
//! session, nothing is kept for it, and it ends when the key is taken out of the configuration. Only sessions that were
//! ended before their time are remembered, here on this node.

mod seal;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use seal::Sealed;
use tidegate_core::config::{ApiKey, ApiKeys, Permission, Secret};
use tidegate_core::flow::ports::Clock;

/// The cookie of a session.
pub const COOKIE: &str = "tidegate_operator";
/// How long a session lasts.
pub const SESSION_S: u64 = 60 * 60;
/// Most sessions remembered that were ended before their time. Beyond that number the ones are forgotten that would
/// have ended soonest.
const ENDED_MAX: usize = 10_000;
/// Most cookies of this name that one request may bring.
const COOKIES_MAX: usize = 4;
/// The operator of a session that began with a link.
const LINK_OPERATOR: &str = "link";

/// The operators of this server.
pub struct Operators {
    keys: Arc<ApiKeys>,
    /// Signs the sessions that begin with a link. Nobody knows it, and it ends with the process.
    of_links: ApiKey,
    /// The digest of the link that can still be used.
    link: Mutex<Option<[u8; 32]>>,
    /// The sessions that were ended, and when they would have ended.
    ended: Mutex<HashMap<String, u64>>,
    clock: Arc<dyn Clock>,
}

/// A session of an operator.
#[derive(Debug, Clone)]
pub struct OperatorSession<'a> {
    /// The API key that it began with.
    pub key: &'a ApiKey,
    /// Its own id.
    pub id: String,
    /// When it ends, in seconds since the Unix epoch.
    pub ends_at_unix_s: u64,
}

impl Operators {
    /// The operators that these keys make.
    #[must_use]
    pub fn new(keys: Arc<ApiKeys>, clock: Arc<dyn Clock>) -> Self {
        let of_links =
            ApiKey { name: LINK_OPERATOR.to_owned(), key: Secret::from(random()), may: Permission::ALL.to_vec() };
        Self { keys, of_links, link: Mutex::default(), ended: Mutex::default(), clock }
    }

    /// The API keys.
    #[must_use]
    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// A secret that begins one session. The one before cannot be used any more.
    #[must_use]
    pub fn link(&self) -> String {
        let secret = random();
        *self.link.lock() = Some(digest(&secret));
        secret
    }

    /// Begins a session with an API key that may `operate`: the cookie's value, and the session.
    #[must_use]
    pub fn sign_in(&self, key: &str) -> Option<(String, OperatorSession<'_>)> {
        self.keys.find(key).filter(|key| key.may(Permission::Operate)).map(|key| self.begin(key))
    }

    /// Begins a session with the secret of [`Operators::link`], once.
    #[must_use]
    pub fn follow_link(&self, secret: &str) -> Option<(String, OperatorSession<'_>)> {
        let brought = digest(secret);
        let used = self.link.lock().take_if(|expected| bool::from(expected.ct_eq(&brought)));
        used.map(|_| self.begin(&self.of_links))
    }

    fn begin<'a>(&self, key: &'a ApiKey) -> (String, OperatorSession<'a>) {
        let sealed = Sealed { id: random(), ends_at_unix_s: self.clock.now_unix_s() + SESSION_S };
        let value = sealed.write(key.key.expose());
        (value, OperatorSession { key, id: sealed.id, ends_at_unix_s: sealed.ends_at_unix_s })
    }

    /// The session of a `Cookie` header.
    #[must_use]
    pub fn session(&self, cookies: &str) -> Option<OperatorSession<'_>> {
        values(cookies).take(COOKIES_MAX).find_map(|value| self.session_of(value))
    }

    /// The session of a cookie's value.
    #[must_use]
    pub fn session_of(&self, value: &str) -> Option<OperatorSession<'_>> {
        let may_sign = self.keys.0.iter().filter(|key| key.may(Permission::Operate));
        let (key, Sealed { id, ends_at_unix_s }) =
            may_sign.chain([&self.of_links]).find_map(|key| Some((key, Sealed::read(value, key.key.expose())?)))?;
        let is_over = self.clock.now_unix_s() >= ends_at_unix_s || self.ended.lock().contains_key(&id);
        (!is_over).then_some(OperatorSession { key, id, ends_at_unix_s })
    }

    /// Ends a session before its time.
    pub fn end(&self, session: &OperatorSession<'_>) {
        let mut ended = self.ended.lock();
        if ended.len() >= ENDED_MAX {
            let now = self.clock.now_unix_s();
            ended.retain(|_, ends_at| *ends_at > now);
        }
        if ended.len() >= ENDED_MAX {
            let soonest = ended.iter().min_by_key(|(_, ends_at)| **ends_at).map(|(id, _)| id.clone());
            soonest.and_then(|id| ended.remove(&id));
        }
        ended.insert(session.id.clone(), session.ends_at_unix_s);
    }
}

/// Whether a `Cookie` header has the cookie of a session, valid or not.
#[must_use]
pub fn has_cookie(cookies: &str) -> bool {
    values(cookies).next().is_some()
}

/// The values of the session's cookie.
fn values(cookies: &str) -> impl Iterator<Item = &str> {
    let pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// 64 random characters with 244 bits of entropy.
fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_testkit::FakeClock;

    fn key(name: &str, may: &[Permission]) -> ApiKey {
        ApiKey { name: name.to_owned(), key: Secret::from(format!("a long key of {name}")), may: may.to_vec() }
    }

    fn operators() -> (Operators, Arc<FakeClock>) {
        let keys = vec![key("ann", &[Permission::Operate]), key("backend", &[Permission::Publish])];
        let clock = Arc::new(FakeClock::stopped());
        (Operators::new(Arc::new(ApiKeys(keys)), clock.clone()), clock)
    }

    #[test]
    fn a_session_lasts_an_hour_and_knows_its_operator() {
        let (operators, clock) = operators();
        let (value, begun) = operators.sign_in("a long key of ann").unwrap();
        assert_eq!((begun.key.name.as_str(), begun.ends_at_unix_s), ("ann", FakeClock::START_UNIX_S + SESSION_S));
        let cookies = format!("a=b; {COOKIE}=forged; {COOKIE}={value}");
        clock.advance(SESSION_S - 1);
        assert_eq!(operators.session(&cookies).unwrap().key.name, "ann");
        clock.advance(1);
        assert!(operators.session(&cookies).is_none());
    }

    #[test]
    fn only_a_key_that_may_operate_begins_a_session() {
        let (operators, _) = operators();
        for wrong in ["a long key of backend", "a long key of an", ""] {
            assert!(operators.sign_in(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn every_node_that_has_the_key_knows_the_session_and_one_without_it_does_not() {
        let ((here, _), (there, clock)) = (operators(), operators());
        let (value, _) = here.sign_in("a long key of ann").unwrap();
        assert_eq!(there.session_of(&value).unwrap().key.name, "ann");
        let other = ApiKeys(vec![key("eve", &[Permission::Operate])]);
        assert!(Operators::new(Arc::new(other), clock.clone()).session_of(&value).is_none());
        let no_operator = ApiKeys(vec![key("ann", &[Permission::Read])]);
        assert!(Operators::new(Arc::new(no_operator), clock).session_of(&value).is_none());
    }

    #[test]
    fn nobody_lengthens_a_session() {
        let (operators, clock) = operators();
        let (value, _) = operators.sign_in("a long key of ann").unwrap();
        let (ends_at, rest) = value.split_once('.').unwrap();
        let longer = format!("{}.{rest}", ends_at.parse::<u64>().unwrap() + 1);
        clock.advance(1);
        assert!(operators.session_of(&longer).is_none());
        assert!(operators.session_of(&value).is_some());
    }

    #[test]
    fn a_session_that_was_ended_is_over_and_the_others_go_on() {
        let (operators, _) = operators();
        let (value, session) = operators.sign_in("a long key of ann").unwrap();
        let (other, _) = operators.sign_in("a long key of ann").unwrap();
        operators.end(&session);
        assert!(operators.session_of(&value).is_none());
        assert!(operators.session_of(&other).is_some());
    }

    #[test]
    fn as_many_ended_sessions_are_remembered_and_no_more() {
        let (operators, _) = operators();
        let (_, session) = operators.sign_in("a long key of ann").unwrap();
        for number in 0..ENDED_MAX + 5 {
            operators.end(&OperatorSession { id: number.to_string(), ..session.clone() });
        }
        assert_eq!(operators.ended.lock().len(), ENDED_MAX);
    }

    #[test]
    fn a_link_begins_one_session_and_a_newer_link_replaces_it() {
        let (operators, _) = operators();
        let (old, link) = (operators.link(), operators.link());
        assert!(operators.follow_link(&old).is_none());
        let (value, _) = operators.follow_link(&link).unwrap();
        assert!(operators.session_of(&value).unwrap().key.may(Permission::Operate));
        assert!(operators.follow_link(&link).is_none());
    }
}
