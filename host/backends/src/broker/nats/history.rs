//! The port of histories.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::super::links::Link;
use super::super::message::Heading;
use super::draft::{Wish, Written};
use super::{NatsBroker, State};
use tidegate_core::channels::HistoryPolicy;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::BrokerAway;
use tidegate_core::flow::ports::{Appended, History, HistoryAway, Page, Wanted};
use tidegate_core::protocol::{Position, Topic};
use tidegate_core::telemetry;

impl State {
    /// What became of a wish.
    pub(super) async fn written(
        &self,
        sent: Result<oneshot::Receiver<Written>, BrokerAway>,
    ) -> Result<Written, BrokerAway> {
        timeout(self.timeout, sent?).await.map_err(|_| BrokerAway)?.map_err(|_| BrokerAway)
    }

    /// The position of a publication, or `None` if it is not newer than the last one of its key. It counts the
    /// publication.
    pub(super) async fn numbered(
        &self,
        topic: &Topic,
        sent: Result<oneshot::Receiver<Written>, BrokerAway>,
        started: Instant,
    ) -> Result<Option<Position>, BrokerAway> {
        let written = self.written(sent).await;
        telemetry::broker_published(written.is_ok(), started.elapsed());
        match written? {
            Written::At(position) => {
                self.interest.hear_own(topic, &position, self.timeout).await;
                Ok(Some(position))
            }
            Written::Stale => Ok(None),
            Written::Removed(_) | Written::Ended => Err(BrokerAway),
        }
    }
}

impl History for NatsBroker {
    fn append(&self, publication: &Publication, policy: HistoryPolicy, _: &mut dyn FnMut(Position)) -> Appended {
        let started = Instant::now();
        let Publication { topic, payload, once, .. } = publication;
        let heading = Heading::of(publication);
        let wish = Wish::Publish { heading, payload: payload.unread(), policy, once: once.clone(), keep: None };
        let (state, topic) = (Arc::clone(&self.state), topic.clone());
        let sent = state.write(&topic, wish);
        let numbered = async move { state.numbered(&topic, sent, started).await?.ok_or(BrokerAway) };
        Appended::Sent(numbered.map(|position| position.map_err(|BrokerAway| HistoryAway)).boxed())
    }

    fn read(&self, topic: &Topic, _: HistoryPolicy, wanted: Wanted) -> BoxFuture<'static, Result<Page, HistoryAway>> {
        let (state, topic) = (Arc::clone(&self.state), topic.clone());
        async move {
            // Who cannot write may be cut off, and would read what is old.
            if !state.links.is_up(Link::Out) {
                return Err(HistoryAway);
            }
            let read = state.read_history(&topic, &wanted).await;
            let (page, _) = read.map_err(|why| state.unread(&topic, &why))?;
            state.interest.follow_from(&topic, &page.newest);
            Ok(page)
        }
        .boxed()
    }

    /// Nothing to do: the message that takes them away says so.
    fn note_removed(&self, _: &Topic, _: HistoryPolicy) {}

    /// The next publication without a position ends the history of its topic.
    fn keep_only(&self, _: &dyn Fn(&Topic) -> bool) {
        self.state.unnumbered.lock().clear();
    }

    /// Nothing to do: the server removes what was kept for its time.
    fn sweep(&self) {}
}
