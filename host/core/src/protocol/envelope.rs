//! The messages between client and server: requests, read without trust; acks and session events, written.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{
    Code, Epoch, Kept, Key, Params, Payload, Position, PresenceChange, Present, Refusal, Snapshot, Topic, Unrecovered,
};

/// One event from a client, read from its packet.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// `subscribe { channel, since?, info? }`
    Subscribe(SubscribeRequest),
    /// `unsubscribe { channel }`
    Unsubscribe(UnsubscribeRequest),
    /// `authenticate { token? }`
    Authenticate(AuthenticateRequest),
    /// `<topic> payload`; the topic is not checked yet.
    Message {
        /// The event's name as the client sent it.
        topic: String,
        /// The only argument, `null` if there was none.
        payload: Payload,
    },
}

/// `subscribe`: the topic and, after a reconnect, the last position seen.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscribeRequest {
    /// The topic's name, unchecked; `channel` on the wire.
    pub topic: String,
    /// Where the client left off.
    pub since: Option<Position>,
    /// What the user tells about itself, where the channel has presence.
    pub info: Option<Payload>,
    /// The client takes what it missed part by part: the receipt has the first, and its position is the end of that.
    pub reads_on: bool,
}

/// `unsubscribe`: the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeRequest {
    /// The topic's name, unchecked; `channel` on the wire.
    pub topic: String,
}

/// `authenticate`: a new token for the same user, or a request to check the cookies of the handshake again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticateRequest {
    /// The token, unchecked; `None` means the cookies.
    pub token: Option<String>,
}

/// Why a packet is not a valid request. The message is safe to send to the client that caused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The text is not a JSON array that begins with a name.
    #[error("{0}")]
    NotAnEvent(&'static str),
    /// It is an event, and its arguments are wrong.
    #[error("{0}")]
    Invalid(String),
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::because(Code::InvalidPayload, error.to_string())
    }
}

impl ClientEvent {
    /// Reads the text of an event packet, `["name", …arguments]`, whatever the client put in it.
    ///
    /// # Errors
    /// [`RequestError`] if it is not an event of this protocol.
    pub fn parse(packet: &str) -> Result<Self, RequestError> {
        let mut parts: Vec<Box<RawValue>> = serde_json::from_str(packet)
            .map_err(|_| RequestError::NotAnEvent("an event is a JSON array of a name and arguments"))?;
        if parts.is_empty() {
            return Err(RequestError::NotAnEvent("an event has a name"));
        }
        let name: String = serde_json::from_str(parts.remove(0).get())
            .map_err(|_| RequestError::NotAnEvent("an event's name is a string"))?;
        if parts.len() > 1 {
            return Err(RequestError::Invalid(format!("an event takes one argument, found {}", parts.len())));
        }
        let argument = parts.pop().unwrap_or_default();
        match name.as_str() {
            "subscribe" => Ok(Self::Subscribe(SubscribeRequest::read(&argument)?)),
            "unsubscribe" => {
                let topic = string_field(&object(&argument, "{ channel }")?, "channel")?;
                Ok(Self::Unsubscribe(UnsubscribeRequest { topic }))
            }
            "authenticate" => {
                let fields = object(&argument, "{ token? }")?;
                let token = fields.get("token").map(|_| string_field(&fields, "token")).transpose()?;
                Ok(Self::Authenticate(AuthenticateRequest { token }))
            }
            _ => Ok(Self::Message { topic: name, payload: argument.into() }),
        }
    }

    /// The topic of this event: events on one topic are handled in the order in which they were sent.
    #[must_use]
    pub fn topic(&self) -> &str {
        match self {
            Self::Subscribe(request) => &request.topic,
            Self::Unsubscribe(request) => &request.topic,
            Self::Authenticate(_) => "authenticate",
            Self::Message { topic, .. } => topic,
        }
    }
}

impl SubscribeRequest {
    /// The request for a topic and nothing else.
    #[must_use]
    pub fn to(topic: &str) -> Self {
        Self { topic: topic.to_owned(), since: None, info: None, reads_on: false }
    }

    fn read(argument: &RawValue) -> Result<Self, RequestError> {
        let fields = object(argument, "{ channel, since?, info? }")?;
        let topic = string_field(&fields, "channel")?;
        let since = match fields.get("since") {
            None | Some(Value::Null) => None,
            Some(Value::Object(since)) => {
                let epoch = Epoch::parse(&string_field(since, "epoch")?)
                    .ok_or_else(|| error("`epoch` must have only letters, digits, `-` and `_`"))?;
                let offset = since
                    .get("offset")
                    .and_then(Value::as_u64)
                    .ok_or_else(|| error("`offset` must be a whole number, 0 or more"))?;
                Some(Position { epoch, offset })
            }
            Some(_) => return Err(error("`since` must be an object { epoch, offset }")),
        };
        let info = fields.get("info").filter(|info| !info.is_null()).map(Payload::from);
        Ok(Self { topic, since, info, reads_on: false })
    }
}

fn error(text: &str) -> RequestError {
    RequestError::Invalid(text.to_owned())
}

fn object(argument: &RawValue, shape: &str) -> Result<serde_json::Map<String, Value>, RequestError> {
    serde_json::from_str(argument.get())
        .map_err(|_| RequestError::Invalid(format!("the argument must be an object {shape}")))
}

fn string_field(fields: &serde_json::Map<String, Value>, name: &str) -> Result<String, RequestError> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(RequestError::Invalid(format!("`{name}` must be a string"))),
        None => Err(RequestError::Invalid(format!("`{name}` is missing"))),
    }
}

/// The answer to a `subscribe` that cleared the gates.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscribeReceipt {
    /// The topic; `channel` on the wire.
    pub topic: Topic,
    /// The template's params.
    pub params: Params,
    /// The newest position when the client joined, if the channel keeps history: live publications follow it.
    pub position: Option<Position>,
    /// The answer to `since`, if the client asked.
    pub recovery: Option<Recovery>,
    /// The topic's state, if the channel has a snapshot.
    pub snapshot: Option<Snapshot>,
    /// Who is there, if the channel has presence.
    pub presence: Option<Present>,
    /// The ack tells everything up to this place: what is published up to it is not sent after the ack. Clients do not
    /// see it.
    pub past: Option<Position>,
}

impl SubscribeReceipt {
    /// Whether the ack holds the newest of all that was published until now: nothing older is to come behind it.
    #[must_use]
    pub const fn is_newest(&self) -> bool {
        matches!(self.snapshot, Some(Snapshot::Values(_))) || matches!(self.recovery, Some(Recovery::Whole(_)))
    }
}

/// What a client that was away gets of what it missed: all of it, or nothing and the reason.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovery {
    /// Every publication that it missed, in order.
    Whole(Vec<Kept>),
    /// None.
    Not(Unrecovered),
}

/// The answer to any client event.
#[derive(Debug, Clone, PartialEq)]
pub enum Ack {
    /// `{ ok: true, channel, params, position?, recovered?, reason?, publications?, snapshot?, presence? }`
    Subscribed(SubscribeReceipt),
    /// `{ ok: true, channel }`
    Unsubscribed(Topic),
    /// `{ ok: true, expires_at? }`
    Authenticated {
        /// When the renewed credential ends, in seconds since the Unix epoch.
        expires_at: Option<u64>,
    },
    /// `{ ok: true, reply? }`
    Accepted {
        /// The handler's reply.
        reply: Option<Payload>,
    },
    /// `{ ok: false, error }`
    Refused(Refusal),
}

impl Serialize for Ack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("ok", &!matches!(self, Self::Refused(_)))?;
        match self {
            Self::Subscribed(receipt) => {
                out.serialize_entry("channel", &receipt.topic)?;
                out.serialize_entry("params", &receipt.params)?;
                if let Some(position) = &receipt.position {
                    out.serialize_entry("position", position)?;
                }
                match &receipt.recovery {
                    Some(Recovery::Whole(publications)) => {
                        out.serialize_entry("recovered", &true)?;
                        out.serialize_entry("publications", publications)?;
                    }
                    Some(Recovery::Not(reason)) => {
                        out.serialize_entry("recovered", &false)?;
                        out.serialize_entry("reason", reason.as_str())?;
                    }
                    None => {}
                }
                if let Some(snapshot) = &receipt.snapshot {
                    out.serialize_entry("snapshot", snapshot)?;
                }
                if let Some(presence) = &receipt.presence {
                    out.serialize_entry("presence", presence)?;
                }
            }
            Self::Unsubscribed(topic) => out.serialize_entry("channel", topic)?,
            Self::Authenticated { expires_at: Some(at) } => out.serialize_entry("expires_at", at)?,
            Self::Accepted { reply: Some(reply) } => out.serialize_entry("reply", reply)?,
            Self::Authenticated { expires_at: None } | Self::Accepted { reply: None } => {}
            Self::Refused(refusal) => out.serialize_entry("error", refusal)?,
        }
        out.end()
    }
}

impl From<Refusal> for Ack {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Events about the session itself, sent as event `tidegate`: `{ type, … }`.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// The server ended a subscription.
    Revoked {
        /// The topic that was left.
        topic: Topic,
        /// The reason: `unknown_channel` if it is no longer declared, `forbidden` if a gate no longer admits it or it
        /// was revoked.
        reason: Code,
    },
    /// The session ends, and a stock client stays away: the credential was revoked, or another user's credential came.
    SessionRevoked {
        /// The reason: `token_revoked`, `unauthenticated` if the application's session is gone, or `forbidden` if the
        /// credential belongs to another user, or an operator disconnected the client.
        reason: Code,
    },
    /// The credential expires soon; `authenticate` renews it.
    Expiring {
        /// When, in seconds since the Unix epoch.
        expires_at: u64,
        /// In how many seconds, rounded up, for clients whose clock is off.
        expires_in_s: u64,
    },
    /// The credential has expired. The session ends, and a stock client stays away.
    Expired,
    /// Publications of a topic may have been missed: the client's state of it may be old.
    Gap {
        /// The topic.
        topic: Topic,
    },
    /// A retained value of a topic was taken away.
    Removed {
        /// The topic.
        topic: Topic,
        /// Its key.
        key: Key,
    },
    /// The refusal of an event without an ack.
    Error {
        /// The event's name, empty if it had none.
        event: String,
        /// The content that the ack would have had.
        error: Refusal,
    },
    /// The client wanted its session back, and has a new one that holds nothing.
    Unrecovered {
        /// Why.
        reason: Unrecovered,
        /// What the session held, where that is known.
        topics: Vec<Topic>,
    },
    /// Others came to a topic, or left it.
    Presence(PresenceChange),
    /// The server is about to close; the stock client reconnects by itself.
    Draining {
        /// When the client should be back, in seconds from now.
        retry_in_s: f64,
    },
}

impl Serialize for SessionEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::Presence(change) = self {
            return change.serialize(serializer);
        }
        let mut out = serializer.serialize_map(None)?;
        match self {
            Self::Revoked { topic, reason } => {
                out.serialize_entry("type", "revoked")?;
                out.serialize_entry("channel", topic)?;
                out.serialize_entry("reason", reason.as_str())?;
            }
            Self::Gap { topic } => {
                out.serialize_entry("type", "gap")?;
                out.serialize_entry("channel", topic)?;
            }
            Self::Removed { topic, key } => {
                out.serialize_entry("type", "removed")?;
                out.serialize_entry("channel", topic)?;
                out.serialize_entry("key", key)?;
            }
            Self::Error { event, error } => {
                out.serialize_entry("type", "error")?;
                out.serialize_entry("event", event)?;
                out.serialize_entry("error", error)?;
            }
            Self::SessionRevoked { reason } => {
                out.serialize_entry("type", "revoked")?;
                out.serialize_entry("reason", reason.as_str())?;
            }
            Self::Expiring { expires_at, expires_in_s } => {
                out.serialize_entry("type", "expiring")?;
                out.serialize_entry("expires_at", expires_at)?;
                out.serialize_entry("expires_in", expires_in_s)?;
            }
            Self::Expired => out.serialize_entry("type", "expired")?,
            Self::Unrecovered { reason, topics } => {
                out.serialize_entry("type", "recovered")?;
                out.serialize_entry("recovered", &false)?;
                out.serialize_entry("reason", reason.as_str())?;
                if !topics.is_empty() {
                    out.serialize_entry("channels", topics)?;
                }
            }
            Self::Presence(_) => {}
            Self::Draining { retry_in_s } => {
                out.serialize_entry("type", "draining")?;
                out.serialize_entry("retry_in", retry_in_s)?;
            }
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(packet: &str) -> String {
        ClientEvent::parse(packet).unwrap_err().to_string()
    }

    #[test]
    fn a_topic_event_keeps_its_payload_verbatim() {
        let event = ClientEvent::parse(r#"["realtime-ping",{"n": 1}]"#).unwrap();
        let payload = Payload::parse(r#"{"n": 1}"#.to_owned()).unwrap();
        assert_eq!(event, ClientEvent::Message { topic: "realtime-ping".to_owned(), payload });
    }

    #[test]
    fn a_topic_event_without_an_argument_carries_null() {
        let ClientEvent::Message { payload, .. } = ClientEvent::parse(r#"["a"]"#).unwrap() else { panic!("a message") };
        assert_eq!(payload.as_str(), "null");
    }

    #[test]
    fn malformed_requests_say_what_is_wrong() {
        assert_eq!(refused(r#"["subscribe"]"#), "the argument must be an object { channel, since?, info? }");
        assert_eq!(refused(r#"["subscribe",{}]"#), "`channel` is missing");
        assert_eq!(refused(r#"["subscribe",{"channel":7}]"#), "`channel` must be a string");
        assert_eq!(
            refused(r#"["subscribe",{"channel":"a","since":1}]"#),
            "`since` must be an object { epoch, offset }"
        );
        let since = |since: &str| refused(&format!(r#"["subscribe",{{"channel":"a","since":{since}}}]"#));
        let letters = "`epoch` must have only letters, digits, `-` and `_`";
        assert_eq!(since(r#"{"epoch":"","offset":1}"#), letters);
        assert_eq!(since(r#"{"epoch":"a:b","offset":1}"#), letters);
        assert_eq!(since(r#"{"epoch":7,"offset":1}"#), "`epoch` must be a string");
        assert_eq!(since(r#"{"offset":1}"#), "`epoch` is missing");
        for offset in ["-1", "1.5", "\"1\"", "null"] {
            let since = since(&format!(r#"{{"epoch":"a","offset":{offset}}}"#));
            assert_eq!(since, "`offset` must be a whole number, 0 or more", "{offset}");
        }
        assert_eq!(refused(r#"["authenticate"]"#), "the argument must be an object { token? }");
        assert_eq!(refused(r#"["authenticate",{"token":null}]"#), "`token` must be a string");
        assert_eq!(refused(r#"["a",1,2,3]"#), "an event takes one argument, found 3");
        assert_eq!(refused("[7]"), "an event's name is a string");
        assert_eq!(refused("[]"), "an event has a name");
        assert_eq!(refused("nonsense"), "an event is a JSON array of a name and arguments");
    }

    #[test]
    fn deep_nesting_is_read_without_recursion() {
        let deep = format!("[\"a\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(ClientEvent::parse(&deep).is_ok());
        let deep = format!("[\"subscribe\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(ClientEvent::parse(&deep).is_err());
    }

    #[test]
    fn acks_have_the_envelope_of_the_wire_contract() {
        let show = |ack: Ack| serde_json::to_string(&ack).unwrap();
        let topic = Topic::parse("vault.v1").unwrap();
        let params: Params = [("vaultId".into(), "v1".to_owned())].into_iter().collect();
        let receipt = SubscribeReceipt {
            topic: topic.clone(),
            params,
            position: None,
            recovery: None,
            snapshot: None,
            presence: None,
            past: None,
        };
        let head = r#"{"ok":true,"channel":"vault.v1","params":{"vaultId":"v1"}"#;
        assert_eq!(show(Ack::Subscribed(receipt.clone())), format!("{head}}}"));
        let position = Position::parse("e:2").unwrap();
        let kept = Kept { payload: Payload::parse("7".to_owned()).unwrap(), position: position.clone(), trace: None };
        let receipt = SubscribeReceipt { position: Some(position), ..receipt };
        let whole = SubscribeReceipt { recovery: Some(Recovery::Whole(vec![kept])), ..receipt.clone() };
        assert_eq!(
            show(Ack::Subscribed(whole)),
            head.to_owned()
                + r#","position":{"epoch":"e","offset":2},"recovered":true,"publications":[{"payload":7,"meta":{"epoch":"e","offset":2}}]}"#
        );
        let not = SubscribeReceipt { recovery: Some(Recovery::Not(Unrecovered::Expired)), ..receipt };
        assert_eq!(
            show(Ack::Subscribed(not)),
            head.to_owned() + r#","position":{"epoch":"e","offset":2},"recovered":false,"reason":"expired"}"#
        );
        assert_eq!(show(Ack::Unsubscribed(topic)), r#"{"ok":true,"channel":"vault.v1"}"#);
        assert_eq!(show(Ack::Accepted { reply: None }), r#"{"ok":true}"#);
        assert_eq!(
            show(Refusal::new(Code::Forbidden).into()),
            r#"{"ok":false,"error":{"code":"forbidden","message":"not allowed","retry":false}}"#
        );
    }
}
