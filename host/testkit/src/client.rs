//! A client without a socket: does for its connection what the transport does.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tidegate_core::flow::{Effect, Gates, Handshake, Membership, Session};
use tidegate_core::protocol::{
    Ack, AuthenticateRequest, Code, ConnectionId, Payload, Position, Refusal, SubscribeReceipt, SubscribeRequest,
    Topic, User,
};

/// One connection.
pub struct Client {
    /// What the gates remember of it.
    pub session: Session,
    gates: Arc<Gates>,
    rooms: Mutex<HashSet<Topic>>,
    told: Mutex<Vec<(Topic, Code)>>,
}

impl Client {
    pub(super) fn new(gates: Arc<Gates>, number: u32, user: Option<User>) -> Self {
        let id = ConnectionId::new(format!("connection-{number}"));
        Self::holding(Session::new(id, user.map(Arc::new)), gates)
    }

    /// One that gate 1 lets in with what it brings.
    pub async fn connect(gates: &Arc<Gates>, handshake: &Handshake) -> Result<Self, Refusal> {
        let id = ConnectionId::new("connection-0");
        let admission = gates.connect(&id, handshake).await?;
        Ok(Self::holding(Session::admitted(id, admission), gates.clone()))
    }

    fn holding(session: Session, gates: Arc<Gates>) -> Self {
        Self { session, gates, rooms: Mutex::default(), told: Mutex::default() }
    }

    /// `emit("authenticate", {})`
    pub async fn authenticate_by_cookies(&self) -> Result<Ack, Refusal> {
        self.gates.authenticate(&self.session, &AuthenticateRequest { token: None }).await
    }

    /// `emit("subscribe", { channel })`
    pub async fn subscribe(&self, topic: &str) -> Result<SubscribeReceipt, Refusal> {
        self.join(SubscribeRequest::to(topic)).await
    }

    /// `emit("subscribe", { channel, since })`
    pub async fn subscribe_since(&self, topic: &str, since: Position) -> Result<SubscribeReceipt, Refusal> {
        self.join(SubscribeRequest { since: Some(since), ..SubscribeRequest::to(topic) }).await
    }

    /// `emit("subscribe", request)`
    pub async fn join(&self, request: SubscribeRequest) -> Result<SubscribeReceipt, Refusal> {
        self.gates.subscribe(self, &request).await
    }

    /// `emit("unsubscribe", { channel })`
    pub fn unsubscribe(&self, topic: &str) -> Result<Topic, Refusal> {
        self.gates.unsubscribe(self, topic)
    }

    /// `emit("authenticate", { token })`
    pub async fn authenticate(&self, token: &str) -> Result<Ack, Refusal> {
        self.gates.authenticate(&self.session, &AuthenticateRequest { token: Some(token.to_owned()) }).await
    }

    /// `emit(topic, payload)`: through gate 3, then the effects, then the reply.
    pub async fn send(&self, topic: &str, payload: Value) -> Result<Option<Value>, Refusal> {
        self.send_text(topic, &payload.to_string()).await
    }

    /// The same, with the payload's text as it stands.
    pub async fn send_text(&self, topic: &str, payload: &str) -> Result<Option<Value>, Refusal> {
        let payload = Payload::parse(payload.to_owned()).unwrap();
        let receipt = self.gates.inbound(&self.session, topic, &payload).await?;
        self.gates.perform(receipt.effects).await?;
        Ok(receipt.reply.map(|reply| reply.value().unwrap().clone()))
    }

    /// The effects gate 3 decides on, not performed.
    pub async fn decide(&self, topic: &str, payload: Value) -> Result<Vec<Effect>, Refusal> {
        Ok(self.gates.inbound(&self.session, topic, &Payload::from(&payload)).await?.effects)
    }

    /// What a reload took away: `(topic, code)`, ordered by topic.
    pub fn recheck(&self) -> Vec<(String, Code)> {
        self.told();
        self.gates.recheck(self);
        self.told()
    }

    /// What authorizers that are others since a reload took away: `(topic, code)`, ordered by topic.
    pub async fn reauthorize(&self) -> Vec<(String, Code)> {
        self.told();
        self.gates.reauthorize(self).await;
        self.told()
    }

    /// The topics that the client was told it lost since this was asked last: `(topic, code)`, ordered by topic.
    pub fn told(&self) -> Vec<(String, Code)> {
        let mut told: Vec<_> = self.told.lock().drain(..).map(|(topic, code)| (topic.to_string(), code)).collect();
        told.sort();
        told
    }

    /// Whether what is published on the topic reaches the client.
    pub fn is_in_room(&self, topic: &str) -> bool {
        self.rooms.lock().iter().any(|room| room.as_str() == topic)
    }

    /// Whether the session holds the topic: it cleared gate 2 and has not lost it since.
    pub fn holds(&self, topic: &str) -> bool {
        self.session.holds(&Topic::parse(topic).unwrap())
    }
}

impl Membership for Client {
    fn session(&self) -> &Session {
        &self.session
    }

    fn settle(&self, topic: &Topic) {
        let mut rooms = self.rooms.lock();
        if self.session.holds(topic) {
            rooms.insert(topic.clone())
        } else {
            rooms.remove(topic)
        };
    }

    /// Nothing waits: the rooms of the kit deliver to no client.
    fn hold(&self, _: &Topic) {}

    fn resume(&self, _: &Topic, _: Option<&Position>) {}

    fn tell_revoked(&self, topic: Topic, reason: Code) {
        self.told.lock().push((topic, reason));
    }
}
