//! What is written to a client. A frame is made once, and everybody who receives it shares its texts.

use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

use tidegate_core::flow::Publication;
use tidegate_core::protocol::{Ack, Meta, Payload, SessionEvent};

/// The event that carries messages about the session.
const SESSION_EVENT: &str = "tidegate";

/// One packet for clients. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Frame {
    /// An event with its arguments.
    Event(Arc<Event>),
    /// The answer to an event that asked for one.
    Ack(AckId, Arc<RawValue>),
    /// The client is disconnected for good: a stock client stays away.
    Disconnect,
}

/// An event's name, and its arguments as JSON texts.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) args: Vec<Payload>,
}

/// The number by which a client knows to which of its events an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AckId(pub(super) i64);

impl Frame {
    /// A publication: the event has the topic's name, and the arguments are the payload and what is known about it.
    pub(super) fn publication(publication: &Publication) -> Self {
        let meta = Payload::from(to_raw_value(&Meta).unwrap_or_default());
        Self::event(publication.topic.as_str(), vec![publication.payload.unread(), meta])
    }

    /// A message about the session.
    pub(super) fn session_event(event: &SessionEvent) -> Self {
        // It is strings in a map, which always serialise.
        Self::event(SESSION_EVENT, vec![Payload::from(to_raw_value(event).unwrap_or_default())])
    }

    /// The answer to the event with this number.
    pub(super) fn ack(id: AckId, answer: &Ack) -> Self {
        // It is JSON texts and strings in a map, which always serialise.
        Self::Ack(id, to_raw_value(answer).unwrap_or_default().into())
    }

    fn event(name: &str, args: Vec<Payload>) -> Self {
        Self::Event(Arc::new(Event { name: name.to_owned(), args }))
    }
}
