//! Sessions that gate 1 has not checked yet and that a page of a foreign origin has used: it polled, posted or upgraded
//! with the session's id. Gate 1 refuses them like a session that such a page began.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::link::EngineId;

/// The sessions, each until the transport has forgotten it.
#[derive(Default)]
pub(super) struct ForeignPages {
    marked: DashMap<EngineId, Marks>,
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
    pages: Arc<ForeignPages>,
    session: EngineId,
}

impl ForeignPages {
    /// A foreign page's request with this session's id.
    pub(super) fn mark(self: &Arc<Self>, session: EngineId) -> Mark {
        self.marked.entry(session.clone()).or_default().requests += 1;
        Mark { pages: Arc::clone(self), session }
    }

    /// Whether a foreign page has used this session.
    pub(super) fn has_touched(&self, session: &EngineId) -> bool {
        self.marked.contains_key(session)
    }

    fn release(&self, session: &EngineId, release: impl FnOnce(&mut Marks)) {
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
        let (pages, session) = (Arc::clone(&self.pages), self.session.clone());
        let was_kept = match pages.marked.get_mut(&session) {
            Some(mut marks) => std::mem::replace(&mut marks.is_kept, true),
            None => true,
        };
        if !was_kept {
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                pages.release(&session, |marks| marks.is_kept = false);
            });
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.pages.release(&self.session, |marks| marks.requests = marks.requests.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_marked_while_it_may_exist_and_an_invented_one_takes_no_room() {
        let pages = Arc::new(ForeignPages::default());
        let (real, invented) = (EngineId::new("real"), EngineId::new("invented"));
        drop(pages.mark(invented.clone()));
        assert!(!pages.has_touched(&invented));
        let polls = pages.mark(real.clone());
        pages.mark(real.clone()).keep(Duration::from_secs(45));
        pages.mark(real.clone()).keep(Duration::from_secs(45));
        drop(polls);
        assert!(pages.has_touched(&real));
        tokio::time::sleep(Duration::from_secs(46)).await;
        assert_eq!(pages.marked.len(), 0);
    }
}
