//! `GET /v1/reloads`: what the last reloads changed, and what was wrong in those that were rejected.

use std::sync::Arc;

use axum::extract;
use axum::http::HeaderMap;
use serde::Serialize;

use super::State;
use super::answer::{Fresh, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Verb};
use tidegate_core::config::Permission;
use tidegate_core::flow::Reload;

pub(super) const LIST: Operation = Operation {
    method: Verb::Get,
    path: "/v1/reloads",
    id: "list_reloads",
    summary: "List the last reloads, and what each of them changed",
    caller: Caller::Key(Permission::Operate),
    parameters: &[],
    body: &[],
    answers: Answers { status: 200, says: "The newest first.", contents: &[("application/json", "Reloads")] },
    refuses: &[],
};

#[derive(Serialize)]
pub(super) struct Listed {
    reloads: Vec<Arc<Reload>>,
}

/// The last 50 of this process: `{ reloads: […] }`.
pub(super) async fn list(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
) -> Result<Fresh<Listed>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    Ok(fresh(Listed { reloads: state.reloads.newest_first() }))
}
