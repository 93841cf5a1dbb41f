//! What is written to a client. A frame is encoded once for each kind of transport, and everybody who receives it shares
//! its bytes.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use serde::Serialize;

use super::stream;
use super::trail::{next_offset, offset_of};
use tidegate_core::flow::Publication;
use tidegate_core::protocol::{Ack, Key, Meta, SessionEvent};
use tidegate_core::telemetry::{Span, SpanKind};
use tidegate_transport::{Packet, Place, ROOT, Slot};

/// The event that carries messages about the session.
pub(super) const SESSION_EVENT: &str = "tidegate";

/// What a client receives in one piece. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Frame {
    /// A publication.
    Publication(Arc<Delivery>),
    /// A message about the session.
    SessionEvent(Arc<Told>),
    /// The answer to an event of the client.
    Ack(Packet),
    /// The client is disconnected for good: a stock client stays away.
    Disconnect,
}

/// A publication on its way to the members of a room; or a message that has its place among the publications.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) publication: Publication,
    /// Where it waits for a client that is behind; on a channel with `delivery.mode: latest` in the slot of its key.
    pub(super) place: Place,
    /// In place of the payload: values of the topic were taken away.
    pub(super) removed: Option<SessionEvent>,
    packet: OnceLock<Packet>,
    text: OnceLock<Bytes>,
    /// The fan-out of a publication of a trace: over when the last group of members was served.
    _fan_out: Option<Span>,
}

/// A message about the session on its way.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) event: SessionEvent,
    packet: OnceLock<Packet>,
    text: OnceLock<Bytes>,
}

/// The number by which a client knows to which of its events an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AckId(pub(super) u64);

impl Frame {
    /// A message about the session.
    pub(super) fn session_event(event: &SessionEvent) -> Self {
        Self::SessionEvent(Arc::new(Told { event: event.clone(), packet: OnceLock::new(), text: OnceLock::new() }))
    }

    /// The answer to the event with this number. What a subscription brings is counted apart (`limits.ack_bytes`): a client
    /// that takes it is not a slow consumer.
    pub(super) fn ack(id: AckId, answer: &Ack) -> Self {
        let packet = Packet::ack(ROOT, id.0, &[&text(answer)]);
        Self::Ack(if matches!(answer, Ack::Subscribed(_)) { packet.counted_apart() } else { packet })
    }
}

impl Delivery {
    /// `room` is the number of the topic's room, and `subscribers` how many it has.
    pub(super) fn new(publication: Publication, room: u64, subscribers: impl FnOnce() -> usize) -> Arc<Self> {
        let fan_out = fan_out_of(&publication, subscribers);
        let key = || publication.channel.delivery.key_of(&publication.payload);
        let place = match publication.channel.delivery.latest {
            true => Place::Newest(Slot { group: room, key: key().into() }),
            false => Place::InOrder,
        };
        let (packet, text) = (OnceLock::new(), OnceLock::new());
        Arc::new(Self { publication, place, removed: None, packet, text, _fan_out: fan_out })
    }

    /// The message that a retained value was taken away, with the position of this publication. It is never replaced, and
    /// an older value of the key that waits for a client is not sent any more.
    pub(super) fn removed(at: Publication, key: Key, room: u64) -> Arc<Self> {
        let place = match at.channel.delivery.latest {
            true => Place::Ends(Slot { group: room, key: key.clone().into() }),
            false => Place::InOrder,
        };
        let removed = Some(SessionEvent::Removed { topic: at.topic.clone(), key });
        let (packet, text) = (OnceLock::new(), OnceLock::new());
        Arc::new(Self { publication: at, place, removed, packet, text, _fan_out: None })
    }

    /// A publication that a client missed. It does not count in what may wait for the client.
    pub(super) fn missed(publication: Publication) -> Arc<Self> {
        let packet = packet_of(&publication).counted_apart();
        let (packet, text) = (OnceLock::from(packet), OnceLock::new());
        Arc::new(Self { publication, place: Place::InOrder, removed: None, packet, text, _fan_out: None })
    }

    /// For Socket.IO.
    pub(super) fn packet(&self) -> &Packet {
        let packet = || match &self.removed {
            Some(removed) => event_packet(removed),
            None => packet_of(&self.publication),
        };
        self.packet.get_or_init(|| packet().at(self.place.clone()))
    }

    /// For streams.
    pub(super) fn text(&self) -> &Bytes {
        self.text.get_or_init(|| {
            if let Some(removed) = &self.removed {
                return stream::session_text(removed);
            }
            let Publication { topic, payload, .. } = &self.publication;
            stream::publication_text(topic, payload.as_str(), meta_of(&self.publication))
        })
    }
}

impl Told {
    /// For Socket.IO.
    pub(super) fn packet(&self) -> &Packet {
        self.packet.get_or_init(|| event_packet(&self.event))
    }

    /// For streams.
    pub(super) fn text(&self) -> &Bytes {
        self.text.get_or_init(|| stream::session_text(&self.event))
    }
}

fn fan_out_of(publication: &Publication, subscribers: impl FnOnce() -> usize) -> Option<Span> {
    let trace = publication.trace.as_ref().filter(|trace| trace.is_sampled())?;
    let mut span = Span::within("fan-out", SpanKind::Producer, trace.clone());
    span.describe(|| {
        let channel = publication.channel.template.as_str().to_owned();
        [
            ("tidegate.channel", channel.into()),
            ("tidegate.topic", publication.topic.as_str().to_owned().into()),
            ("tidegate.subscribers", subscribers().into()),
        ]
    });
    Some(span)
}

/// The event has the topic's name, and the arguments are the payload and what is known about it.
fn packet_of(publication: &Publication) -> Packet {
    let Publication { topic, payload, .. } = publication;
    let meta = meta_of(publication);
    let packet = Packet::event(ROOT, topic.as_str(), &[payload.as_str(), &text(&meta)]);
    packet.with_offset(meta.position.map_or_else(next_offset, |position| offset_of(topic, position)))
}

fn meta_of(publication: &Publication) -> Meta<'_> {
    Meta { position: publication.position_shown(), trace: publication.trace_shown() }
}

/// A message about the session, or one that has its place among the publications of a topic.
fn event_packet(event: &SessionEvent) -> Packet {
    Packet::event(ROOT, SESSION_EVENT, &[&text(event)]).with_offset(next_offset())
}

/// JSON texts and strings in a map, which always serialise.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
