//! The world around the gates, faked: rooms and a bus that record, a clock that is moved by hand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use tidegate_core::channels::Channel;
use tidegate_core::flow::ports::{
    Bus, BusFull, BusSources, Clients, Clock, DeadLetters, Identity, Letters, LettersAway, Provider, Removed, Rooms,
    StoreHealth, Touched,
};
use tidegate_core::flow::revoke::Revocation;
use tidegate_core::flow::{DeadLetter, Publication, Shown};
use tidegate_core::protocol::{BusEvent, Code, Key, Payload, Position, PresenceChange, Topic, User};
use tokio::sync::Notify;

/// Rooms that record what is delivered.
#[derive(Default)]
pub struct FakeRooms {
    delivered: Mutex<Vec<Publication>>,
    arrivals: Notify,
    panics_on: Mutex<Option<String>>,
    gaps: Mutex<Vec<String>>,
    presence: Mutex<Vec<Value>>,
    told: Mutex<Vec<Told>>,
}

/// What subscribers of topics hear, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A publication.
    Published(Topic, Payload, Option<Position>),
    /// A retained value was taken away.
    Removed(Topic, Key, Position),
}

impl FakeRooms {
    /// Every publication and every removal so far, in order.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().clone()
    }

    /// Every retained value that was taken away, as `(topic, key)`.
    pub fn removed(&self) -> Vec<(String, String)> {
        let removed = |told: Told| match told {
            Told::Removed(topic, key, _) => Some((topic.to_string(), key.as_str().to_owned())),
            Told::Published(..) => None,
        };
        self.told().into_iter().filter_map(removed).collect()
    }

    /// Every change of presence that subscribers were told of, as they see it.
    pub fn presence(&self) -> Vec<Value> {
        self.presence.lock().clone()
    }

    /// Every delivery so far, as `(topic, payload)`.
    pub fn delivered(&self) -> Vec<(String, Value)> {
        let delivered = self.delivered.lock();
        delivered.iter().map(|p| (p.topic.as_str().to_owned(), p.payload.value().unwrap().clone())).collect()
    }

    /// Every delivery so far, as `(topic, the payload's text)`.
    pub fn delivered_texts(&self) -> Vec<(String, String)> {
        let delivered = self.delivered.lock();
        delivered.iter().map(|p| (p.topic.as_str().to_owned(), p.payload.as_str().to_owned())).collect()
    }

    /// Every delivery so far, once there are `count`.
    pub async fn arrived(&self, count: usize) -> Vec<(String, Value)> {
        let enough = async {
            loop {
                let arrival = self.arrivals.notified();
                if self.delivered.lock().len() >= count {
                    return self.delivered();
                }
                arrival.await;
            }
        };
        let Ok(delivered) = tokio::time::timeout(Duration::from_secs(60), enough).await else {
            panic!("{count} deliveries do not come: {:?}", self.delivered())
        };
        delivered
    }

    /// Every delivery so far, whole.
    pub fn publications(&self) -> Vec<Publication> {
        self.delivered.lock().clone()
    }

    /// Every topic, or channel, whose subscribers were told of a gap.
    pub fn gaps(&self) -> Vec<String> {
        self.gaps.lock().clone()
    }

    /// From now on a delivery on this topic panics, as a bug would.
    pub fn panic_on(&self, topic: &str) {
        *self.panics_on.lock() = Some(topic.to_owned());
    }
}

impl Rooms for FakeRooms {
    fn deliver(&self, publication: &Publication) {
        if self.panics_on.lock().as_deref() == Some(publication.topic.as_str()) {
            panic!("the test asked for it");
        }
        let Publication { topic, payload, position, .. } = publication.clone();
        self.told.lock().push(Told::Published(topic, payload, position));
        self.delivered.lock().push(publication.clone());
        self.arrivals.notify_waiters();
    }

    fn tell_gap(&self, topic: &Topic) {
        self.gaps.lock().push(topic.as_str().to_owned());
    }

    fn tell_removed(&self, topic: &Topic, _: &Arc<Channel>, removed: &Removed) {
        let told = removed.keys.iter().map(|key| Told::Removed(topic.clone(), key.clone(), removed.after.clone()));
        self.told.lock().extend(told);
    }

    fn tell_presence(&self, change: &PresenceChange) {
        self.presence.lock().push(serde_json::to_value(change).unwrap());
    }

    /// Records the channels: it knows of no topics.
    fn tell_gap_in(&self, channels: &BTreeSet<&str>) -> usize {
        self.gaps.lock().extend(channels.iter().map(|channel| (*channel).to_owned()));
        channels.len()
    }
}

/// Clients that record what they were revoked from.
#[derive(Default)]
pub struct FakeClients {
    revoked: Mutex<Vec<Revocation>>,
}

impl FakeClients {
    /// Every revocation that was acted on.
    pub fn revoked(&self) -> Vec<Revocation> {
        self.revoked.lock().clone()
    }
}

impl Clients for FakeClients {
    fn revoke(&self, revocation: &Arc<Revocation>) -> Touched {
        self.revoked.lock().push(Revocation::clone(revocation));
        Touched { sessions: 1, subscriptions: 0, rechecked: 0 }
    }
}

/// A store that goes away when it is told to.
#[derive(Default)]
pub struct FakeStoreHealth {
    away: AtomicBool,
}

impl FakeStoreHealth {
    /// From now on it is away, or back.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
}

impl StoreHealth for FakeStoreHealth {
    fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }
}

/// Sources of bus events that were all read, but for these.
#[derive(Default)]
pub struct FakeBusSources {
    unread: Mutex<Vec<String>>,
}

impl FakeBusSources {
    /// From now on these were not read yet.
    pub fn set_unread(&self, sources: &[&str]) {
        *self.unread.lock() = sources.iter().map(ToString::to_string).collect();
    }
}

impl BusSources for FakeBusSources {
    fn unread(&self) -> Vec<String> {
        self.unread.lock().clone()
    }
}

/// A bus that records, and refuses what is beyond its room.
pub struct FakeBus {
    published: Mutex<Vec<BusEvent>>,
    events_max: usize,
}

impl FakeBus {
    /// A bus with room for everything.
    pub fn roomy() -> Self {
        Self::with_room_for(usize::MAX)
    }

    /// A bus with no room at all.
    pub fn full() -> Self {
        Self::with_room_for(0)
    }

    /// A bus that takes so many events and no more.
    pub fn with_room_for(events_max: usize) -> Self {
        Self { published: Mutex::default(), events_max }
    }

    /// Every event so far.
    pub fn published(&self) -> Vec<BusEvent> {
        self.published.lock().clone()
    }
}

impl Bus for FakeBus {
    fn publish(&self, events: Vec<BusEvent>) -> Result<(), BusFull> {
        let mut published = self.published.lock();
        if published.len() + events.len() > self.events_max {
            return Err(BusFull);
        }
        published.extend(events);
        Ok(())
    }
}

/// Dead letters that are all kept.
#[derive(Default)]
pub struct FakeDeadLetters {
    letters: Mutex<Vec<DeadLetter>>,
}

impl FakeDeadLetters {
    /// Those kept, newest first.
    pub fn list(&self) -> Vec<DeadLetter> {
        self.letters.lock().iter().rev().cloned().collect()
    }
}

#[async_trait]
impl DeadLetters for FakeDeadLetters {
    fn add(&self, letter: DeadLetter) {
        self.letters.lock().push(letter);
    }

    async fn flush(&self) {}

    async fn before(&self, id: Option<&str>, limit: usize) -> Letters {
        let mut letters = self.list();
        let kept = letters.len();
        letters.retain(|letter| id.is_none_or(|id| letter.id.as_str() < id));
        Letters { letters: letters.into_iter().take(limit).collect(), kept, complete: true }
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway> {
        Ok(self.list().into_iter().find(|letter| letter.id == id))
    }

    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway> {
        let mut letters = self.letters.lock();
        let at = letters.iter().position(|letter| letter.id == id);
        Ok(at.map(|at| letters.remove(at)))
    }
}

/// A wall clock that stands still until it is moved.
pub struct FakeClock {
    now_unix_ms: AtomicU64,
}

impl FakeClock {
    /// Where every test begins, in seconds since the Unix epoch.
    pub const START_UNIX_S: u64 = 1_000_000;

    /// A clock that stands at [`Self::START_UNIX_S`].
    pub fn stopped() -> Self {
        Self { now_unix_ms: AtomicU64::new(Self::START_UNIX_S * 1000) }
    }

    /// Moves on.
    pub fn advance(&self, seconds: u64) {
        self.advance_ms(seconds * 1000);
    }

    /// Moves on by milliseconds.
    pub fn advance_ms(&self, milliseconds: u64) {
        self.now_unix_ms.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now_unix_s(&self) -> u64 {
        self.now_unix_ms() / 1000
    }

    fn now_unix_ms(&self) -> u64 {
        self.now_unix_ms.load(Ordering::SeqCst)
    }
}

/// A provider that knows a list of credentials, and counts what it was asked.
pub struct FakeProvider {
    known: Vec<(String, Identity)>,
    cookies: Vec<String>,
    asked: Mutex<Vec<String>>,
    keyless: AtomicBool,
    unfit: AtomicBool,
}

impl FakeProvider {
    /// Knows these credentials; every other is not its own.
    pub fn knowing(known: impl IntoIterator<Item = (&'static str, User)>) -> Self {
        let known = known.into_iter().map(|(text, user)| (text.to_owned(), Identity::User(user))).collect();
        let (keyless, unfit) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { known, cookies: Vec::new(), asked: Mutex::default(), keyless, unfit }
    }

    /// Looks into this cookie as well.
    pub fn reading(mut self, cookie: &str) -> Self {
        self.cookies.push(cookie.to_owned());
        self
    }

    /// Recognises this credential too, and refuses it.
    pub fn refusing(mut self, credential: &str, code: Code) -> Self {
        self.known.push((credential.to_owned(), Identity::Refused(code)));
        self
    }

    /// From now on it lacks the keys it checks credentials with, or has them.
    pub fn set_keyless(&self, keyless: bool) {
        self.keyless.store(keyless, Ordering::SeqCst);
    }

    /// From now on what it asks does not fit, or does.
    pub fn set_unfit(&self, unfit: bool) {
        self.unfit.store(unfit, Ordering::SeqCst);
    }

    /// Every credential it was asked about.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn cookies(&self) -> &[String] {
        &self.cookies
    }

    async fn identify(&self, shown: &Shown<'_>) -> Identity {
        let by_cookie = shown.cookies.first().map(|(_, value)| *value);
        let Some(credential) = shown.token.or(by_cookie) else { return Identity::NotMine };
        self.asked.lock().push(credential.to_owned());
        let known = self.known.iter().find(|(text, _)| text == credential);
        known.map_or(Identity::NotMine, |(_, identity)| identity.clone())
    }

    fn has_keys(&self) -> bool {
        !self.keyless.load(Ordering::SeqCst)
    }

    fn is_fit(&self) -> bool {
        !self.unfit.load(Ordering::SeqCst)
    }
}
