//! One raw websocket that subscribes to the topic and finds the number in each publication.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use tidegate_fanout::SUBSCRIBED;

use crate::frame::{self, PING, PONG, TEXT};
use crate::publisher::SLOTS;

const NUMBER: &[u8] = b"\"seq\":";

/// What all subscribers say and hear.
pub(crate) struct Speech {
    /// Engine.IO and Socket.IO; otherwise a bare websocket that receives the payload and nothing around it.
    pub(crate) socket_io: bool,
    pub(crate) topic: String,
    /// How a publication begins.
    opening: Vec<u8>,
    /// Where the number stands in a publication; known from the first one.
    number_at: Option<usize>,
}

impl Speech {
    pub(crate) fn new(socket_io: bool, topic: String) -> Self {
        let opening = if socket_io { format!("42[\"{topic}\",") } else { "{".to_owned() };
        Self { socket_io, topic, opening: opening.into_bytes(), number_at: None }
    }

    /// The number in a publication, or nothing when this is not a publication.
    fn number(&mut self, payload: &[u8]) -> Option<u64> {
        if !payload.starts_with(&self.opening) {
            return None;
        }
        let at = *self.number_at.get_or_insert(payload.windows(NUMBER.len()).position(|part| part == NUMBER)?);
        let digits = payload.get(at..)?.strip_prefix(NUMBER)?;
        let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
        str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Upgrading,
    Entering,
    Subscribed,
}

/// A socket and what it has received.
pub(crate) struct Subscriber {
    pub(crate) socket: TcpStream,
    stage: Stage,
    /// The beginning of a frame whose rest has not come yet.
    rest: Vec<u8>,
    /// The number of the last publication from each slot.
    pub(crate) last: [u32; SLOTS],
}

impl Subscriber {
    /// Connects, and asks for the websocket.
    pub(crate) fn open(address: SocketAddr, last: [u32; SLOTS]) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.write_all(
            format!(
                "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        )?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, stage: Stage::Upgrading, rest: Vec::new(), last })
    }

    /// Reads once, and adds the number of each publication to `numbers`. Answers whether it has become subscribed by this.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        speech: &mut Speech,
        numbers: &mut Vec<u64>,
    ) -> io::Result<bool> {
        let kept = self.rest.len();
        buffer[..kept].copy_from_slice(&self.rest);
        let read = match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let bytes = &buffer[..kept + read];
        let before = self.stage;
        let mut taken = 0;
        if self.stage == Stage::Upgrading {
            taken = upgraded(bytes)?;
            if taken > 0 {
                self.stage = Stage::Entering;
            }
        }
        while self.stage != Stage::Upgrading
            && let Some(frame) = frame::first(&bytes[taken..])?
        {
            taken += frame.bytes;
            match frame.opcode {
                TEXT => self.hear(frame.payload, speech, numbers)?,
                PING => self.say(PONG, frame.payload)?,
                other => return Err(io::Error::other(format!("a frame with opcode {other}"))),
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(&bytes[taken..]);
        Ok(before != Stage::Subscribed && self.stage == Stage::Subscribed)
    }

    fn hear(&mut self, payload: &[u8], speech: &mut Speech, numbers: &mut Vec<u64>) -> io::Result<()> {
        if self.stage == Stage::Subscribed
            && let Some(number) = speech.number(payload)
        {
            numbers.push(number);
            return Ok(());
        }
        let unexpected = || io::Error::other(format!("unexpected: {}", String::from_utf8_lossy(payload)));
        if !speech.socket_io {
            if payload != SUBSCRIBED.as_bytes() {
                return Err(unexpected());
            }
            self.stage = Stage::Subscribed;
            return Ok(());
        }
        match (self.stage, payload) {
            (_, b"2") => self.say(TEXT, b"3"),
            (Stage::Entering, [b'0', ..]) => self.say(TEXT, b"40"),
            (Stage::Entering, [b'4', b'0', ..]) => {
                let subscribe = format!("420[\"subscribe\",{{\"channel\":\"{}\"}}]", speech.topic);
                self.say(TEXT, subscribe.as_bytes())
            }
            (Stage::Entering, [b'4', b'3', b'0', ack @ ..]) if ack.starts_with(b"[{\"ok\":true") => {
                self.stage = Stage::Subscribed;
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }

    fn say(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let frame = frame::from_client(opcode, payload);
        match self.socket.write(&frame)? {
            written if written == frame.len() => Ok(()),
            _ => Err(io::Error::other("the server does not read")),
        }
    }
}

/// Where the head of the answer to the upgrade ends; 0 while it is not whole.
fn upgraded(bytes: &[u8]) -> io::Result<usize> {
    let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { return Ok(0) };
    if bytes.starts_with(b"HTTP/1.1 101 ") {
        return Ok(end + 4);
    }
    Err(io::Error::other(format!("no websocket: {}", String::from_utf8_lossy(bytes))))
}
