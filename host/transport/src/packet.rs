//! Packets for clients. A packet is encoded once, and everybody who receives it shares its bytes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::outbound::Offset;
use super::websocket;

/// The namespace that clients are in unless they name another one.
pub const ROOT: &str = "/";

/// One packet, encoded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Packet(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    /// As Engine.IO sends it over polling: the type `4`, then the Socket.IO packet.
    text: Bytes,
    /// Binary attachments, which follow the text.
    attachments: Vec<Bytes>,
    frames: Frames,
    /// The offset that clients with recovery keep, and text and frames that end with it.
    offset: Option<Offset>,
    marked: OnceLock<(Bytes, Frames)>,
    account: Account,
    place: Place,
}

/// Where something waits for a client that is behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// Behind everything that has an order.
    #[default]
    InOrder,
    /// In a slot, where it replaces what waits there. Whatever has an order may overtake it.
    Newest(Slot),
    /// Behind everything that has an order; what waits in the slot is older, and goes.
    Ends(Slot),
}

/// A place of its own for the newest of something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Whose packets these are, for [`Socket::forget`](crate::Socket::forget).
    pub group: u64,
    /// The key inside of the group.
    pub key: Arc<str>,
}

/// The account in which a packet's bytes count while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// That of the limit beyond which a client is a slow consumer.
    Limited,
    /// That of the answers which [`Socket::has_room_apart`](crate::Socket::has_room_apart) waits for.
    Apart,
}

/// Text and attachments as websocket frames.
#[derive(Debug)]
struct Frames {
    plain: Bytes,
    /// The same, compressed for the first client that takes it so; `None` if that is not smaller.
    compressed: OnceLock<Option<Bytes>>,
}

/// How one client takes packets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form {
    /// It keeps the offsets of events.
    pub(crate) recovers: bool,
    /// It takes compressed messages, and gets those that have at least so many bytes compressed.
    pub(crate) compressed_from: Option<usize>,
}

impl Packet {
    /// An event. `arguments` are JSON texts.
    #[must_use]
    pub fn event(namespace: &str, name: &str, arguments: &[&str]) -> Self {
        Self::of(head('2', namespace, None) + &array(Some(name), arguments))
    }

    /// An event with an ack id, which the client answers.
    #[must_use]
    pub fn question(namespace: &str, id: u64, name: &str, arguments: &[&str]) -> Self {
        Self::of(head('2', namespace, Some(id)) + &array(Some(name), arguments))
    }

    /// The answer to an event of the client. `arguments` are JSON texts.
    #[must_use]
    pub fn ack(namespace: &str, id: u64, arguments: &[&str]) -> Self {
        Self::of(head('3', namespace, Some(id)) + &array(None, arguments))
    }

    /// An event, or the answer to one, with binary attachments. `array` is the JSON text of the event's name and its
    /// arguments, or of the answer's arguments, with a placeholder for each attachment.
    #[must_use]
    pub fn binary(namespace: &str, answers: Option<u64>, array: &str, attachments: Vec<Bytes>) -> Self {
        let kind = if answers.is_some() { '6' } else { '5' };
        let text = format!("{}{array}", head_with(kind, Some(attachments.len()), namespace, answers));
        Self::new(&text, attachments)
    }

    /// The client is connected to the namespace. `session` is its id there; `pid` is what it brings to recover.
    pub(crate) fn connected(namespace: &str, session: &str, pid: Option<&str>) -> Self {
        let body = match pid {
            Some(pid) => serde_json::json!({ "sid": session, "pid": pid }),
            None => serde_json::json!({ "sid": session }),
        };
        Self::of(format!("{}{body}", head('0', namespace, None)))
    }

    /// The namespace refused the client.
    pub(crate) fn refused(namespace: &str, message: &str, data: Option<&Value>) -> Self {
        let body = match data {
            Some(data) => serde_json::json!({ "message": message, "data": data }),
            None => serde_json::json!({ "message": message }),
        };
        Self::of(format!("{}{body}", head('4', namespace, None)))
    }

    /// The server disconnects the client from the namespace.
    pub(crate) fn disconnected(namespace: &str) -> Self {
        Self::of(head('1', namespace, None))
    }

    /// The same packet for clients with recovery: its last argument is `offset`, which the client keeps. Call it before
    /// the packet is shared.
    #[must_use]
    pub fn with_offset(mut self, offset: Offset) -> Self {
        if let Some(encoded) = Arc::get_mut(&mut self.0) {
            encoded.offset = Some(offset);
        }
        self
    }

    /// The same packet, whose bytes do not count in the limit of what waits for a client. Whoever sends such packets waits
    /// for [`Socket::has_room_apart`](crate::Socket::has_room_apart) before. Call it before the packet is shared.
    #[must_use]
    pub fn counted_apart(mut self) -> Self {
        if let Some(encoded) = Arc::get_mut(&mut self.0) {
            encoded.account = Account::Apart;
        }
        self
    }

    /// The same packet, which waits at another place than behind everything. Call it before the packet is shared.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        if let Some(encoded) = Arc::get_mut(&mut self.0) {
            encoded.place = place;
        }
        self
    }

    fn of(text: String) -> Self {
        Self::new(&text, Vec::new())
    }

    fn new(text: &str, attachments: Vec<Bytes>) -> Self {
        let (text, frames) = images(text, &attachments);
        let (offset, marked) = (None, OnceLock::new());
        let (account, place) = (Account::Limited, Place::default());
        Self(Arc::new(Encoded { text, attachments, frames, offset, marked, account, place }))
    }

    /// The packet's text, from Engine.IO's `4` on.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0.text).unwrap_or_default()
    }

    /// Whether two packets share their bytes.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The offset that clients with recovery keep.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.0.offset
    }

    /// The packet as websocket frames.
    pub(crate) fn frames(&self, form: Form) -> &Bytes {
        let (text, frames) =
            self.marked(form.recovers).map_or((&self.0.text, &self.0.frames), |(text, frames)| (text, frames));
        let Some(bytes_min) = form.compressed_from else { return &frames.plain };
        if frames.plain.len() < bytes_min {
            return &frames.plain;
        }
        let compressed = frames.compressed.get_or_init(|| compressed(text, &self.0.attachments, bytes_min));
        compressed.as_ref().unwrap_or(&frames.plain)
    }

    /// The packet's text over polling; its attachments follow.
    pub(crate) fn polled(&self, recovers: bool) -> (&Bytes, &[Bytes]) {
        (self.marked(recovers).map_or(&self.0.text, |(text, _)| text), &self.0.attachments)
    }

    fn marked(&self, recovers: bool) -> Option<&(Bytes, Frames)> {
        let offset = self.0.offset.as_ref().filter(|_| recovers)?;
        Some(self.0.marked.get_or_init(|| {
            let text = String::from_utf8_lossy(&self.0.text);
            let text = format!("{},\"{offset}\"]", text.strip_suffix(']').unwrap_or(&text));
            images(&text, &self.0.attachments)
        }))
    }

    /// How many bytes it takes in a queue.
    pub(crate) fn bytes(&self) -> usize {
        self.0.frames.plain.len()
    }

    /// Where these bytes count.
    pub(crate) fn account(&self) -> Account {
        self.0.account
    }

    /// Where it waits.
    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }
}

/// The text as polling sends it, and text and attachments as websocket frames; both share one allocation where they can.
fn images(text: &str, attachments: &[Bytes]) -> (Bytes, Frames) {
    let attached: usize = attachments.iter().map(|bytes| bytes.len() + websocket::HEAD_BYTES_MAX).sum();
    let mut frames = Vec::with_capacity(text.len() + websocket::HEAD_BYTES_MAX + attached);
    websocket::begin(&mut frames, websocket::TEXT, text.len());
    let begin = frames.len();
    frames.extend_from_slice(text.as_bytes());
    for attachment in attachments {
        websocket::begin(&mut frames, websocket::BINARY, attachment.len());
        frames.extend_from_slice(attachment);
    }
    let plain = Bytes::from(frames);
    (plain.slice(begin..begin + text.len()), Frames { plain, compressed: OnceLock::new() })
}

/// Text and attachments as websocket frames, compressed where they have so many bytes and become smaller; `None` if none
/// does.
fn compressed(text: &[u8], attachments: &[Bytes], bytes_min: usize) -> Option<Bytes> {
    let mut frames = Vec::new();
    let mut is_smaller = false;
    let messages = std::iter::once((websocket::TEXT, text));
    for (first, message) in messages.chain(attachments.iter().map(|bytes| (websocket::BINARY, &**bytes))) {
        let small = if message.len() < bytes_min { None } else { websocket::deflate::deflated(message) };
        match small {
            Some(small) => {
                websocket::begin(&mut frames, first | websocket::COMPRESSED, small.len());
                frames.extend_from_slice(&small);
                is_smaller = true;
            }
            None => {
                websocket::begin(&mut frames, first, message.len());
                frames.extend_from_slice(message);
            }
        }
    }
    is_smaller.then(|| frames.into())
}

/// Everything before the JSON text, from Engine.IO's `4` on.
fn head(kind: char, namespace: &str, id: Option<u64>) -> String {
    head_with(kind, None, namespace, id)
}

/// <https://socket.io/docs/v4/socket-io-protocol/#packet-encoding>
fn head_with(kind: char, attachments: Option<usize>, namespace: &str, id: Option<u64>) -> String {
    let mut head = format!("4{kind}");
    if let Some(attachments) = attachments {
        head += &format!("{attachments}-");
    }
    if namespace != ROOT {
        head += namespace;
        head.push(',');
    }
    if let Some(id) = id {
        head += &id.to_string();
    }
    head
}

fn array(name: Option<&str>, arguments: &[&str]) -> String {
    let bytes: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
    let mut array = String::with_capacity(bytes + name.map_or(0, str::len) + 8);
    array.push('[');
    if let Some(name) = name {
        array += &Value::from(name).to_string();
    }
    for (at, argument) in arguments.iter().enumerate() {
        if at > 0 || name.is_some() {
            array.push(',');
        }
        array += argument;
    }
    array.push(']');
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(packet: &Packet, recovers: bool) -> &str {
        std::str::from_utf8(packet.polled(recovers).0).unwrap()
    }

    #[test]
    fn a_packet_is_encoded_as_the_protocol_says() {
        assert_eq!(polled(&Packet::event(ROOT, "a \"b\"", &["1", "{}"]), false), r#"42["a \"b\"",1,{}]"#);
        assert_eq!(polled(&Packet::question("/admin", 7, "a", &[]), false), r#"42/admin,7["a"]"#);
        assert_eq!(polled(&Packet::ack(ROOT, 0, &["null"]), false), "430[null]");
        assert_eq!(polled(&Packet::ack("/admin", 12, &[]), false), "43/admin,12[]");
        assert_eq!(polled(&Packet::connected(ROOT, "s", Some("p")), false), r#"40{"sid":"s","pid":"p"}"#);
        assert_eq!(polled(&Packet::refused("/a", "no", None), false), r#"44/a,{"message":"no"}"#);
        assert_eq!(polled(&Packet::disconnected("/a"), false), "41/a,");
        let binary =
            Packet::binary(ROOT, None, r#"["a",{"_placeholder":true,"num":0}]"#, vec![Bytes::from_static(b"xyz")]);
        assert_eq!(polled(&binary, false), r#"451-["a",{"_placeholder":true,"num":0}]"#);
        assert!(binary.frames(Form::default()).ends_with(b"\x82\x03xyz"));
    }

    #[test]
    fn a_text_is_one_final_frame_with_the_shortest_length() {
        for (bytes, head) in [(10, vec![0x81, 10]), (125, vec![0x81, 125]), (126, vec![0x81, 126, 0, 126])] {
            let packet = Packet::ack(ROOT, 1, &[&"9".repeat(bytes - 5)]);
            assert!(packet.frames(Form::default()).starts_with(&head), "{bytes}");
            assert_eq!(packet.frames(Form::default()).len(), bytes + head.len());
        }
        let long = Packet::ack(ROOT, 1, &[&"9".repeat(70_000 - 5)]);
        assert!(long.frames(Form::default()).starts_with(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]));
    }

    #[test]
    fn clients_with_recovery_get_the_offset_as_the_last_argument_and_others_do_not() {
        let packet = Packet::event(ROOT, "a", &["1"]).with_offset(Offset { line: 10, at: 2 });
        assert_eq!(polled(&packet, true), r#"42["a",1,"a.2"]"#);
        assert_eq!(polled(&packet, false), r#"42["a",1]"#);
        assert!(packet.frames(Form { recovers: true, ..Form::default() }).ends_with(br#"42["a",1,"a.2"]"#));
        assert!(packet.frames(Form::default()).ends_with(br#"42["a",1]"#));
    }
}
