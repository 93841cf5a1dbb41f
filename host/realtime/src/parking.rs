//! The sessions of clients with recovery: those that are here, and those that wait for their clients to come back, each by
//! the secret that only its client knows. This file knows nothing of the transport, and nothing of topics.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use tidegate_core::telemetry;

/// How long a client waits for the one before it, which brought the same secret, to be let in or refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client brings back to get its session: `pid` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pid(Arc<str>);

impl Pid {
    /// A new one, which nobody can guess.
    pub(super) fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string().into())
    }

    /// What a client brought.
    pub(super) fn brought(text: &str) -> Self {
        Self(text.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The sessions of clients with recovery. `H` is a connection, `P` what is kept of one that is gone.
pub(super) struct Parking<H, P> {
    state: Mutex<State<H, P>>,
    /// A session that was on its way is here, or parked, or gone.
    settled: Notify,
    time: Duration,
    sessions_max: usize,
}

struct State<H, P> {
    places: HashMap<Pid, Place<H, P>>,
    /// The parked sessions, the oldest first.
    order: BTreeMap<u64, Pid>,
    parked: u64,
}

enum Place<H, P> {
    /// Its client is connected.
    Here(Weak<H>),
    /// Its client is away.
    Parked { kept: P, number: u64, until: Instant },
    /// A client that wants it is being let in.
    Claimed,
}

/// A session that a client wants back.
pub(super) enum Found<H, P> {
    /// Its old connection has not ended yet.
    Here(Arc<H>),
    /// It waits.
    Parked(P),
}

/// A session and until when it waits; or why there is none.
type Tried<H, P, E> = Result<(Found<H, P>, Instant), Option<E>>;

/// A session that nobody else can take. Dropped without [`Claim::settle`], the session waits on.
pub(super) struct Claim<H, P> {
    parking: Arc<Parking<H, P>>,
    pid: Pid,
    until: Instant,
    /// What waits on.
    pub(super) kept: Option<P>,
}

impl<H, P> Parking<H, P> {
    /// Keeps so many sessions for this time.
    pub(super) fn new(time: Duration, sessions_max: usize) -> Arc<Self> {
        let state = State { places: HashMap::new(), order: BTreeMap::new(), parked: 0 };
        Arc::new(Self { state: Mutex::new(state), settled: Notify::new(), time, sessions_max })
    }

    /// The session of this connection has begun, or goes on.
    pub(super) fn here(&self, pid: &Pid, connection: &Arc<H>) {
        self.state.lock().put(pid, Place::Here(Arc::downgrade(connection)));
        self.settled.notify_waiters();
    }

    /// The connection is gone. Its session waits, as long as it is not somebody else's by now.
    pub(super) fn park(&self, pid: &Pid, connection: &Arc<H>, kept: P) {
        let mut state = self.state.lock();
        if state.is_of(pid, connection) {
            state.park(pid, kept, Instant::now() + self.time, self.sessions_max);
        }
    }

    /// The session of this connection is over.
    pub(super) fn forget(&self, pid: &Pid, connection: &Arc<H>) {
        let mut state = self.state.lock();
        if state.is_of(pid, connection) {
            state.remove(pid);
        }
    }

    /// Looks at a session that a client wants back; `None` if there is none, or it is on its way to a client.
    pub(super) fn look<T>(&self, pid: &Pid, look: impl FnOnce(Look<'_, H, P>) -> T) -> Option<T> {
        match self.state.lock().places.get(pid)? {
            Place::Here(connection) => Some(look(Look::Here(&*connection.upgrade()?))),
            Place::Parked { kept, until, .. } if *until > Instant::now() => Some(look(Look::Parked(kept))),
            Place::Parked { .. } | Place::Claimed => None,
        }
    }

    /// Takes a session for a client that `may` have it. Whoever brings the same secret meanwhile waits.
    ///
    /// # Errors
    /// What `may` says; `None` if there is no such session.
    pub(super) async fn claim<E>(
        self: &Arc<Self>,
        pid: &Pid,
        may: impl Fn(Look<'_, H, P>) -> Result<(), E>,
    ) -> Result<(Found<H, P>, Claim<H, P>), Option<E>> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let settled = self.settled.notified();
            match self.try_claim(pid, &may) {
                Some(Ok((found, until))) => {
                    let claim = Claim { parking: Arc::clone(self), pid: pid.clone(), until, kept: None };
                    return Ok((found, claim));
                }
                Some(Err(error)) => return Err(error),
                // Somebody else is being let in with it.
                None => timeout_at(patience, settled).await.map_err(|_elapsed| None)?,
            }
        }
    }

    fn try_claim<E>(&self, pid: &Pid, may: impl Fn(Look<'_, H, P>) -> Result<(), E>) -> Option<Tried<H, P, E>> {
        let now = Instant::now();
        let mut state = self.state.lock();
        match state.places.get(pid) {
            None => return Some(Err(None)),
            Some(Place::Claimed) => return None,
            Some(Place::Here(connection)) => {
                let Some(connection) = connection.upgrade() else {
                    state.remove(pid);
                    return Some(Err(None));
                };
                if let Err(error) = may(Look::Here(&connection)) {
                    return Some(Err(Some(error)));
                }
                state.put(pid, Place::Claimed);
                return Some(Ok((Found::Here(connection), now + self.time)));
            }
            Some(Place::Parked { until, .. }) if *until <= now => {
                state.remove(pid);
                return Some(Err(None));
            }
            Some(Place::Parked { kept, .. }) => {
                if let Err(error) = may(Look::Parked(kept)) {
                    return Some(Err(Some(error)));
                }
            }
        }
        match state.put(pid, Place::Claimed) {
            Some(Place::Parked { kept, until, .. }) => Some(Ok((Found::Parked(kept), until))),
            Some(_) | None => None,
        }
    }

    /// Changes every session that waits.
    pub(super) fn each_parked(&self, mut change: impl FnMut(&mut P)) {
        for place in self.state.lock().places.values_mut() {
            if let Place::Parked { kept, .. } = place {
                change(kept);
            }
        }
    }

    /// Removes the sessions whose time is over. Call it about once a second.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        while let Some((_, pid)) = state.order.first_key_value()
            && let Some(Place::Parked { until, .. }) = state.places.get(pid)
            && *until <= now
        {
            let pid = pid.clone();
            state.remove(&pid);
        }
    }
}

/// A session, to look at.
pub(super) enum Look<'a, H, P> {
    Here(&'a H),
    Parked(&'a P),
}

impl<H, P> State<H, P> {
    /// Whether the session is this connection's, or is on its way to it.
    fn is_of(&self, pid: &Pid, connection: &Arc<H>) -> bool {
        match self.places.get(pid) {
            Some(Place::Here(here)) => std::ptr::eq(here.as_ptr(), Arc::as_ptr(connection)),
            Some(Place::Parked { .. } | Place::Claimed) | None => false,
        }
    }

    fn put(&mut self, pid: &Pid, place: Place<H, P>) -> Option<Place<H, P>> {
        let before = self.places.insert(pid.clone(), place);
        self.unlist(before.as_ref());
        before
    }

    fn remove(&mut self, pid: &Pid) {
        let before = self.places.remove(pid);
        self.unlist(before.as_ref());
    }

    fn unlist(&mut self, before: Option<&Place<H, P>>) {
        if let Some(Place::Parked { number, .. }) = before {
            self.order.remove(number);
            telemetry::parked_sessions(self.order.len());
        }
    }

    fn park(&mut self, pid: &Pid, kept: P, until: Instant, sessions_max: usize) {
        self.parked += 1;
        let number = self.parked;
        self.put(pid, Place::Parked { kept, number, until });
        self.order.insert(number, pid.clone());
        while self.order.len() > sessions_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.places.remove(&oldest);
            telemetry::parked_session_displaced();
        }
        telemetry::parked_sessions(self.order.len());
    }
}

impl<H, P> Claim<H, P> {
    /// The session is over: nobody gets it.
    pub(super) fn give_up(mut self) {
        self.kept = None;
    }

    /// The session is this connection's now.
    pub(super) fn settle(mut self, connection: &Arc<H>) {
        self.kept = None;
        self.parking.here(&self.pid, connection);
    }
}

impl<H, P> Drop for Claim<H, P> {
    fn drop(&mut self) {
        let mut state = self.parking.state.lock();
        if !matches!(state.places.get(&self.pid), Some(Place::Claimed)) {
            return;
        }
        match self.kept.take() {
            Some(kept) => state.park(&self.pid, kept, self.until, self.parking.sessions_max),
            None => state.remove(&self.pid),
        }
        drop(state);
        self.parking.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sessions = Parking<String, u32>;

    const TIME: Duration = Duration::from_secs(120);

    /// Sessions of which anybody may have any, and the connection of one.
    fn one(max: usize) -> (Arc<Sessions>, Pid, Arc<String>) {
        let (sessions, pid, connection) = (Parking::new(TIME, max), Pid::random(), Arc::new("first".to_owned()));
        sessions.here(&pid, &connection);
        (sessions, pid, connection)
    }

    async fn claim(sessions: &Arc<Sessions>, pid: &Pid) -> Option<(Found<String, u32>, Claim<String, u32>)> {
        sessions.claim::<()>(pid, |_| Ok(())).await.ok()
    }

    async fn kept(sessions: &Arc<Sessions>, pid: &Pid) -> Option<u32> {
        match claim(sessions, pid).await? {
            (Found::Parked(kept), claim) => {
                claim.give_up();
                Some(kept)
            }
            (Found::Here(_), _) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_waits_for_its_client_for_a_time() {
        let (sessions, pid, connection) = one(9);
        sessions.park(&pid, &connection, 7);
        tokio::time::advance(TIME - Duration::from_secs(1)).await;
        sessions.sweep();
        assert_eq!(kept(&sessions, &pid).await, Some(7));
        assert_eq!(kept(&sessions, &pid).await, None, "once");
        sessions.here(&pid, &connection);
        sessions.park(&pid, &connection, 8);
        tokio::time::advance(TIME).await;
        assert_eq!(kept(&sessions, &pid).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_in_vain_is_removed_and_what_goes_on_is_not() {
        let (sessions, pid, connection) = one(9);
        sessions.park(&pid, &connection, 7);
        let (young, other) = (Pid::random(), Arc::new("other".to_owned()));
        sessions.here(&young, &other);
        tokio::time::advance(TIME / 2).await;
        sessions.park(&young, &other, 8);
        tokio::time::advance(TIME / 2).await;
        sessions.sweep();
        assert_eq!(sessions.state.lock().places.len(), 1);
        assert_eq!(kept(&sessions, &young).await, Some(8));
        let state = sessions.state.lock();
        assert!(state.places.is_empty() && state.order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_the_oldest_go() {
        let (sessions, first, connection) = one(2);
        sessions.park(&first, &connection, 1);
        let more: Vec<Pid> = (2..4)
            .map(|kept| {
                let (pid, connection) = (Pid::random(), Arc::new("more".to_owned()));
                sessions.here(&pid, &connection);
                sessions.park(&pid, &connection, kept);
                pid
            })
            .collect();
        assert_eq!(kept(&sessions, &first).await, None);
        assert_eq!((kept(&sessions, &more[0]).await, kept(&sessions, &more[1]).await), (Some(2), Some(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_later_end_of_an_old_connection_changes_nothing() {
        let (sessions, pid, old) = one(9);
        let Some((Found::Here(found), mut claim)) = claim(&sessions, &pid).await else { panic!("it is here") };
        assert!(Arc::ptr_eq(&found, &old));
        claim.kept = Some(7);
        sessions.park(&pid, &old, 0);
        sessions.forget(&pid, &old);
        let new = Arc::new("second".to_owned());
        claim.settle(&new);
        sessions.park(&pid, &old, 0);
        sessions.forget(&pid, &old);
        sessions.park(&pid, &new, 8);
        assert_eq!(kept(&sessions, &pid).await, Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_may_not_have_a_session_changes_nothing() {
        let (sessions, pid, connection) = one(9);
        assert_eq!(sessions.claim(&pid, |_| Err("no")).await.err(), Some(Some("no")));
        sessions.park(&pid, &connection, 7);
        assert_eq!(sessions.claim(&pid, |_| Err("no")).await.err(), Some(Some("no")));
        assert_eq!(sessions.claim(&Pid::brought("?"), |_| Err("no")).await.err(), Some(None));
        assert_eq!(kept(&sessions, &pid).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_refused_after_all_leaves_the_session_as_long_as_it_would_have_waited() {
        let (sessions, pid, connection) = one(9);
        sessions.park(&pid, &connection, 7);
        tokio::time::advance(TIME / 2).await;
        let (_, mut refused) = claim(&sessions, &pid).await.unwrap();
        refused.kept = Some(7);
        drop(refused);
        assert!(sessions.look(&pid, |_| ()).is_some());
        tokio::time::advance(TIME / 2).await;
        assert_eq!(kept(&sessions, &pid).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_while_another_is_let_in_waits_for_that_and_has_the_session_after_it() {
        let (sessions, pid, connection) = one(9);
        sessions.park(&pid, &connection, 7);
        let (_, first) = claim(&sessions, &pid).await.unwrap();
        let second = tokio::spawn({
            let (sessions, pid) = (Arc::clone(&sessions), pid.clone());
            async move { matches!(claim(&sessions, &pid).await, Some((Found::Here(_), _))) }
        });
        tokio::task::yield_now().await;
        let new = Arc::new("second".to_owned());
        first.settle(&new);
        assert!(second.await.unwrap());
        sessions.here(&pid, &new);
        let (_, stuck) = claim(&sessions, &pid).await.unwrap();
        assert!(claim(&sessions, &pid).await.is_none(), "nobody waits for ever");
        drop(stuck);
    }
}
