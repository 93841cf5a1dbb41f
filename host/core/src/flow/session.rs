//! What the gates remember of one connection: its user, and the topics for which it cleared gate 2.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::budgets::{Budgets, Seat};
use super::connect::Admission;
use super::credential::Brought;
use super::decisions::Granted;
use super::doubt::Doubt;
use super::look::LookedAt;
use super::ports::PluginVersion;
use super::presence::Stay;
use crate::channels::{Channel, Resolved};
use crate::protocol::{Code, ConnectionId, Generation, Payload, PluginName, Topic, User};

/// No catalog has this number: the next recheck checks every topic that is held with it.
const UNJUDGED: Generation = Generation(u64::MAX);

/// The state of one connection at the gates. The connection's tasks share it; every method is short.
#[derive(Debug)]
pub struct Session {
    connection: ConnectionId,
    /// A backend, which may read every topic: neither scopes nor authorizers are asked, and it is no member.
    is_backend: bool,
    /// The cookies of the handshake, for renewing.
    cookies: Option<Arc<Brought>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    user: Option<Arc<User>>,
    held: HashMap<Topic, Held>,
    closed: bool,
    /// The provider that can check the user's credential again, if any.
    looked_at: Option<LookedAt>,
    /// When to announce the end of the credential to the client.
    notice: Notice,
    /// The end before which the credential was checked last, and whether that was the end itself.
    looked_for: Option<(u64, bool)>,
}

/// When to announce the end of a credential to the client.
#[derive(Debug, Clone, Copy, Default)]
struct Notice {
    /// The end that this is about, in seconds since the Unix epoch; `None` if nothing is decided yet.
    ends_at: Option<u64>,
    /// The moment, in milliseconds since the Unix epoch; `None`: never, or it was announced already.
    at_ms: Option<u64>,
}

/// The reasons for holding a topic.
#[derive(Debug)]
struct Held {
    /// The channel of the topic, from that generation.
    channel: Arc<Channel>,
    /// The generation that last admitted the present user.
    admitted_by: Generation,
    grounds: Grounds,
    /// The connection's part in the topic's presence, where the channel has it. It ends with this.
    stay: Option<Stay>,
    /// Its part of the team's budget, where the team of the channel has one. It ends with this, too.
    seat: Option<Seat>,
}

/// The answers of authorizers about a held topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grounds {
    /// The authorizer that last admitted the present user; `None` if it must be asked again.
    pub(super) authorized: Option<Authorized>,
    /// The doubt, if the authorizer asked since could not decide.
    pub(super) doubt: Option<Doubt>,
}

/// The authorizer that said yes to a subscription, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorized {
    /// `None` if no authorizer is needed.
    pub(super) by: Option<Authorizer>,
    pub(super) granted: Granted,
}

/// An authorizer and its version.
pub(super) type Authorizer = (PluginName, Option<PluginVersion>);

impl State {
    fn take_user(&mut self, user: Arc<User>) {
        let stays = self.held.values_mut().filter_map(|held| held.stay.as_mut());
        stays.for_each(|stay| stay.identify(&user));
        if self.user.as_ref().is_some_and(|current| current.roles != user.roles) {
            self.held.values_mut().for_each(|held| {
                held.admitted_by = UNJUDGED;
                held.grounds.authorized = None;
            });
        }
        self.user = Some(user);
        self.notice = Notice::default();
    }

    /// Whether exactly this user is still the session's user. A renewed user is another one.
    fn is_of(&self, user: Option<&Arc<User>>) -> bool {
        self.user.as_ref().map(Arc::as_ptr) == user.map(Arc::as_ptr)
    }
}

impl Session {
    /// A session that holds no topics yet.
    #[must_use]
    pub fn new(connection: ConnectionId, user: Option<Arc<User>>) -> Self {
        Self::admitted(connection, Admission { user, cookies: None, looked_at: None })
    }

    /// The session of a connection that gate 1 accepted.
    #[must_use]
    pub fn admitted(connection: ConnectionId, admission: Admission) -> Self {
        let Admission { user, cookies, looked_at } = admission;
        let (held, notice) = (HashMap::new(), Notice::default());
        let state = State { user, held, closed: false, looked_at, notice, looked_for: None };
        Self { connection, is_backend: false, cookies, state: Mutex::new(state) }
    }

    /// The session of a backend, whose API key may read every topic.
    #[must_use]
    pub fn of_backend(connection: ConnectionId) -> Self {
        Self { is_backend: true, ..Self::new(connection, None) }
    }

    /// Whether this is a backend.
    #[must_use]
    pub const fn is_backend(&self) -> bool {
        self.is_backend
    }

    /// The cookies of the handshake.
    pub(super) fn cookies(&self) -> Option<Arc<Brought>> {
        self.cookies.clone()
    }

    /// The provider that can check the present user's credential again.
    pub(super) fn looked_at(&self) -> Option<(LookedAt, Arc<User>)> {
        let state = self.state.lock();
        Some((state.looked_at.clone()?, state.user.clone()?))
    }

    /// Notes that the credential is checked before this end, or before its announcement; `false` if it was noted
    /// already.
    pub(super) fn looks_for(&self, ends_at: u64, is_over: bool) -> bool {
        self.state.lock().looked_for.replace((ends_at, is_over)) != Some((ends_at, is_over))
    }

    /// Whether exactly this user is still the session's user.
    pub(super) fn is_of(&self, user: &Arc<User>) -> bool {
        self.state.lock().is_of(Some(user))
    }

    /// Replaces exactly this user with what was found out, unless another credential came meanwhile.
    pub(super) fn replace_user(&self, user: &Arc<User>, found: User) -> bool {
        let mut state = self.state.lock();
        let is_same = state.is_of(Some(user));
        if is_same {
            state.take_user(Arc::new(found));
        }
        is_same
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionId {
        &self.connection
    }

    /// The user, if there is one.
    #[must_use]
    pub fn user(&self) -> Option<Arc<User>> {
        self.state.lock().user.clone()
    }

    /// Whether the session holds the topic: it cleared gate 2 and has not lost it since.
    #[must_use]
    pub fn holds(&self, topic: &Topic) -> bool {
        self.state.lock().held.contains_key(topic)
    }

    /// The channel of a held topic, as last admitted; `None` if the topic is not held.
    #[must_use]
    pub fn channel(&self, topic: &Topic) -> Option<Arc<Channel>> {
        self.state.lock().held.get(topic).map(|held| Arc::clone(&held.channel))
    }

    /// All held topics.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.state.lock().held.keys().cloned().collect()
    }

    /// What the user told about itself on a held topic.
    #[must_use]
    pub fn info(&self, topic: &Topic) -> Option<Payload> {
        self.state.lock().held.get(topic)?.stay.as_ref()?.info().cloned()
    }

    /// The number of held topics.
    #[must_use]
    pub fn topics_count(&self) -> usize {
        self.state.lock().held.len()
    }

    /// Ends the session: from now on it takes no topics. Returns the topics that it held.
    pub fn close(&self) -> Vec<Topic> {
        let mut state = self.state.lock();
        state.closed = true;
        state.held.drain().map(|(topic, _)| topic).collect()
    }

    /// Whether [`Session::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Replaces the user with a renewed one, unless the session belongs to another user. The next recheck checks again
    /// what the old roles admitted.
    pub(super) fn become_user(&self, user: Arc<User>, looked_at: Option<LookedAt>) -> bool {
        let mut state = self.state.lock();
        if state.user.as_ref().is_some_and(|current| (&current.id, &current.tenant) != (&user.id, &user.tenant)) {
            return false;
        }
        state.take_user(user);
        state.looked_at = looked_at;
        true
    }

    /// When to announce to this user that its credential ends at `ends_at`, decided on the first call; `None` if never,
    /// if it was announced already, and if the session has another user now.
    pub(super) fn tell_at(&self, user: &Arc<User>, ends_at: u64, decide: impl FnOnce() -> Option<u64>) -> Option<u64> {
        let mut state = self.state.lock();
        if !state.is_of(Some(user)) {
            return None;
        }
        if state.notice.ends_at != Some(ends_at) {
            state.notice = Notice { ends_at: Some(ends_at), at_ms: decide() };
        }
        state.notice.at_ms
    }

    /// Notes that the end of the credential was announced to the client.
    pub fn was_told(&self) {
        self.state.lock().notice.at_ms = None;
    }

    /// Takes a topic to which `generation` admitted `user` and for which `authorized` said yes, unless the session has
    /// ended or holds `max` topics already. Returns whether it held the topic before: then it keeps its seat.
    pub(super) fn hold(
        &self,
        resolved: &Resolved,
        user: Option<&Arc<User>>,
        generation: Generation,
        authorized: Authorized,
        seat: Option<Seat>,
        max: usize,
    ) -> Result<bool, Code> {
        let (topic, channel) = (&resolved.topic, Arc::clone(&resolved.channel));
        let mut state = self.state.lock();
        if state.closed {
            return Err(Code::Unavailable);
        }
        if state.held.len() >= max && !state.held.contains_key(topic) {
            return Err(Code::TooManySubscriptions);
        }
        // The user was renewed while the gate decided on the old one; the check after the join decides again.
        let is_judged = state.is_of(user);
        let before = state.held.remove(topic);
        let is_renewed = before.is_some();
        let (stay, kept) = before.map_or((None, None), |held| (held.stay, held.seat));
        let held = Held {
            channel,
            admitted_by: if is_judged { generation } else { UNJUDGED },
            grounds: Grounds { authorized: is_judged.then_some(authorized), doubt: None },
            stay,
            seat: kept.or(seat),
        };
        state.held.insert(topic.clone(), held);
        Ok(is_renewed)
    }

    /// Notes that `generation` admits a topic that is still held.
    /// Where its team is another one now, it takes a seat there if one is free, and stays in any case.
    pub(super) fn renew(&self, resolved: &Resolved, generation: Generation, budgets: &Budgets) {
        if let Some(held) = self.state.lock().held.get_mut(&resolved.topic) {
            held.channel = Arc::clone(&resolved.channel);
            held.admitted_by = generation;
            held.stay.take_if(|_| resolved.channel.presence.is_none());
            let team = resolved.channel.team;
            if held.seat.as_ref().map(Seat::team) != team {
                held.seat = team.and_then(|team| budgets.seat(team));
            }
        }
    }

    /// The connection is present on a topic, as long as it holds it.
    pub(super) fn attend(&self, topic: &Topic, stay: Stay) {
        if let Some(held) = self.state.lock().held.get_mut(topic) {
            held.stay = Some(stay);
        }
    }

    /// The answers of authorizers about a topic; `None` if it is not held.
    pub(super) fn grounds(&self, topic: &Topic) -> Option<Grounds> {
        self.state.lock().held.get(topic).map(|held| held.grounds.clone())
    }

    /// The answers of authorizers about all held topics.
    pub(super) fn all_grounds(&self) -> Vec<Grounds> {
        self.state.lock().held.values().map(|held| held.grounds.clone()).collect()
    }

    /// Notes which authorizer admitted `user` to a topic that is still held. Another user must be re-authorized.
    pub(super) fn authorize(&self, topic: &Topic, user: Option<&Arc<User>>, authorized: Authorized) {
        let mut state = self.state.lock();
        let is_judged = state.is_of(user);
        if let Some(held) = state.held.get_mut(topic).filter(|_| is_judged) {
            held.grounds = Grounds { authorized: Some(authorized), doubt: None };
        }
    }

    /// Notes that a topic that is still held is in doubt.
    pub(super) fn doubt(&self, topic: &Topic, doubt: Doubt) {
        if let Some(held) = self.state.lock().held.get_mut(topic) {
            held.grounds.doubt = Some(doubt);
        }
    }

    pub(super) fn release(&self, topic: &Topic) -> bool {
        self.state.lock().held.remove(topic).is_some()
    }

    /// The topics that another generation than `generation` admitted last.
    pub(super) fn held_before(&self, generation: Generation) -> Vec<Topic> {
        let state = self.state.lock();
        state.held.iter().filter(|(_, held)| held.admitted_by != generation).map(|(topic, _)| topic.clone()).collect()
    }
}
