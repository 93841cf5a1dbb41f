//! How far a client is behind, by its own word: it answers a ping after it has processed what was written before it.
//! Websocket pongs would not do, because a browser sends them for a page that is frozen.
//!
//! The window is the most bytes that may be out without an answer. It follows what the client takes: what its answers
//! show that it takes in [`TARGET`], between [`BYTES_MIN`] and the configured most.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is out should take a client no longer than this.
const TARGET: Duration = Duration::from_millis(50);
/// The smallest window.
const BYTES_MIN: usize = 4 << 10;
/// A ping goes out with this part of a window.
const PINGS_PER_WINDOW: usize = 4;

/// The bytes that are out to one client.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: usize,
    bytes_max: usize,
    /// Bytes written since the last ping.
    since_ping: usize,
    /// Bytes written and not answered for.
    unanswered: usize,
    /// Pings that have no answer yet.
    pings: VecDeque<Ping>,
}

#[derive(Debug)]
struct Ping {
    at: Instant,
    /// Bytes written before it, since the ping before it.
    bytes: usize,
    /// Bytes that were out when it was written.
    out: usize,
}

impl Window {
    /// Nothing is out.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { bytes: bytes_max, bytes_max, since_ping: 0, unanswered: 0, pings: VecDeque::new() }
    }

    /// Whether a packet of this size may go out. One always may while nothing is out.
    pub(crate) const fn admits(&self, bytes: usize) -> bool {
        self.unanswered == 0 || self.unanswered + bytes <= self.bytes
    }

    /// This many bytes go out.
    pub(crate) const fn wrote(&mut self, bytes: usize) {
        self.since_ping += bytes;
        self.unanswered += bytes;
    }

    /// Whether a ping is due behind what was written.
    pub(crate) const fn wants_ping(&self) -> bool {
        self.since_ping * PINGS_PER_WINDOW >= self.bytes
    }

    /// Whether something is out that no ping is behind.
    pub(crate) const fn has_unpinged(&self) -> bool {
        self.since_ping > 0
    }

    /// A ping goes out.
    pub(crate) fn pinged(&mut self, now: Instant) {
        let bytes = std::mem::take(&mut self.since_ping);
        self.pings.push_back(Ping { at: now, bytes, out: self.unanswered });
    }

    /// The client answered a ping. Returns how long it took; `None` if no ping waits for an answer.
    pub(crate) fn ponged(&mut self, now: Instant) -> Option<Duration> {
        let Ping { at, bytes, out } = self.pings.pop_front()?;
        let lag = now.saturating_duration_since(at);
        if bytes > 0 {
            self.adapt(out, lag);
        }
        self.unanswered = self.unanswered.saturating_sub(bytes);
        if self.pings.is_empty() {
            self.pings.shrink_to_fit();
        }
        Some(lag)
    }

    /// The client took this long for what was out.
    fn adapt(&mut self, out: usize, lag: Duration) {
        if lag <= TARGET {
            // Twice as much for a client that keeps up, so that a slow moment is forgotten soon.
            self.bytes = (self.bytes * 2).min(self.bytes_max);
            return;
        }
        let fitting = usize::try_from(out as u128 * TARGET.as_micros() / lag.as_micros().max(1)).unwrap_or(usize::MAX);
        self.bytes = fitting.clamp(BYTES_MIN.min(self.bytes_max), self.bytes_max);
    }

    /// The client has taken all that was written: over polling its next request says so.
    pub(crate) fn took_all(&mut self) {
        (self.since_ping, self.unanswered) = (0, 0);
        self.pings.iter_mut().for_each(|ping| ping.bytes = 0);
    }

    /// How many pings have no answer yet.
    pub(crate) fn pings_count(&self) -> usize {
        self.pings.len()
    }

    /// Since when a ping waits for its answer.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.pings.front().map(|ping| ping.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 64 << 10;

    fn after(ms: u64) -> Instant {
        // The tests need differences only.
        static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BEGAN.get_or_init(Instant::now) + Duration::from_millis(ms)
    }

    /// Writes until the window is closed, with pings on the way; returns how many bytes are out.
    fn fill(window: &mut Window, at_ms: u64) -> usize {
        let mut written = 0;
        if window.has_unpinged() {
            window.pinged(after(at_ms));
        }
        while window.admits(200) {
            window.wrote(200);
            written += 200;
            if window.wants_ping() {
                window.pinged(after(at_ms));
            }
        }
        written
    }

    #[test]
    fn no_more_is_out_than_the_window_and_an_answer_opens_it() {
        let mut window = Window::new(MAX);
        let out = fill(&mut window, 0);
        assert!((MAX - 200..=MAX).contains(&out), "{out}");
        assert!(!window.admits(200));
        assert_eq!(window.ponged(after(1)), Some(Duration::from_millis(1)));
        assert!(window.admits(200));
    }

    #[test]
    fn one_packet_may_always_be_out() {
        let mut window = Window::new(MAX);
        assert!(window.admits(10 * MAX));
        window.wrote(10 * MAX);
        assert!(!window.admits(1));
        assert!(window.wants_ping(), "its answer opens the window again");
        window.pinged(after(0));
        window.ponged(after(10));
        assert!(window.admits(10 * MAX));
    }

    #[test]
    fn the_window_of_a_slow_client_is_what_it_takes_in_fifty_milliseconds() {
        let mut window = Window::new(MAX);
        // 100 KB/s: 64 KiB take 655 ms.
        fill(&mut window, 0);
        for at_ms in [160, 330, 490, 655] {
            window.ponged(after(at_ms));
        }
        assert!((BYTES_MIN..=8 << 10).contains(&window.bytes), "{}", window.bytes);
        // It recovers once the client keeps up.
        for round in 1..10 {
            fill(&mut window, round * 1000);
            while window.ponged(after(round * 1000 + 2)).is_some() {}
        }
        assert_eq!(window.bytes, MAX);
    }

    #[test]
    fn an_answer_that_nobody_asked_for_means_nothing() {
        let mut window = Window::new(MAX);
        window.wrote(100);
        assert_eq!(window.ponged(after(1)), None);
        assert_eq!(window.unanswered, 100);
    }
}
