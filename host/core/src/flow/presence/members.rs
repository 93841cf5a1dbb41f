//! The members of one topic: who is here, who is on its way out, who is on other nodes, and what was told last.
//!
//! A user is one member, however many connections and nodes it has. When the last connection of this node goes, the
//! user stays for the channel's debounce. A change is the difference to what was told last, so that who comes and goes
//! within a second is not told.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use crate::channels::PresencePolicy;
use crate::flow::ports::{Elsewhere, MemberThere, TopicUpdate};
use crate::protocol::{ConnectionId, Member, MemberId, Names, Occupancy, Payload, PresenceChange, Present, Topic};

/// What a user told about itself.
type Info = Option<Payload>;

/// One connection's part in a topic.
#[derive(Debug)]
pub(super) struct Part {
    /// Which of the connection's stays this is; a later one has a larger number.
    pub(super) number: u64,
    /// The stay with which it brought its info, and when that was.
    pub(super) brought: u64,
    pub(super) at_unix_ms: u64,
    pub(super) info: Info,
}

#[derive(Debug, Default)]
struct User {
    connections: HashMap<ConnectionId, Part>,
    /// Its part on this node, kept while it is on its way out.
    here: Option<MemberThere>,
    /// Its part on the other nodes.
    elsewhere: Option<MemberThere>,
    /// When its part on this node is over, once it has no connection here.
    leaves_at: Option<Instant>,
}

/// The members of a topic.
#[derive(Debug, Default)]
pub(super) struct Members {
    users: HashMap<MemberId, User>,
    /// How many of the users are on this node.
    users_here: usize,
    anonymous: HashMap<ConnectionId, u64>,
    anonymous_elsewhere: usize,
    /// What was told last, by name; `None` if there were too many.
    told: Option<HashMap<MemberId, Info>>,
    told_count: usize,
    /// Who may differ from what was told.
    changed: HashSet<MemberId>,
    /// Whose part on this node may differ from what the other nodes know.
    unsent: HashSet<MemberId>,
    anonymous_sent: usize,
}

impl Members {
    pub(super) fn new() -> Self {
        Self { told: Some(HashMap::new()), ..Self::default() }
    }

    /// Whether the user, or the anonymous connection, is counted on this node already.
    pub(super) fn counts(&self, who: Option<&MemberId>, connection: &ConnectionId) -> bool {
        who.map_or_else(
            || self.anonymous.contains_key(connection),
            |who| self.users.get(who).is_some_and(|user| user.here.is_some()),
        )
    }

    /// A connection is here. Returns the time when its user would have been gone.
    pub(super) fn enter(&mut self, who: Option<&MemberId>, connection: &ConnectionId, part: Part) -> Option<Instant> {
        let Some(who) = who else {
            self.anonymous.insert(connection.clone(), part.number);
            return None;
        };
        let user = self.users.entry(who.clone()).or_default();
        self.users_here += usize::from(user.here.is_none());
        let was_leaving_at = user.leaves_at.take();
        let before = user.connections.remove(connection).filter(|before| before.info.is_some());
        // A connection that subscribes again and says nothing keeps what it said.
        let part = match before {
            Some(before) if part.info.is_none() => Part { number: part.number, ..before },
            _ => part,
        };
        user.connections.insert(connection.clone(), part);
        user.choose();
        self.note(who);
        was_leaving_at
    }

    /// What the user told about itself over a connection.
    pub(super) fn said(&self, who: &MemberId, connection: &ConnectionId) -> Info {
        self.users.get(who)?.connections.get(connection)?.info.clone()
    }

    /// What the user told about itself over a connection counts no more.
    pub(super) fn forget_info(&mut self, who: &MemberId, connection: &ConnectionId) {
        let Some(user) = self.users.get_mut(who) else { return };
        let Some(part) = user.connections.get_mut(connection) else { return };
        part.info = None;
        user.choose();
        self.note(who);
    }

    /// A stay of a connection is over. Returns when its user is gone, if that was the user's last one here.
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
        if user.connections.get(connection).is_none_or(|part| part.number != number) {
            return None;
        }
        user.connections.remove(connection);
        if user.connections.is_empty() {
            user.leaves_at = Some(gone_at);
            return user.leaves_at;
        }
        user.choose();
        self.note(who);
        None
    }

    /// The time of a user on this node is over, unless it came back. Returns whether it went.
    pub(super) fn expire(&mut self, who: &MemberId, now: Instant) -> bool {
        let Some(user) = self.users.get_mut(who) else { return false };
        let is_over = user.leaves_at.is_some_and(|at| at <= now);
        if is_over {
            (user.leaves_at, user.here) = (None, None);
            self.users_here -= 1;
            if user.elsewhere.is_none() {
                self.users.remove(who);
            }
            self.note(who);
        }
        is_over
    }

    fn note(&mut self, who: &MemberId) {
        self.changed.insert(who.clone());
        self.unsent.insert(who.clone());
    }

    /// Nobody is left on this node.
    pub(super) fn is_over(&self) -> bool {
        self.users_here == 0 && self.anonymous.is_empty()
    }

    /// Members on this node.
    pub(super) fn here(&self) -> usize {
        self.users_here + self.anonymous.len()
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        let (users, anonymous) = (self.users.len(), self.anonymous.len() + self.anonymous_elsewhere);
        Occupancy { count: users + anonymous, users, anonymous }
    }

    pub(super) fn present(&self, policy: &PresencePolicy) -> Present {
        let Occupancy { count, users, .. } = self.occupancy();
        Present { count, members: (users <= policy.members_max).then(|| self.by_name()) }
    }

    fn by_name(&self) -> Vec<Member> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_unstable_by_key(|(who, _)| *who);
        users.into_iter().map(|(who, user)| who.member(user.info())).collect()
    }

    /// Takes over who is on the other nodes.
    pub(super) fn hear(&mut self, elsewhere: Elsewhere) {
        let Elsewhere { users, anonymous } = elsewhere;
        self.anonymous_elsewhere = anonymous;
        let gone: Vec<MemberId> = self
            .users
            .iter()
            .filter(|(who, user)| user.elsewhere.is_some() && !users.contains_key(who))
            .map(|(who, _)| who.clone())
            .collect();
        for who in gone {
            if let Some(user) = self.users.get_mut(&who) {
                user.elsewhere = None;
                if user.here.is_none() {
                    self.users.remove(&who);
                }
            }
            self.changed.insert(who);
        }
        for (who, there) in users {
            let user = self.users.entry(who.clone()).or_default();
            if user.elsewhere.as_ref() != Some(&there) {
                user.elsewhere = Some(there);
                self.changed.insert(who);
            }
        }
    }

    /// Whether the other nodes know everything.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty() && self.anonymous.len() == self.anonymous_sent
    }

    /// There are no other nodes.
    pub(super) fn forget_unsent(&mut self) {
        self.unsent.clear();
        self.anonymous_sent = self.anonymous.len();
    }

    /// What the other nodes have to know: what changed since this was asked last, or everything.
    pub(super) fn update(&mut self, topic: &Topic, is_whole: bool) -> Option<TopicUpdate> {
        let unsent = std::mem::take(&mut self.unsent);
        let anonymous = self.anonymous.len();
        if !is_whole && unsent.is_empty() && anonymous == self.anonymous_sent {
            return None;
        }
        self.anonymous_sent = anonymous;
        let here = |who: &MemberId| self.users.get(who).and_then(|user| user.here.clone());
        let users = if is_whole {
            let users = self.users.iter().filter(|(_, user)| user.here.is_some());
            users.map(|(who, user)| (who.clone(), user.here.clone())).collect()
        } else {
            unsent.into_iter().map(|who| (who.clone(), here(&who))).collect()
        };
        Some(TopicUpdate { topic: topic.clone(), users, anonymous })
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
            self.told = Some(self.users.iter().map(|(who, user)| (who.clone(), user.info())).collect());
            return Some(Names { joined: self.by_name(), left: Vec::new() });
        };
        let mut changed: Vec<MemberId> = changed.into_iter().collect();
        changed.sort_unstable();
        let mut names = Names::default();
        for who in changed {
            let (now, before) = (self.users.get(&who).map(User::info), told.get(&who));
            match (now, before) {
                (Some(now), before) if before != Some(&now) => {
                    names.joined.push(who.member(now.clone()));
                    told.insert(who, now);
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

impl User {
    /// Its part on this node has the newest info that one of the connections brought.
    fn choose(&mut self) {
        let brought = self.connections.values().filter(|part| part.info.is_some());
        let newest = brought.max_by_key(|part| (part.at_unix_ms, part.brought));
        self.here = Some(newest.map_or(MemberThere { at_unix_ms: 0, info: None }, |part| MemberThere {
            at_unix_ms: part.at_unix_ms,
            info: part.info.clone(),
        }));
    }

    /// The newest info of all nodes.
    fn info(&self) -> Info {
        let brought = [&self.here, &self.elsewhere].into_iter().flatten().filter(|part| part.info.is_some());
        brought.max_by_key(|part| part.at_unix_ms).and_then(|part| part.info.clone())
    }
}
