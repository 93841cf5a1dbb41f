//! `POST /v1/revoke`: a user's credentials, one credential, or subscriptions, withdrawn before their time.

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::State;
use super::answer::Problem;
use super::body;
use tidegate_core::config::Permission;
use tidegate_core::flow::revoke::{Revocation, RevokeRequest};
use tidegate_core::protocol::{Code, Refusal, Unambiguous};

/// `{ user?, token?, topic?, issued_before?, reason? }`, at least one of the first three: 202 `{ revocation, here }` once
/// it is in force and kept, with what it ended on this node. 503 when it is in force and not kept, or when there is no
/// room for it; 404 when no channel has the topic.
pub(super) async fn accept(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    state.admit(&headers, Permission::Revoke)?;
    let limits = state.gates.limits();
    let text = body::read(body, limits.payload_bytes_max, limits).await?;
    let Unambiguous(fields) = serde_json::from_str(&text).map_err(no_revocation)?;
    // By way of an object: a list of values in their order would pass for one.
    let fields: Map<String, Value> = serde_json::from_value(fields).map_err(no_revocation)?;
    // A user whom the caller did not find must not become everybody.
    if let Some((name, _)) = fields.iter().find(|(_, value)| value.is_null()) {
        return Err(Problem::bad_request(format!(
            "not a valid revocation: `{name}` is null; leave it out if you do not need it"
        )));
    }
    let request: RevokeRequest = serde_json::from_value(Value::Object(fields)).map_err(no_revocation)?;
    let revocation = state.gates.revocation(request).map_err(|error| Problem::bad_request(error.to_string()))?;
    // Nobody holds it, and whoever mistyped it would think that nobody does any more.
    if revocation.topic.as_ref().is_some_and(|topic| !state.gates.declares(topic)) {
        return Err(Code::UnknownChannel.into());
    }
    if !state.gates.has_room_for_revocations() {
        return Err(Refusal::because(Code::Unavailable, "the limit of revocations is reached").into());
    }
    let shown = shown(&revocation);
    let enforced = state.gates.enforce(revocation, "http");
    let here = enforced.touched;
    if let Err(away) = enforced.kept().await {
        tracing::debug!(why = away.0, "a revocation was not stored while its caller waited");
        let message = "in force on this node, but not yet stored or not yet sent to every other node; the server tries again every second, \
            but only until this process ends: send the revocation again";
        let problem = Problem::from(Refusal::because(Code::Unavailable, message));
        return Err(problem.with_details(json!({ "revocation": shown, "here": here })));
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "revocation": shown, "here": here }))))
}

fn no_revocation(error: serde_json::Error) -> Problem {
    Problem::bad_request(format!("not a valid revocation: {error}"))
}

/// What was decided, without what was not asked for.
fn shown(revocation: &Revocation) -> Value {
    let mut shown = serde_json::to_value(revocation).unwrap_or_default();
    if let Value::Object(fields) = &mut shown {
        fields.retain(|_, value| !value.is_null());
    }
    shown
}
