//! `delivery.at_most`: how often publications of a key go out to the subscribers of this node. The first one goes out at
//! once; of those that come too soon only the newest waits, until its time has come. So the last of a burst always
//! arrives.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Gates, Publication};
use crate::channels::Rate;
use crate::protocol::{Key, Topic};
use crate::telemetry;

/// What a key takes beside its text and the payload that waits.
const KEY_BYTES: usize = 300;
/// The shortest time between two publications of a key: a timer goes no finer.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The keys that were published within their interval.
pub(super) struct Thinning {
    bytes_max: usize,
    state: Mutex<State>,
    /// The earliest moment may be another one now.
    woken: Notify,
    /// Held from the moment at which something waits no more until the subscribers have it: a removal cannot come between.
    handing_over: Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: HashMap<(Topic, Key), Pace>,
    /// Every key, by the moment at which its interval ends; the number tells equal moments apart.
    due: BTreeMap<(Instant, u64), (Topic, Key)>,
    /// How many moments there were.
    moments: u64,
    /// What the keys and the payloads that wait take (`limits.thinning_bytes`).
    bytes: usize,
    /// The server stops: nothing waits any more.
    is_over: bool,
}

/// One key within its interval.
struct Pace {
    waiting: Option<Publication>,
}

impl Pace {
    fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |publication| publication.payload.as_str().len())
    }
}

impl Thinning {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default(), woken: Notify::new(), handing_over: Mutex::default() }
    }

    /// Whether a publication goes out now. Otherwise it waits for the end of its key's interval, in the place of an older
    /// one. Where there is no room for it, it goes out now.
    fn goes_now(&self, publication: &Publication, rate: Rate) -> bool {
        let channel = publication.channel.template.as_str();
        let slot = (publication.topic.clone(), publication.channel.delivery.key_of(&publication.payload));
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.is_over {
            return true;
        }
        let Some(pace) = state.keys.get_mut(&slot) else {
            let bytes = key_bytes(&slot);
            if state.bytes + bytes > self.bytes_max {
                telemetry::thinning_overflow(channel);
                return true;
            }
            state.bytes += bytes;
            state.begin(slot, Pace { waiting: None }, rate);
            telemetry::thinning_bytes(state.bytes);
            drop(guard);
            self.woken.notify_one();
            return true;
        };
        let (before, bytes) = (pace.waiting_bytes(), publication.payload.as_str().len());
        let is_full = state.bytes - before + bytes > self.bytes_max;
        let replaced = if is_full { pace.waiting.take() } else { pace.waiting.replace(publication.clone()) };
        state.bytes = state.bytes - before + if is_full { 0 } else { bytes };
        telemetry::thinning_bytes(state.bytes);
        drop(guard);
        telemetry::conflated(channel, "at_most", usize::from(replaced.is_some()));
        if is_full {
            telemetry::thinning_overflow(channel);
        }
        is_full
    }

    /// Values of these keys were taken away: none of them waits any more, and none comes behind what `tell` says.
    pub(super) fn forget(&self, topic: &Topic, keys: &[Key], tell: impl FnOnce()) {
        let _in_order = self.handing_over.lock();
        self.drop_waiting(topic, keys);
        tell();
    }

    fn drop_waiting(&self, topic: &Topic, keys: &[Key]) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for key in keys {
            let Some(pace) = state.keys.get_mut(&(topic.clone(), key.clone())) else { continue };
            state.bytes -= pace.waiting_bytes();
            pace.waiting = None;
        }
        telemetry::thinning_bytes(state.bytes);
    }

    /// What waited long enough. Keys of which nothing waits are forgotten.
    fn take_due(&self, now: Instant) -> Vec<Publication> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut due = Vec::new();
        while let Some(entry) = state.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let slot = entry.remove();
            let Some(mut pace) = state.keys.remove(&slot) else { continue };
            state.bytes -= pace.waiting_bytes();
            let waited = pace.waiting.take();
            match waited.as_ref().and_then(|publication| publication.channel.delivery.at_most) {
                Some(rate) => state.begin(slot, pace, rate),
                None => state.bytes -= key_bytes(&slot),
            }
            due.extend(waited);
        }
        telemetry::thinning_bytes(state.bytes);
        due
    }

    /// All that waits. From now on everything goes out at once.
    fn end(&self) -> Vec<Publication> {
        let mut state = self.state.lock();
        let ended = std::mem::take(&mut *state);
        state.is_over = true;
        telemetry::thinning_bytes(0);
        ended.keys.into_values().filter_map(|pace| pace.waiting).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.state.lock().due.first_key_value().map(|((at, _), _)| *at)
    }
}

impl State {
    /// The interval of a key begins.
    fn begin(&mut self, slot: (Topic, Key), pace: Pace, rate: Rate) {
        self.moments += 1;
        let interval = (rate.per / rate.messages.get()).max(INTERVAL_MIN);
        self.due.insert((Instant::now() + interval, self.moments), slot.clone());
        self.keys.insert(slot, pace);
    }
}

fn key_bytes((topic, key): &(Topic, Key)) -> usize {
    // Both are kept twice.
    KEY_BYTES + 2 * (topic.as_str().len() + key.as_str().len())
}

impl Gates {
    /// Hands a publication to this node's subscribers, now or when its channel's `at_most` lets it.
    pub(super) fn deliver_here(&self, publication: &Publication) {
        match publication.channel.delivery.at_most {
            Some(rate) if !self.thinning.goes_now(publication, rate) => {}
            _ => self.ports.rooms.deliver(publication),
        }
    }

    /// Delivers all that waits because of `at_most`. From now on everything goes out at once.
    pub fn end_thinning(&self) {
        let _in_order = self.thinning.handing_over.lock();
        for publication in self.thinning.end() {
            self.ports.rooms.deliver(&publication);
        }
    }

    fn deliver_due(&self) {
        let _in_order = self.thinning.handing_over.lock();
        for publication in self.thinning.take_due(Instant::now()) {
            self.ports.rooms.deliver(&publication);
        }
    }

    /// Delivers what waits because of `at_most` at its time, until `shutdown`.
    pub async fn pace(self: Arc<Self>, shutdown: CancellationToken) {
        let thinning = &self.thinning;
        let pacing = async {
            loop {
                let next = thinning.next();
                tokio::select! {
                    () = thinning.woken.notified() => continue,
                    () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                }
                self.deliver_due();
            }
        };
        shutdown.run_until_cancelled(pacing).await;
    }
}
