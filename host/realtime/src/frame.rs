//! What is written to a client. A frame is made once, and everybody who receives it shares its bytes.

use serde::Serialize;

use tidegate_core::flow::Publication;
use tidegate_core::protocol::{Ack, Meta, SessionEvent};
use tidegate_transport::{Packet, ROOT};

/// The event that carries messages about the session.
const SESSION_EVENT: &str = "tidegate";

/// One packet for clients. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Frame {
    /// An event or an answer.
    Packet(Packet),
    /// The client is disconnected for good: a stock client stays away.
    Disconnect,
}

/// The number by which a client knows to which of its events an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AckId(pub(super) u64);

impl Frame {
    /// A publication: the event has the topic's name, and the arguments are the payload and what is known about it.
    pub(super) fn publication(publication: &Publication) -> Packet {
        let meta = text(&Meta { position: publication.position.as_ref() });
        Packet::event(ROOT, publication.topic.as_str(), &[publication.payload.as_str(), &meta])
    }

    /// A message about the session.
    pub(super) fn session_event(event: &SessionEvent) -> Self {
        Self::event(SESSION_EVENT, &[&text(event)])
    }

    /// The answer to the event with this number.
    pub(super) fn ack(id: AckId, answer: &Ack) -> Self {
        Self::Packet(Packet::ack(ROOT, id.0, &[&text(answer)]))
    }

    fn event(name: &str, arguments: &[&str]) -> Self {
        Self::Packet(Packet::event(ROOT, name, arguments))
    }
}

/// JSON texts and strings in a map, which always serialise.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
