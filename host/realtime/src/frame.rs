//! What is written to a client. A frame is encoded once for each kind of transport, and everybody who receives it shares
//! its bytes.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use serde::Serialize;

use super::stream;
use super::trail::{next_offset, offset_of};
use tidegate_core::flow::Publication;
use tidegate_core::protocol::{Ack, Meta, SessionEvent};
use tidegate_transport::{Packet, ROOT, Slot};

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

/// A publication on its way to the members of a room.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) publication: Publication,
    /// On a channel with `delivery.mode: latest`: what it replaces where it waits for a client that is behind.
    pub(super) slot: Option<Slot>,
    packet: OnceLock<Packet>,
    text: OnceLock<Bytes>,
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
    /// `room` is the number of the topic's room.
    pub(super) fn new(publication: Publication, room: u64) -> Arc<Self> {
        let Publication { channel, payload, .. } = &publication;
        let latest = channel.delivery.latest;
        let slot = latest.then(|| Slot { group: room, key: channel.delivery.key_of(payload).into() });
        Arc::new(Self { publication, slot, packet: OnceLock::new(), text: OnceLock::new() })
    }

    /// A publication that a client missed. It does not count in what may wait for the client.
    pub(super) fn missed(publication: Publication) -> Arc<Self> {
        let packet = packet_of(&publication).counted_apart();
        Arc::new(Self { publication, slot: None, packet: OnceLock::from(packet), text: OnceLock::new() })
    }

    /// For Socket.IO.
    pub(super) fn packet(&self) -> &Packet {
        self.packet.get_or_init(|| match &self.slot {
            Some(slot) => packet_of(&self.publication).in_slot(slot.clone()),
            None => packet_of(&self.publication),
        })
    }

    /// For streams.
    pub(super) fn text(&self) -> &Bytes {
        self.text.get_or_init(|| {
            let Publication { topic, payload, position, .. } = &self.publication;
            stream::publication_text(topic, payload.as_str(), position.as_ref())
        })
    }
}

impl Told {
    /// For Socket.IO.
    pub(super) fn packet(&self) -> &Packet {
        let packet = || Packet::event(ROOT, SESSION_EVENT, &[&text(&self.event)]).with_offset(next_offset());
        self.packet.get_or_init(packet)
    }

    /// For streams.
    pub(super) fn text(&self) -> &Bytes {
        self.text.get_or_init(|| stream::session_text(&self.event))
    }
}

/// The event has the topic's name, and the arguments are the payload and what is known about it.
fn packet_of(Publication { topic, payload, position, .. }: &Publication) -> Packet {
    let position = position.as_ref();
    let packet = Packet::event(ROOT, topic.as_str(), &[payload.as_str(), &text(&Meta { position })]);
    packet.with_offset(position.map_or_else(next_offset, |position| offset_of(topic, position)))
}

/// JSON texts and strings in a map, which always serialise.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
