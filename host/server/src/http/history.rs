//! `GET /v1/channels/{topic}/history`: what was published on a topic, for a client that polls, or one that was away.

use axum::Json;
use axum::extract;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderName, HeaderValue, header};
use serde::Deserialize;

use super::State;
use super::answer::Problem;
use tidegate_core::config::Permission;
use tidegate_core::flow::{Asked, HistoryAnswer};
use tidegate_core::protocol::Position;

/// Publications in one answer if the caller gives neither `since` nor `limit`.
const LIMIT_DEFAULT: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    since: Option<String>,
    limit: Option<usize>,
}

type Answer = ([(HeaderName, HeaderValue); 1], Json<HistoryAnswer>);

/// `{ recovered, reason?, publications: [{ payload, meta }], position, more }`: after `since` the oldest `limit`, else
/// the newest `limit`. A client shows its credential and clears gates 1 and 2; a backend shows an API key.
pub(super) async fn read(
    extract::State(state): extract::State<State>,
    topic: Result<Path<String>, PathRejection>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
    request: Request,
) -> Result<Answer, Problem> {
    let (request, _) = request.into_parts();
    let is_backend = state.has_key(&request.headers);
    let session = if is_backend {
        state.admit(&request.headers, Permission::Read)?;
        None
    } else {
        Some(state.visitors.admit(&request).await?)
    };
    let Path(topic) = topic.map_err(|_| Problem::bad_request("the topic in the path is not UTF-8"))?;
    let asked = asked(topic, query)?;
    let answer = match session {
        Some(session) => state.gates.history_for(&session, asked).await,
        None => state.gates.history(asked).await,
    };
    // It is for this caller, as of now.
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer?)))
}

fn asked(topic: String, query: Result<Query<HistoryQuery>, QueryRejection>) -> Result<Asked, Problem> {
    let wrong = "the query may have `since`, a position EPOCH:OFFSET, and `limit`, a whole number of at least 1";
    let Query(HistoryQuery { since, limit }) = query.map_err(|_| Problem::bad_request(wrong))?;
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
