//! `GET /v1/topics`, `GET /v1/topics/{topic}`: the topics of this node that have subscribers, and one topic with all that
//! is known of it.

use axum::extract;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::answer::{Fresh, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use super::paging::page_limit;
use super::query::Query;
use super::{State, TopicPath, topic_of};
use tidegate_core::config::Permission;
use tidegate_core::flow::Kept;
use tidegate_core::protocol::{Code, Present, Topic};
use tidegate_realtime::{ListedTopic, Page, Subscriber, Subscribers, TopicsAsked};

pub(super) const LIST: Operation = Operation {
    method: Verb::Get,
    path: "/v1/topics",
    id: "list_topics",
    summary: "List the topics that have subscribers on this node",
    caller: Caller::Key(Permission::Operate),
    parameters: &["of_channel", "search", "page_limit", "after"],
    body: &[],
    answers: Answers { status: 200, says: "The topics, by name.", contents: &[("application/json", "Topics")] },
    refuses: &[],
};

pub(super) const ONE: Operation = Operation {
    method: Verb::Get,
    path: "/v1/topics/{topic}",
    id: "topic",
    summary: "See the subscribers of a topic on this node, and what is kept of it",
    caller: Caller::Key(Permission::Operate),
    parameters: &["topic"],
    body: &[],
    answers: Answers { status: 200, says: "The topic.", contents: &[("application/json", "TopicState")] },
    refuses: &[Reason::Of(Code::UnknownChannel), Reason::Of(Code::Unavailable)],
};

/// Most subscribers of a topic that are named.
const SUBSCRIBERS_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    channel: Option<String>,
    search: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    topics: Vec<ListedTopic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// In the order of their names: `{ topics: [{ topic, channel, subscribers }], next? }`.
pub(super) async fn list(
    extract::State(state): extract::State<State>,
    query: Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Fresh<Listed>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let query = query.expecting("the query may have `channel`, `search`, `limit` and `after`")?;
    let ListQuery { channel, search, limit, after } = query;
    let asked = TopicsAsked { channel, search, after, limit: page_limit(limit)? };
    let Page { entries, next } = state.clients.topics(&asked);
    Ok(fresh(Listed { topics: entries, next }))
}

#[derive(Serialize)]
pub(super) struct Shown {
    topic: Topic,
    channel: String,
    subscribers: Vec<Subscriber>,
    subscribers_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<Present>,
    #[serde(flatten)]
    kept: Kept,
}

/// The first subscribers of this node, who is present on all nodes, and what is kept. Payloads, and the
/// info of members, are shown only to a key that may `read`, too.
pub(super) async fn one(
    extract::State(state): extract::State<State>,
    topic: TopicPath,
    headers: HeaderMap,
) -> Result<Fresh<Shown>, Problem> {
    let may_read = state.admit(&headers, Permission::Operate)?.may(Permission::Read);
    let topic = topic_of(topic)?;
    let resolved = state.gates.serving().catalog.resolve(&topic).ok_or(Code::UnknownChannel)?;
    let Subscribers { first, count } = state.clients.subscribers(&resolved.topic, SUBSCRIBERS_MAX);
    let mut presence = match resolved.channel.presence {
        Some(_) => Some(state.gates.present(&topic).await?),
        None => None,
    };
    if !may_read {
        // What clients say of themselves is for readers, as it is in `…/presence`.
        let members = presence.as_mut().and_then(|present| present.members.as_mut());
        members.into_iter().flatten().for_each(|member| member.info = None);
    }
    let kept = state.gates.kept(&resolved, may_read).await?;
    let channel = resolved.channel.template.to_string();
    let topic = resolved.topic;
    Ok(fresh(Shown { topic, channel, subscribers: first, subscribers_count: count, presence, kept }))
}
