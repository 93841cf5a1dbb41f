//! One session: its namespaces, the packets that come in, and its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use engineioxide_core::{Packet as EnginePacket, Str};
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use socketioxide_core::Value;
use socketioxide_core::packet::{Packet as SocketPacket, PacketData};
use socketioxide_core::parser::{Parse, ParseError, ParserState};
use socketioxide_parser_common::CommonParser;
use tokio::time::{Instant, sleep_until};

use crate::Shared;
use crate::handler::{Answer, CloseReason, Connect, Connected, Event, EventText, Handler, Leave, Refusal, Socket};
use crate::namespaces::Namespaces;
use crate::outbound::{Offset, Outbox};
use crate::packet::Packet;

/// One Engine.IO session and the namespaces that its client is in.
pub(crate) struct Session<H: Handler> {
    pub(crate) id: Arc<str>,
    pub(crate) shared: Arc<Shared<H>>,
    pub(crate) opening: H::Opening,
    pub(crate) outbox: Arc<Outbox>,
    /// The requests of the session under way, of which each kind runs once at most.
    pub(crate) polls: AtomicBool,
    pub(crate) posts: AtomicBool,
    /// A websocket wants to take over.
    pub(crate) upgrading: AtomicBool,
    /// The client has probed that websocket: a poll is answered soon, so that the client can go over.
    pub(crate) is_probed: AtomicBool,
    parser: ParserState,
    namespaces: Namespaces<H::Client>,
    began_at: Instant,
    has_connected: AtomicBool,
    /// What a poll gets after the application refused the client for now.
    refusal: Mutex<Option<Box<Answer>>>,
}

impl<H: Handler> Session<H> {
    /// A session that begins by polling.
    pub(crate) fn new(shared: &Arc<Shared<H>>, opening: H::Opening) -> Arc<Self> {
        let outbox = Outbox::new(Arc::clone(&shared.settings), Arc::clone(&shared.waiting));
        Arc::new(Self {
            id: engineioxide_core::Sid::new().as_str().into(),
            shared: Arc::clone(shared),
            opening,
            outbox: Arc::new(outbox),
            polls: AtomicBool::new(false),
            posts: AtomicBool::new(false),
            upgrading: AtomicBool::new(false),
            is_probed: AtomicBool::new(false),
            parser: ParserState::default(),
            namespaces: Namespaces::default(),
            began_at: Instant::now(),
            has_connected: AtomicBool::new(false),
            refusal: Mutex::default(),
        })
    }

    /// The OPEN packet. <https://socket.io/docs/v4/engine-io-protocol/#handshake>
    pub(crate) fn open_packet(&self, carried_by_websocket: bool) -> String {
        let settings = &self.shared.settings;
        let upgrades: &[&str] = if settings.websocket && !carried_by_websocket { &["websocket"] } else { &[] };
        let open = serde_json::json!({
            "sid": &*self.id,
            "upgrades": upgrades,
            "pingInterval": settings.ping_interval.as_millis(),
            "pingTimeout": settings.ping_timeout.as_millis(),
            "maxPayload": settings.payload_bytes_max,
        });
        format!("0{open}")
    }

    /// Until when the client must have connected to a namespace; `None` once it has.
    pub(crate) fn must_connect_by(&self) -> Option<Instant> {
        let connects = self.has_connected.load(Ordering::Relaxed);
        (!connects).then(|| self.began_at + self.shared.settings.connect_timeout)
    }

    /// Ends the session if its client has not connected in time.
    pub(crate) fn judge_connected(&self) {
        if self.must_connect_by().is_some_and(|by| by <= Instant::now()) {
            self.outbox.over(CloseReason::ConnectTimeout);
        }
    }

    /// Keeps the time of a session that polls, until it is over or a websocket carries it.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            if let Some(reason) = self.outbox.ended() {
                return self.end(reason);
            }
            if self.outbox.is_websocket() {
                return;
            }
            let deadline = self.outbox.waits().deadline;
            let deadline = self.must_connect_by().map_or(deadline, |by| by.min(deadline));
            tokio::select! {
                () = self.outbox.task.notified() => {}
                () = sleep_until(deadline) => {
                    self.outbox.tick();
                    self.judge_connected();
                }
            }
        }
    }

    /// Takes a packet of the client.
    ///
    /// # Errors
    /// Why the session ends.
    pub(crate) async fn receive(self: &Arc<Self>, packet: EnginePacket) -> Result<(), CloseReason> {
        let read = match packet {
            EnginePacket::Message(text) if is_disconnect_with_payload(&text) => return Err(CloseReason::ParseError),
            EnginePacket::Message(text) => CommonParser.decode_str(&self.shared.parse_config, &self.parser, text),
            EnginePacket::Binary(bytes) => self.attachment(bytes),
            EnginePacket::Pong => {
                let (lag, processed) = self.outbox.ponged();
                self.tell_processed(&processed);
                if let Some(lag) = lag
                    && let Some(client) = self.namespaces.any_client()
                {
                    self.shared.handler.lag(&client, lag);
                }
                return Ok(());
            }
            EnginePacket::Close => return Err(CloseReason::TransportClose),
            // The server pings, never the client, and a probe has its place in an upgrade only.
            EnginePacket::Ping | EnginePacket::PingUpgrade => return Err(CloseReason::ParseError),
            _ => return Ok(()),
        };
        match read {
            Ok(packet) => self.take(packet).await,
            Err(ParseError::NeedsMoreBinaryData) => Ok(()),
            Err(_) => Err(CloseReason::ParseError),
        }
    }

    /// Takes a binary attachment of the packet before it.
    pub(crate) fn attachment(&self, bytes: Bytes) -> Result<SocketPacket, ParseError> {
        CommonParser.decode_bin(&self.shared.parse_config, &self.parser, bytes)
    }

    async fn take(self: &Arc<Self>, packet: SocketPacket) -> Result<(), CloseReason> {
        let SocketPacket { inner, ns } = packet;
        match inner {
            PacketData::Connect(auth) => self.begin_connect(ns, auth),
            PacketData::Disconnect => {
                self.namespaces.client(&ns).await.ok_or(CloseReason::ParseError)?;
                if let Some(client) = self.namespaces.leave(&ns, CloseReason::ClientDisconnect) {
                    self.shared.handler.closed(&client, CloseReason::ClientDisconnect);
                }
                Ok(())
            }
            PacketData::Event(value, id) => {
                let client = self.namespaces.client(&ns).await.ok_or(CloseReason::ParseError)?;
                let event = unpacked(value, id)?;
                self.shared.handler.event(&client, event).await.map_err(|_malformed| CloseReason::ParseError)
            }
            PacketData::BinaryEvent(value, id) => {
                let client = self.namespaces.client(&ns).await.ok_or(CloseReason::ParseError)?;
                let event = with_placeholders(unpacked(value, id)?)?;
                self.shared.handler.event(&client, event).await.map_err(|_malformed| CloseReason::ParseError)
            }
            PacketData::EventAck(value, id) => {
                let client = self.namespaces.client(&ns).await.ok_or(CloseReason::ParseError)?;
                let answer = unpacked(value, Some(id))?;
                let _: Vec<IgnoredAny> = serde_json::from_str(&answer.array).map_err(|_| CloseReason::ParseError)?;
                self.shared.handler.answered(&client, answer);
                Ok(())
            }
            PacketData::BinaryAck(value, id) => {
                let client = self.namespaces.client(&ns).await.ok_or(CloseReason::ParseError)?;
                self.shared.handler.answered(&client, with_placeholders(unpacked(value, Some(id))?)?);
                Ok(())
            }
            PacketData::ConnectError(_) => Err(CloseReason::ParseError),
        }
    }

    /// The application learns which events the client has processed.
    pub(crate) fn tell_processed(&self, events: &[Offset]) {
        if !events.is_empty()
            && let Some(client) = self.namespaces.any_client()
        {
            self.shared.handler.processed(&client, events);
        }
    }

    /// The client asks to connect to a namespace, which it must not be in.
    fn begin_connect(self: &Arc<Self>, namespace: Str, auth: Option<Value>) -> Result<(), CloseReason> {
        if !self.shared.handler.knows(&namespace) {
            let _ = self.outbox.send(&Packet::refused(&namespace, "Invalid namespace", None));
            return Ok(());
        }
        if !self.namespaces.begin(&namespace) {
            return Err(CloseReason::ParseError);
        }
        let session = Arc::clone(self);
        tokio::spawn(async move {
            let auth = auth.as_ref().and_then(Value::as_str).map(|text| serde_json::from_str(text));
            let name: Arc<str> = namespace.as_str().into();
            let leaves: Weak<dyn Leave> = Arc::downgrade(&(Arc::clone(&session) as Arc<dyn Leave>));
            let socket = Socket::new(Arc::clone(&session.outbox), Arc::clone(&session.id), name, leaves);
            let connect = Connect { opening: &session.opening, namespace: &namespace, auth, socket };
            match session.shared.handler.connect(connect).await {
                Ok(connected) => session.accept(&namespace, connected),
                Err(refusal) => session.refuse(&namespace, refusal),
            }
        });
        Ok(())
    }

    fn accept(&self, namespace: &Str, connected: Connected<H::Client>) {
        let Connected { client, id, pid } = connected;
        self.namespaces.enter(namespace, &client, || {
            let _ = self.outbox.send(&Packet::connected(namespace, &id, pid.as_deref()));
        });
        self.has_connected.store(true, Ordering::Relaxed);
        self.shared.handler.connected(&client);
        if let Some(reason) = self.namespaces.entered(namespace) {
            self.shared.handler.closed(&client, reason);
        }
    }

    fn refuse(&self, namespace: &Str, refusal: Refusal) {
        self.namespaces.refused(namespace);
        match refusal {
            Refusal::Answer { message, data } => {
                let _ = self.outbox.send(&Packet::refused(namespace, &message, data.as_ref()));
            }
            Refusal::Close(answer) => {
                *self.refusal.lock() = answer;
                self.outbox.over(CloseReason::ServerClose);
            }
        }
    }

    /// What a poll gets that waited when the application refused the client for now.
    pub(crate) fn take_refusal(&self) -> Option<Box<Answer>> {
        self.refusal.lock().take()
    }

    /// Disconnects every namespace and forgets the session. Later calls change nothing.
    pub(crate) fn end(&self, reason: CloseReason) {
        self.outbox.over(reason);
        self.shared.sessions.remove(&self.id);
        let reason = self.outbox.ended().unwrap_or(reason);
        for client in self.namespaces.end(reason) {
            self.shared.handler.closed(&client, reason);
        }
    }
}

impl<H: Handler> Leave for Session<H> {
    fn leave(&self, namespace: &str) {
        if let Some(client) = self.namespaces.leave(namespace, CloseReason::ServerDisconnect) {
            self.shared.handler.closed(&client, CloseReason::ServerDisconnect);
        }
    }
}

/// The parser drops whatever follows a DISCONNECT.
fn is_disconnect_with_payload(packet: &str) -> bool {
    let Some(rest) = packet.strip_prefix('1') else { return false };
    match rest.split_once(',') {
        Some((namespace, payload)) => !namespace.starts_with('/') || !payload.is_empty(),
        None => !rest.is_empty() && !rest.starts_with('/'),
    }
}

fn unpacked(value: Value, id: Option<i64>) -> Result<Event, CloseReason> {
    match value {
        Value::Str(array, attachments) => {
            Ok(Event { array: EventText(array), attachments: attachments.unwrap_or_default(), id })
        }
        Value::Bytes(_) => Err(CloseReason::ParseError),
    }
}

/// Refuses a packet that announces no attachment, and a placeholder without one.
fn with_placeholders(event: Event) -> Result<Event, CloseReason> {
    let value: serde_json::Value = serde_json::from_str(&event.array).map_err(|_| CloseReason::ParseError)?;
    let fits = !event.attachments.is_empty() && value.is_array() && placeholders_fit(&value, event.attachments.len());
    fits.then_some(event).ok_or(CloseReason::ParseError)
}

fn placeholders_fit(value: &serde_json::Value, attachments: usize) -> bool {
    match value {
        serde_json::Value::Array(items) => items.iter().all(|item| placeholders_fit(item, attachments)),
        serde_json::Value::Object(map) if map.get("_placeholder") == Some(&true.into()) => {
            map.get("num").and_then(serde_json::Value::as_u64).is_some_and(|num| num < attachments as u64)
        }
        serde_json::Value::Object(map) => map.values().all(|item| placeholders_fit(item, attachments)),
        _ => true,
    }
}
