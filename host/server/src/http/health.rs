//! `GET /healthz`, `/readyz` and `/metrics`: for monitoring. They need no key.

use axum::Json;
use axum::extract;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::State;
use super::answer::Problem;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use tidegate_core::protocol::{Code, Refusal};
use tidegate_core::telemetry;

pub(super) const LIVE: Operation = Operation {
    method: Verb::Get,
    path: "/healthz",
    id: "live",
    summary: "Whether the process answers",
    caller: Caller::Anybody,
    parameters: &[],
    body: &[],
    answers: Answers { status: 200, says: "It does.", contents: &[("application/json", "Live")] },
    refuses: &[],
};

pub(super) const READY: Operation = Operation {
    method: Verb::Get,
    path: "/readyz",
    id: "ready",
    summary: "Whether the server takes new connections",
    caller: Caller::Anybody,
    parameters: &[],
    body: &[],
    answers: Answers { status: 200, says: "It does.", contents: &[("application/json", "Ready")] },
    refuses: &[Reason::Of(Code::Unavailable), Reason::Of(Code::Draining)],
};

pub(super) const METRICS: Operation = Operation {
    method: Verb::Get,
    path: "/metrics",
    id: "metrics",
    summary: "The metrics",
    caller: Caller::Anybody,
    parameters: &[],
    body: &[],
    answers: Answers { status: 200, says: "The metrics.", contents: &[("text/plain", "Metrics")] },
    refuses: &[],
};

/// The process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// Whether the server accepts new connections. 503 `draining` when it is about to stop. 503 `unavailable` (with
/// `details.away`) while its store or its broker is away, while revocations are not loaded, while the keys of an issuer
/// or a source of bus events were never read, while the query of a `session` provider does not fit or could not be
/// checked, or while a needed plugin is quarantined.
pub(super) async fn ready(extract::State(state): extract::State<State>) -> Result<Json<Value>, Problem> {
    if state.gates.is_draining() {
        return Err(Code::Draining.into());
    }
    let away = away(&state);
    if !away.is_empty() {
        return Err(Refusal::new(Code::Unavailable).with_details(json!({ "away": away })).into());
    }
    Ok(Json(json!({ "ready": true, "generation": state.gates.generation().0 })))
}

/// What the server needs and cannot reach or does not have, by the names that `/readyz` tells.
#[must_use]
pub fn away(state: &State) -> Vec<String> {
    let away = [
        ("store", state.store.is_away()),
        ("broker", state.gates.is_broker_away()),
        ("revocations", !state.gates.knows_revocations()),
        ("keys", !state.gates.has_keys()),
        ("sessions", !state.gates.has_fit_providers()),
        ("plugins", !state.gates.has_plugins()),
    ];
    let away = away.into_iter().filter(|(_, is_away)| *is_away).map(|(what, _)| what.to_owned());
    away.chain(state.bus_sources.unread()).collect()
}

/// The Prometheus text format, version 0.0.4.
pub(super) async fn metrics() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render())
}
