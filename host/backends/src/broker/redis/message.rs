//! What goes through a topic's channel: `<before> <count> <node> <kind> <except> <payload>`.
//!
//! The first two are written by the script that counts: the topic's count before and after; a count before of 0 says that
//! it was begun anew.

use tidegate_core::protocol::{ConnectionId, Payload};

const PUBLICATION: &str = "p";
const GAP: &str = "g";
const NOBODY: &str = "-";

/// A message as it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// The topic's count before it; 0 when there was none.
    pub(super) before: u64,
    /// The topic's count with it.
    pub(super) count: u64,
    /// The node that sent it.
    pub(super) node: &'a str,
    /// What it says.
    pub(super) body: Body<'a>,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// A publication.
    Publication {
        /// A connection to leave out.
        except: Option<&'a str>,
        /// The payload's text.
        payload: &'a str,
    },
    /// The node published something that Redis did not take.
    Gap,
}

impl<'a> Message<'a> {
    /// Reads a message; `None` when it is of no version that this one knows.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ' ');
        let mut part = || parts.next();
        let (before, count) = (part()?.parse().ok()?, part()?.parse().ok()?);
        let (node, kind, except, payload) = (part()?, part()?, part()?, part()?);
        let body = match kind {
            PUBLICATION => Body::Publication { except: (except != NOBODY).then_some(except), payload },
            GAP => Body::Gap,
            _ => return None,
        };
        Some(Self { before, count, node, body })
    }
}

/// What a node writes of a publication; the script puts the counts before it.
pub(super) fn publication(node: &str, except: Option<&ConnectionId>, payload: &Payload) -> String {
    let except = except.map_or(NOBODY, ConnectionId::as_str);
    format!("{node} {PUBLICATION} {except} {}", payload.as_str())
}

/// What a node writes where something of its own did not reach the others.
pub(super) fn gap(node: &str) -> String {
    format!("{node} {GAP} {NOBODY} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_payload_stays_as_it_was() {
        let payload = Payload::parse(r#"{ "text": "a  b" }"#.to_owned()).unwrap();
        let text = format!("6 7 {}", publication("n1", Some(&ConnectionId::new("c1")), &payload));
        let body = Body::Publication { except: Some("c1"), payload: r#"{ "text": "a  b" }"# };
        assert_eq!(Message::read(&text), Some(Message { before: 6, count: 7, node: "n1", body }));
        let text = format!("0 7 {}", publication("n1", None, &payload));
        let Some(Message { body: Body::Publication { except: None, .. }, .. }) = Message::read(&text) else {
            panic!("{text}")
        };
        let told = Message::read("1 2 n1 g - ").unwrap();
        assert_eq!((told.body, gap("n1").as_str()), (Body::Gap, "n1 g - "));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in ["", "hello", "1 2 n1 p -", "x 2 n1 p - 1", "1 2 n1 z - 1", "-1 2 n1 p - 1"] {
            assert_eq!(Message::read(text), None, "{text}");
        }
    }
}
