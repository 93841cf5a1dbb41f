//! One client event: it is read, put into the inbound queue, taken through the gates and answered. This file knows
//! nothing of the transport.

use std::sync::Arc;

use futures_util::FutureExt;
use tidegate_transport::Malformed;

use super::Realtime;
use super::connections::Connection;
use super::eviction::revoked;
use super::frame::{AckId, Frame};
use super::inbound_queue::Job;
use super::refusals::Refused;
use tidegate_core::flow::{Effect, Gates, Membership, OwnEvent};
use tidegate_core::protocol::{
    Ack, AuthenticateRequest, ClientEvent, Code, Payload, Refusal, RequestError, SessionEvent, Topic,
};
use tidegate_core::telemetry::{self, Gate};

/// How much longer than its payload an event's packet may be: the topic's name, brackets, quotes.
const ENVELOPE_BYTES_MAX: usize = 1024;

/// Why a packet is not handled.
enum Unread {
    /// It is not an event at all.
    Malformed,
    /// It is refused.
    Refused(Refusal),
}

impl Realtime {
    /// Receives one event packet, `["name", …arguments]`, or the reason why it is not one. It is answered in any case,
    /// with an ack if the client asked for one.
    ///
    /// # Errors
    /// The packet is not an event: nobody can answer it.
    pub(super) fn receive(
        self: &Arc<Self>,
        gates: &Arc<Gates>,
        connection: &Arc<Connection>,
        packet: Result<&str, Refusal>,
        ack: Option<AckId>,
    ) -> Result<(), Malformed> {
        let name = if ack.is_none() {
            packet.as_ref().map_or_else(|_| String::new(), |text| event_name(text))
        } else {
            String::new()
        };
        let reply = {
            let (realtime, connection) = (Arc::clone(self), Arc::clone(connection));
            move |answer: Ack| realtime.reply(&connection, name, ack, answer)
        };
        let event = match packet.map_err(Unread::Refused).and_then(|text| self.read(text)) {
            Ok(event) => event,
            Err(Unread::Malformed) => return Err(Malformed),
            Err(Unread::Refused(refusal)) => {
                violated(gates, connection, Gate::Inbound, "", refusal.code);
                reply(refusal.into());
                return Ok(());
            }
        };
        let topic = event.topic().to_owned();
        let work = Arc::clone(self).answer(Arc::clone(gates), Arc::clone(connection), event).boxed();
        connection.inbound.push(&topic, Job { work, reply: Box::new(reply) });
        Ok(())
    }

    /// Reads a packet. A packet that is too large goes no further, because the limit of the queue is also one of bytes.
    fn read(&self, packet: &str) -> Result<ClientEvent, Unread> {
        let bytes_max = self.limits.payload_bytes_max;
        if packet.len() > bytes_max + ENVELOPE_BYTES_MAX {
            let details = serde_json::json!({ "bytes": packet.len(), "bytes_max": bytes_max });
            return Err(Unread::Refused(Refusal::new(Code::PayloadTooLarge).with_details(details)));
        }
        ClientEvent::parse(packet).map_err(|error| match error {
            RequestError::NotAnEvent(_) => Unread::Malformed,
            RequestError::Invalid(_) => Unread::Refused(error.into()),
        })
    }

    async fn answer(self: Arc<Self>, gates: Arc<Gates>, connection: Arc<Connection>, event: ClientEvent) -> Ack {
        let (gate, topic) = match &event {
            ClientEvent::Subscribe(request) => (Gate::Subscribe, request.topic.clone()),
            ClientEvent::Message { topic, .. } => (Gate::Inbound, topic.clone()),
            ClientEvent::Unsubscribe(_) | ClientEvent::Authenticate(_) => (Gate::Connect, String::new()),
        };
        let answer = match event {
            ClientEvent::Subscribe(request) => match connection.turn_to_subscribe(self.limits.ack_bytes_max).await {
                Some(_turn) => {
                    let receipt = gates.subscribe(&self.member(&connection), &request).await;
                    self.schedule_recheck(&gates, &connection);
                    receipt.map(Ack::Subscribed)
                }
                None => Err(Refusal::because(Code::Unavailable, "the answers to earlier subscribes were not read yet")),
            },
            ClientEvent::Unsubscribe(request) => {
                gates.unsubscribe(&self.member(&connection), &request.topic).map(Ack::Unsubscribed)
            }
            ClientEvent::Authenticate(request) => {
                let renewed = self.authenticate(&gates, &connection, &request).await;
                match &renewed {
                    Ok(_) => self.register(&gates, &connection),
                    // The credential of another user: this client must not learn what the former user may see.
                    Err(refusal) if refusal.code == Code::Forbidden => {
                        self.end(&connection);
                        connection.evict_after_answer();
                    }
                    Err(_) => {}
                }
                // With other roles the user may hold fewer topics.
                gates.recheck(&self.member(&connection));
                self.reauthorize(&gates, &connection).await;
                renewed
            }
            ClientEvent::Message { topic, payload } => self.message(&gates, &connection, &topic, &payload).await,
        };
        answer.unwrap_or_else(|refusal| {
            if gate == Gate::Connect {
                connection.note_refusal(Refused::new(gates.now_unix_ms(), gate, &topic, refusal.code));
            } else {
                violated(&gates, &connection, gate, &topic, refusal.code);
            }
            refusal.into()
        })
    }

    /// Gate 3, then the effects, then the ack: behind what the client itself receives of them.
    async fn message(
        &self,
        gates: &Gates,
        connection: &Connection,
        topic: &str,
        payload: &Payload,
    ) -> Result<Ack, Refusal> {
        let receipt = gates.inbound(&connection.session, topic, payload).await?;
        let topics: Vec<Topic> = receipt.effects.iter().filter_map(Effect::topic).cloned().collect();
        let performed = gates.perform(receipt.effects).await;
        for topic in &topics {
            self.rooms.caught_up(topic, connection).await;
        }
        performed.map(|()| Ack::Accepted { reply: receipt.reply })
    }

    /// A fresh credential, unless this address had so many failed logins that it must wait.
    async fn authenticate(
        &self,
        gates: &Gates,
        connection: &Connection,
        request: &AuthenticateRequest,
    ) -> Result<Ack, Refusal> {
        if !self.failed_logins.admits(connection.arrival.address) {
            return Err(Code::RateLimited.into());
        }
        let renewed = gates.authenticate(&connection.session, request).await;
        let is_failed_login = renewed.as_ref().is_err_and(|refusal| refusal.code == Code::Unauthenticated);
        // A cookie that is not valid any more is not a guess.
        if is_failed_login && request.token.is_some() {
            self.failed_logins.note(connection.arrival.address);
        }
        renewed
    }

    fn reply(&self, connection: &Arc<Connection>, event: String, ack: Option<AckId>, answer: Ack) {
        if let (Some(recovering), Ack::Subscribed(receipt)) = (&connection.recovering, &answer) {
            let _membership = connection.membership();
            if connection.session.holds(&receipt.topic) {
                recovering.trail.subscribed(&receipt.topic, receipt.position.as_ref());
            }
        }
        if let Ack::Subscribed(receipt) = &answer
            && ack.is_some()
            && receipt.is_newest()
        {
            self.rooms.forget_older(&receipt.topic, connection);
        }
        if let Some(id) = ack {
            self.send(connection, &Frame::ack(id, &answer));
        }
        match answer {
            Ack::Refused(error) if ack.is_none() => {
                self.send(connection, &Frame::session_event(&SessionEvent::Error { event, error }));
            }
            Ack::Subscribed(receipt) => {
                self.member(connection).resume(&receipt.topic, receipt.past.as_ref());
            }
            _ => {}
        }
        if connection.takes_eviction()
            && let Some(gates) = self.gates()
        {
            self.evict(&gates, connection, &revoked(Code::Forbidden), "revoked");
        }
    }
}

/// Reports a refusal at a gate.
pub(super) fn violated(gates: &Gates, connection: &Connection, gate: Gate, topic: &str, code: Code) {
    let resolved = gates.serving().catalog.resolve(topic);
    let channel = resolved.as_ref().map_or(telemetry::NO_CHANNEL, |resolved| resolved.channel.template.as_str());
    connection.note_refusal(Refused::new(gates.now_unix_ms(), gate, topic, code));
    let user = connection.session.user();
    let user = user.as_ref().map(|user| user.id.as_str());
    let id = connection.id().as_str();
    telemetry::boundary_violation(gate, id, user, channel, code.as_str());
    // A plugin that failed is told as such, where it failed.
    if !matches!(code, Code::HandlerFailed | Code::HandlerTimeout) {
        gates.saw(OwnEvent::GateRefused { gate, code, channel, user, connection: Some(id), origin: None });
    }
}

/// The name in an event packet, empty if it has none; for telling a client which event was refused.
fn event_name(packet: &str) -> String {
    let inside = packet.trim_start().strip_prefix('[').unwrap_or_default();
    let first = serde_json::Deserializer::from_str(inside).into_iter::<String>().next();
    first.and_then(Result::ok).unwrap_or_default()
}
