//! `GET /v1/channels/{topic}/history`: what was published on a topic, for a client that polls, or one that was away.

use axum::extract;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::{Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use super::query::Query;
use super::{State, TopicPath, stream, topic_of};
use tidegate_core::flow::Asked;
use tidegate_core::protocol::{Code, Position};

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Get,
    path: "/v1/channels/{topic}/history",
    id: "history",
    summary: "Read what was published on a topic, or follow it as a stream",
    caller: Caller::Reader,
    parameters: &["topic", "since", "limit", "last_event_id"],
    body: &[],
    answers: Answers {
        status: 200,
        says: "A part of the history; with `Accept: text/event-stream` a stream, on every channel.",
        contents: &[("application/json", "History"), ("text/event-stream", "Stream")],
    },
    refuses: &[Reason::Of(Code::NoHistory), Reason::Of(Code::PayloadTooLarge), Reason::Of(Code::HandlerFailed)],
};

/// Publications in one answer if the caller gives neither `since` nor `limit`.
const LIMIT_DEFAULT: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    pub(super) since: Option<String>,
    pub(super) limit: Option<usize>,
}

/// `{ recovered, reason?, publications: [{ payload, meta }], position, more }`: after `since` the oldest `limit`, else
/// the newest `limit`. With `Accept: text/event-stream` it is a stream. A client shows its credential and clears gates 1 and 2; a backend shows an API key.
pub(super) async fn read(
    extract::State(state): extract::State<State>,
    topic: TopicPath,
    query: Query<HistoryQuery>,
    request: Request,
) -> Result<Response, Problem> {
    if stream::is_wanted(request.headers()) {
        return stream::open(&state, topic, query, request).await;
    }
    let session = state.admit_reader(request).await?;
    let topic = topic_of(topic)?;
    let asked = asked(topic, query)?;
    let answer = match session {
        Some(session) => state.gates.history_for(&session, asked).await,
        None => state.gates.history(asked).await,
    };
    Ok(fresh(answer?).into_response())
}

fn asked(topic: String, query: Query<HistoryQuery>) -> Result<Asked, Problem> {
    let wrong = "the query may have `since`, a position EPOCH:OFFSET, and `limit`, a whole number of at least 1";
    let HistoryQuery { since, limit } = query.expecting(wrong)?;
    let since = match since {
        Some(text) => Some(Position::parse(&text).ok_or_else(|| Problem::bad_request(wrong))?),
        None => None,
    };
    if limit == Some(0) {
        return Err(Problem::bad_request(wrong));
    }
    let limit = limit.or_else(|| since.is_none().then_some(LIMIT_DEFAULT));
    Ok(Asked { topic, since, limit })
}
