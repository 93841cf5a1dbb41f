//! What comes in: the topics of this node, and the messages between nodes. Each topic has a subscription and a task of its
//! own, so topics are in no order among each other. What is missed while the connection is lost is read from the
//! history where there is one; of every other topic a gap is told.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::super::delivery::Delivery;
use super::super::links::Link;
use super::super::message::{Body, Message};
use super::super::{Lost, PROBE_INTERVAL, pause};
use super::State;
use super::entry::Entry;
use super::words;
use tidegate_core::flow::broker::HearsNodes;
use tidegate_core::protocol::Topic;
use tidegate_core::telemetry;

/// Topics that are subscribed to at once.
const TOPICS_PER_ASK: usize = 500;
/// Nodes whose counts are compared, for each topic; a node has another name after every start.
const NODES_MAX: usize = 64;

/// The incoming link.
pub(super) struct Hearing {
    to: Delivery<State>,
    losses: watch::Receiver<u64>,
    topics: HashMap<Topic, Listening>,
    nodes: Option<Listening>,
    /// There is a new message between nodes.
    control: Arc<Notify>,
    /// The last one that was read, and the life of the stream that it was in.
    read_up_to: u64,
    life: Option<String>,
}

/// A task that takes the messages of one subscription, until this is dropped.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The last number of each node's publications on a topic, the latest node last.
#[derive(Default)]
struct Counts(Vec<(String, u64)>);

impl Counts {
    /// Whether publications of a node before this one were missed; `None` if this one came before.
    fn is_gap(&mut self, node: &str, before: u64, count: u64) -> Option<bool> {
        let Some((_, last)) = self.0.iter_mut().find(|(name, _)| name == node) else {
            if self.0.len() >= NODES_MAX {
                self.0.remove(0);
            }
            self.0.push((node.to_owned(), count));
            return Some(false);
        };
        let is_gap = before > *last;
        (count > std::mem::replace(last, count.max(*last))).then_some(is_gap)
    }
}

impl Hearing {
    pub(super) fn new(state: Arc<State>, node: Arc<dyn HearsNodes>) -> Self {
        let losses = state.connection.losses();
        Self {
            to: Delivery { state, node },
            losses,
            topics: HashMap::new(),
            nodes: None,
            control: Arc::default(),
            read_up_to: 0,
            life: None,
        }
    }

    /// Listens, and goes on after every loss, for ever.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        let state = Arc::clone(&self.to.state);
        let mut again = HashSet::new();
        loop {
            let losses = *self.losses.borrow_and_update();
            let lost = match self.begin(&mut again).await {
                Ok(gaps) => {
                    failures = 0;
                    state.links.note(Link::In, Ok(gaps));
                    match self.serve().await {
                        Ok(never) => match never {},
                        Err(lost) => lost,
                    }
                }
                Err(lost) => {
                    failures += 1;
                    lost
                }
            };
            // Before the driver listens again: of what is heard from then on nothing is missed.
            again.extend(state.interest.all().into_iter().filter(|topic| state.interest.has_delivered(topic)));
            state.links.note(Link::In, Err(&lost));
            state.interest.lost();
            // Behind a connection that stands, a server that is alone has lost nothing. One of a cluster may have been cut off.
            if *self.losses.borrow() != losses || state.connection.is_of_cluster() {
                state.interest.forgot();
            }
            state.interest.take_left();
            sleep(pause(failures)).await;
        }
    }

    /// Listens to all topics of this node. Returns the number of those whose subscribers received a gap; `again` are those
    /// of which something with a position was delivered before.
    async fn begin(&mut self, again: &mut HashSet<Topic>) -> Result<usize, Lost> {
        let state = Arc::clone(&self.to.state);
        state.stream.ensure().await?;
        let life = Some(state.life().await?);
        if self.life != life {
            (self.life, self.read_up_to) = (life, 0);
        }
        if self.nodes.is_none() {
            let messages = self.subscribe(state.names.nodes()).await?;
            let (to, control) = (self.to.clone(), Arc::clone(&self.control));
            self.nodes = Some(Listening(tokio::spawn(hear_nodes(messages, to, control))));
        }
        self.topics.retain(|topic, _| state.interest.follower(topic.as_str()).is_some());
        let mut gaps = 0;
        loop {
            let wanted = state.interest.take_wanted(TOPICS_PER_ASK);
            if wanted.is_empty() {
                break;
            }
            gaps += self.listen(wanted, again).await?;
        }
        again.clear();
        state.interest.found();
        self.read_control().await?;
        Ok(gaps)
    }

    async fn subscribe(&self, subject: String) -> Result<Subscriber, Lost> {
        self.to.state.connection.client()?.subscribe(subject).await.map_err(|error| error.to_string())
    }

    /// Listens to topics, and sends a gap to the subscribers of those that missed something. Returns how many those are.
    async fn listen(&mut self, topics: Vec<Topic>, again: &HashSet<Topic>) -> Result<usize, Lost> {
        let state = Arc::clone(&self.to.state);
        for topic in &topics {
            if !self.topics.contains_key(topic) {
                let messages = self.subscribe(state.names.heard(topic)).await?;
                let task = tokio::spawn(hear_topic(messages, topic.clone(), self.to.clone()));
                self.topics.insert(topic.clone(), Listening(task));
            }
        }
        state.connection.round_trip().await?;
        let mut missed = state.interest.heard(topics.iter().map(|topic| (topic.clone(), None)));
        // Whoever reads the history tells the gap, if there is one, and at its place.
        let read: HashSet<&Topic> =
            topics.iter().filter(|topic| again.contains(*topic) && self.to.follow_again(topic)).collect();
        missed.retain(|topic| !read.contains(topic));
        missed.iter().for_each(|topic| self.to.tell_gap(topic));
        Ok(missed.len())
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Lost> {
        let mut probes = interval(PROBE_INTERVAL);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = Arc::clone(&self.to.state);
        let (control, none) = (Arc::clone(&self.control), HashSet::new());
        loop {
            tokio::select! {
                _ = self.losses.changed() => return Err("the connection was closed, or messages were dropped".to_owned()),
                () = control.notified() => self.read_control().await?,
                () = state.interest.wanted.notified() => {
                    loop {
                        let wanted = state.interest.take_wanted(TOPICS_PER_ASK);
                        if wanted.is_empty() {
                            break;
                        }
                        self.listen(wanted, &none).await?;
                    }
                }
                _ = probes.tick() => {
                    for left in state.interest.take_left() {
                        self.topics.remove(&left);
                    }
                    self.read_control().await?;
                }
            }
        }
    }

    /// Reads the new messages between nodes.
    async fn read_control(&mut self) -> Result<(), Lost> {
        for word in words::told(&self.to.state, self.read_up_to).await? {
            self.to.node.hear_control(word.text.as_bytes());
            self.read_up_to = word.seq;
        }
        Ok(())
    }
}

/// Takes the messages of one topic, in order.
async fn hear_topic(mut messages: Subscriber, topic: Topic, to: Delivery<State>) {
    let mut counts = Counts::default();
    while let Some(message) = messages.next().await {
        // A panic is a bug of the server; it costs only this message.
        if catch_unwind(AssertUnwindSafe(|| take(&message, &topic, &mut counts, &to))).is_err() {
            telemetry::panicked("broker", "delivering what another node published");
        }
    }
}

fn take(message: &async_nats::Message, topic: &Topic, counts: &mut Counts, to: &Delivery<State>) {
    let is_plain = to.state.names.is_plain(&message.subject);
    let text = std::str::from_utf8(&message.payload).ok();
    let read = text.and_then(|text| if is_plain { Message::read(text) } else { Entry::heard(text) });
    if !is_plain {
        to.state.unnumbered.lock().remove(topic);
    }
    let Some(message) = read else {
        if text.and_then(Entry::read).is_some() {
            return;
        }
        return tracing::warn!(%topic, "received a message that this version does not understand");
    };
    match message.body {
        Body::Numbered { heading, epoch, payload } => {
            to.numbered(topic.as_str(), epoch, message.count, heading, payload)
        }
        // Nothing was there to be taken away.
        Body::Removed { keys: "[]", .. } => {}
        Body::Removed { epoch, keys } => to.removed(topic.as_str(), epoch, message, keys),
        Body::Gap | Body::Publication { .. } if message.node == to.state.node => {}
        Body::Gap => {
            counts.is_gap(message.node, message.before, message.count);
            to.tell_gap(topic);
        }
        Body::Publication { heading, payload } => {
            let Some(is_gap) = counts.is_gap(message.node, message.before, message.count) else { return };
            if is_gap {
                to.tell_gap(topic);
            }
            telemetry::broker_heard();
            to.plain(topic, heading, payload);
        }
    }
}

/// Takes the messages for every node.
async fn hear_nodes(mut messages: Subscriber, to: Delivery<State>, control: Arc<Notify>) {
    while let Some(message) = messages.next().await {
        match std::str::from_utf8(&message.payload) {
            Ok(words::READ) => control.notify_one(),
            Ok(words::GAP_EVERYWHERE) => to.state.interest.all().iter().for_each(|topic| to.tell_gap(topic)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_in_the_count_of_a_node_is_a_gap_and_what_comes_twice_is_nothing() {
        let mut counts = Counts::default();
        assert_eq!(counts.is_gap("a", 5, 9), Some(false), "the first that is heard");
        assert_eq!(counts.is_gap("b", 0, 3), Some(false));
        assert_eq!(counts.is_gap("a", 9, 12), Some(false));
        assert_eq!(counts.is_gap("a", 9, 12), None);
        assert_eq!(counts.is_gap("a", 13, 14), Some(true));
        assert_eq!(counts.is_gap("a", 0, 20), Some(false), "it began to count anew");
        for node in 0..NODES_MAX {
            counts.is_gap(&node.to_string(), 0, 1);
        }
        assert_eq!(counts.is_gap("a", 25, 26), Some(false), "a node that was forgotten");
    }
}
