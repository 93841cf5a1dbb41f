//! Presence: who is on a topic, told to its subscribers once a second at most.
//!
//! A stay begins when a subscription is complete and ends when the session holds the topic no longer, whatever the
//! reason: the session keeps the [`Stay`], and dropping it is the end.

mod events;
mod members;
mod nodes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::inbound::check;
use super::ports::{Clock, Elsewhere, SharedMembers};
use super::{Gates, Session};
use crate::channels::{Channel, PresencePolicy, Resolved};
use crate::protocol::{
    Code, ConnectionId, MemberId, Occupancy, Payload, PresenceChange, PresenceTurn, Present, Refusal, Topic, User,
};
use crate::telemetry;
use events::Turned;
use members::{Members, Part};
use nodes::Shared;

/// How often changes are told at most.
const TELL_INTERVAL: Duration = Duration::from_secs(1);
/// How long it takes until this node hears that a user came back on another one.
const HEARING: Duration = Duration::from_millis(1500);

/// The members of every topic with presence, on this node.
pub(super) struct Presence {
    members_max: usize,
    clock: Arc<dyn Clock>,
    shared: Arc<dyn SharedMembers>,
    state: Mutex<State>,
    /// Something is to be told.
    woken: Notify,
}

#[derive(Default)]
struct State {
    topics: HashMap<Topic, Room>,
    changed: HashSet<Topic>,
    /// The users without a connection, by the time when they are gone.
    leaving: BTreeSet<(Instant, Topic, MemberId)>,
    /// What became of topics and users since the last change was told.
    turned: Vec<Turned>,
    /// Members of all topics (`limits.presence_members`).
    count: usize,
    stays: u64,
    /// From now on nobody leaves: the clients of a server that stops come back elsewhere.
    is_frozen: bool,
}

struct Room {
    channel: Arc<Channel>,
    members: Members,
    /// Who is on other nodes was heard once.
    is_heard: bool,
}

/// The part of one connection in a topic. Dropping it ends the stay.
pub(super) struct Stay {
    presence: Arc<Presence>,
    topic: Topic,
    who: Option<MemberId>,
    connection: ConnectionId,
    number: u64,
    info: Option<Payload>,
}

impl fmt::Debug for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stay").field("topic", &self.topic).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.presence.leave(self);
    }
}

impl Stay {
    /// What the user told about itself.
    pub(super) const fn info(&self) -> Option<&Payload> {
        self.info.as_ref()
    }

    /// The connection has a user from now on.
    pub(super) fn identify(&mut self, user: &User) {
        if self.who.is_none() {
            let (presence, topic, connection) = (self.presence.clone(), self.topic.clone(), self.connection.clone());
            // The anonymous stay ends when this is replaced.
            if let Some(stay) = presence.identify(topic, MemberId::of(user), connection) {
                *self = stay;
            }
        }
    }
}

impl Presence {
    pub(super) fn new(members_max: usize, clock: Arc<dyn Clock>, shared: Arc<dyn SharedMembers>) -> Arc<Self> {
        Arc::new(Self { members_max, clock, shared, state: Mutex::default(), woken: Notify::new() })
    }

    /// A connection is on a topic from now on. `None` if there is no room for one more member.
    fn enter(
        self: &Arc<Self>,
        topic: &Topic,
        channel: &Arc<Channel>,
        who: Option<MemberId>,
        connection: &ConnectionId,
        info: Option<Payload>,
    ) -> Option<Stay> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let room = state.topics.get(topic);
        let is_counted = room.is_some_and(|room| room.members.counts(who.as_ref(), connection));
        if !is_counted {
            if state.count >= self.members_max {
                return None;
            }
            state.count += 1;
            telemetry::presence_members(state.count);
            if room.is_none() {
                state.turned.push(Turned::new(PresenceTurn::Occupied, topic, channel, None));
            }
            if let Some(who) = &who {
                state.turned.push(Turned::new(PresenceTurn::Joined, topic, channel, Some(who)));
            }
        }
        state.stays += 1;
        let number = state.stays;
        let room = state.topics.entry(topic.clone()).or_insert_with(|| Room {
            channel: Arc::clone(channel),
            members: Members::new(),
            is_heard: false,
        });
        room.channel = Arc::clone(channel);
        let part = Part { number, brought: number, at_unix_ms: self.clock.now_unix_ms(), info };
        let was_leaving_at = room.members.enter(who.as_ref(), connection, part);
        let info = who.as_ref().and_then(|who| room.members.said(who, connection));
        if let (Some(at), Some(who)) = (was_leaving_at, &who) {
            state.leaving.remove(&(at, topic.clone(), who.clone()));
        }
        state.changed.insert(topic.clone());
        self.woken.notify_one();
        let (presence, topic, connection) = (self.clone(), topic.clone(), connection.clone());
        Some(Stay { presence, topic, who, connection, number, info })
    }

    /// What a user told about itself over this connection counts no more.
    pub(super) fn forget_info(&self, topic: &Topic, user: &User, connection: &ConnectionId) {
        if let Some(room) = self.state.lock().topics.get_mut(topic) {
            room.members.forget_info(&MemberId::of(user), connection);
        }
    }

    fn identify(self: &Arc<Self>, topic: Topic, who: MemberId, connection: ConnectionId) -> Option<Stay> {
        let channel = self.state.lock().topics.get(&topic)?.channel.clone();
        self.enter(&topic, &channel, Some(who), &connection, None)
    }

    fn leave(&self, stay: &Stay) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.is_frozen {
            return;
        }
        let Some(room) = state.topics.get_mut(&stay.topic) else { return };
        let before = room.members.here();
        let debounce = policy(&room.channel).map_or(Duration::ZERO, |policy| policy.debounce);
        let hearing = if self.shared.has_nodes() { HEARING } else { Duration::ZERO };
        let gone_at = Instant::now() + debounce + hearing;
        if let Some(at) = room.members.leave(stay.who.as_ref(), &stay.connection, stay.number, gone_at)
            && let Some(who) = &stay.who
        {
            state.leaving.insert((at, stay.topic.clone(), who.clone()));
        }
        state.count -= before - room.members.here();
        telemetry::presence_members(state.count);
        state.changed.insert(stay.topic.clone());
        self.woken.notify_one();
    }

    /// From now on nobody leaves.
    pub(super) fn freeze(&self) {
        self.state.lock().is_frozen = true;
    }

    /// Takes over who is on a topic on the other nodes.
    fn hear(&self, topic: &Topic, elsewhere: Elsewhere) {
        let mut state = self.state.lock();
        if let Some(room) = state.topics.get_mut(topic) {
            room.members.hear(elsewhere);
            room.is_heard = true;
            state.changed.insert(topic.clone());
        }
    }

    fn look<T>(&self, topic: &Topic, look: impl FnOnce(&Room) -> T) -> Option<T> {
        self.state.lock().topics.get(topic).map(look)
    }

    /// Lets those go whose time is over.
    fn expire(&self, now: Instant) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        while !state.is_frozen && state.leaving.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, topic, who)) = state.leaving.pop_first() else { break };
            let Some(room) = state.topics.get_mut(&topic) else { continue };
            if room.members.expire(&who, now) {
                state.count -= 1;
                state.turned.push(Turned::new(PresenceTurn::Left, &topic, &room.channel, Some(&who)));
                state.changed.insert(topic);
            }
        }
    }

    /// What to tell, and what became of topics and users on this node.
    fn told(&self, has_nodes: bool) -> (Vec<PresenceChange>, Vec<Turned>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (mut changes, mut again) = (Vec::new(), Vec::new());
        for topic in std::mem::take(&mut state.changed) {
            let Some(room) = state.topics.get_mut(&topic) else { continue };
            if let Some(policy) = policy(&room.channel) {
                changes.extend(room.members.change(&topic, policy));
            }
            if !has_nodes {
                room.members.forget_unsent();
            }
            if !room.members.is_sent() {
                // It changed while the other nodes were told: they hear of it next time.
                again.push(topic);
            } else if room.members.is_over() {
                state.turned.push(Turned::new(PresenceTurn::Vacated, &topic, &room.channel, None));
                state.topics.remove(&topic);
            }
        }
        state.changed.extend(again);
        telemetry::presence_members(state.count);
        (changes, std::mem::take(&mut state.turned))
    }

    /// When the next thing is to be told, if nothing changes before.
    fn next(&self) -> Option<Instant> {
        let state = self.state.lock();
        if state.is_frozen {
            return None;
        }
        if state.changed.is_empty() { state.leaving.first().map(|(at, ..)| *at) } else { Some(Instant::now()) }
    }
}

fn policy(channel: &Channel) -> Option<&PresencePolicy> {
    channel.presence.as_ref()
}

impl Gates {
    /// Tells the changes of presence, here and to the other nodes, until `shutdown`.
    pub async fn tell_presence(self: Arc<Self>, shutdown: CancellationToken) {
        let presence = self.presence.clone();
        let mut shared = Shared::new(self.ports.shared_members.clone());
        let telling = async {
            let mut told_at = None;
            loop {
                let due = shared.due(&presence, told_at);
                let earliest = told_at.map(|at: Instant| at + TELL_INTERVAL);
                tokio::select! {
                    () = presence.woken.notified() => continue,
                    () = sleep_until(due.max(earliest).unwrap_or_else(Instant::now)), if due.is_some() => {}
                }
                let now = Instant::now();
                told_at = Some(now);
                presence.expire(now);
                let turned_everywhere = shared.exchange(&presence, &*self.ports.watch).await;
                let (changes, turned_here) = presence.told(turned_everywhere.is_some());
                for change in changes {
                    self.ports.rooms.tell_presence(&change);
                }
                self.publish_turned(turned_everywhere.map_or(turned_here, |turned| self.of_channels(turned)));
            }
        };
        shutdown.run_until_cancelled(telling).await;
    }

    /// What a user tells about itself when it subscribes: within its limit, and as the channel's schema says.
    pub(super) fn check_info(&self, channel: &Channel, info: Option<&Payload>) -> Result<(), Refusal> {
        let Some(info) = info else { return Ok(()) };
        let (bytes, bytes_max) = (info.as_str().len(), self.limits.info_bytes_max);
        if bytes > bytes_max {
            let details = serde_json::json!({ "bytes": bytes, "bytes_max": bytes_max });
            return Err(Refusal::because(Code::PayloadTooLarge, "`info` is too large").with_details(details));
        }
        match policy(channel).map(|policy| &policy.info) {
            None => Err(Code::NoPresence.into()),
            Some(None) => Err(Refusal::because(Code::InvalidPayload, "this channel takes no `info`")),
            Some(Some(schema)) => check(schema, info),
        }
    }

    /// Forgets what a user told about itself on a topic, if the channel does not take it any more.
    pub(super) fn forget_unfit_info(&self, session: &Session, resolved: &Resolved) {
        let Resolved { topic, channel, .. } = resolved;
        let Some(info) = session.info(topic) else { return };
        if self.check_info(channel, Some(&info)).is_err()
            && let Some(user) = session.user()
        {
            self.presence.forget_info(topic, &user, session.connection());
        }
    }

    /// Counts a connection that subscribed as present, and says who is. `None` if the channel has no presence.
    ///
    /// # Errors
    /// `unavailable` if there is no room for one more member (`limits.presence_members`).
    pub(super) async fn attend(
        &self,
        session: &Session,
        resolved: &Resolved,
        info: Option<Payload>,
    ) -> Result<Option<Present>, Refusal> {
        let Resolved { topic, channel, .. } = resolved;
        let Some(policy) = policy(channel) else { return Ok(None) };
        if !self.count_in(session, resolved, info) {
            return Err(Refusal::because(Code::Unavailable, "too many members are present on this node"));
        }
        if self.presence.look(topic, |room| room.is_heard) == Some(false)
            && let Ok(elsewhere) = self.elsewhere(topic).await
        {
            self.presence.hear(topic, elsewhere);
        }
        Ok(self.presence.look(topic, |room| room.members.present(policy)))
    }

    /// Counts a connection that holds a topic as present; `false` if there is no room for one more member.
    pub(super) fn count_in(&self, session: &Session, resolved: &Resolved, info: Option<Payload>) -> bool {
        let Resolved { topic, channel, .. } = resolved;
        if policy(channel).is_none() || session.is_backend() {
            return true;
        }
        let who = session.user().as_deref().map(MemberId::of);
        let stay = self.presence.enter(topic, channel, who, session.connection(), info);
        stay.map(|stay| session.attend(topic, stay)).is_some()
    }

    /// Who is on a topic on the other nodes.
    async fn elsewhere(&self, topic: &Topic) -> Result<Elsewhere, Refusal> {
        let members = &self.ports.shared_members;
        if !members.has_nodes() {
            return Ok(Elsewhere::default());
        }
        members.read(topic).await.map_err(|away| {
            tracing::debug!(%topic, why = away.0, "presence was not read");
            Code::Unavailable.into()
        })
    }

    /// Who is present on a topic.
    ///
    /// # Errors
    /// `unknown_channel`; `no_presence` if the channel does not keep it; `unavailable` if the other nodes cannot be
    /// asked.
    pub async fn present(&self, topic: &str) -> Result<Present, Refusal> {
        self.look_at(topic, |members, policy| members.present(policy)).await
    }

    /// How many are present on a topic.
    ///
    /// # Errors
    /// As [`Gates::present`].
    pub async fn occupancy(&self, topic: &str) -> Result<Occupancy, Refusal> {
        self.look_at(topic, |members, _| members.occupancy()).await
    }

    async fn look_at<T>(
        &self,
        topic: &str,
        look: impl Fn(&Members, &PresencePolicy) -> T + Send,
    ) -> Result<T, Refusal> {
        let resolved = self.serving().catalog.resolve(topic).ok_or(Code::UnknownChannel)?;
        let policy = policy(&resolved.channel).ok_or(Code::NoPresence)?;
        if let Some(found) = self.presence.look(&resolved.topic, |room| look(&room.members, policy)) {
            return Ok(found);
        }
        let mut members = Members::new();
        members.hear(self.elsewhere(&resolved.topic).await?);
        Ok(look(&members, policy))
    }
}
