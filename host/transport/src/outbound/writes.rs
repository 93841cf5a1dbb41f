//! What goes out of a session's queue, and how: the writes to its websocket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use tokio::time::Instant;

use super::offsets::Offsets;
use super::queue::{Next, Queue};
use super::window::Window;
use super::wire::Writer;
use crate::packet::{Form, Packet};
use crate::{CloseReason, SendError, websocket};

/// An Engine.IO ping as a text frame.
const PING_FRAME: &[u8] = b"\x81\x012";
/// Most frames in one write.
const FRAMES_MAX: usize = 64;
/// Most bytes in one write, so that a large queue does not hold the lock for long.
const WRITE_BYTES_MAX: usize = 256 << 10;

/// The outbound side of a session, under the lock of its outbox.
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) window: Window,
    pub(super) carrier: Carrier,
    /// Bytes that have left the queue and that the socket has not taken.
    pub(super) staged: VecDeque<Bytes>,
    /// How the client takes packets.
    pub(super) form: Form,
    /// The offsets of the events that are out, if the client keeps them.
    pub(super) offsets: Option<Box<Offsets>>,
    /// When the client last answered a ping.
    pub(super) heard_at: Instant,
    /// Requests under way that the server keeps waiting: meanwhile the client cannot answer a ping.
    pub(super) stalls: usize,
    pub(super) end: End,
}

pub(super) enum Carrier {
    Polling,
    Websocket(Writer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The session is open.
    Open,
    /// What waits still goes out, until then.
    Finishing { reason: CloseReason, by: Instant, is_told: bool },
    /// Over.
    Over(CloseReason),
}

impl State {
    pub(super) fn refuse_if_over(&self) -> Result<(), SendError> {
        if self.end == End::Open { Ok(()) } else { Err(SendError::Closed) }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.staged.is_empty() && self.queue.is_empty()
    }

    /// Writes packets to an idle websocket in one call, as far as the window is open. Returns how many of them it took,
    /// none if there is no websocket; what the socket did not take of those is staged.
    pub(super) fn write_at_once(&mut self, packets: &[&Packet]) -> usize {
        let Carrier::Websocket(writer) = &self.carrier else { return 0 };
        let mut slices = [IoSlice::new(&[]); FRAMES_MAX];
        let (mut taken, mut bytes, mut count) = (0, 0, 0);
        while let Some(packet) = packets.get(taken)
            && count + 1 < FRAMES_MAX
            && bytes < WRITE_BYTES_MAX
            && self.window.admits(packet.bytes(), packet.account())
        {
            let frames = packet.frames(self.form);
            slices[count] = IoSlice::new(frames);
            (taken, bytes, count) = (taken + 1, bytes + frames.len(), count + 1);
            self.window.wrote(frames.len());
            if let Some(offsets) = &mut self.offsets {
                offsets.wrote(packet.offset());
            }
            if self.window.wants_ping() {
                self.window.pinged(Instant::now());
                self.offsets.iter_mut().for_each(|offsets| offsets.pinged());
                slices[count] = IoSlice::new(PING_FRAME);
                (bytes, count) = (bytes + PING_FRAME.len(), count + 1);
            }
        }
        let written = match writer.try_write_all(&slices[..count]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.over(CloseReason::TransportClose);
                return packets.len();
            }
        };
        if written < bytes {
            let copies = slices[..count].iter().map(|slice| Bytes::copy_from_slice(slice));
            self.staged.extend(copies);
            advance(&mut self.staged, written);
        }
        taken
    }

    /// Writes what may go out, as far as a websocket takes it.
    pub(super) fn pump(&mut self) {
        if matches!(self.carrier, Carrier::Polling) {
            return;
        }
        while !matches!(self.end, End::Over(_)) {
            if !self.write_staged() {
                return;
            }
            self.fill();
            if self.staged.is_empty() {
                break;
            }
        }
        self.queue.shrink();
        self.staged.shrink_to_fit();
        self.tell_end();
    }

    /// Moves what may go out from the queue to the bytes of the next write.
    pub(super) fn fill(&mut self) {
        let mut bytes = 0;
        while let Some(text) = self.queue.pop_protocol() {
            self.staged.push_back(websocket::text(&String::from_utf8_lossy(&text)));
        }
        let is_finishing = matches!(self.end, End::Finishing { .. });
        while bytes < WRITE_BYTES_MAX && self.staged.len() < FRAMES_MAX {
            let Some(next) = self.queue.front() else { break };
            if !is_finishing && !self.window.admits(next.bytes(), next.account()) {
                // The answer to this ping opens the window.
                if self.window.has_unpinged() {
                    self.stage_ping();
                }
                break;
            }
            let Some(Next::Packet(packet)) = self.queue.pop() else { break };
            let frames = packet.frames(self.form).clone();
            bytes += frames.len();
            self.window.wrote(frames.len());
            self.staged.push_back(frames);
            if let Some(offsets) = &mut self.offsets {
                offsets.wrote(packet.offset());
            }
            if self.window.wants_ping() {
                self.stage_ping();
            }
        }
    }

    pub(super) fn stage_ping(&mut self) {
        self.pinged(Instant::now());
        self.staged.push_back(Bytes::from_static(PING_FRAME));
    }

    fn pinged(&mut self, now: Instant) {
        self.window.pinged(now);
        self.offsets.iter_mut().for_each(|offsets| offsets.pinged());
    }

    /// Writes the staged bytes; `false` if the socket does not take all of them now.
    pub(super) fn write_staged(&mut self) -> bool {
        let Carrier::Websocket(writer) = &self.carrier else { return false };
        while !self.staged.is_empty() {
            let mut slices = [IoSlice::new(&[]); FRAMES_MAX];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.staged) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            match writer.try_write_all(slices.get(..count).unwrap_or_default()) {
                Ok(written) => advance(&mut self.staged, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.over(CloseReason::TransportClose);
                    return false;
                }
            }
        }
        true
    }

    /// Closes the websocket behind the last packet.
    pub(super) fn tell_end(&mut self) {
        if let End::Finishing { is_told, .. } = &mut self.end
            && !*is_told
            && self.queue.is_empty()
        {
            *is_told = true;
            self.staged.push_back(websocket::close(1000));
        }
        if matches!(self.end, End::Finishing { is_told: true, .. }) && self.write_staged() {
            // The client reads to the end and closes; then the task that reads ends the session.
            if let Carrier::Websocket(writer) = &self.carrier {
                writer.finish();
            }
        }
    }

    pub(super) fn ping(&mut self, now: Instant) {
        self.pinged(now);
        self.queue.push_protocol(Bytes::from_static(b"2"));
        self.pump();
    }

    pub(super) fn over(&mut self, reason: CloseReason) {
        if matches!(self.end, End::Over(_)) {
            return;
        }
        let reason = if let End::Finishing { reason, .. } = self.end { reason } else { reason };
        self.end = End::Over(reason);
        if let Carrier::Websocket(writer) = &self.carrier {
            match reason {
                CloseReason::TransportClose | CloseReason::ParseError if self.staged.is_empty() => writer.close(),
                // The peer will never read what it has not read by now: a reset tells it the end at once.
                _ => writer.cut(),
            }
        }
        self.queue.clear();
        self.staged.clear();
    }
}

/// Drops written bytes at the beginning.
fn advance(staged: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = staged.front_mut() {
        if written < first.len() {
            let _ = first.split_to(written);
            return;
        }
        written -= first.len();
        staged.pop_front();
    }
}
