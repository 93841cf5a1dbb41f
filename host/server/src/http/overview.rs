//! `GET /v1/overview`: how the server is, as the dashboard's `overview` last told it.

use axum::extract;
use axum::http::HeaderMap;
use serde_json::Value;

use super::State;
use super::answer::{Fresh, HttpCode, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use tidegate_core::config::Permission;

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Get,
    path: "/v1/overview",
    id: "overview",
    summary: "How the server is: the last sample of the dashboard",
    caller: Caller::Key(Permission::Operate),
    parameters: &[],
    body: &[],
    answers: Answers {
        status: 200,
        says: "The sample, at most five seconds old.",
        contents: &[("application/json", "Overview")],
    },
    refuses: &[Reason::Http(HttpCode::NotFound)],
};

/// 404 without a dashboard, and in the first seconds of a server.
pub(super) async fn read(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
) -> Result<Fresh<Value>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let newest = state.live.as_ref().and_then(|live| live.newest());
    newest
        .map(fresh)
        .ok_or_else(|| Problem::not_found("there is no sample: `dashboard` is off, or the server just began"))
}
