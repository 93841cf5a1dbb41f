//! `POST /v1/channels/{topic}/publish`: takes a backend's payload through gate 4 to the topic's subscribers, once for
//! each idempotency key.

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, StatusCode};

use super::answer::Problem;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use super::{State, TopicPath, body, idempotency_key, topic_of};
use tidegate_core::config::Permission;
use tidegate_core::flow::{PublishReceipt, PublishRequest};
use tidegate_core::protocol::{Code, Payload};
use tidegate_core::telemetry::{current_trace, with_trace};

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Post,
    path: "/v1/channels/{topic}/publish",
    id: "publish",
    summary: "Publish a payload on a topic",
    caller: Caller::Key(Permission::Publish),
    parameters: &["topic", "idempotency_key"],
    body: &[("application/json", "Payload")],
    answers: Answers {
        status: 202,
        says: "Published. `position` on a channel with history.",
        contents: &[("application/json", "PublishReceipt")],
    },
    refuses: &[
        Reason::Of(Code::UnknownChannel),
        Reason::Of(Code::InvalidPayload),
        Reason::Of(Code::IdempotencyConflict),
        Reason::Of(Code::OverBudget),
        Reason::Of(Code::Unavailable),
        Reason::Of(Code::Draining),
    ],
};

pub(super) async fn publish(
    extract::State(state): extract::State<State>,
    topic: TopicPath,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<PublishReceipt>), Problem> {
    state.admit(&headers, Permission::Publish)?;
    let topic = topic_of(topic)?;
    let key = idempotency_key::read(&headers)?;
    let limits = state.gates.limits();
    let text = body::read(body, limits.payload_bytes_max, limits).await?;
    // Parsed once, for its form and for gate 4: a number out of range, half a surrogate or the same key twice is not a
    // valid value.
    let payload = Payload::read(text).map_err(|error| Problem::bad_request(error.to_string()))?;
    let request = PublishRequest { topic, payload, key };
    let receipt = if request.key.is_some() {
        let gates = state.gates.clone();
        // In a task of its own: a caller who hangs up must not leave the key taken.
        let publishing = async move { gates.publish_for_backend(request).await };
        let publishing = tokio::spawn(with_trace(current_trace(), publishing));
        publishing.await.map_err(|_panicked| Problem::from(Code::Internal))??
    } else {
        state.gates.publish_for_backend(request).await?
    };
    Ok((StatusCode::ACCEPTED, Json(receipt)))
}
