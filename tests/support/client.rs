//! A client without a socket: does for its connection what the transport does.

use std::sync::Arc;

use serde_json::Value;
use tidegate::flow::{Effect, Gates, Handshake, Session};
use tidegate::protocol::{
    Ack, AuthenticateRequest, Code, ConnectionId, Payload, Refusal, Since, SubscribeReceipt, SubscribeRequest, Topic,
    User,
};

/// One connection.
pub struct Client {
    /// What the gates remember of it.
    pub session: Session,
    gates: Arc<Gates>,
}

impl Client {
    pub(super) fn new(gates: Arc<Gates>, number: u32, user: Option<User>) -> Self {
        let id = ConnectionId::new(format!("connection-{number}"));
        Self { session: Session::new(id, user.map(Arc::new)), gates }
    }

    /// One that gate 1 lets in with what it brings.
    pub async fn connect(gates: &Arc<Gates>, handshake: &Handshake) -> Result<Self, Refusal> {
        let id = ConnectionId::new("connection-0");
        let admission = gates.connect(&id, handshake).await?;
        Ok(Self { session: Session::admitted(id, admission), gates: gates.clone() })
    }

    /// `emit("authenticate", {})`
    pub async fn authenticate_by_cookies(&self) -> Result<Ack, Refusal> {
        self.gates.authenticate(&self.session, &AuthenticateRequest { token: None }).await
    }

    /// `emit("subscribe", { channel })`
    pub async fn subscribe(&self, topic: &str) -> Result<SubscribeReceipt, Refusal> {
        self.join(SubscribeRequest { channel: topic.to_owned(), since: None }).await
    }

    /// `emit("subscribe", { channel, since })`
    pub async fn subscribe_since(&self, topic: &str, since: Since) -> Result<SubscribeReceipt, Refusal> {
        self.join(SubscribeRequest { channel: topic.to_owned(), since: Some(since) }).await
    }

    async fn join(&self, request: SubscribeRequest) -> Result<SubscribeReceipt, Refusal> {
        let joined = self.gates.subscribe(&self.session, &request).await?;
        if let Some(listening) = self.gates.listening(&joined.receipt().channel)
            && listening.await.is_err()
        {
            self.gates.give_up(&self.session, &joined);
            return Err(Code::Unavailable.into());
        }
        self.gates.complete(&self.session, joined).await
    }

    /// `emit("unsubscribe", { channel })`
    pub fn unsubscribe(&self, topic: &str) -> Result<Topic, Refusal> {
        self.gates.unsubscribe(&self.session, topic)
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
        Ok(receipt.reply.map(|reply| reply.to_value().unwrap()))
    }

    /// The effects gate 3 decides on, not performed.
    pub async fn decide(&self, topic: &str, payload: Value) -> Result<Vec<Effect>, Refusal> {
        Ok(self.gates.inbound(&self.session, topic, &Payload::from(&payload)).await?.effects)
    }

    /// What a reload took away: `(topic, code)`, ordered by topic.
    pub fn recheck(&self) -> Vec<(String, Code)> {
        let mut lost: Vec<_> = self.gates.recheck(&self.session).into_iter().map(|(t, c)| (t.to_string(), c)).collect();
        lost.sort();
        lost
    }

    /// What authorizers that are others since a reload took away: `(topic, code)`, ordered by topic.
    pub async fn reauthorize(&self) -> Vec<(String, Code)> {
        let mut lost = Vec::new();
        for topic in self.session.topics() {
            lost.extend(self.gates.reauthorize(&self.session, &topic).await.map(|code| (topic.to_string(), code)));
        }
        lost.sort();
        lost
    }

    /// Whether gate 2 was cleared for the topic and not lost since.
    pub fn holds(&self, topic: &str) -> bool {
        self.session.holds(&Topic::parse(topic).unwrap())
    }
}
