//! The one queue of a session, and the writes to whatever carries it.
//!
//! Whoever sends writes to an idle websocket itself. Otherwise the packet waits, and it goes out when the socket takes
//! bytes again, when the client answers a ping, or when the client polls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::backlog::Pushed;
use super::offsets::{Offset, Offsets};
use super::queue::Queue;
use super::window::Window;
use super::wire::Writer;
use super::writes::{Carrier, End, State};
use crate::packet::{Form, Packet};
use crate::polling;
use crate::settings::Settings;
use crate::{CloseReason, SendError, websocket};

/// How long a client may take to read what is left for it after the end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a client that the server keeps from speaking is looked at again.
const STALLED_RETRY: Duration = Duration::from_secs(1);

/// The outbound side of one session.
pub(crate) struct Outbox {
    /// Held for a push and one write, never across a wait.
    state: Mutex<State>,
    /// Wakes the task of the session.
    pub(crate) task: Notify,
    /// Wakes the poll that waits.
    pub(crate) poll: Notify,
    /// Wakes whoever waits for room, when the client takes answers that are counted apart.
    taken: Notify,
    settings: Arc<Settings>,
    /// Bytes that wait in all queues of the transport.
    waiting: Arc<AtomicUsize>,
}

/// What became of packets that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// How many were taken: all, or none.
    pub taken: usize,
    /// How many took the place of an older one in their slot, which the client will not receive.
    pub replaced: usize,
}

/// How far a client is behind, for whoever looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// The bytes that wait for it.
    pub bytes: usize,
    /// Since when it owes the answer to a ping; `None`: it owes none.
    pub unanswered_since: Option<Instant>,
}

/// What a poll gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// This payload.
    Payload(Bytes),
    /// Nothing yet: [`Outbox::poll`] says when to ask again.
    Wait,
    /// The session does not poll any more: it is a websocket.
    Upgraded,
    /// The session is over.
    Over(CloseReason),
}

/// What the task of a session waits for.
pub(crate) struct Waits {
    /// The next moment at which [`Outbox::tick`] has something to do.
    pub(crate) deadline: Instant,
    /// A websocket that has not taken all bytes.
    pub(crate) blocked: Option<Writer>,
}

impl Outbox {
    /// An empty outbox of a session that begins by polling; `waiting` counts the bytes of all outboxes.
    pub(crate) fn new(settings: Arc<Settings>, waiting: Arc<AtomicUsize>) -> Self {
        let state = State {
            queue: Queue::default(),
            window: Window::new(settings.window_bytes_max),
            carrier: Carrier::Polling,
            staged: VecDeque::new(),
            form: Form::default(),
            offsets: None,
            heard_at: Instant::now(),
            stalls: 0,
            end: End::Open,
        };
        Self {
            state: Mutex::new(state),
            task: Notify::new(),
            poll: Notify::new(),
            taken: Notify::new(),
            settings,
            waiting,
        }
    }

    /// Sends a packet.
    pub(crate) fn send(&self, packet: &Packet) -> Result<(), SendError> {
        self.send_each(&[packet], None).map(drop)
    }

    /// Sends several packets in their order: all, or none if `left` says that the client does not want them any more.
    pub(crate) fn send_each(&self, packets: &[&Packet], left: Option<&AtomicBool>) -> Result<Sent, SendError> {
        self.with(|state| {
            state.refuse_if_over()?;
            if left.is_some_and(|left| left.load(Ordering::Acquire)) {
                return Ok(Sent::default());
            }
            let mut sent = Sent { taken: packets.len(), replaced: 0 };
            let written = if state.is_idle() { state.write_at_once(packets) } else { 0 };
            let Some(rest) = packets.get(written..).filter(|rest| !rest.is_empty()) else { return Ok(sent) };
            for packet in rest {
                let pushed = state.queue.push((*packet).clone(), self.settings.outbound_bytes_max);
                let pushed = pushed.map_err(|_overflow| SendError::SlowConsumer)?;
                sent.replaced += usize::from(pushed == Pushed::Replaces);
            }
            state.pump();
            Ok(sent)
        })
    }

    /// Drops the keyed packets of a group that wait.
    pub(crate) fn forget(&self, group: u64) {
        self.with(|state| state.queue.forget(group));
    }

    /// Waits until fewer than so many bytes wait of those that are counted apart, or the session is over.
    pub(crate) async fn room_apart(&self, bytes_max: usize) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            // From now on, so that no notification is missed between the look and the wait.
            taken.as_mut().enable();
            {
                let state = self.state.lock();
                if state.queue.bytes_apart() < bytes_max || state.end != End::Open {
                    return;
                }
            }
            taken.await;
        }
    }

    /// Changes the state, then counts what waits, and wakes whoever has something to do now.
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let (before, before_apart) = (state.queue.bytes(), state.queue.bytes_apart());
        let changed = change(&mut state);
        let (after, after_apart) = (state.queue.bytes(), state.queue.bytes_apart());
        let is_polling = matches!(state.carrier, Carrier::Polling);
        let is_over = state.end != End::Open;
        let (has_packets, is_blocked) = (!state.queue.is_empty(), !state.staged.is_empty());
        drop(state);
        if after_apart < before_apart {
            self.taken.notify_waiters();
        }
        let (before, after) = (before + before_apart, after + after_apart);
        if after > before {
            self.waiting.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.waiting.fetch_sub(before - after, Ordering::Relaxed);
        }
        if is_polling && (has_packets || is_over) {
            self.poll.notify_one();
        }
        if is_blocked || is_over {
            self.task.notify_one();
        }
        changed
    }

    /// From now on a websocket carries the session. `compressed_from`: from which size on messages are compressed for it.
    pub(crate) fn upgrade(&self, writer: Writer, compressed_from: Option<usize>) {
        self.with(|state| {
            state.form.compressed_from = compressed_from;
            state.carrier = Carrier::Websocket(writer);
            state.window.took_all();
            state.pump();
        });
        // The poll that waits, and the task that kept the time of a polling session.
        self.poll.notify_one();
        self.task.notify_one();
    }

    /// The session begins on a websocket: its first frame, then whatever waits.
    pub(crate) fn open_on(&self, writer: Writer, compressed_from: Option<usize>, open: Bytes) {
        self.state.lock().staged.push_back(open);
        self.upgrade(writer, compressed_from);
    }

    /// Closes the websocket with a code, as far as its peer still reads.
    pub(crate) fn close_with(&self, code: u16) {
        self.with(|state| {
            state.staged.push_back(websocket::close(code));
            if let Carrier::Websocket(writer) = &state.carrier
                && !matches!(state.end, End::Over(_))
            {
                let writer = writer.clone();
                state.write_staged();
                writer.finish();
            }
        });
    }

    /// Whether a websocket carries the session.
    pub(crate) fn is_websocket(&self) -> bool {
        matches!(self.state.lock().carrier, Carrier::Websocket(_))
    }

    /// The client keeps the offsets of events from now on.
    pub(crate) fn recovers(&self) {
        let mut state = self.state.lock();
        state.form.recovers = true;
        let pings = state.window.pings_count();
        state.offsets.get_or_insert_with(|| Box::new(Offsets::new(pings)));
    }

    /// How much waits for the client, and since when it owes an answer.
    pub(crate) fn backlog(&self) -> Waiting {
        let state = self.state.lock();
        Waiting { bytes: state.queue.bytes() + state.queue.bytes_apart(), unanswered_since: state.window.waits_since() }
    }

    /// The offsets of the events that the client may or may not have processed, in the order in which they were written.
    pub(crate) fn unanswered(&self) -> Vec<Offset> {
        self.state.lock().offsets.as_ref().map(|offsets| offsets.unanswered()).unwrap_or_default()
    }

    /// Answers a ping of the websocket itself.
    pub(crate) fn pong(&self, payload: &[u8]) {
        self.with(|state| {
            state.staged.push_back(websocket::pong(payload));
            state.write_staged();
        });
    }

    /// The client answered a ping: more may go out. Returns how long the answer took, and the events that it has
    /// processed.
    pub(crate) fn ponged(&self) -> (Option<Duration>, Vec<Offset>) {
        self.with(|state| {
            let now = Instant::now();
            state.heard_at = now;
            let lag = state.window.ponged(now);
            let processed = match &mut state.offsets {
                Some(offsets) if lag.is_some() => offsets.ponged(),
                Some(_) | None => Vec::new(),
            };
            state.pump();
            (lag, processed)
        })
    }

    /// The socket may take bytes again.
    pub(crate) fn pump(&self) {
        self.with(State::pump);
    }

    /// What the task has to wait for.
    pub(crate) fn waits(&self) -> Waits {
        let state = self.state.lock();
        let deadline = match (state.end, state.window.waits_since()) {
            (End::Finishing { by, .. }, _) => by,
            (_, Some(pinged_at)) => pinged_at + self.settings.ping_timeout,
            (_, None) => state.heard_at + self.settings.ping_interval,
        };
        let deadline = if state.stalls > 0 { deadline.max(Instant::now() + STALLED_RETRY) } else { deadline };
        let blocked = match &state.carrier {
            Carrier::Websocket(writer) if !state.staged.is_empty() => Some(writer.clone()),
            Carrier::Websocket(_) | Carrier::Polling => None,
        };
        Waits { deadline, blocked }
    }

    /// Does what is due by the clock: a ping, or the end of a client that did not answer one.
    pub(crate) fn tick(&self) {
        let now = Instant::now();
        self.with(|state| {
            if state.stalls > 0 {
                return;
            }
            match (state.end, state.window.waits_since()) {
                (End::Finishing { reason, by, .. }, _) if by <= now => state.over(reason),
                (End::Open, Some(pinged_at)) if pinged_at + self.settings.ping_timeout <= now => {
                    state.over(CloseReason::PingTimeout);
                }
                (End::Open, None) if state.heard_at + self.settings.ping_interval <= now => state.ping(now),
                _ => {}
            }
        });
    }

    /// The server keeps a request waiting: until the guard is dropped, no ping is held against the client.
    pub(crate) fn stall(&self) -> Stall<'_> {
        self.state.lock().stalls += 1;
        Stall(self)
    }

    /// The client polls, so it has taken all that it got before. Returns the events that it has processed.
    pub(crate) fn took_all(&self) -> Vec<Offset> {
        let mut state = self.state.lock();
        if matches!(state.carrier, Carrier::Websocket(_)) {
            return Vec::new();
        }
        state.window.took_all();
        state.offsets.as_mut().map(|offsets| offsets.took_all()).unwrap_or_default()
    }

    /// What a poll gets now.
    pub(crate) fn take(&self) -> Poll {
        self.with(|state| {
            match (&state.carrier, state.end) {
                (_, End::Over(reason)) => return Poll::Over(reason),
                (Carrier::Websocket(_), _) => return Poll::Upgraded,
                (Carrier::Polling, End::Open | End::Finishing { .. }) => {}
            }
            let bytes_max = self.settings.payload_bytes_max.min(self.settings.window_bytes_max);
            let payload = polling::payload(&mut state.queue, state.offsets.as_deref_mut(), bytes_max);
            match (payload, state.end) {
                (Some(payload), _) => Poll::Payload(payload),
                // The client has everything, and learns of the end.
                (None, End::Finishing { reason, .. }) => {
                    state.over(reason);
                    Poll::Over(reason)
                }
                (None, _) => Poll::Wait,
            }
        })
    }

    /// Ends the session as soon as the client has what waits for it.
    pub(crate) fn finish(&self, reason: CloseReason) {
        let by = Instant::now() + FINISH_TIMEOUT;
        self.with(|state| {
            if state.end == End::Open {
                state.end = End::Finishing { reason, by, is_told: false };
                state.pump();
            }
        });
    }

    /// Ends the session at once. The first reason stays.
    pub(crate) fn over(&self, reason: CloseReason) {
        self.with(|state| state.over(reason));
    }

    /// Why the session is over, once it is.
    pub(crate) fn ended(&self) -> Option<CloseReason> {
        match self.state.lock().end {
            End::Over(reason) => Some(reason),
            End::Open | End::Finishing { .. } => None,
        }
    }
}

/// See [`Outbox::stall`].
pub(crate) struct Stall<'a>(&'a Outbox);

impl Drop for Stall<'_> {
    fn drop(&mut self) {
        self.0.state.lock().stalls -= 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::packet::{Place, ROOT, Slot};

    fn outbox() -> Outbox {
        let settings = Settings { outbound_bytes_max: 1000, ..Settings::default() };
        Outbox::new(Arc::new(settings), Arc::default())
    }

    fn ack(bytes: usize) -> Packet {
        Packet::ack(ROOT, 1, &[&format!("{:?}", "x".repeat(bytes))]).counted_apart()
    }

    #[tokio::test]
    async fn answers_counted_apart_make_no_slow_consumer_and_there_is_room_again_once_they_are_taken() {
        let outbox = outbox();
        outbox.room_apart(1).await;
        (0..3).for_each(|_| outbox.send(&ack(5000)).unwrap());
        assert_eq!(outbox.send(&Packet::event(ROOT, "a", &["1"])), Ok(()));
        assert!(outbox.waiting.load(Ordering::Relaxed) > 15_000, "they count in what waits for all clients");
        let mut room = std::pin::pin!(outbox.room_apart(5000));
        assert!(timeout(Duration::ZERO, room.as_mut()).await.is_err());
        while matches!(outbox.take(), Poll::Payload(_)) {}
        room.await;
        assert_eq!(outbox.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn whoever_waits_for_room_learns_that_the_session_is_over() {
        let outbox = outbox();
        outbox.send(&ack(5000)).unwrap();
        let mut room = std::pin::pin!(outbox.room_apart(1));
        assert!(timeout(Duration::ZERO, room.as_mut()).await.is_err());
        outbox.over(CloseReason::TransportClose);
        room.await;
    }

    #[test]
    fn a_client_that_is_behind_gets_the_newest_of_each_slot_and_is_not_slow_for_the_others() {
        let outbox = outbox();
        let left = AtomicBool::new(false);
        let value = |n: u32| {
            let slot = Slot { group: 7, key: (n % 2).to_string().into() };
            Packet::event(ROOT, "a", &[&n.to_string()]).at(Place::Newest(slot))
        };
        let mut replaced = 0;
        for n in (0..1000).step_by(2) {
            replaced += outbox.send_each(&[&value(n), &value(n + 1)], Some(&left)).unwrap().replaced;
        }
        assert_eq!(replaced, 998);
        let Poll::Payload(payload) = outbox.take() else { panic!("something waits") };
        assert_eq!(payload, "42[\"a\",998]\u{1e}42[\"a\",999]".as_bytes());
        outbox.send(&value(1000)).unwrap();
        outbox.forget(7);
        assert_eq!(outbox.take(), Poll::Wait);
    }
}
