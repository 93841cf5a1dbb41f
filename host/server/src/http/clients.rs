//! `GET /v1/clients`: who is connected to this node, and how each client does.

use axum::extract;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::State;
use super::answer::{Fresh, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Verb};
use super::paging::page_limit;
use super::query::Query;
use tidegate_core::config::Permission;
use tidegate_realtime::{Client, ClientsAsked, Page};

pub(super) const LIST: Operation = Operation {
    method: Verb::Get,
    path: "/v1/clients",
    id: "list_clients",
    summary: "List the clients of this node",
    caller: Caller::Key(Permission::Operate),
    parameters: &["of_user", "of_topic", "of_connection", "page_limit", "after"],
    body: &[],
    answers: Answers { status: 200, says: "The clients, by connection.", contents: &[("application/json", "Clients")] },
    refuses: &[],
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    user: Option<String>,
    topic: Option<String>,
    connection: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    clients: Vec<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// In the order of their connections: `{ clients: […], next? }`.
pub(super) async fn list(
    extract::State(state): extract::State<State>,
    query: Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Fresh<Listed>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let query = query.expecting("the query may have `user`, `topic`, `connection`, `limit` and `after`")?;
    let ListQuery { user, topic, connection, limit, after } = query;
    let asked = ClientsAsked { user, topic, connection, after, limit: page_limit(limit)? };
    let Page { entries, next } = state.clients.clients(&asked);
    Ok(fresh(Listed { clients: entries, next }))
}
