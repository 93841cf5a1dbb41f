//! The subscribers of one topic, in groups. A group is what one thread serves at a time: it takes every publication that
//! waits for the group and writes them to one member after another, several in one call where several wait. So each
//! member gets the publications in their order, a large room is served by several threads, and nobody who joins or
//! leaves waits for a delivery.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_transport::{CloseReason, SendError, Sent};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connections::Connection;
use super::frame::Delivery;
use tidegate_core::protocol::ConnectionId;
use tidegate_core::telemetry;

/// Most members of a group. A room with one group is served by whoever publishes, before the publish is answered, unless
/// it is busy.
pub(super) const GROUP_MAX: usize = 256;
/// Most publications that are written to a member in one call.
const BATCH_MAX: usize = 32;
/// Most publications that wait for a group. Who publishes beyond that writes some of them first.
pub(super) const WAITING_MAX: usize = 1024;
/// A group with so many members is busy while publications come closer to each other than [`BUSY_GAP`]: one call for
/// several of them costs a member little more than a call for each.
const BUSY_MEMBERS_MIN: usize = 8;
/// See [`BUSY_MEMBERS_MIN`].
const BUSY_GAP: Duration = Duration::from_millis(1);

/// How a group that waits is to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// Somebody serves it, and so many publications wait.
    ByOthers(usize),
    /// At once, by whoever publishes.
    AtOnce,
    /// By a task, so that several publications go out together.
    Together,
}

/// The place of one connection in a room.
pub(super) struct Seat {
    pub(super) connection: Arc<Connection>,
    /// The connection has left: it receives nothing of the room any more.
    has_left: AtomicBool,
    /// Its index in its group, which changes under the lock of the group only.
    index: AtomicUsize,
}

/// The members of a group. Shared with the deliveries that wait, and copied when somebody joins or leaves meanwhile.
pub(super) type Seats = Arc<Vec<Arc<Seat>>>;

/// Some members of a room.
pub(super) struct Group {
    state: Mutex<State>,
    /// Held while a batch is taken and written, so that the members get the batches in order.
    turn: Mutex<()>,
}

/// What whoever put a delivery into the lines owes.
#[derive(Default)]
pub(super) struct Owed {
    /// Groups that nobody serves.
    pub(super) idle: Vec<Arc<Group>>,
    /// One of them is busy.
    pub(super) is_busy: bool,
    /// Groups for which more waits than may.
    pub(super) full: Vec<Arc<Group>>,
}

/// What waits for a group.
enum Waiting {
    /// A publication, with the members that it is for: whoever joins later does not receive it.
    Delivery(Arc<Delivery>, Seats),
    /// Somebody who wants to know when all publications before it were written.
    Mark(oneshot::Sender<()>),
}

#[derive(Default)]
struct State {
    seats: Seats,
    waiting: VecDeque<Waiting>,
    /// A thread serves the group, and will see what waits.
    is_served: bool,
    /// When the last publication came.
    last_at: Option<Instant>,
}

/// The members of a room.
#[derive(Default)]
pub(super) struct Members {
    by_id: HashMap<ConnectionId, (Arc<Seat>, Arc<Group>)>,
    groups: Vec<Arc<Group>>,
}

impl Members {
    /// Adds a connection; `false` if it is there.
    pub(super) fn join(&mut self, connection: &Arc<Connection>) -> bool {
        if self.by_id.contains_key(connection.id()) {
            return false;
        }
        let group = match self.groups.iter().find(|group| group.has_room()) {
            Some(group) => Arc::clone(group),
            None => {
                let group = Arc::new(Group { state: Mutex::default(), turn: Mutex::default() });
                self.groups.push(Arc::clone(&group));
                group
            }
        };
        let seat = group.seat(connection);
        self.by_id.insert(connection.id().clone(), (seat, group));
        true
    }

    /// Removes a connection; `false` if it is not there. Afterwards it receives nothing more of this room.
    pub(super) fn leave(&mut self, connection: &Arc<Connection>) -> bool {
        // A session that goes on has the same id on another connection.
        let Entry::Occupied(entry) = self.by_id.entry(connection.id().clone()) else { return false };
        if !Arc::ptr_eq(&entry.get().0.connection, connection) {
            return false;
        }
        let (seat, group) = entry.remove();
        if group.leave(&seat) {
            self.groups.retain(|other| !Arc::ptr_eq(other, &group));
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn has(&self, connection: &ConnectionId) -> bool {
        self.by_id.contains_key(connection)
    }

    /// The members of each group, as they are now.
    pub(super) fn seats(&self) -> Vec<Seats> {
        self.groups.iter().map(|group| Arc::clone(&group.state.lock().seats)).collect()
    }

    /// The members in no order.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.by_id.values().map(|(seat, _)| Arc::clone(&seat.connection)).collect()
    }

    /// Resolves when a member has all publications that wait for its group; `None` if none do.
    pub(super) fn line(&self, connection: &ConnectionId) -> Option<oneshot::Receiver<()>> {
        self.by_id.get(connection)?.1.line()
    }

    /// The same for every group.
    pub(super) fn lines(&self) -> Vec<oneshot::Receiver<()>> {
        self.groups.iter().filter_map(|group| group.line()).collect()
    }

    /// Puts a delivery behind the others of every group. The caller serves what it owes.
    pub(super) fn put(&self, delivery: &Arc<Delivery>) -> Owed {
        let mut owed = Owed::default();
        for group in &self.groups {
            match group.put(delivery) {
                service @ (Service::AtOnce | Service::Together) => {
                    owed.is_busy |= service == Service::Together;
                    owed.idle.push(Arc::clone(group));
                }
                Service::ByOthers(waiting) if waiting > WAITING_MAX => owed.full.push(Arc::clone(group)),
                Service::ByOthers(_) => {}
            }
        }
        owed
    }
}

impl Group {
    fn has_room(&self) -> bool {
        self.state.lock().seats.len() < GROUP_MAX
    }

    fn seat(&self, connection: &Arc<Connection>) -> Arc<Seat> {
        let mut state = self.state.lock();
        let index = AtomicUsize::new(state.seats.len());
        let seat = Arc::new(Seat { connection: Arc::clone(connection), has_left: AtomicBool::new(false), index });
        // A copy, if the members are being served at the moment.
        Arc::make_mut(&mut state.seats).push(Arc::clone(&seat));
        seat
    }

    /// Takes a seat away; `true` if it was the last.
    fn leave(&self, seat: &Seat) -> bool {
        seat.has_left.store(true, Ordering::Release);
        let mut state = self.state.lock();
        let seats = Arc::make_mut(&mut state.seats);
        let index = seat.index.load(Ordering::Relaxed);
        seats.swap_remove(index);
        if let Some(moved) = seats.get(index) {
            moved.index.store(index, Ordering::Relaxed);
        }
        seats.is_empty()
    }

    fn put(&self, delivery: &Arc<Delivery>) -> Service {
        let now = Instant::now();
        let mut state = self.state.lock();
        let seats = Arc::clone(&state.seats);
        let is_large = seats.len() >= BUSY_MEMBERS_MIN;
        state.waiting.push_back(Waiting::Delivery(Arc::clone(delivery), seats));
        let last_at = state.last_at.replace(now);
        if std::mem::replace(&mut state.is_served, true) {
            return Service::ByOthers(state.waiting.len());
        }
        match last_at {
            Some(last_at) if is_large && now.duration_since(last_at) < BUSY_GAP => Service::Together,
            _ => Service::AtOnce,
        }
    }

    fn line(&self) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        if !state.is_served {
            return None;
        }
        let (mark, passed) = oneshot::channel();
        state.waiting.push_back(Waiting::Mark(mark));
        Some(passed)
    }

    /// Serves the members until nothing waits. Only whoever got the group from [`Members::put`] serves it.
    pub(super) fn serve(&self) {
        while self.serve_some() {}
    }

    /// Serves the members, beside whoever does, until no more waits than may.
    pub(super) fn relieve(&self) {
        telemetry::group_relieved();
        while self.state.lock().waiting.len() > WAITING_MAX && self.serve_some() {}
    }

    /// The same as [`Group::serve`], as a task. Before each round it lets others publish, so that one call writes what
    /// they publish meanwhile.
    pub(super) async fn serve_together(self: Arc<Self>) {
        loop {
            tokio::task::yield_now().await;
            if !self.serve_some() {
                return;
            }
        }
    }

    /// Serves some of the publications that wait; `false` if there are none, and then nobody serves the group.
    fn serve_some(&self) -> bool {
        let _turn = self.turn.lock();
        let (batch, seats) = {
            let mut state = self.state.lock();
            let (first, seats) = match state.waiting.pop_front() {
                Some(Waiting::Delivery(first, seats)) => (first, seats),
                Some(Waiting::Mark(mark)) => {
                    let _ = mark.send(());
                    return true;
                }
                None => {
                    state.is_served = false;
                    return false;
                }
            };
            let mut batch = vec![first];
            let is_next = |next: &mut Waiting| matches!(next, Waiting::Delivery(_, of) if Arc::ptr_eq(of, &seats));
            while batch.len() < BATCH_MAX
                && let Some(Waiting::Delivery(next, _)) = state.waiting.pop_front_if(is_next)
            {
                batch.push(next);
            }
            (batch, seats)
        };
        deliver(&batch, &seats);
        true
    }
}

/// Writes some publications, in their order, to every seat.
fn deliver(batch: &[Arc<Delivery>], seats: &[Arc<Seat>]) {
    let Some(first) = batch.first() else { return };
    let has_exceptions = batch.iter().any(|delivery| delivery.publication.except.is_some());
    let (mut sent, mut replaced, mut missed) = (0, 0, 0);
    for seat in seats {
        let connection = &seat.connection;
        let delivered = if has_exceptions {
            let wanted = |delivery: &&Arc<Delivery>| delivery.publication.except.as_ref() != Some(connection.id());
            let wanted: Vec<Arc<Delivery>> = batch.iter().filter(wanted).cloned().collect();
            connection.deliver(&wanted, &seat.has_left)
        } else {
            connection.deliver(batch, &seat.has_left)
        };
        match delivered {
            Ok(Sent { taken, replaced: of_them }) => (sent, replaced) = (sent + taken, replaced + of_them),
            Err(error) => {
                missed += batch.len();
                if error == SendError::SlowConsumer {
                    // It comes back, and so learns that it missed something.
                    connection.cut(CloseReason::SlowConsumer);
                }
            }
        }
    }
    let channel = first.publication.channel.template.as_str();
    telemetry::delivered(channel, sent, missed);
    telemetry::conflated(channel, "queue", replaced);
}
