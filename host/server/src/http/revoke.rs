//! `POST /v1/revoke`: ends a user's credentials, one credential, or subscriptions early.

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::State;
use super::answer::Problem;
use super::body;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use tidegate_core::config::Permission;
use tidegate_core::flow::revoke::{Revocation, RevokeRequest};
use tidegate_core::protocol::{Code, Refusal};
use tidegate_core::telemetry;

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Post,
    path: "/v1/revoke",
    id: "revoke",
    summary: "End credentials, one credential, or subscriptions early",
    caller: Caller::Key(Permission::Revoke),
    parameters: &[],
    body: &[("application/json", "RevokeRequest")],
    answers: Answers { status: 202, says: "In force, and stored.", contents: &[("application/json", "Revoked")] },
    refuses: &[Reason::Of(Code::UnknownChannel), Reason::Of(Code::Unavailable)],
};

/// `{ user?, token?, topic?, issued_before?, reason? }`, at least one of the first three: 202 `{ revocation, here }`
/// once the revocation is in force and stored, with what it ended on this node. 503 if it is in force but not stored,
/// or if there is no room for it; 404 if no channel has the topic.
pub(super) async fn accept(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let key = state.admit(&headers, Permission::Revoke)?;
    let limits = state.gates.limits();
    let text = body::read(body, limits.payload_bytes_max, limits).await?;
    let fields = body::fields(&text).map_err(no_revocation)?;
    // A user whom the caller did not find must not become all users.
    if let Some((name, _)) = fields.iter().find(|(_, value)| value.is_null()) {
        return Err(Problem::bad_request(format!(
            "not a valid revocation: `{name}` is null; leave it out if you do not need it"
        )));
    }
    let request: RevokeRequest = serde_json::from_value(Value::Object(fields)).map_err(no_revocation)?;
    let revocation = state.gates.revocation(request).map_err(|error| Problem::bad_request(error.to_string()))?;
    // Nobody holds such a topic, and a caller who mistyped it would think that the revocation worked.
    if revocation.topic.as_ref().is_some_and(|topic| !state.gates.declares(topic)) {
        return Err(Code::UnknownChannel.into());
    }
    if !state.gates.has_room_for_revocations() {
        return Err(Refusal::because(Code::Unavailable, "the limit of revocations is reached").into());
    }
    let shown = shown(&revocation);
    telemetry::operator_revoked(&key.name, &revocation.id);
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

/// The revocation, without the keys that were not given.
fn shown(revocation: &Revocation) -> Value {
    let mut shown = serde_json::to_value(revocation).unwrap_or_default();
    if let Value::Object(fields) = &mut shown {
        fields.retain(|_, value| !value.is_null());
    }
    shown
}
