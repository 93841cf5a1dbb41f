//! The members of one topic: who is here, who is on its way out, and what was told last.
//!
//! A user is one member, however many connections it has. When the last one goes, the user stays for the channel's
//! debounce. A change is the difference to what was told last, so that who comes and goes within a second is not told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::channels::PresencePolicy;
use crate::protocol::{ConnectionId, Member, Names, Occupancy, Payload, PresenceChange, Present, Topic, User};

/// A user among those of all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MemberId {
    pub(crate) user: Arc<str>,
    pub(crate) tenant: Option<Arc<str>>,
}

impl MemberId {
    pub(super) fn of(user: &User) -> Self {
        Self { user: user.id.as_str().into(), tenant: user.tenant.as_deref().map(Into::into) }
    }

    fn member(&self, info: Option<Payload>) -> Member {
        Member { user: self.user.to_string(), info }
    }
}

/// What a user told about itself.
type Info = Option<Payload>;

/// One connection's part in a topic: which of its stays it is, and what it told.
#[derive(Debug)]
struct Stay {
    number: u64,
    /// The stay with which it brought its info.
    brought: u64,
    info: Info,
}

#[derive(Debug, Default)]
struct UserHere {
    connections: HashMap<ConnectionId, Stay>,
    /// The info of the newest connection that brought one, kept while the user is on its way out.
    info: Info,
    /// When the user is gone, once it has no connection.
    leaves_at: Option<Instant>,
}

/// The members of a topic.
#[derive(Debug, Default)]
pub(super) struct Members {
    users: HashMap<MemberId, UserHere>,
    anonymous: HashMap<ConnectionId, u64>,
    /// What was told last, by name; `None` if there were too many.
    told: Option<HashMap<MemberId, Info>>,
    told_count: usize,
    /// Who may differ from what was told.
    changed: HashSet<MemberId>,
}

impl Members {
    pub(super) fn new() -> Self {
        Self { told: Some(HashMap::new()), ..Self::default() }
    }

    /// Whether the user, or the anonymous connection, is counted here already.
    pub(super) fn counts(&self, who: Option<&MemberId>, connection: &ConnectionId) -> bool {
        who.map_or_else(|| self.anonymous.contains_key(connection), |who| self.users.contains_key(who))
    }

    /// A connection is here. `number` grows with each stay. Returns the time when its user would have been gone.
    pub(super) fn enter(
        &mut self,
        who: Option<&MemberId>,
        connection: &ConnectionId,
        number: u64,
        info: Info,
    ) -> Option<Instant> {
        let Some(who) = who else {
            self.anonymous.insert(connection.clone(), number);
            return None;
        };
        let user = self.users.entry(who.clone()).or_default();
        let was_leaving_at = user.leaves_at.take();
        // A connection that subscribes again and says nothing keeps what it said.
        let before = user.connections.remove(connection).filter(|_| info.is_none());
        let (brought, info) = before.map_or((number, info), |before| (before.brought, before.info));
        user.connections.insert(connection.clone(), Stay { number, brought, info });
        user.choose_info();
        self.changed.insert(who.clone());
        was_leaving_at
    }

    /// A stay of a connection is over. Returns when its user is gone, if that was the user's last one.
    pub(super) fn leave(
        &mut self,
        who: Option<&MemberId>,
        connection: &ConnectionId,
        number: u64,
        gone_at: Instant,
    ) -> Option<Instant> {
        let Some(who) = who else {
            if self.anonymous.get(connection) == Some(&number) {
                self.anonymous.remove(connection);
            }
            return None;
        };
        let user = self.users.get_mut(who)?;
        // A later stay of the connection goes on.
        if user.connections.get(connection).is_none_or(|stay| stay.number != number) {
            return None;
        }
        user.connections.remove(connection);
        self.changed.insert(who.clone());
        if user.connections.is_empty() {
            user.leaves_at = Some(gone_at);
            return user.leaves_at;
        }
        user.choose_info();
        None
    }

    /// The time of a user is over, unless it came back. Returns whether the user went.
    pub(super) fn expire(&mut self, who: &MemberId, now: Instant) -> bool {
        let is_over = self.users.get(who).is_some_and(|user| user.leaves_at.is_some_and(|at| at <= now));
        if is_over {
            self.users.remove(who);
            self.changed.insert(who.clone());
        }
        is_over
    }

    pub(super) fn is_over(&self) -> bool {
        self.users.is_empty() && self.anonymous.is_empty()
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        let (users, anonymous) = (self.users.len(), self.anonymous.len());
        Occupancy { count: users + anonymous, users, anonymous }
    }

    pub(super) fn present(&self, policy: &PresencePolicy) -> Present {
        let Occupancy { count, users, .. } = self.occupancy();
        Present { count, members: (users <= policy.members_max).then(|| self.by_name()) }
    }

    fn by_name(&self) -> Vec<Member> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_unstable_by_key(|(who, _)| *who);
        users.into_iter().map(|(who, user)| who.member(user.info.clone())).collect()
    }

    /// What to tell the subscribers since this was asked last.
    pub(super) fn change(&mut self, topic: &Topic, policy: &PresencePolicy) -> Option<PresenceChange> {
        let count = self.occupancy().count;
        let names = self.names(policy.members_max);
        let is_new = count != self.told_count || names.as_ref().is_some_and(|names| *names != Names::default());
        self.told_count = count;
        is_new.then(|| PresenceChange { topic: topic.clone(), names, count })
    }

    fn names(&mut self, members_max: usize) -> Option<Names> {
        let changed = std::mem::take(&mut self.changed);
        if self.users.len() > members_max {
            self.told = None;
            return None;
        }
        let Some(told) = &mut self.told else {
            // They were too many before: everybody is new to the subscribers.
            self.told = Some(self.users.iter().map(|(who, user)| (who.clone(), user.info.clone())).collect());
            return Some(Names { joined: self.by_name(), left: Vec::new() });
        };
        let mut changed: Vec<MemberId> = changed.into_iter().collect();
        changed.sort_unstable();
        let mut names = Names::default();
        for who in changed {
            let (now, before) = (self.users.get(&who).map(|user| &user.info), told.get(&who));
            match (now, before) {
                (Some(now), before) if before != Some(now) => {
                    names.joined.push(who.member(now.clone()));
                    told.insert(who, now.clone());
                }
                (None, Some(_)) => {
                    names.left.push(who.member(None));
                    told.remove(&who);
                }
                _ => {}
            }
        }
        Some(names)
    }
}

impl UserHere {
    /// The newest info that one of the connections brought.
    fn choose_info(&mut self) {
        let brought = self.connections.values().filter(|stay| stay.info.is_some());
        self.info = brought.max_by_key(|stay| stay.brought).and_then(|stay| stay.info.clone());
    }
}
