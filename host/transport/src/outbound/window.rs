//! How far a client is behind, by its own word: it answers a ping after it has processed what was written before it.
//! Websocket pongs would not do, because a browser sends them for a page that is frozen.
//!
//! The window is the most bytes that may be out without an answer. It follows what the client takes: what its answers
//! show that it takes in [`TARGET`], between [`BYTES_MIN`] and the configured most. The way to the client and back is not
//! the client's slowness: what an answer takes with next to nothing out counts for nobody.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::packet::Account;

/// What is out should take a client no longer than this.
const TARGET: Duration = Duration::from_millis(50);
/// The smallest window.
const BYTES_MIN: usize = 4 << 10;
/// The window of a client of which nothing is known yet.
const BYTES_FIRST: usize = 16 << 10;
/// The window grows after so long without a slow answer. A client that reads in gulps answers fast now and then.
const ROUND: Duration = Duration::from_millis(100);
/// An answer that takes longer than this says that the client slept, and nothing about its way.
const WAY_MAX: Duration = Duration::from_secs(1);
/// A ping goes out with this part of a window.
const PINGS_PER_WINDOW: usize = 4;

/// The bytes that are out to one client.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: usize,
    bytes_max: usize,
    /// How long an answer takes with next to nothing out, on average.
    way: Option<Duration>,
    /// Since when no answer was slow and the window did not grow.
    round: Option<Instant>,
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
        let bytes = if bytes_max < BYTES_FIRST { bytes_max } else { BYTES_FIRST };
        Self { bytes, bytes_max, way: None, round: None, since_ping: 0, unanswered: 0, pings: VecDeque::new() }
    }

    /// Whether a packet of this size may go out. One always may while nothing is out. An answer that is counted apart does
    /// not wait for a window that is still small: its client asked for it.
    pub(crate) const fn admits(&self, bytes: usize, account: Account) -> bool {
        let most = match account {
            Account::Limited => self.bytes,
            Account::Apart => self.bytes_max,
        };
        self.unanswered == 0 || self.unanswered + bytes <= most
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
        if out <= BYTES_MIN {
            let sample = lag.min(WAY_MAX);
            self.way = Some(self.way.map_or(sample, |way| (way * 7 + sample) / 8));
        }
        if bytes > 0 {
            self.adapt(now, out, lag.saturating_sub(self.way.unwrap_or_default()));
        }
        self.unanswered = self.unanswered.saturating_sub(bytes);
        if self.pings.is_empty() {
            self.pings.shrink_to_fit();
        }
        Some(lag)
    }

    /// The client took this long for what was out.
    fn adapt(&mut self, now: Instant, out: usize, took: Duration) {
        let round = *self.round.get_or_insert(now);
        if took > TARGET {
            let fitting = out as u128 * TARGET.as_micros() / took.as_micros();
            let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
            self.bytes = fitting.clamp(BYTES_MIN.min(self.bytes_max), self.bytes_max);
        } else if took <= TARGET / 2 {
            if now.saturating_duration_since(round) < ROUND {
                return;
            }
            // Twice as much for a client that keeps up, so that a slow moment is forgotten soon.
            self.bytes = (self.bytes * 2).min(self.bytes_max);
        }
        self.round = Some(now);
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
        while window.admits(200, Account::Limited) {
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
        assert!((BYTES_FIRST - 200..=BYTES_FIRST).contains(&out), "{out}");
        assert!(!window.admits(200, Account::Limited));
        assert_eq!(window.ponged(after(1)), Some(Duration::from_millis(1)));
        assert!(window.admits(200, Account::Limited));
    }

    #[test]
    fn an_answer_has_the_whole_window_from_the_beginning() {
        let mut window = Window::new(MAX);
        window.wrote(200);
        assert!(!window.admits(BYTES_FIRST, Account::Limited) && window.admits(MAX - 200, Account::Apart));
        assert!(!window.admits(MAX, Account::Apart));
    }

    #[test]
    fn one_packet_may_always_be_out() {
        let mut window = Window::new(MAX);
        assert!(window.admits(10 * MAX, Account::Limited));
        window.wrote(10 * MAX);
        assert!(!window.admits(1, Account::Limited));
        assert!(window.wants_ping(), "its answer opens the window again");
        window.pinged(after(0));
        window.ponged(after(10));
        assert!(window.admits(10 * MAX, Account::Limited));
    }

    #[test]
    fn the_window_of_a_slow_client_is_what_it_takes_in_fifty_milliseconds() {
        let mut window = Window::new(MAX);
        // 100 KB/s: 16 KiB take 160 ms.
        fill(&mut window, 0);
        for at_ms in [40, 80, 120, 160] {
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

    /// A client that is this far away and takes so many bytes every so often, for ten seconds in which there is always
    /// more to write. Returns the most that was out in the second half, and how much the client took.
    fn read_in_gulps(way_ms: u64, gulp_bytes: usize, every_ms: u64) -> (usize, usize) {
        let mut window = Window::new(MAX);
        // What is on the way to the client, and the answers on the way back: when they arrive.
        let (mut there, mut back) = (VecDeque::new(), VecDeque::new());
        let (mut most, mut taken) = (0, 0);
        for now_ms in 0..10_000 {
            while back.front().is_some_and(|at_ms| *at_ms <= now_ms) {
                back.pop_front();
                window.ponged(after(now_ms));
            }
            while window.admits(200, Account::Limited) {
                window.wrote(200);
                // Where the window closes, the last bytes have a ping behind them, too.
                let is_pinged = window.wants_ping() || !window.admits(200, Account::Limited);
                if is_pinged {
                    window.pinged(after(now_ms));
                }
                there.push_back((now_ms + way_ms / 2, is_pinged));
            }
            if now_ms % every_ms == 0 {
                let is_there = |(at_ms, _): &mut (u64, bool)| *at_ms <= now_ms;
                let gulp: Vec<bool> =
                    std::iter::from_fn(|| Some(there.pop_front_if(is_there)?.1)).take(gulp_bytes / 200).collect();
                taken += gulp.len() * 200;
                back.extend(gulp.iter().filter(|is_pinged| **is_pinged).map(|_| now_ms + way_ms - way_ms / 2));
            }
            if now_ms >= 5000 {
                most = most.max(window.unanswered);
            }
        }
        (most, taken)
    }

    #[test]
    fn a_client_that_reads_in_gulps_is_not_taken_for_a_fast_one_and_has_all_it_can_take() {
        let (most, taken) = read_in_gulps(2, 4000, 40);
        assert!(most <= 10 << 10, "{most} bytes are out to a client of 100 KB/s");
        assert!(taken >= 950_000, "{taken} bytes in ten seconds");
    }

    #[test]
    fn a_client_that_is_far_away_is_not_taken_for_a_slow_one() {
        let (_, taken) = read_in_gulps(200, 1 << 20, 1);
        // Of the most that is possible in ten seconds: a window each way there and back.
        assert!(taken >= 50 * MAX * 8 / 10, "{taken} bytes in ten seconds");
    }

    #[test]
    fn an_answer_that_nobody_asked_for_means_nothing() {
        let mut window = Window::new(MAX);
        window.wrote(100);
        assert_eq!(window.ponged(after(1)), None);
        assert_eq!(window.unanswered, 100);
    }
}
