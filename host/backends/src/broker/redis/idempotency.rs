//! The idempotency keys of all nodes that share a Redis.
//!
//! A key is a text in Redis ([`super::super::held_key`]). A sorted set has all keys by their time, so that the oldest can
//! go.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ::redis::Script;
use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::super::held_key::{self, HOLD, RETRY};
use super::RedisBrokerSettings;
use super::names::Names;
use super::questions::Questions;
use tidegate_core::config::Limits;
use tidegate_core::flow::ports::{Claim, Claimed, IdempotencyKeys, KeysAway};
use tidegate_core::protocol::{IdempotencyKey, JsonDigest, Topic};
use tidegate_core::telemetry;

/// Claims a key, or answers with what it holds. KEYS: key, set of all. ARGV: claim, hold in ms, window in ms, most keys.
/// Answers with the number of forgotten keys if it was claimed.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local found = redis.call('GET', KEYS[1])
if found then return found end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], now, KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[2] - ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2] + ARGV[3])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over <= 0 then return 0 end
local oldest = redis.call('ZPOPMIN', KEYS[2], over)
for i = 1, #oldest, 2 do redis.call('DEL', oldest[i]) end
return over",
    )
});

/// Keeps the answer, unless another claim has the key now. KEYS: key. ARGV: claim, answer, window in ms.
static ANSWER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1",
    )
});

/// Gives a key back. KEYS: key, set of all. ARGV: claim.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], KEYS[1])
return 1",
    )
});

/// The keys, in Redis.
pub struct RedisIdempotencyKeys(Arc<Shared>);

struct Shared {
    questions: Arc<Questions>,
    names: Names,
    hold: Duration,
    window: Duration,
    keys_max: usize,
}

impl RedisIdempotencyKeys {
    /// Does not connect yet.
    ///
    /// # Errors
    /// The driver's error, if it does not accept the URL.
    pub fn new(settings: &RedisBrokerSettings, limits: &Limits) -> Result<Self, ::redis::RedisError> {
        Ok(Self(Arc::new(Shared {
            questions: Questions::new(settings)?,
            names: Names::new(&settings.prefix, settings.url.database()),
            hold: HOLD + settings.timeout * 2,
            window: limits.idempotency_window,
            keys_max: limits.idempotency_keys_max,
        })))
    }
}

impl Shared {
    async fn answer(&self, claim: &Claim, answer: &str) -> Result<(), String> {
        let mut script = ANSWER.key(self.names.idempotency(&claim.topic, &claim.key));
        script.arg(held_key::write(&claim.holder, &claim.body)).arg(format!("a {} {answer}", claim.body));
        script.arg(milliseconds(self.window));
        self.questions.ask::<i64>(&script).await.map(drop)
    }

    async fn release(&self, claim: &Claim) -> Result<(), String> {
        let mut script = RELEASE.key(self.names.idempotency(&claim.topic, &claim.key));
        script.key(self.names.idempotency_all()).arg(held_key::write(&claim.holder, &claim.body));
        self.questions.ask::<i64>(&script).await.map(drop)
    }
}

#[async_trait]
impl IdempotencyKeys for RedisIdempotencyKeys {
    async fn claim(&self, topic: &Topic, key: &IdempotencyKey, body: &JsonDigest) -> Result<Claimed, KeysAway> {
        let Shared { questions, names, hold, window, keys_max } = &*self.0;
        let holder = uuid::Uuid::new_v4().simple().to_string();
        let mut script = CLAIM.key(names.idempotency(topic, key));
        script.key(names.idempotency_all()).arg(held_key::write(&holder, body));
        script.arg(milliseconds(*hold)).arg(milliseconds(*window)).arg(*keys_max);
        let found: ::redis::Value = questions.ask(&script).await.map_err(KeysAway)?;
        match found {
            ::redis::Value::Int(forgotten) => {
                telemetry::idempotent("forgotten", usize::try_from(forgotten).unwrap_or_default());
                Ok(Claimed::First(Claim { topic: topic.clone(), key: key.clone(), body: body.clone(), holder }))
            }
            ::redis::Value::BulkString(text) => {
                let found = std::str::from_utf8(&text).ok().and_then(held_key::read);
                found.ok_or_else(|| KeysAway("another version of the server holds the key".to_owned()))
            }
            other => Err(KeysAway(format!("an answer of another kind: {other:?}"))),
        }
    }

    async fn answer(&self, claim: &Claim, answer: &str) {
        if self.0.answer(claim, answer).await.is_ok() {
            return;
        }
        // The publication is out: whoever repeats it waits as long as the claim holds.
        let (shared, claim, answer) = (Arc::clone(&self.0), claim.clone(), answer.to_owned());
        let until = Instant::now() + shared.hold;
        tokio::spawn(async move {
            while Instant::now() < until && shared.answer(&claim, &answer).await.is_err() {
                sleep(RETRY).await;
            }
        });
    }

    async fn release(&self, claim: &Claim) {
        if self.0.release(claim).await.is_ok() {
            return;
        }
        let (shared, claim) = (Arc::clone(&self.0), claim.clone());
        let until = Instant::now() + shared.hold;
        tokio::spawn(async move {
            while Instant::now() < until && shared.release(&claim).await.is_err() {
                sleep(RETRY).await;
            }
        });
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
