//! Clients with recovery: a session whose transport is lost is parked, and the client that comes back gets it with
//! everything that it missed, or a new one and the reason.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tidegate_transport::{CloseReason, Offset};

use super::Realtime;
use super::connections::Connection;
use super::frame::{Delivery, Frame};
use super::parking::{Claim, Found, Look, Parking, Pid};
use super::trail::{Known, Trail};
use tidegate_core::flow::{Gates, Left, Membership, Publication, Restored, Unrestored};
use tidegate_core::protocol::{
    Code, ConnectionId, Kept, Payload, Position, Refusal, SessionEvent, Topic, TraceContext, Unrecovered, User,
};
use tidegate_core::telemetry;

/// The name of this way in metrics.
const WAY: &str = "pid";

/// All sessions of clients with recovery.
pub(super) type Sessions = Parking<Connection, Parked>;

/// What a client says about recovery in its `auth`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// It wants to recover by itself.
    pub(super) recovers: bool,
    /// The session that it wants back.
    pub(super) pid: Option<Pid>,
    /// The last event that it has processed. A text that is no offset means the beginning of the session.
    pub(super) last: Option<Offset>,
}

impl Wish {
    /// Reads `auth`.
    pub(super) fn of(auth: &Value) -> Self {
        if auth.get("recover") != Some(&Value::Bool(true)) {
            return Self::default();
        }
        let text = |name| auth.get(name).and_then(Value::as_str);
        Self { recovers: true, pid: text("pid").map(Pid::brought), last: text("offset").and_then(Offset::parse) }
    }
}

/// What a connection of a client that wants to recover has beside the others.
pub(super) struct Recovering {
    /// What the client brings the next time; `None` where there is no recovery.
    pid: Option<Pid>,
    pub(super) trail: Trail,
    /// What it held when it ended, with what the user told about itself there.
    held: Mutex<Vec<(Topic, Option<Payload>)>>,
    /// What its client may not have heard about its topics.
    owed: Vec<SessionEvent>,
    /// The session that it came back for, until the client knows that it is connected.
    claim: Mutex<Option<Claim<Connection, Parked>>>,
    /// What its client is told then.
    news: Mutex<Option<News>>,
}

/// What a client that came back is told.
enum News {
    /// It has its session. This became of its topics.
    Restored(Vec<(Left, Restored)>),
    /// It has a new one, and this is why. The old one held these topics, as far as that is known.
    New(Unrecovered, Vec<Topic>),
}

/// A session that waits for its client.
#[derive(Clone)]
pub(super) struct Parked {
    session: ConnectionId,
    user: Option<Arc<User>>,
    topics: Vec<(Topic, Option<Payload>)>,
    known: Known,
    unanswered: Vec<Offset>,
}

impl Recovering {
    fn new(pid: Option<Pid>, news: Option<News>, owed: Vec<SessionEvent>) -> Self {
        let (trail, held, claim) = (Trail::default(), Mutex::default(), Mutex::default());
        Self { pid, trail, held, owed, claim, news: Mutex::new(news) }
    }

    /// What the client brings the next time.
    pub(super) fn pid(&self) -> Option<&str> {
        self.pid.as_ref().map(Pid::as_str)
    }

    /// The connection has ended, and held this topic until now.
    pub(super) fn ended(&self, topic: Topic, info: Option<Payload>) {
        self.held.lock().push((topic, info));
    }
}

impl Parked {
    /// What a connection that has ended leaves behind.
    fn of(connection: &Connection) -> Option<Self> {
        let recovering = connection.recovering.as_deref()?;
        Some(Self {
            session: connection.id().clone(),
            user: connection.session.user(),
            topics: recovering.held.lock().clone(),
            known: recovering.trail.known(),
            unanswered: connection.unanswered(),
        })
    }

    /// Its client does not get this topic back.
    fn withdraw(&mut self, topic: &Topic) {
        if let Some(at) = self.topics.iter().position(|(held, _)| held == topic) {
            self.topics.swap_remove(at);
            self.known.revoked(topic);
        }
    }

    /// The topics that its client was told it holds, and how far it is in each; and what it hears again.
    fn left(mut self, last: Option<Offset>) -> (Vec<Left>, Vec<SessionEvent>) {
        self.known.settle(&self.unanswered, last);
        let left = |(topic, info): (Topic, Option<Payload>)| {
            let position = self.known.of(&topic)?.clone();
            Some(Left { topic, position, info })
        };
        let left: Vec<Left> = self.topics.into_iter().filter_map(left).collect();
        let owed = self.known.owed(|topic| left.iter().any(|left| left.topic == *topic));
        (left, owed)
    }
}

impl Realtime {
    /// The session of a client that gate 1 let in: the one that it wants back, or a new one. `new` makes a connection with
    /// the id of an old session or with its own.
    ///
    /// # Errors
    /// `unavailable`: nobody can tell now what the client missed. It comes back, and its session waits for it.
    pub(super) async fn begin(
        &self,
        gates: &Arc<Gates>,
        wish: Wish,
        user: Option<&User>,
        new: impl Fn(Option<ConnectionId>, Option<Recovering>) -> Arc<Connection>,
    ) -> Result<Arc<Connection>, Refusal> {
        if !wish.recovers {
            return Ok(new(None, None));
        }
        let begin = |news| new(None, Some(Recovering::new(self.sessions().map(|_| Pid::random()), news, Vec::new())));
        let Some(pid) = wish.pid else { return Ok(begin(None)) };
        let (claim, parked) = match self.take_back(gates, &pid, user).await {
            Ok(found) => found,
            Err(reason) => return Ok(begin(Some(News::New(reason, Vec::new())))),
        };
        let session = Some(parked.session.clone());
        let (left, owed) = parked.left(wish.last);
        let recovering = Recovering::new(Some(pid), None, owed);
        left.iter().for_each(|left| recovering.trail.subscribed(&left.topic, left.position.as_ref()));
        let connection = new(session, Some(recovering));
        match gates.restore(&self.member(&connection), &left).await {
            Ok(restored) => {
                if let Some(recovering) = &connection.recovering {
                    *recovering.news.lock() = Some(News::Restored(left.into_iter().zip(restored).collect()));
                    *recovering.claim.lock() = Some(claim);
                }
                Ok(connection)
            }
            Err(unrestored) => {
                self.end(&connection);
                match unrestored {
                    Unrestored::Away => Err(Code::Unavailable.into()),
                    Unrestored::Missed(reason) => {
                        claim.give_up();
                        let topics = left.into_iter().map(|left| left.topic).collect();
                        Ok(begin(Some(News::New(reason, topics))))
                    }
                }
            }
        }
    }

    /// The session that a client wants back. If its old connection has not ended, it ends now.
    async fn take_back(
        &self,
        gates: &Arc<Gates>,
        pid: &Pid,
        user: Option<&User>,
    ) -> Result<(Claim<Connection, Parked>, Parked), Unrecovered> {
        let sessions = self.sessions().ok_or(Unrecovered::UnknownSession)?;
        let may = |look: Look<'_, Connection, Parked>| {
            let owner = match look {
                Look::Here(connection) => connection.session.user(),
                Look::Parked(parked) => parked.user.clone(),
            };
            let owner = owner.as_deref();
            if owner.map(|owner| (&owner.id, &owner.tenant)) != user.map(|user| (&user.id, &user.tenant)) {
                return Err(Unrecovered::OtherUser);
            }
            let is_over = owner.is_some_and(|owner| gates.still_good_user(owner).is_err());
            if is_over { Err(Unrecovered::UnknownSession) } else { Ok(()) }
        };
        let claimed = sessions.claim(pid, may).await;
        let (found, mut claim) = claimed.map_err(|reason| reason.unwrap_or(Unrecovered::UnknownSession))?;
        let parked = match found {
            Found::Parked(parked) => Some(parked),
            Found::Here(connection) => {
                self.end(&connection);
                self.forget(gates, &connection, "superseded");
                connection.cut(CloseReason::TransportClose);
                Parked::of(&connection)
            }
        };
        claim.kept.clone_from(&parked);
        parked.map(|parked| (claim, parked)).ok_or(Unrecovered::UnknownSession)
    }

    /// The id of the session that a client wants back, as far as it is known before gate 1.
    pub(super) fn wanted(&self, wish: &Wish) -> Option<ConnectionId> {
        self.sessions()?.look(wish.pid.as_ref()?, |look| match look {
            Look::Here(connection) => connection.id().clone(),
            Look::Parked(parked) => parked.session.clone(),
        })
    }

    /// The client is connected: its session is here from now on.
    pub(super) fn arrived(&self, connection: &Arc<Connection>) {
        let Some(Recovering { pid: Some(pid), claim, .. }) = connection.recovering.as_deref() else { return };
        match (claim.lock().take(), self.sessions()) {
            (Some(claim), _) => claim.settle(connection),
            (None, Some(sessions)) => sessions.here(pid, connection),
            (None, None) => {}
        }
    }

    /// The transport is gone: the session waits for its client, unless either side ended it on purpose.
    pub(super) fn departed(&self, connection: &Arc<Connection>, reason: CloseReason) {
        let Some(Recovering { pid: Some(pid), .. }) = connection.recovering.as_deref() else { return };
        let Some(sessions) = self.sessions() else { return };
        match (waits(reason), Parked::of(connection)) {
            (true, Some(parked)) => sessions.park(pid, connection, parked),
            _ => sessions.forget(pid, connection),
        }
    }

    /// Ends a session for good: its client does not get it back.
    pub(super) fn give_up(&self, connection: &Arc<Connection>) {
        if let Some(Recovering { pid: Some(pid), .. }) = connection.recovering.as_deref()
            && let Some(sessions) = self.sessions()
        {
            sessions.forget(pid, connection);
        }
    }

    /// Takes a topic from the sessions that wait for clients which a revocation covers.
    pub(super) fn withdraw_from_parked(&self, topic: &Topic, covers: impl Fn(Option<&User>) -> bool) {
        if let Some(sessions) = self.sessions() {
            sessions.each_parked(|parked| {
                if covers(parked.user.as_deref()) {
                    parked.withdraw(topic);
                }
            });
        }
    }

    /// Tells a client that came back what became of its session, and sends what it missed.
    pub(super) fn tell_news(&self, connection: &Arc<Connection>) {
        let Some(recovering) = connection.recovering.as_deref() else { return };
        let Some(news) = recovering.news.lock().take() else { return };
        // It was evicted at once: it has learned why, and hears nothing more.
        if connection.session.is_closed() {
            return;
        }
        match news {
            News::Restored(topics) => {
                telemetry::recovery(WAY, None);
                let is_gap = |topic: &Topic| {
                    let found = topics.iter().find(|(left, _)| left.topic == *topic);
                    found.is_some_and(|(_, restored)| matches!(restored, Restored::Gap { .. }))
                };
                // That of a topic without history comes with the topic.
                let is_told = |event: &SessionEvent| matches!(event, SessionEvent::Gap { topic } if is_gap(topic));
                for event in recovering.owed.iter().filter(|event| !is_told(event)) {
                    self.send(connection, &Frame::session_event(event));
                }
                for (left, restored) in topics {
                    self.tell_restored(connection, &recovering.trail, &left.topic, restored);
                }
            }
            News::New(reason, topics) => {
                telemetry::recovery(WAY, Some(reason.as_str()));
                self.send(connection, &Frame::session_event(&SessionEvent::Unrecovered { reason, topics }));
            }
        }
    }

    fn tell_restored(&self, connection: &Arc<Connection>, trail: &Trail, topic: &Topic, restored: Restored) {
        let member = self.member(connection);
        match restored {
            Restored::Whole { missed, newest } => {
                let missed =
                    missed.into_iter().map(|Kept { payload, position, trace }| (payload, Some(position), trace));
                self.send_missed(connection, topic, missed);
                member.resume(topic, Some(&newest));
            }
            Restored::Gap { newest, values } => {
                trail.subscribed(topic, newest.as_ref());
                self.send(connection, &Frame::session_event(&SessionEvent::Gap { topic: topic.clone() }));
                let past = values.as_ref().map(|values| values.position.clone()).or(newest);
                let values = values.into_iter().flat_map(|values| values.values);
                self.send_missed(connection, topic, values.map(|value| (value.payload, value.position, None)));
                member.resume(topic, past.as_ref());
            }
            Restored::Lost(code) => {
                trail.forget(topic);
                member.tell_revoked(topic.clone(), code);
            }
        }
    }

    /// Sends what was kept of a topic, as long as the client holds it.
    fn send_missed(
        &self,
        connection: &Arc<Connection>,
        topic: &Topic,
        kept: impl Iterator<Item = (Payload, Option<Position>, Option<TraceContext>)>,
    ) {
        for (payload, position, trace) in kept {
            let Some(channel) = connection.session.channel(topic) else { return };
            let publication = Publication::kept(topic.clone(), channel, payload, position).traced(trace);
            self.send(connection, &Frame::Publication(Delivery::missed(publication)));
        }
    }
}

/// Whether a client may come back after that. A server that drains is gone by then.
const fn waits(reason: CloseReason) -> bool {
    match reason {
        CloseReason::TransportClose
        | CloseReason::PingTimeout
        | CloseReason::ParseError
        | CloseReason::MultiplePolls
        | CloseReason::SlowConsumer => true,
        CloseReason::ConnectTimeout
        | CloseReason::ClientDisconnect
        | CloseReason::ServerDisconnect
        | CloseReason::ServerClose
        | CloseReason::ServerDrain => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_client_that_says_so_recovers() {
        for auth in [json!(null), json!({ "token": "t" }), json!({ "recover": "true" }), json!({ "pid": "p" })] {
            assert_eq!(Wish::of(&auth), Wish::default(), "{auth}");
        }
        let wish = Wish::of(&json!({ "recover": true, "pid": "p", "offset": "a.1" }));
        let last = Some(Offset { line: 10, at: 1 });
        assert_eq!(wish, Wish { recovers: true, pid: Some(Pid::brought("p")), last });
    }

    #[test]
    fn an_offset_that_is_none_is_no_error() {
        for offset in [json!("hello there"), json!(""), json!(7), json!(null)] {
            let wish = Wish::of(&json!({ "recover": true, "pid": "p", "offset": offset }));
            assert_eq!((wish.recovers, wish.last), (true, None));
        }
    }
}
