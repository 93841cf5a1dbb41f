//! Idempotency keys, faked: all in one map, away when they are told to be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_core::flow::ports::{Claim, Claimed, IdempotencyKeys, KeysAway};
use tidegate_core::protocol::{IdempotencyKey, JsonDigest, Topic};

/// A body, and the answer once there is one.
type First = (JsonDigest, Option<String>);

/// Keys that are never forgotten.
#[derive(Default)]
pub struct FakeIdempotencyKeys {
    keys: Mutex<HashMap<(Topic, IdempotencyKey), First>>,
    away: AtomicBool,
}

impl FakeIdempotencyKeys {
    /// From now on they are away, or back.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Another node claims a key and does not come to its end.
    pub async fn claim_elsewhere(&self, topic: &str, key: &str, body: &JsonDigest) -> Claim {
        let (topic, key) = (Topic::parse(topic).unwrap(), IdempotencyKey::parse(key).unwrap());
        let Claimed::First(claim) = self.claim(&topic, &key, body).await.unwrap() else { panic!("it is taken") };
        claim
    }

    /// The keys that are taken or answered.
    pub fn taken(&self) -> usize {
        self.keys.lock().len()
    }
}

#[async_trait]
impl IdempotencyKeys for FakeIdempotencyKeys {
    async fn claim(&self, topic: &Topic, key: &IdempotencyKey, body: &JsonDigest) -> Result<Claimed, KeysAway> {
        if self.away.load(Ordering::SeqCst) {
            return Err(KeysAway("the test asked for it".to_owned()));
        }
        let mut keys = self.keys.lock();
        Ok(match keys.get(&(topic.clone(), key.clone())) {
            Some((first, Some(answer))) => Claimed::Answered(first.clone(), answer.clone()),
            Some((first, None)) => Claimed::UnderWay(first.clone()),
            None => {
                keys.insert((topic.clone(), key.clone()), (body.clone(), None));
                let (topic, key, body) = (topic.clone(), key.clone(), body.clone());
                Claimed::First(Claim { topic, key, body, holder: String::new() })
            }
        })
    }

    async fn answer(&self, claim: &Claim, answer: &str) {
        let name = (claim.topic.clone(), claim.key.clone());
        self.keys.lock().insert(name, (claim.body.clone(), Some(answer.to_owned())));
    }

    async fn release(&self, claim: &Claim) {
        self.keys.lock().remove(&(claim.topic.clone(), claim.key.clone()));
    }
}
