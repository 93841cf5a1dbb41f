//! Publishes of backends, one or a list: the idempotency key, gate 4, the delivery, the answer.
//!
//! A key is claimed before gate 4, so that a repeated publish gives the first answer whatever changed since. A publish
//! that is refused gives its key back.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::ports::{Claim, Claimed};
use super::publication::{Published, Reached};
use super::{Audience, Gates};
use crate::protocol::{Code, IdempotencyKey, JsonDigest, Payload, Position, Refusal, Topic};
use crate::telemetry;

/// How long a publish waits for the first one with its key.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The pauses between two looks at the first one.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(5);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(200);

/// One publish of a backend.
#[derive(Debug, Clone)]
pub struct PublishRequest {
    /// The topic's name, unchecked.
    pub topic: String,
    /// The payload.
    pub payload: Payload,
    /// The name of this publish, if it may be sent twice.
    pub key: Option<IdempotencyKey>,
}

/// The answer to a publish that was accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishReceipt {
    /// Its place in the history, if the channel keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Its version is not newer than the last one of its key: it went to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// A publish that passed its key and gate 4.
enum Begun {
    /// The first publish with its key had this answer.
    Repeated(PublishReceipt),
    /// It was handed to the ports. Other nodes may not have it yet.
    Delivered(Option<Claim>, Published),
}

impl Gates {
    /// Publishes for a backend. With a key: once within `limits.idempotency_window`, and every further call gives the
    /// first answer. Run it to its end even if the caller is gone, or the key is taken for a while.
    ///
    /// # Errors
    /// Those of gate 4; `idempotency_conflict`; `unavailable` if another node does not get it, if the first publish with
    /// the key takes too long, or if the keys are away.
    pub async fn publish_for_backend(&self, request: PublishRequest) -> Result<PublishReceipt, Refusal> {
        let begun = self.begin_publish(request).await?;
        self.finish_publish(begun).await
    }

    /// Publishes a list, in its order, and answers each publication for itself. Run it to its end, as above.
    pub async fn publish_list(
        &self,
        requests: Vec<Result<PublishRequest, Refusal>>,
    ) -> Vec<Result<PublishReceipt, Refusal>> {
        let mut answers: Vec<Result<PublishReceipt, Refusal>> = Vec::new();
        answers.resize_with(requests.len(), || Err(Code::Internal.into()));
        // A publication may wait for an earlier one with its key: they go on while later ones begin.
        let mut under_way = FuturesUnordered::new();
        for (index, request) in requests.into_iter().enumerate() {
            let begin = async { self.begin_publish(request?).await };
            let mut begin = std::pin::pin!(begin);
            let begun = loop {
                tokio::select! {
                    biased;
                    Some((index, answer)) = under_way.next() => answers[index] = answer,
                    begun = &mut begin => break begun,
                }
            };
            match begun {
                Ok(begun) => under_way.push(async move { (index, self.finish_publish(begun).await) }),
                Err(refusal) => answers[index] = Err(refusal),
            }
        }
        while let Some((index, answer)) = under_way.next().await {
            answers[index] = answer;
        }
        answers
    }

    async fn begin_publish(&self, request: PublishRequest) -> Result<Begun, Refusal> {
        self.refuse_while_draining()?;
        let PublishRequest { topic, payload, key } = request;
        let claim = match key {
            None => None,
            Some(key) => {
                let topic = Topic::parse(&topic).map_err(|_| Code::UnknownChannel)?;
                match self.claim(&topic, &key, &JsonDigest::of(payload.as_raw())).await? {
                    Ok(claim) => Some(claim),
                    Err(first) => return Ok(Begun::Repeated(first)),
                }
            }
        };
        match self.broadcast(&topic, payload) {
            Ok(publication) => Ok(Begun::Delivered(claim, self.publish(&publication, Audience::EveryNode))),
            Err(refusal) => {
                self.release(claim).await;
                Err(refusal)
            }
        }
    }

    async fn finish_publish(&self, begun: Begun) -> Result<PublishReceipt, Refusal> {
        let (claim, published) = match begun {
            Begun::Repeated(first) => return Ok(first),
            Begun::Delivered(claim, published) => (claim, published),
        };
        let Reached { position, is_stale } = match published {
            Published::Over(reached) => reached,
            Published::Pending(pending) => match pending.await {
                Ok(reached) => reached,
                Err(unpublished) => {
                    self.release(claim).await;
                    return Err(unpublished.into());
                }
            },
        };
        let receipt = PublishReceipt { position, stale: is_stale };
        if let Some(claim) = claim {
            telemetry::idempotent("first", 1);
            let text = serde_json::to_string(&receipt).unwrap_or_default();
            self.ports.idempotency_keys.answer(&claim, &text).await;
        }
        Ok(receipt)
    }

    /// The claim of a key, or the first answer. Waits while the first publish is under way.
    async fn claim(
        &self,
        topic: &Topic,
        key: &IdempotencyKey,
        body: &JsonDigest,
    ) -> Result<Result<Claim, PublishReceipt>, Refusal> {
        let until = Instant::now() + WAIT_MAX;
        let mut pause = LOOK_AGAIN_MIN;
        loop {
            let claimed = self.ports.idempotency_keys.claim(topic, key, body).await;
            match claimed.map_err(|away| keys_away(&away.0))? {
                Claimed::First(claim) => return Ok(Ok(claim)),
                Claimed::UnderWay(first) | Claimed::Answered(first, _) if first != *body => {
                    telemetry::idempotent("conflict", 1);
                    return Err(Code::IdempotencyConflict.into());
                }
                Claimed::Answered(_, answer) => {
                    telemetry::idempotent("repeated", 1);
                    // An answer of an older version may lack something.
                    return Ok(Err(serde_json::from_str(&answer).unwrap_or_default()));
                }
                Claimed::UnderWay(_) if Instant::now() >= until => {
                    telemetry::idempotent("late", 1);
                    let message = "the first publish with this idempotency key is still under way";
                    return Err(Refusal::because(Code::Unavailable, message));
                }
                Claimed::UnderWay(_) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LOOK_AGAIN_MAX);
                }
            }
        }
    }

    async fn release(&self, claim: Option<Claim>) {
        if let Some(claim) = claim {
            telemetry::idempotent("released", 1);
            self.ports.idempotency_keys.release(&claim).await;
        }
    }
}

fn keys_away(why: &str) -> Refusal {
    tracing::debug!(why, "an idempotency key could not be claimed");
    telemetry::idempotent("away", 1);
    Refusal::because(Code::Unavailable, "nothing was published: the idempotency keys cannot be reached now")
}
