//! One slot: an HTTP connection, kept for a round, with one publication in flight. The publication is over when every subscriber has it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// The most publications in flight.
pub(crate) const SLOTS: usize = 16;
/// The payload's size, and the first number, so that all numbers have as many digits.
const PAYLOAD_BYTES: usize = 200;
const FIRST: u64 = 1_000_000_000;

/// The slot and its count, from the number in a payload.
pub(crate) fn slot_and_count(number: u64) -> Option<(usize, u32)> {
    let number = number.checked_sub(FIRST)?;
    let slots = u64::try_from(SLOTS).ok()?;
    Some((usize::try_from(number % slots).ok()?, u32::try_from(number / slots).ok()?))
}

fn number(slot: usize, count: u32) -> u64 {
    // The slots are few.
    FIRST + u64::from(count) * SLOTS as u64 + slot as u64
}

/// A slot's connection and publication.
pub(crate) struct Publisher {
    /// Open while a round lasts: a server may close what says nothing.
    socket: Option<TcpStream>,
    slot: usize,
    request: Vec<u8>,
    number_at: usize,
    answer: Vec<u8>,
    /// How many publications it has begun; the number of the one in flight, or of the last.
    pub(crate) count: u32,
    /// How many subscribers do not have it yet.
    pub(crate) missing: usize,
    /// Whether the server has answered.
    pub(crate) accepted: bool,
}

impl Publisher {
    pub(crate) fn new(address: SocketAddr, slot: usize, topic: &str, key: &str) -> Self {
        let (before, after) = (
            "{\"seq\":",
            ",\"device\":\"van-0042\",\"at\":\"2026-01-01T00:00:00.000Z\",\"lat\":52.520008,\"lon\":13.404954,\"speed\":12.5,\"note\":\"\"}",
        );
        let digits = FIRST.to_string();
        let note = "x".repeat(PAYLOAD_BYTES - before.len() - digits.len() - after.len());
        let after = after.replace("\"\"}", &format!("\"{note}\"}}"));
        let head = format!(
            "POST /v1/channels/{topic}/publish HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {PAYLOAD_BYTES}\r\n\r\n"
        );
        let number_at = head.len() + before.len();
        let request = format!("{head}{before}{digits}{after}").into_bytes();
        Self { socket: None, slot, request, number_at, answer: Vec::new(), count: 0, missing: 0, accepted: true }
    }

    pub(crate) fn open(&mut self, address: SocketAddr) -> io::Result<&TcpStream> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(self.socket.insert(socket))
    }

    pub(crate) fn close(&mut self) {
        self.socket = None;
    }

    pub(crate) fn publish(&mut self, subscribers: usize) -> io::Result<()> {
        self.count += 1;
        self.missing = subscribers;
        self.accepted = false;
        let digits = number(self.slot, self.count).to_string();
        self.request[self.number_at..self.number_at + digits.len()].copy_from_slice(digits.as_bytes());
        self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?.write_all(&self.request)
    }

    /// Reads the server's answer, which may come in parts.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        // An event that came with the end of the round.
        let Some(socket) = &mut self.socket else { return Ok(()) };
        match socket.read(buffer) {
            Ok(0) => return Err(io::Error::other("the server closed a publisher's connection")),
            Ok(read) => self.answer.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let Some(head) = self.answer.windows(4).position(|part| part == b"\r\n\r\n") else { return Ok(()) };
        let text = String::from_utf8_lossy(&self.answer).to_lowercase();
        if !text.starts_with("http/1.1 202 ") {
            return Err(io::Error::other(format!("a publication was refused: {text}")));
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let Some(body) = length.and_then(|digits| digits.trim().parse::<usize>().ok()) else {
            return Err(io::Error::other(format!("an answer without a length: {text}")));
        };
        if self.answer.len() >= head + 4 + body {
            self.answer.clear();
            self.accepted = true;
        }
        Ok(())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.accepted && self.missing == 0
    }
}
