//! A client that comes back gets the topics that its session held: gate 2 runs again for each of them, and what the client
//! missed comes from their histories. All of it, or nothing is restored.

use super::ports::Values;
use super::recovery::Missed;
use super::{Gates, Membership, Session};
use crate::protocol::{Code, Kept, Payload, Position, Recovery, Refusal, SubscribeRequest, Topic, Unrecovered};

/// A topic that a session held when its transport was lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// The topic.
    pub topic: Topic,
    /// The last publication that the client has, on a channel with history.
    pub position: Option<Position>,
    /// What the user told about itself.
    pub info: Option<Payload>,
}

/// What became of such a topic.
#[derive(Debug, PartialEq)]
pub enum Restored {
    /// The session holds it again, and the client has everything with these, up to `newest`.
    Whole {
        /// What the client missed, in order.
        missed: Vec<Kept>,
        /// The position that live publications follow.
        newest: Position,
    },
    /// The session holds it again. Nobody knows what the client missed.
    Gap {
        /// The position that live publications follow, if the channel keeps history by now.
        newest: Option<Position>,
        /// The newest value of every key, if the channel retains values.
        values: Option<Values>,
    },
    /// Gate 2 refuses it now.
    Lost(Code),
}

/// Why nothing is restored. The caller ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrestored {
    /// The history of a topic no longer has what the client missed.
    Missed(Unrecovered),
    /// A history, or another node, cannot be reached now: the client may try again.
    Away,
}

impl Gates {
    /// Restores topics, in this order, to a session that begins. The caller queues what the client missed of each, and
    /// then calls [`Membership::resume`] with the newest position, or that of the values.
    ///
    /// # Errors
    /// [`Unrestored`]
    pub async fn restore(&self, member: &dyn Membership, left: &[Left]) -> Result<Vec<Restored>, Unrestored> {
        let mut bytes_max = self.limits.ack_bytes_max;
        let mut restored = Vec::with_capacity(left.len());
        for topic in left {
            // From before the session holds it, publications wait for the client.
            member.hold(&topic.topic);
            let one = match self.restore_one(member, topic, bytes_max).await {
                Ok(one) => one,
                Err(Stopped::Refused(refusal)) => {
                    member.session().release(&topic.topic);
                    member.settle(&topic.topic);
                    Restored::Lost(refusal.code)
                }
                Err(Stopped::Whole(unrestored)) => return Err(unrestored),
            };
            if let Restored::Whole { missed, .. } = &one {
                let bytes: usize = missed.iter().map(|kept| kept.payload.as_str().len()).sum();
                bytes_max = bytes_max.checked_sub(bytes).ok_or(Unrestored::Missed(Unrecovered::TooMany))?;
            }
            restored.push(one);
        }
        Ok(restored)
    }

    /// The steps of a subscription, with what was missed in place of the snapshot.
    async fn restore_one(&self, member: &dyn Membership, left: &Left, bytes_max: usize) -> Result<Restored, Stopped> {
        let Left { topic, position, info } = left;
        let session = member.session();
        // What the user told about itself may not be taken any more: then it is here without it.
        let fits = |info: &&Payload| {
            let resolved = self.serving().catalog.resolve(topic.as_str());
            resolved.is_some_and(|resolved| self.check_info(&resolved.channel, Some(info)).is_ok())
        };
        let info = info.as_ref().filter(fits).cloned();
        let request = SubscribeRequest { info, ..SubscribeRequest::to(topic.as_str()) };
        let joined = self.clear_subscribe(session, &request).await?;
        member.settle(topic);
        self.judge_joined(member, topic).await?;
        self.hear_nodes(topic).await.map_err(|_away| Stopped::Whole(Unrestored::Away))?;
        let channel = &joined.resolved.channel;
        let (policy, shows_trace) = (channel.history, channel.delivery.trace);
        let asked = Missed { since: position.clone(), reads_on: false, bytes_max, shows_trace };
        let recovered = self
            .missed(topic, policy, asked, session.connection())
            .await
            .map_err(|_away| Stopped::Whole(Unrestored::Away))?;
        let restored = match (recovered.position, recovered.recovery) {
            (Some(newest), Some(Recovery::Whole(missed))) => Restored::Whole { missed, newest },
            (Some(_), Some(Recovery::Not(reason))) => return Err(Stopped::Whole(Unrestored::Missed(reason))),
            (newest, _) => {
                let values = self.retained(&joined.resolved).await.map_err(|refusal| match refusal.code {
                    Code::Unavailable => Stopped::Whole(Unrestored::Away),
                    _ => Stopped::Refused(refusal),
                })?;
                Restored::Gap { newest, values }
            }
        };
        self.attend(session, &joined.resolved, joined.info).await?;
        still_held(session, topic)?;
        Ok(restored)
    }
}

/// A reload or a revocation may take a topic away while it is restored.
fn still_held(session: &Session, topic: &Topic) -> Result<(), Refusal> {
    if session.holds(topic) { Ok(()) } else { Err(Code::Unavailable.into()) }
}

/// Why a topic is not restored.
enum Stopped {
    /// It is refused; the others may be restored.
    Refused(Refusal),
    /// No topic is.
    Whole(Unrestored),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        // From now on every gate says so.
        if refusal.code == Code::Draining { Self::Whole(Unrestored::Away) } else { Self::Refused(refusal) }
    }
}
