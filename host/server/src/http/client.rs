//! `POST /v1/clients/{connection}/disconnect`, `POST /v1/clients/{connection}/unsubscribe`: what an operator may do to one
//! client. The log records who did it, and why.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::State;
use super::answer::{HttpCode, Problem};
use super::body;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use tidegate_core::config::Permission;
use tidegate_core::protocol::{Code, Topic};
use tidegate_core::telemetry;

pub(super) const DISCONNECT: Operation = Operation {
    method: Verb::Post,
    path: "/v1/clients/{connection}/disconnect",
    id: "disconnect_client",
    summary: "Disconnect a client of this node",
    caller: Caller::Key(Permission::Operate),
    parameters: &["connection"],
    body: &[("application/json", "Disconnect")],
    answers: Answers { status: 202, says: "The client is told.", contents: &[("application/json", "Done")] },
    refuses: &[Reason::Http(HttpCode::NotFound)],
};

pub(super) const UNSUBSCRIBE: Operation = Operation {
    method: Verb::Post,
    path: "/v1/clients/{connection}/unsubscribe",
    id: "unsubscribe_client",
    summary: "Take a topic from a client of this node",
    caller: Caller::Key(Permission::Operate),
    parameters: &["connection"],
    body: &[("application/json", "Unsubscribe")],
    answers: Answers { status: 202, says: "The client is told.", contents: &[("application/json", "Done")] },
    refuses: &[Reason::Http(HttpCode::NotFound), Reason::Of(Code::NotSubscribed)],
};

/// Most bytes of a request.
const BODY_BYTES_MAX: usize = 8 << 10;
/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    topic: String,
    reason: String,
}

/// The connection in a path.
type ConnectionPath = Result<Path<String>, PathRejection>;

/// `{ reason }`: the client gets `tidegate` with `{ type: "revoked", reason: "forbidden" }`, and is disconnected; a stock
/// client stays away. Its credential stays valid. 404 if this node has no such client.
pub(super) async fn disconnect(
    extract::State(state): extract::State<State>,
    connection: ConnectionPath,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let operator = state.admit(&headers, Permission::Operate)?.name.clone();
    let connection = connection_of(connection)?;
    let Disconnect { reason } = read(&state, body).await?;
    let reason = judged(&reason)?;
    let user = state.clients.disconnect(&state.gates, &connection).ok_or_else(nobody)?;
    telemetry::operator_disconnected(&operator, &connection, user.as_deref(), reason);
    Ok((StatusCode::ACCEPTED, Json(json!({ "connection": connection }))))
}

/// `{ topic, reason }`: the client gets `tidegate` with `{ type: "revoked", channel, reason: "forbidden" }`. It may subscribe
/// again if the gates admit it. 404 if this node has no such client, 409 if it does not hold the topic.
pub(super) async fn unsubscribe(
    extract::State(state): extract::State<State>,
    connection: ConnectionPath,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let operator = state.admit(&headers, Permission::Operate)?.name.clone();
    let connection = connection_of(connection)?;
    let Unsubscribe { topic, reason } = read(&state, body).await?;
    let reason = judged(&reason)?;
    let topic = Topic::parse(&topic).map_err(|error| Problem::bad_request(format!("`topic` {error}")))?;
    let withdrawn = state.clients.withdraw(&state.gates, &connection, &topic).ok_or_else(nobody)?;
    if !withdrawn {
        return Err(Code::NotSubscribed.into());
    }
    telemetry::operator_unsubscribed(&operator, &connection, topic.as_str(), reason);
    Ok((StatusCode::ACCEPTED, Json(json!({ "connection": connection }))))
}

fn connection_of(path: ConnectionPath) -> Result<String, Problem> {
    let Path(connection) = path.map_err(|_| Problem::bad_request("the connection in the path is not UTF-8"))?;
    Ok(connection)
}

fn nobody() -> Problem {
    Problem::not_found("this node has no client with this connection")
}

async fn read<T: DeserializeOwned>(state: &State, body: Body) -> Result<T, Problem> {
    let invalid = |error: serde_json::Error| Problem::bad_request(format!("not a valid request: {error}"));
    let text = body::read(body, BODY_BYTES_MAX, state.gates.limits()).await?;
    let fields = body::fields(&text).map_err(invalid)?;
    serde_json::from_value(Value::Object(fields)).map_err(invalid)
}

/// A reason that says something, without its surroundings.
pub(super) fn judged(reason: &str) -> Result<&str, Problem> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let message = format!("`reason` has {} bytes: expected 1 to {REASON_BYTES_MAX}", reason.len());
        return Err(Problem::bad_request(message));
    }
    Ok(reason)
}
