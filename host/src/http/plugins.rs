//! `GET /v1/plugins`: every version of every plugin, and how it fares.

use axum::Json;
use axum::extract;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::State;
use super::answer::Problem;
use crate::config::Permission;

/// By name, of one name the active version first: `{ plugins: […] }`.
pub(super) async fn list(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    Ok(Json(json!({ "plugins": state.plugins.list() })))
}
