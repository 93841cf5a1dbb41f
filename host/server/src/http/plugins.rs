//! `GET /v1/plugins`: every version of every plugin, and how it does; `DELETE /v1/plugins/quarantine/{what}`: re-admits
//! versions that were rolled back.

use axum::Json;
use axum::extract;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::State;
use super::answer::{Fresh, HttpCode, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use tidegate_core::config::Permission;
use tidegate_core::flow::OwnEvent;
use tidegate_core::flow::ports::PluginStatus;
use tidegate_core::protocol::{Code, Refusal};
use tidegate_core::telemetry;

pub(super) const LIST: Operation = Operation {
    method: Verb::Get,
    path: "/v1/plugins",
    id: "list_plugins",
    summary: "List every version of every plugin",
    caller: Caller::Key(Permission::Operate),
    parameters: &[],
    body: &[],
    answers: Answers { status: 200, says: "The versions.", contents: &[("application/json", "Plugins")] },
    refuses: &[],
};

pub(super) const CLEAR: Operation = Operation {
    method: Verb::Delete,
    path: "/v1/plugins/quarantine/{what}",
    id: "clear_quarantine",
    summary: "Admit quarantined versions of a plugin again",
    caller: Caller::Key(Permission::Operate),
    parameters: &["what"],
    body: &[],
    answers: Answers {
        status: 200,
        says: "The versions that are admitted again.",
        contents: &[("application/json", "Cleared")],
    },
    refuses: &[Reason::Http(HttpCode::NotFound), Reason::Of(Code::Unavailable)],
};

/// Sorted by name; for one name the active version comes first: `{ plugins: […] }`. The payload of a fault and the
/// answers that differ are shown only to a key that may `read`, too.
pub(super) async fn list(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
) -> Result<Fresh<Value>, Problem> {
    let may_read = state.admit(&headers, Permission::Operate)?.may(Permission::Read);
    let mut plugins = state.plugins.list();
    if !may_read {
        for plugin in &mut plugins {
            plugin.last_faults.iter_mut().for_each(|fault| fault.input = None);
            let differences = plugin.shadow.iter_mut().flat_map(|shadow| &mut shadow.last_differences);
            differences.for_each(|difference| difference.shown = None);
        }
    }
    Ok(fresh(json!({ "plugins": plugins })))
}

/// `what` is a plugin's name, or 12 or more digits of a component's or a version's digest: `{ cleared: […] }`, each as
/// in the list. The files are read again at once. 404 if no such version is quarantined.
pub(super) async fn clear(
    extract::State(state): extract::State<State>,
    what: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let key = state.admit(&headers, Permission::Operate)?;
    let Path(what) = what.map_err(|_| Problem::bad_request("the name in the path is not UTF-8"))?;
    let plugins = state.plugins.clone();
    let cleared = tokio::task::spawn_blocking(move || plugins.clear(&what)).await.map_err(|_| Code::Internal)?;
    let cleared = cleared.map_err(|error| {
        Refusal::because(
            Code::Unavailable,
            format!("the server cannot write the quarantine, so nothing was cleared: {error}"),
        )
    })?;
    if cleared.is_empty() {
        return Err(Problem::not_found("no plugin version with this name or digest is quarantined"));
    }
    for PluginStatus { name, digest, .. } in &cleared {
        telemetry::operator_cleared(&key.name, name.as_str(), digest.as_deref());
        state.gates.saw(OwnEvent::PluginCleared { plugin: name, component: digest.as_deref() });
    }
    Ok(Json(json!({ "cleared": cleared })))
}
