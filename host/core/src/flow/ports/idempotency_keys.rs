//! The idempotency keys of publishes, as a port: a key is claimed in one step, over all nodes.

use async_trait::async_trait;

use crate::protocol::{IdempotencyKey, JsonDigest, Topic};

/// Remembers the first answer of each key on a topic for `limits.idempotency_window`, at most `limits.idempotency_keys`
/// of them; the oldest go first.
#[async_trait]
pub trait IdempotencyKeys: Send + Sync + 'static {
    /// Claims a key, or says who has it: of several callers at the same instant one holds it. A claim that is neither
    /// answered nor released, because its node died, is free again after a while.
    ///
    /// # Errors
    /// [`KeysAway`].
    async fn claim(&self, topic: &Topic, key: &IdempotencyKey, body: &JsonDigest) -> Result<Claimed, KeysAway>;

    /// Remembers the answer of a publish that was accepted. It is there when this returns, or as soon as the broker is
    /// back.
    async fn answer(&self, claim: &Claim, answer: &str);

    /// Gives a key back whose publish was refused: the next caller is the first.
    async fn release(&self, claim: &Claim);
}

/// A key that is held, until it is answered or released.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The topic.
    pub topic: Topic,
    /// The key.
    pub key: IdempotencyKey,
    /// The fingerprint of the body.
    pub body: JsonDigest,
    /// Distinguishes this claim from every other.
    pub holder: String,
}

/// What a claim found.
#[derive(Debug, Clone)]
pub enum Claimed {
    /// The caller is the first.
    First(Claim),
    /// The first caller with the key has no answer yet; it brought this body.
    UnderWay(JsonDigest),
    /// The first caller brought this body, and this was its answer.
    Answered(JsonDigest, String),
}

/// The broker that keeps the keys did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeysAway(pub String);
