//! The switch that cuts one TCP connection, and which TCP connection carries which websocket, so that exactly this
//! connection can be cut.
//!
//! A client usually begins with polling and then upgrades: the transport library's request of a session stays that of
//! the first poll, on another TCP connection. The upgrade's own request names the session, so the connection is noted
//! there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use dashmap::DashMap;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::link::EngineId;

/// The phase of a connection, as HTTP sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Waiting for a head, or for the rest of it.
    Head,
    /// A request is running, or a websocket has taken over: whoever serves it limits the time.
    Serving,
    /// The last request was answered; the next may come.
    Idle,
}

impl Phase {
    /// The label in metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Serving => "serving",
            Self::Idle => "idle",
        }
    }
}

/// What HTTP and a client's link share of one TCP connection: they cut it with this, and it knows the phase.
#[derive(Default)]
pub(super) struct KillSwitch {
    cut: AtomicBool,
    phase: AtomicU8,
    // Two, because the reader and the writer of a websocket are two tasks.
    pub(super) reader: AtomicWaker,
    pub(super) writer: AtomicWaker,
    closing: Mutex<Closing>,
}

#[derive(Default)]
struct Closing {
    closed: bool,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl KillSwitch {
    /// Ends the connection: its next read and write fail, and running ones are woken to fail.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// The head of a request has arrived: from here on whoever serves it limits the time.
    pub(super) fn requested(&self) {
        self.phase.store(Phase::Serving as u8, Ordering::Release);
    }

    /// The request was answered, and the connection still belongs to HTTP.
    pub(super) fn answered(&self) {
        self.phase.store(Phase::Idle as u8, Ordering::Release);
        // The reader waits for bytes only, and would not look at the deadline before some come.
        self.reader.wake();
    }

    /// Bytes have arrived; after an answer they belong to the next head.
    pub(super) fn received(&self) {
        let (idle, head) = (Phase::Idle as u8, Phase::Head as u8);
        let _ = self.phase.compare_exchange(idle, head, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The phase that the connection is in.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Head,
            1 => Phase::Serving,
            _ => Phase::Idle,
        }
    }

    /// Runs `then` when the connection ends, or at once if it has ended. Replaces an earlier one.
    pub(super) fn on_close(&self, then: impl FnOnce() + Send + 'static) {
        let mut closing = self.closing.lock();
        if closing.closed {
            drop(closing);
            then();
        } else {
            closing.then = Some(Box::new(then));
        }
    }

    /// The connection has ended.
    pub(super) fn closed(&self) {
        let mut closing = self.closing.lock();
        closing.closed = true;
        let then = closing.then.take();
        drop(closing);
        if let Some(then) = then {
            then();
        }
    }

    /// Fails after [`KillSwitch::cut`].
    pub(super) fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl std::fmt::Debug for KillSwitch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KillSwitch").field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// The websockets' switches by session. An entry lives as long as its TCP connection.
#[derive(Default)]
pub(super) struct KillSwitches {
    by_session: DashMap<EngineId, Arc<KillSwitch>>,
}

impl KillSwitches {
    /// Notes that a TCP connection carries a session. The first one stays until it ends.
    pub(super) fn bind(self: &Arc<Self>, session: &EngineId, switch: &Arc<KillSwitch>) {
        let mut is_first = false;
        self.by_session.entry(session.clone()).or_insert_with(|| {
            is_first = true;
            Arc::clone(switch)
        });
        if is_first {
            let (switches, session) = (Arc::downgrade(self), session.clone());
            switch.on_close(move || {
                if let Some(switches) = switches.upgrade() {
                    switches.by_session.remove(&session);
                }
            });
        }
    }

    /// Whether a websocket carries a session; otherwise it polls.
    pub(super) fn carries(&self, session: &EngineId) -> bool {
        self.by_session.contains_key(session)
    }

    /// Cuts the TCP connection that carries a session, if it is a websocket.
    pub(super) fn cut(&self, session: &EngineId) {
        let switch = self.by_session.get(session).map(|found| Arc::clone(&found));
        if let Some(switch) = switch {
            switch.cut();
        }
    }
}
