//! Presence over nodes: this node tells the others what changed here, and hears what changed there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Presence, TELL_INTERVAL};
use crate::flow::OwnEvent;
use crate::flow::ports::{MembersNews, MembersUpdate, SharedMembers, Watch};
use crate::protocol::{MemberId, PresenceTurn, Topic};

/// How often a node with nothing to tell renews its lease, and ends those that are over.
const LEASE_INTERVAL: Duration = Duration::from_secs(3);

/// The other nodes.
pub(super) struct Shared {
    members: Arc<dyn SharedMembers>,
    /// The next update has to be whole: it is the first one, or the one before may not have arrived.
    is_whole_next: bool,
}

impl Shared {
    pub(super) fn new(members: Arc<dyn SharedMembers>) -> Self {
        Self { members, is_whole_next: true }
    }

    /// When the next exchange is due, at the latest.
    pub(super) fn due(&self, presence: &Presence, told_at: Option<Instant>) -> Option<Instant> {
        let due = presence.next();
        if !self.members.has_nodes() {
            return due;
        }
        let Some(told_at) = told_at else { return Some(Instant::now()) };
        // Whoever comes and goes on another node is heard of by asking.
        let is_busy = presence.has_topics() || self.is_whole_next;
        let renewal = told_at + if is_busy { TELL_INTERVAL } else { LEASE_INTERVAL };
        Some(due.map_or(renewal, |due| due.min(renewal)))
    }

    /// Tells the other nodes what changed here and takes over what changed there. Returns what became of topics and
    /// users on all nodes; `None` if this is the only one. `watch` hears of nodes that are gone.
    pub(super) async fn exchange(
        &mut self,
        presence: &Presence,
        watch: &dyn Watch,
    ) -> Option<Vec<(Topic, PresenceTurn, Option<MemberId>)>> {
        if !self.members.has_nodes() {
            return None;
        }
        let update = presence.update(self.is_whole_next);
        match self.members.exchange(update).await {
            Ok(MembersNews { turned, elsewhere, left, is_back }) => {
                self.is_whole_next = false;
                left.iter().for_each(|left| watch.saw(OwnEvent::NodeLeft { left }));
                if is_back {
                    watch.saw(OwnEvent::NodeJoined);
                }
                for (topic, there) in elsewhere {
                    presence.hear(&topic, there);
                }
                Some(turned)
            }
            Err(away) => {
                tracing::debug!(why = away.0, "presence was not exchanged with the other nodes");
                self.is_whole_next = true;
                Some(Vec::new())
            }
        }
    }
}

impl Presence {
    fn has_topics(&self) -> bool {
        !self.state.lock().topics.is_empty()
    }

    fn update(&self, is_whole: bool) -> MembersUpdate {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let watched = state.topics.keys().cloned().collect();
        let topics = if is_whole {
            state.topics.iter_mut().filter_map(|(topic, room)| room.members.update(topic, true)).collect()
        } else {
            let changed = state.changed.iter();
            changed.filter_map(|topic| state.topics.get_mut(topic)?.members.update(topic, false)).collect()
        };
        MembersUpdate { topics, is_whole, watched }
    }
}
