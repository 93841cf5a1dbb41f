//! Members of other nodes, faked: what they are is said by the test, and what this node tells is kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_core::flow::ports::{Elsewhere, MemberThere, MembersAway, MembersNews, MembersUpdate, SharedMembers};
use tidegate_core::protocol::{MemberId, PresenceTurn, Topic};

/// No other nodes, until the test says who is there.
#[derive(Default)]
pub struct FakeSharedMembers {
    has_nodes: AtomicBool,
    away: AtomicBool,
    elsewhere: Mutex<HashMap<Topic, Elsewhere>>,
    news: Mutex<MembersNews>,
    updates: Mutex<Vec<MembersUpdate>>,
}

impl FakeSharedMembers {
    /// From now on there are other nodes.
    pub fn add_nodes(&self) {
        self.has_nodes.store(true, Ordering::SeqCst);
    }

    /// From now on they cannot be reached, or can be again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// These users, and no others, are on a topic elsewhere.
    pub fn set_elsewhere(&self, topic: &str, users: &[&str]) {
        let topic = Topic::parse(topic).unwrap();
        let there = MemberThere { at_unix_ms: 0, info: None };
        let id = |user: &&str| MemberId { user: (*user).into(), tenant: None };
        let users = users.iter().map(|user| (id(user), there.clone())).collect();
        let elsewhere = Elsewhere { users, anonymous: 0 };
        self.elsewhere.lock().insert(topic.clone(), elsewhere.clone());
        self.news.lock().elsewhere.push((topic, elsewhere));
    }

    /// The next exchange says that a user came or left on some node.
    pub fn turn(&self, topic: &str, turn: PresenceTurn, user: &str) {
        let id = MemberId { user: user.into(), tenant: None };
        self.news.lock().turned.push((Topic::parse(topic).unwrap(), turn, Some(id)));
    }

    /// The next exchange says that a node is gone.
    pub fn leave(&self, node: &str) {
        self.news.lock().left.push(node.to_owned());
    }

    /// The next exchange says that the lease of this node was over.
    pub fn come_back(&self) {
        self.news.lock().is_back = true;
    }

    /// Every update with something in it.
    pub fn updates(&self) -> Vec<MembersUpdate> {
        self.updates.lock().iter().filter(|update| !update.topics.is_empty()).cloned().collect()
    }
}

#[async_trait]
impl SharedMembers for FakeSharedMembers {
    fn has_nodes(&self) -> bool {
        self.has_nodes.load(Ordering::SeqCst)
    }

    async fn exchange(&self, update: MembersUpdate) -> Result<MembersNews, MembersAway> {
        if self.away.load(Ordering::SeqCst) {
            return Err(MembersAway("the test asked for it".to_owned()));
        }
        self.updates.lock().push(update);
        Ok(std::mem::take(&mut *self.news.lock()))
    }

    async fn read(&self, topic: &Topic) -> Result<Elsewhere, MembersAway> {
        if self.away.load(Ordering::SeqCst) {
            return Err(MembersAway("the test asked for it".to_owned()));
        }
        Ok(self.elsewhere.lock().get(topic).cloned().unwrap_or_default())
    }
}
