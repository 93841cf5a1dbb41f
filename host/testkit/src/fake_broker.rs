//! Other nodes, faked: a broker that records, and goes away when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use serde_json::Value;
use tidegate_core::channels::Rate;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::{Broker, BrokerAway, HearsNodes, Sending};
use tidegate_core::flow::ports::Removed;
use tidegate_core::protocol::{ConnectionId, Payload, Position, Topic, TraceContext, User};

/// A broker that records what it is handed.
#[derive(Default)]
pub struct FakeBroker {
    published: Mutex<Vec<Publication>>,
    told: Mutex<Vec<Vec<u8>>>,
    asked: Mutex<Vec<(String, String)>>,
    away: AtomicBool,
    empty: AtomicBool,
}

impl FakeBroker {
    /// From now on it takes nothing, or everything again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// From now on the windows that all nodes share have nothing left.
    pub fn empty_windows(&self) {
        self.empty.store(true, Ordering::SeqCst);
    }

    /// Every publication it took, as `(topic, payload)`.
    pub fn published(&self) -> Vec<(String, Value)> {
        let published = self.published.lock();
        published.iter().map(|p| (p.topic.as_str().to_owned(), p.payload.value().unwrap().clone())).collect()
    }

    /// Every window it was asked about, as `(channel, user)`.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().clone()
    }

    /// Has a node hear all that was told.
    pub fn play_to(&self, node: &dyn HearsNodes) {
        self.told.lock().iter().for_each(|message| node.hear_control(message));
    }

    /// How often it was asked to tell something.
    pub fn told(&self) -> usize {
        self.told.lock().len()
    }

    fn answer(&self) -> Option<Sending> {
        let answer = if self.away.load(Ordering::SeqCst) { Err(BrokerAway) } else { Ok(()) };
        Some(ready(answer).boxed())
    }
}

impl Broker for FakeBroker {
    fn publish(&self, publication: &Publication) -> Option<Sending> {
        if !self.away.load(Ordering::SeqCst) {
            self.published.lock().push(publication.clone());
        }
        self.answer()
    }

    fn subscribed(&self, _: &Topic) {}

    fn unsubscribed(&self, _: &Topic) {}

    fn listening(&self, _: &Topic) -> Option<Sending> {
        self.answer()
    }

    fn take(&self, channel: &str, user: &User, _: Rate) -> Option<BoxFuture<'static, bool>> {
        self.asked.lock().push((channel.to_owned(), user.id.clone()));
        Some(ready(!self.empty.load(Ordering::SeqCst)).boxed())
    }

    fn tell(&self, message: Vec<u8>) -> Option<Sending> {
        self.told.lock().push(message);
        self.answer()
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }
}

/// A node that remembers the control messages it heard.
#[derive(Clone, Default)]
pub struct FakeNode {
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FakeNode {
    /// Everything so far.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().clone()
    }
}

impl HearsNodes for FakeNode {
    fn hear_publication(
        &self,
        _: &Topic,
        _: Payload,
        _: Option<ConnectionId>,
        _: Option<Position>,
        _: Option<TraceContext>,
    ) {
        unreachable!("this broker has no other nodes")
    }

    fn hear_removed(&self, _: &Topic, _: &Removed) {
        unreachable!("this broker has no other nodes")
    }

    fn hear_gap(&self, _: &Topic) {
        unreachable!("this broker has no other nodes")
    }

    fn hear_link(&self, _: &'static str, _: Result<usize, &str>) {
        unreachable!("this broker has no links")
    }

    fn hear_control(&self, message: &[u8]) {
        self.heard.lock().push(message.to_vec());
    }
}
