//! The idempotency keys of all nodes that share a NATS.
//!
//! A key is a message in a bucket: `r <holder> <body>` while its publish runs, `a <body> <answer>` afterwards, and nothing
//! when it was given back. The bucket has room for so many keys; the ones that were written longest ago go.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::super::Lost;
use super::super::held_key::{self, HOLD, RETRY};
use super::NatsBrokerSettings;
use super::bucket::{Bucket, Held, Terms};
use super::names::digest;
use tidegate_core::config::Limits;
use tidegate_core::flow::ports::{Claim, Claimed, IdempotencyKeys, KeysAway};
use tidegate_core::protocol::{IdempotencyKey, JsonDigest, Topic};

/// How long a key that was given back stays as an empty message.
const GIVEN_BACK: Duration = Duration::from_secs(1);

/// The keys, in NATS.
pub struct NatsIdempotencyKeys(Arc<Shared>);

struct Shared {
    bucket: Bucket,
    hold: Duration,
    window: Duration,
}

impl NatsIdempotencyKeys {
    /// Does not connect yet.
    #[must_use]
    pub fn new(settings: &NatsBrokerSettings, limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            bucket: Bucket::new(settings, "idempotency", Some(limits.idempotency_keys_max)),
            hold: HOLD + settings.timeout * 2,
            window: limits.idempotency_window,
        }))
    }
}

fn name(topic: &Topic, key: &IdempotencyKey) -> String {
    digest(&format!("{topic} {}", key.as_str()))
}

impl Shared {
    async fn claim(&self, name: &str, held: &str) -> Result<Option<Held>, Lost> {
        // Nothing is there, as a rule.
        let mut after = 0;
        loop {
            let terms = Terms { after: Some(after), ttl: Some(self.hold), by: None };
            if self.bucket.put(name, held.to_owned(), terms).await?.is_some() {
                return Ok(None);
            }
            match self.bucket.get(name).await? {
                // It was given back, or its time was over in between.
                Some(found) if found.text.is_empty() => after = found.seq,
                None => after = 0,
                Some(found) => return Ok(Some(found)),
            }
        }
    }

    /// Writes over a claim that still holds, or is over and in nobody's way.
    async fn replace(&self, claim: &Claim, text: &str, ttl: Duration) -> Result<(), Lost> {
        let name = name(&claim.topic, &claim.key);
        loop {
            let after = match self.bucket.get(&name).await? {
                Some(found) if found.text == held_key::write(&claim.holder, &claim.body) => found.seq,
                // Nothing to give back.
                None if text.is_empty() => return Ok(()),
                None => 0,
                Some(found) if found.text.is_empty() && !text.is_empty() => found.seq,
                Some(_) => return Ok(()),
            };
            let terms = Terms { after: Some(after), ttl: Some(ttl), by: None };
            if self.bucket.put(&name, text.to_owned(), terms).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// The same, again and again as long as the claim holds.
    async fn replace_in_time(self: &Arc<Self>, claim: &Claim, text: String, ttl: Duration) {
        if self.replace(claim, &text, ttl).await.is_ok() {
            return;
        }
        let (shared, claim) = (Arc::clone(self), claim.clone());
        let until = Instant::now() + shared.hold;
        tokio::spawn(async move {
            while Instant::now() < until && shared.replace(&claim, &text, ttl).await.is_err() {
                sleep(RETRY).await;
            }
        });
    }
}

#[async_trait]
impl IdempotencyKeys for NatsIdempotencyKeys {
    async fn claim(&self, topic: &Topic, key: &IdempotencyKey, body: &JsonDigest) -> Result<Claimed, KeysAway> {
        let holder = uuid::Uuid::new_v4().simple().to_string();
        let found = self.0.claim(&name(topic, key), &held_key::write(&holder, body)).await.map_err(KeysAway)?;
        match found {
            None => Ok(Claimed::First(Claim { topic: topic.clone(), key: key.clone(), body: body.clone(), holder })),
            Some(found) => held_key::read(&found.text)
                .ok_or_else(|| KeysAway("another version of the server holds the key".to_owned())),
        }
    }

    async fn answer(&self, claim: &Claim, answer: &str) {
        self.0.replace_in_time(claim, format!("a {} {answer}", claim.body), self.0.window).await;
    }

    async fn release(&self, claim: &Claim) {
        self.0.replace_in_time(claim, String::new(), GIVEN_BACK).await;
    }
}
