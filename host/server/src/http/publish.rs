//! `POST /v1/channels/{topic}/publish`: takes a backend's payload through gate 4 to the topic's subscribers.

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::State;
use super::answer::Problem;
use super::body;
use tidegate_core::config::Permission;
use tidegate_core::flow::Effect;
use tidegate_core::protocol::Payload;

pub(super) async fn publish(
    extract::State(state): extract::State<State>,
    topic: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    state.admit(&headers, Permission::Publish)?;
    let Path(topic) = topic.map_err(|_| Problem::bad_request("the topic in the path is not UTF-8"))?;
    let limits = state.gates.limits();
    let text = body::read(body, limits.payload_bytes_max, limits).await?;
    // Parsed once, for its form and for gate 4: a number out of range, half a surrogate or the same key twice is not a
    // valid value.
    let payload = Payload::read(text).map_err(|error| Problem::bad_request(error.to_string()))?;
    let publication = state.gates.broadcast(&topic, payload)?;
    state.gates.perform(vec![Effect::Deliver(publication)]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}
