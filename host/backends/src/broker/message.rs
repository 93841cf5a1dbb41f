//! The messages of a topic's Pub/Sub channel: `<before> <count> <node> <kind> <heading> <payload>`.
//!
//! The script that counts writes the first two: the topic's count before and after this message. A count before of 0
//! means that the count has just started. On a topic whose publications have positions the count is the offset, and
//! `<epoch> ` stands before the payload.

use std::borrow::Cow;

use tidegate_core::flow::Publication;
use tidegate_core::protocol::{ConnectionId, Payload, TraceContext};

const PUBLICATION: &str = "p";
const NUMBERED: &str = "h";
const REMOVED: &str = "r";
const GAP: &str = "g";
/// In the place of a connection to leave out.
const NOBODY: &str = "-";
/// Between a connection to leave out and the place in a trace. Neither has it in its text.
const TRACED: char = '|';

/// What stands before a payload, in messages and in entries of histories, as one word: a connection to leave out, and the
/// place in a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Heading {
    pub(super) except: Option<ConnectionId>,
    pub(super) trace: Option<TraceContext>,
}

impl Heading {
    pub(super) fn of(publication: &Publication) -> Self {
        Self { except: publication.except.clone(), trace: publication.trace_sent().cloned() }
    }

    pub(super) fn read(word: &str) -> Self {
        let (except, trace) = word.split_once(TRACED).unwrap_or((word, ""));
        let except = (except != NOBODY).then(|| ConnectionId::new(except));
        Self { except, trace: TraceContext::parse(trace) }
    }

    pub(super) fn word(&self) -> Cow<'_, str> {
        let except = self.except.as_ref().map_or(NOBODY, ConnectionId::as_str);
        match &self.trace {
            None => except.into(),
            Some(trace) => format!("{except}{TRACED}{trace}").into(),
        }
    }
}

/// A received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// The topic's count before it; 0 if there was none.
    pub(super) before: u64,
    /// The topic's count including it.
    pub(super) count: u64,
    /// The node that sent it.
    pub(super) node: &'a str,
    /// The content.
    pub(super) body: Body<'a>,
}

/// The content of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// A publication.
    Publication {
        /// Its [`Heading`].
        heading: &'a str,
        /// The payload's text.
        payload: &'a str,
    },
    /// A publication with a position, for this node's own subscribers, too.
    Numbered {
        /// Its [`Heading`].
        heading: &'a str,
        /// The epoch of the position; the count is the offset.
        epoch: &'a str,
        /// The payload's text.
        payload: &'a str,
    },
    /// Retained values were taken away, after the publication with this offset, which is the count; the count before says
    /// how often that happened on the topic.
    Removed {
        /// The epoch of the position.
        epoch: &'a str,
        /// The keys, a JSON list.
        keys: &'a str,
    },
    /// The node published something that Redis did not accept.
    Gap,
}

impl<'a> Message<'a> {
    /// Reads a message; `None` if its version is unknown.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ' ');
        let mut part = || parts.next();
        let (before, count) = (part()?.parse().ok()?, part()?.parse().ok()?);
        let (node, kind, heading, payload) = (part()?, part()?, part()?, part()?);
        let body = match kind {
            PUBLICATION => Body::Publication { heading, payload },
            NUMBERED => {
                let (epoch, payload) = payload.split_once(' ')?;
                Body::Numbered { heading, epoch, payload }
            }
            REMOVED => {
                let (epoch, keys) = payload.split_once(' ')?;
                Body::Removed { epoch, keys }
            }
            GAP => Body::Gap,
            _ => return None,
        };
        Some(Self { before, count, node, body })
    }
}

/// A publication as a node writes it; the script puts the counts in front.
pub(super) fn publication(node: &str, heading: &Heading, payload: &Payload) -> String {
    format!("{node} {PUBLICATION} {} {}", heading.word(), payload.as_str())
}

/// How the message of a publication with a position begins; the script does the rest.
pub(super) fn numbered(node: &str) -> String {
    format!("{node} {NUMBERED}")
}

/// How the message that retained values were taken away begins; the script does the rest.
pub(super) fn removed(node: &str) -> String {
    format!("{node} {REMOVED}")
}

/// The message of a node after one of its publications did not reach the others.
pub(super) fn gap(node: &str) -> String {
    format!("{node} {GAP} {NOBODY} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_payload_stays_as_it_was() {
        let payload = Payload::parse(r#"{ "text": "a  b" }"#.to_owned()).unwrap();
        let text = format!("6 7 {}", publication("n1", &Heading::read("c1"), &payload));
        let body = Body::Publication { heading: "c1", payload: r#"{ "text": "a  b" }"# };
        assert_eq!(Message::read(&text), Some(Message { before: 6, count: 7, node: "n1", body }));
        let text = format!("0 7 {}", publication("n1", &Heading::default(), &payload));
        let Some(Message { body: Body::Publication { heading: "-", .. }, .. }) = Message::read(&text) else {
            panic!("{text}")
        };
        let text = format!("6 7 {} c1 e-1 [1, 2]", numbered("n1"));
        let body = Body::Numbered { heading: "c1", epoch: "e-1", payload: "[1, 2]" };
        assert_eq!(Message::read(&text), Some(Message { before: 6, count: 7, node: "n1", body }));
        let text = format!("3 7 {} - e-1 [\"a b\",2]", removed("n1"));
        let body = Body::Removed { epoch: "e-1", keys: "[\"a b\",2]" };
        assert_eq!(Message::read(&text), Some(Message { before: 3, count: 7, node: "n1", body }));
        let told = Message::read("1 2 n1 g - ").unwrap();
        assert_eq!((told.body, gap("n1").as_str()), (Body::Gap, "n1 g - "));
    }

    #[test]
    fn a_heading_comes_back_as_it_went_in_and_a_malformed_trace_is_none() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (word, except, trace) in [
            ("-", None, None),
            ("c1", Some("c1"), None),
            (&format!("-|{parent}"), None, Some(parent)),
            (&format!("c1|{parent}"), Some("c1"), Some(parent)),
        ] {
            let heading = Heading::read(word);
            assert_eq!(heading.word(), word);
            assert_eq!(heading.except.as_ref().map(ConnectionId::as_str), except);
            assert_eq!(heading.trace.map(|trace| trace.to_string()).as_deref(), trace);
        }
        assert_eq!(Heading::read("c1|01-of-another-version"), Heading::read("c1"));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in ["", "hello", "1 2 n1 p -", "x 2 n1 p - 1", "1 2 n1 z - 1", "-1 2 n1 p - 1"] {
            assert_eq!(Message::read(text), None, "{text}");
        }
    }
}
