//! A publication, and the one way it goes.
//!
//! On a channel with history, retained values or versions it gets its position first: then it goes to the rooms of every
//! node, in the order of positions. On any other channel it goes to the rooms of this node first, then to the other nodes.
//!
//! A payload that cleared gate 4 here and one from another node become the same [`Publication`].

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::ports::Taken;
use super::{Audience, Gates};
use crate::channels::{BridgeRule, Channel, HistoryPolicy, Resolved};
use crate::protocol::{Code, ConnectionId, Payload, Position, Refusal, Topic, TraceContext};
use crate::telemetry;

/// A payload that cleared gate 4, on its way to a room.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The topic.
    pub topic: Topic,
    /// The channel that declares the topic, with its policies.
    pub channel: Arc<Channel>,
    /// The payload; it matches the channel's schema.
    pub payload: Payload,
    /// A connection to leave out: the sender, in an emit to the others.
    pub except: Option<ConnectionId>,
    /// The bridge rule that made it, if any.
    pub rule: Option<Arc<BridgeRule>>,
    /// Where every node makes the same publication: its name, by which it gets one position.
    pub once: Option<Arc<str>>,
    /// Its place in the order of its topic, once it has one: on a channel with history, retained values or versions.
    pub position: Option<Position>,
    /// Where in a trace it was published.
    pub trace: Option<TraceContext>,
}

impl Publication {
    /// A publication for every subscriber of a topic.
    #[must_use]
    pub fn new(resolved: &Resolved, payload: Payload) -> Self {
        let Resolved { topic, channel, .. } = resolved;
        Self::kept(topic.clone(), Arc::clone(channel), payload, None)
    }

    /// One that was kept, in the history or as a retained value, with its position if it has one.
    #[must_use]
    pub fn kept(topic: Topic, channel: Arc<Channel>, payload: Payload, position: Option<Position>) -> Self {
        Self { topic, channel, payload, except: None, rule: None, once: None, position, trace: None }
    }

    /// The same, but for one connection.
    #[must_use]
    pub fn except(self, connection: Option<ConnectionId>) -> Self {
        Self { except: connection, ..self }
    }

    /// The same, published at this place in a trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    /// The place in a trace that its receivers are told: on a channel with `delivery: { trace: true }`.
    #[must_use]
    pub fn trace_shown(&self) -> Option<&TraceContext> {
        self.trace.as_ref().filter(|trace| self.channel.delivery.trace && trace.is_shared())
    }

    /// The place in a trace that other nodes are told: of a recorded trace, and of any that receivers are told.
    #[must_use]
    pub fn trace_sent(&self) -> Option<&TraceContext> {
        self.trace.as_ref().filter(|trace| trace.is_sampled() || (self.channel.delivery.trace && trace.is_shared()))
    }
}

/// A publication that was handed to the ports.
pub(super) enum Published {
    /// It is with everybody who is to have it.
    Over(Reached),
    /// It is on its way to other nodes, or to its position.
    Pending(BoxFuture<'static, Result<Reached, Unpublished>>),
}

/// What became of a publication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// Its place in the history.
    pub(super) position: Option<Position>,
    /// It is not newer than the last one of its key, and went to nobody.
    pub(super) is_stale: bool,
}

/// How far a publication came that the broker did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpublished {
    /// To the subscribers on this node.
    HereOnly,
    /// Nowhere: without a position it is delivered to nobody, and nothing is taken away.
    Nowhere,
}

impl From<Unpublished> for Refusal {
    fn from(unpublished: Unpublished) -> Self {
        Self::because(
            Code::Unavailable,
            match unpublished {
                Unpublished::HereOnly => "delivered on this node only: the other nodes cannot be reached now",
                Unpublished::Nowhere => "not published: the broker cannot be reached now",
            },
        )
    }
}

impl Gates {
    /// Hands a publication to the ports. When this returns, it has its place in the order of its topic; on a channel
    /// without positions this node's subscribers have it, too.
    pub(super) fn publish(&self, publication: &Publication, audience: Audience) -> Published {
        if !publication.channel.is_ordered() {
            self.deliver_here(publication);
            let sending = match audience {
                Audience::EveryNode => self.ports.broker.publish(publication),
                Audience::ThisNode => None,
            };
            return sending.map_or_else(
                || Published::Over(Reached::default()),
                |sending| {
                    let sent = sending.map(|sent| sent.map(|()| Reached::default()));
                    Published::Pending(sent.map(|sent| sent.map_err(|_| Unpublished::HereOnly)).boxed())
                },
            );
        }
        // Who asks for it again, on one node, wants it again.
        let is_again = audience == Audience::EveryNode && publication.once.is_some();
        let again = is_again.then(|| Publication { once: None, ..publication.clone() });
        self.publish_in_order(again.as_ref().unwrap_or(publication))
    }

    fn publish_in_order(&self, publication: &Publication) -> Published {
        let channel = Arc::clone(&publication.channel);
        let mut deliver = |position| {
            self.deliver_here(&Publication { position: Some(position), ..publication.clone() });
        };
        let taken = match (channel.keeping(), channel.history) {
            (Some(keeping), _) => self.ports.retained.publish(publication, keeping, &mut deliver),
            (None, policy) => {
                let policy = policy.unwrap_or(HistoryPolicy::NUMBERS);
                self.ports.history.append(publication, policy, &mut deliver).into()
            }
        };
        let reached = move |position: Option<Position>| {
            let is_stale = position.is_none();
            if is_stale {
                telemetry::publication_stale(channel.template.as_str());
            }
            Reached { position: position.filter(|_| channel.history.is_some()), is_stale }
        };
        match taken {
            Taken::At(position) => Published::Over(reached(Some(position))),
            Taken::Stale => Published::Over(reached(None)),
            Taken::Sent(sent) => {
                Published::Pending(sent.map(|sent| sent.map(reached).map_err(|_| Unpublished::Nowhere)).boxed())
            }
        }
    }

    /// Delivers to this node's subscribers what cleared gate 4 on another node, or what the broker numbered.
    pub(super) fn deliver_heard(
        &self,
        topic: &Topic,
        payload: Payload,
        except: Option<ConnectionId>,
        position: Option<Position>,
        trace: Option<TraceContext>,
    ) {
        let serving = self.serving();
        // If no channel declares the topic any more, nobody is subscribed to it.
        if let Some(resolved) = serving.catalog.resolve(topic.as_str()) {
            // A position promises nothing on a channel that gives none here any more.
            let position = position.filter(|_| resolved.channel.is_ordered());
            let publication = Publication::new(&resolved, payload).except(except).traced(trace);
            self.deliver_here(&Publication { position, ..publication });
        }
    }
}
