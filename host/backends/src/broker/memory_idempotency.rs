//! The idempotency keys of a single node.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use tidegate_core::config::Limits;
use tidegate_core::flow::ports::{Claim, Claimed, IdempotencyKeys, KeysAway};
use tidegate_core::protocol::{IdempotencyKey, JsonDigest, Topic};
use tidegate_core::telemetry;

/// How long a claim holds whose publish never ended, because of a bug.
const HOLD_MAX: Duration = Duration::from_secs(60);

type Name = (Topic, IdempotencyKey);

/// The keys, in memory.
pub struct MemoryIdempotencyKeys {
    window: Duration,
    keys_max: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<Name, Entry>,
    /// The answered keys, the oldest first.
    order: VecDeque<(Name, Instant)>,
    claims: u64,
}

struct Entry {
    body: JsonDigest,
    holder: String,
    since: Instant,
    answer: Option<String>,
}

impl MemoryIdempotencyKeys {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let (window, keys_max) = (limits.idempotency_window, limits.idempotency_keys_max);
        Self { window, keys_max, known: Mutex::default() }
    }
}

impl Known {
    /// Forgets the keys whose time is over.
    fn forget(&mut self, window: Duration) {
        while self.order.front().is_some_and(|(_, at)| at.elapsed() >= window) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((name, _)) = self.order.pop_front() {
            self.keys.remove(&name);
        }
    }
}

#[async_trait]
impl IdempotencyKeys for MemoryIdempotencyKeys {
    async fn claim(&self, topic: &Topic, key: &IdempotencyKey, body: &JsonDigest) -> Result<Claimed, KeysAway> {
        let name = (topic.clone(), key.clone());
        let mut known = self.known.lock();
        known.forget(self.window);
        if let Some(entry) = known.keys.get(&name) {
            match &entry.answer {
                Some(answer) => return Ok(Claimed::Answered(entry.body.clone(), answer.clone())),
                None if entry.since.elapsed() < HOLD_MAX => return Ok(Claimed::UnderWay(entry.body.clone())),
                None => {}
            }
        }
        known.claims += 1;
        let holder = known.claims.to_string();
        let entry = Entry { body: body.clone(), holder: holder.clone(), since: Instant::now(), answer: None };
        known.keys.insert(name, entry);
        Ok(Claimed::First(Claim { topic: topic.clone(), key: key.clone(), body: body.clone(), holder }))
    }

    async fn answer(&self, claim: &Claim, answer: &str) {
        let name = (claim.topic.clone(), claim.key.clone());
        let mut known = self.known.lock();
        let Some(entry) = known.keys.get_mut(&name).filter(|entry| entry.holder == claim.holder) else { return };
        entry.answer = Some(answer.to_owned());
        known.order.push_back((name, Instant::now()));
        if known.order.len() > self.keys_max {
            known.forget_oldest();
            telemetry::idempotent("forgotten", 1);
        }
    }

    async fn release(&self, claim: &Claim) {
        let name = (claim.topic.clone(), claim.key.clone());
        let mut known = self.known.lock();
        let is_held = |entry: &Entry| entry.holder == claim.holder && entry.answer.is_none();
        if known.keys.get(&name).is_some_and(is_held) {
            known.keys.remove(&name);
        }
    }
}
