//! `GET /v1/channels`: what is declared, and what each channel has on this node.

use axum::extract;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::State;
use super::answer::{Fresh, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Verb};
use super::paging::page_limit;
use super::query::Query;
use tidegate_core::channels::Described;
use tidegate_core::config::Permission;

pub(super) const LIST: Operation = Operation {
    method: Verb::Get,
    path: "/v1/channels",
    id: "list_channels",
    summary: "List the declared channels, with their topics and subscriptions on this node",
    caller: Caller::Key(Permission::Operate),
    parameters: &["search", "page_limit", "after"],
    body: &[],
    answers: Answers { status: 200, says: "The channels, by name.", contents: &[("application/json", "Channels")] },
    refuses: &[],
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    search: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    generation: u64,
    channels: Vec<Declared>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A declared channel.
#[derive(Serialize)]
struct Declared {
    #[serde(flatten)]
    described: Described,
    topics: usize,
    subscriptions: usize,
}

/// In the order of their names: `{ generation, channels: […], next? }`. `search` is a part of the name, the feature or the
/// description.
pub(super) async fn list(
    extract::State(state): extract::State<State>,
    query: Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Fresh<Listed>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let ListQuery { search, limit, after } = query.expecting("the query may have `search`, `limit` and `after`")?;
    let limit = page_limit(limit)?;
    let serving = state.gates.serving();
    let counts = state.clients.topic_counts();
    let has = |text: &str| search.as_ref().is_none_or(|search| text.contains(search.as_str()));
    let mut found = serving.catalog.channels().filter(|channel| {
        after.as_ref().is_none_or(|after| channel.template.as_str() > after.as_str())
            && (has(channel.template.as_str())
                || has(&channel.feature)
                || channel.description.as_ref().is_some_and(|description| has(description)))
    });
    let channels: Vec<Declared> = found
        .by_ref()
        .take(limit)
        .map(|channel| {
            let counts = counts.get(channel.template.as_str()).copied().unwrap_or_default();
            Declared { described: channel.described(), topics: counts.topics, subscriptions: counts.subscriptions }
        })
        .collect();
    let next = found.next().and(channels.last()).map(|last| last.described.channel.clone());
    Ok(fresh(Listed { generation: serving.catalog.generation().0, channels, next }))
}
