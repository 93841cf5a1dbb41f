//! The text of a stream: server-sent events. Each is made once, and all streams of a topic share its bytes.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::drain::jitter;
use crate::frame::SESSION_EVENT;
use tidegate_core::protocol::{Code, Meta, Position, Refusal, SessionEvent, SubscribeReceipt, Topic};

/// What a stream begins with: a proxy that compresses looks at the first bytes, and passes on what is short.
pub(super) const OPENING: &str = ": tidegate\n\n";
/// What a stream without events says now and then, so that no proxy takes it for dead.
pub(super) const COMMENT: &str = ":\n\n";
/// When a client is back after its stream ended otherwise than by the server: with the network, or with the server.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// A publication: its `id` is its position, where it has one.
pub(crate) fn publication_text(topic: &Topic, payload: &str, meta: Meta<'_>) -> Bytes {
    publication(topic, payload, meta.position, meta)
}

/// A value of the snapshot, and its position, where it has one. It has no `id`: a client that loses the stream in the midst
/// of the snapshot begins again.
pub(super) fn value_text(topic: &Topic, payload: &str, position: Option<&Position>) -> Bytes {
    publication(topic, payload, None, Meta { position, trace: None })
}

fn publication(topic: &Topic, payload: &str, id: Option<&Position>, meta: Meta<'_>) -> Bytes {
    let meta = json(&meta);
    let mut text = String::with_capacity(payload.len() + meta.len() + topic.as_str().len() + 96);
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let _ = write!(text, "event: {}\ndata: {{\"payload\":", topic.as_str());
    push_line(&mut text, payload);
    let _ = write!(text, ",\"meta\":{meta}}}\n\n");
    text.into()
}

/// A message about the session.
pub(crate) fn session_text(event: &SessionEvent) -> Bytes {
    let text = of_session(event);
    match event {
        // The server says when the stream ends, and shortly afterwards the client is to be back.
        SessionEvent::Draining { .. } => retried(&refused_for(Code::Draining), &text).into(),
        _ => text.into(),
    }
}

/// The beginning is over: what follows is live. Its `id` is the position that live publications follow.
pub(super) fn subscribed(receipt: &SubscribeReceipt) -> String {
    let event = of_session(&Subscribed(receipt));
    receipt.position.as_ref().map_or_else(|| event.clone(), |position| format!("id: {position}\n{event}"))
}

/// A refusal of a stream whose client may come back.
pub(super) fn refused(refusal: &Refusal) -> String {
    let event = SessionEvent::Error { event: "subscribe".to_owned(), error: refusal.clone() };
    retried(&refused_for(refusal.code), &of_session(&event))
}

/// An event that also says when a client is to be back after the end of the stream, whatever ends it.
pub(super) fn with_retry(event: &str) -> String {
    let (from, span) = RETRY;
    retried(&(from + jitter(span)), event)
}

fn retried(time: &Duration, event: &str) -> String {
    format!("retry: {}\n{event}", time.as_millis())
}

/// When a client is back that was refused for now. Clients that were refused together do not come back together.
fn refused_for(code: Code) -> Duration {
    let seconds = |from, span| (Duration::from_secs(from), Duration::from_secs(span));
    let (from, span) = match code {
        // Another server takes it, and this one has spread its clients already.
        Code::Draining => (Duration::from_millis(100), Duration::from_secs(1)),
        // Failed logins count for a minute.
        Code::RateLimited => seconds(30, 60),
        _ => seconds(2, 8),
    };
    from + jitter(span)
}

fn of_session(event: &impl Serialize) -> String {
    format!("event: {SESSION_EVENT}\ndata: {}\n\n", json(event))
}

/// The receipt of a stream. A stream has no ack.
struct Subscribed<'a>(&'a SubscribeReceipt);

impl Serialize for Subscribed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SubscribeReceipt { topic, params, position, presence, .. } = self.0;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("type", "subscribed")?;
        out.serialize_entry("channel", topic)?;
        out.serialize_entry("params", params)?;
        if let Some(position) = position {
            out.serialize_entry("position", position)?;
        }
        if let Some(presence) = presence {
            out.serialize_entry("presence", presence)?;
        }
        out.end()
    }
}

/// A JSON text on one line. Its line breaks stand between tokens only: inside of a string they are escaped.
fn push_line(text: &mut String, json: &str) {
    if json.contains(['\n', '\r']) {
        text.extend(json.chars().map(|char| if matches!(char, '\n' | '\r') { ' ' } else { char }));
    } else {
        text.push_str(json);
    }
}

/// Values of our own, which always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::protocol::Epoch;

    fn topic() -> Topic {
        Topic::parse("feed.a").unwrap()
    }

    #[test]
    fn a_publication_is_one_event_on_one_line_whatever_the_payload_looks_like() {
        let at = Position { epoch: Epoch::parse("e").unwrap(), offset: 7 };
        let meta = Meta { position: Some(&at), trace: None };
        let text = publication_text(&topic(), "{\n  \"n\": \"a\\nb\",\r\n  \"m\": 1.0\n}", meta);
        assert_eq!(
            text,
            "id: e:7\nevent: feed.a\ndata: {\"payload\":{   \"n\": \"a\\nb\",    \"m\": 1.0 },\"meta\":{\"epoch\":\"e\",\"offset\":7}}\n\n"
        );
        assert_eq!(
            publication_text(&topic(), "1", Meta::default()),
            "event: feed.a\ndata: {\"payload\":1,\"meta\":{}}\n\n"
        );
    }

    #[test]
    fn a_value_of_the_snapshot_tells_its_position_and_is_no_place_to_go_on() {
        let at = Position { epoch: Epoch::parse("e").unwrap(), offset: 7 };
        let text = value_text(&topic(), "1", Some(&at));
        assert_eq!(text, "event: feed.a\ndata: {\"payload\":1,\"meta\":{\"epoch\":\"e\",\"offset\":7}}\n\n");
    }

    #[test]
    fn a_stream_begins_with_less_than_proxies_compress() {
        assert!(OPENING.starts_with(':') && OPENING.len() < 512);
    }

    #[test]
    fn a_client_that_may_come_back_is_told_when_and_not_the_same_as_others() {
        let texts: std::collections::BTreeSet<String> =
            (0..50).map(|_| refused(&Refusal::new(Code::Unavailable))).collect();
        assert!(texts.len() > 40);
        for text in &texts {
            let (retry, event) = text.split_once('\n').unwrap();
            let ms: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
            assert!((2_000..10_000).contains(&ms), "{ms}");
            assert!(event.starts_with("event: tidegate\ndata: {\"type\":\"error\",\"event\":\"subscribe\""), "{event}");
        }
    }

    #[test]
    fn a_client_of_a_server_that_drains_is_back_soon_after_the_end() {
        let text = session_text(&SessionEvent::Draining { retry_in_s: 7.5 });
        let text = std::str::from_utf8(&text).unwrap();
        let (retry, event) = text.split_once('\n').unwrap();
        let ms: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
        assert!((100..1_100).contains(&ms), "{ms}");
        assert_eq!(event, "event: tidegate\ndata: {\"type\":\"draining\",\"retry_in\":7.5}\n\n");
    }
}
