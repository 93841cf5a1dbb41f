//! `GET /v1/channels/{topic}/history` with `Accept: text/event-stream`: the topic as a stream of server-sent events.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::answer::Problem;
use super::history::HistoryQuery;
use super::query::Query;
use super::{State, TopicPath, topic_of};
use tidegate_core::config::Permission;
use tidegate_core::protocol::Position;
use tidegate_realtime::{Since, StreamRequest};

/// Whether a caller wants a stream and not one answer.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let stream = quality(headers, "text/event-stream");
    stream > 0.0 && stream >= quality(headers, "application/json")
}

/// A stream goes on behind `Last-Event-ID`, which clients bring that come back, or behind `since`. A client shows its
/// credential and clears gates 1 and 2; a backend shows an API key.
pub(super) async fn open(
    state: &State,
    topic: TopicPath,
    query: Query<HistoryQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let is_backend = state.has_key(&request.headers);
    if is_backend {
        state.admit(&request.headers, Permission::Read)?;
    }
    let topic = topic_of(topic)?;
    let since = since(&request.headers, query)?;
    let asked = StreamRequest { request: &request, topic, since, is_backend };
    Ok(state.visitors.stream(asked).await?)
}

fn since(headers: &HeaderMap, query: Query<HistoryQuery>) -> Result<Since, Problem> {
    let wrong = "the query of a stream may have `since`, a position EPOCH:OFFSET, and nothing else";
    let HistoryQuery { since, limit } = query.expecting(wrong)?;
    let since = match since.as_deref().map(Position::parse) {
        None if limit.is_none() => Since::Beginning,
        Some(Some(position)) if limit.is_none() => Since::Position(position),
        _ => return Err(Problem::bad_request(wrong)),
    };
    // A client that comes back asks with the same URL: what it brings beside it is newer. Some bring it without a value.
    let brought = headers.get("last-event-id").filter(|id| !id.as_bytes().trim_ascii().is_empty());
    let Some(brought) = brought else { return Ok(since) };
    let position = brought.to_str().ok().and_then(|id| Position::parse(id.trim()));
    Ok(position.map_or(Since::Unknown, Since::Position))
}

/// How much a caller wants a media type that it names, from 0 to 1.
fn quality(headers: &HeaderMap, wanted: &str) -> f32 {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let of_range = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next()?.eq_ignore_ascii_case(wanted);
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        is_named.then(|| q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
    };
    lines.flat_map(|line| line.split(',')).filter_map(of_range).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_for_callers_that_ask_for_it() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            is_wanted(&headers)
        };
        for yes in ["text/event-stream", "Text/Event-Stream; q=0.5", "application/json;q=0.5, text/event-stream"] {
            assert!(wanted(yes), "{yes}");
        }
        for no in
            ["*/*", "text/*", "application/json", "text/event-stream;q=0", "application/json, text/event-stream;q=0.9"]
        {
            assert!(!wanted(no), "{no}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
