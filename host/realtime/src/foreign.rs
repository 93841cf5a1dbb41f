//! Sessions that gate 1 has not checked yet and that a page of a foreign origin has used: it polled, posted or upgraded
//! with the session's id. Gate 1 refuses them like a session that such a page began.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::wires::SessionId;

/// The sessions, each until the transport has forgotten it.
#[derive(Default)]
pub(super) struct Foreign {
    marked: DashMap<SessionId, Marks>,
}

/// The holders of a session's mark.
#[derive(Default)]
struct Marks {
    /// Running requests.
    requests: usize,
    /// A timer.
    is_kept: bool,
}

/// Marks a session while it lives.
pub(super) struct Mark {
    foreign: Arc<Foreign>,
    session: SessionId,
}

impl Foreign {
    /// A foreign page's request with this session's id.
    pub(super) fn mark(self: &Arc<Self>, session: SessionId) -> Mark {
        self.marked.entry(session.clone()).or_default().requests += 1;
        Mark { foreign: Arc::clone(self), session }
    }

    /// Whether a foreign page has used this session.
    pub(super) fn has_touched(&self, session: &SessionId) -> bool {
        self.marked.contains_key(session)
    }

    fn release(&self, session: &SessionId, release: impl FnOnce(&mut Marks)) {
        let Entry::Occupied(mut marks) = self.marked.entry(session.clone()) else { return };
        release(marks.get_mut());
        if marks.get().requests == 0 && !marks.get().is_kept {
            marks.remove();
        }
    }
}

impl Mark {
    /// The session exists: it stays marked for this time.
    pub(super) fn keep(self, time: Duration) {
        let (foreign, session) = (Arc::clone(&self.foreign), self.session.clone());
        let was_kept = match foreign.marked.get_mut(&session) {
            Some(mut marks) => std::mem::replace(&mut marks.is_kept, true),
            None => true,
        };
        if !was_kept {
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                foreign.release(&session, |marks| marks.is_kept = false);
            });
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.foreign.release(&self.session, |marks| marks.requests = marks.requests.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_marked_while_it_may_exist_and_an_invented_one_takes_no_room() {
        let foreign = Arc::new(Foreign::default());
        let (real, invented) = (SessionId::new("real"), SessionId::new("invented"));
        drop(foreign.mark(invented.clone()));
        assert!(!foreign.has_touched(&invented));
        let polls = foreign.mark(real.clone());
        foreign.mark(real.clone()).keep(Duration::from_secs(45));
        foreign.mark(real.clone()).keep(Duration::from_secs(45));
        drop(polls);
        assert!(foreign.has_touched(&real));
        tokio::time::sleep(Duration::from_secs(46)).await;
        assert_eq!(foreign.marked.len(), 0);
    }
}
