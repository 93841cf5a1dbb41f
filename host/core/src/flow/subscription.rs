//! A subscription, from the request to the receipt. The one place that knows the order:
//!
//! 0. publications of the topic wait for the client from here on, until its ack is queued;
//! 1. gate 2: the session holds the topic from here on;
//! 2. the room: the client is to receive what this node publishes;
//! 3. the catalog again: a reload between 1 and 2 did not see this topic in its sweep;
//! 4. the authorizer again, if another version of it is in force by now, or something was revoked;
//! 5. the other nodes: the client receives what they publish, too;
//! 6. the history: the position that live publications follow, and what the client missed if it asked;
//! 7. the snapshot, unless the client has everything that it missed: what is published between the position and the
//!    state comes after the ack, but for what retained values tell, which have a later position;
//! 8. presence: from here on the client is one of those who are there;
//! 9. the receipt. The publications that wait follow its ack, without those that it holds.
//!
//! A subscription that fails after step 1 is released, unless the session held the topic before, and the client leaves
//! the room.

use super::ports::ENTRY_BYTES;
use super::recovery::{Missed, Recovered};
use super::subscribe::Joined;
use super::{Gates, Session};
use crate::protocol::{
    Code, Member, Position, Present, Recovery, Refusal, Snapshot, SubscribeReceipt, SubscribeRequest, Topic,
};

/// One connection for the gates: its session, and the effects of the topics that the session holds.
pub trait Membership: Sync {
    /// Its session.
    fn session(&self) -> &Session;

    /// Updates the room of a topic to match the session: the connection is in the room while [`Session::channel`] has
    /// the topic, otherwise not. The gates call it after each change; of two concurrent calls the later one sees the
    /// latest state.
    fn settle(&self, topic: &Topic);

    /// From now on publications of this topic wait for the client, before they go out, until [`Membership::resume`].
    fn hold(&self, topic: &Topic);

    /// Sends the client what waited: what comes after `past`, the place up to which its ack tells everything, or everything without one; nothing
    /// if the session does not hold the topic. After a subscription that succeeded the caller does this once it has queued
    /// the ack.
    fn resume(&self, topic: &Topic, past: Option<&Position>);

    /// Tells the client that it lost a topic.
    fn tell_revoked(&self, topic: Topic, reason: Code);
}

impl Gates {
    /// `subscribe` as a whole. On success the caller queues the ack, and then calls [`Membership::resume`] with what is
    /// `past` by the receipt.
    ///
    /// # Errors
    /// From gate 2: `unknown_channel`, `unauthenticated`, `forbidden`, `token_expired`, `too_many_subscriptions`,
    /// `unavailable` (an authorizer cannot decide), `draining`. From the snapshot: `handler_failed`, `handler_timeout`,
    /// `payload_too_large`, `unavailable`. Also `unavailable` if this node cannot receive from other nodes.
    pub async fn subscribe(
        &self,
        member: &dyn Membership,
        request: &SubscribeRequest,
    ) -> Result<SubscribeReceipt, Refusal> {
        // Before the session holds the topic: what is still on its way from an earlier subscription waits, too.
        let topic = Topic::parse(&request.topic);
        if let Ok(topic) = &topic {
            member.hold(topic);
        }
        let completed = match self.clear_subscribe(member.session(), request).await {
            Ok(joined) => {
                member.settle(&joined.receipt.topic);
                self.complete(member, joined).await
            }
            Err(refusal) => Err(refusal),
        };
        if let (Err(_), Ok(topic)) = (&completed, &topic) {
            member.settle(topic);
            member.resume(topic, None);
        }
        completed
    }

    /// The steps after the room.
    async fn complete(&self, member: &dyn Membership, joined: Joined) -> Result<SubscribeReceipt, Refusal> {
        let (session, topic) = (member.session(), joined.receipt.topic.clone());
        self.judge_joined(member, &topic).await?;
        let is_renewed = joined.is_renewed;
        let completed = self.hear_and_provide(session, joined).await;
        if completed.is_err() && !is_renewed {
            session.release(&topic);
        } else if completed.is_ok() && !session.holds(&topic) {
            // A reload or a revocation took the topic away while the plugin returned the state; the client knows.
            return Err(Code::Unavailable.into());
        }
        completed
    }

    /// Judges a topic that the session holds and whose room the client is in by what is in force by now.
    ///
    /// # Errors
    /// Why the session does not hold it any more.
    pub(super) async fn judge_joined(&self, member: &dyn Membership, topic: &Topic) -> Result<(), Refusal> {
        self.recheck_after_join(member, topic)?;
        match self.reauthorize_topic(member.session(), topic).await {
            Some(reason) => Err(reason.into()),
            None => Ok(()),
        }
    }

    fn recheck_after_join(&self, member: &dyn Membership, joined: &Topic) -> Result<(), Refusal> {
        let session = member.session();
        let mut lost = None;
        for (topic, reason) in self.release_lost(session) {
            if topic == *joined {
                lost = Some(reason);
                continue;
            }
            member.settle(&topic);
            member.tell_revoked(topic, reason);
        }
        match lost {
            Some(reason) => Err(reason.into()),
            None if session.holds(joined) => Ok(()),
            // The check was faster, or the connection has ended.
            None => Err(Code::Unavailable.into()),
        }
    }

    /// Waits until the client receives what other nodes publish, too.
    ///
    /// # Errors
    /// `unavailable` if this node cannot receive from them.
    pub(super) async fn hear_nodes(&self, topic: &Topic) -> Result<(), Refusal> {
        match self.ports.broker.listening(topic) {
            Some(listening) => listening.await.map_err(|_away| Code::Unavailable.into()),
            None => Ok(()),
        }
    }

    async fn hear_and_provide(&self, session: &Session, joined: Joined) -> Result<SubscribeReceipt, Refusal> {
        let Joined { mut receipt, owed, resolved, info, since, reads_on, .. } = joined;
        self.hear_nodes(&receipt.topic).await?;
        let (bytes_max, shows_trace) = (self.limits.ack_bytes_max, resolved.channel.delivery.trace);
        let asked = Missed { since, reads_on, bytes_max, shows_trace };
        let Recovered { position, recovery } =
            self.recover(&receipt.topic, resolved.channel.history, asked, session.connection()).await?;
        let is_whole = matches!(recovery, Some(Recovery::Whole(_)));
        (receipt.position, receipt.recovery) = (position, recovery);
        receipt.past.clone_from(&receipt.position);
        if !is_whole {
            let (snapshot, told) = self.snapshot(&resolved, owed.as_ref()).await?;
            receipt.snapshot = snapshot;
            if told.is_some() {
                receipt.position = told.clone().filter(|_| resolved.channel.history.is_some());
                receipt.past = told;
            }
        }
        receipt.presence = self.attend(session, &resolved, info).await?;
        self.fit_presence(&mut receipt);
        Ok(receipt)
    }

    /// Leaves the names out of a receipt in which they have no room beside the rest (`limits.ack_bytes`): the count says how
    /// many there are.
    fn fit_presence(&self, receipt: &mut SubscribeReceipt) {
        let publications: usize = match &receipt.recovery {
            Some(Recovery::Whole(kept)) => kept.iter().map(|kept| ENTRY_BYTES + kept.payload.as_str().len()).sum(),
            Some(Recovery::Not(_)) | None => 0,
        };
        let snapshot: usize = receipt.snapshot.as_ref().map_or(0, Snapshot::bytes);
        let room = self.limits.ack_bytes_max.saturating_sub(publications + snapshot);
        if let Some(Present { members, .. }) = &mut receipt.presence
            && members.iter().flatten().map(Member::bytes).sum::<usize>() > room
        {
            *members = None;
        }
    }

    /// `unsubscribe`.
    ///
    /// # Errors
    /// `not_subscribed` if the session does not hold the topic.
    pub fn unsubscribe(&self, member: &dyn Membership, topic: &str) -> Result<Topic, Refusal> {
        let session = member.session();
        // Every user may leave; but leaving counts as activity of the user.
        let _ = self.user_of(session);
        match Topic::parse(topic) {
            Ok(topic) if session.release(&topic) => {
                member.settle(&topic);
                Ok(topic)
            }
            _ => Err(Code::NotSubscribed.into()),
        }
    }

    /// Takes a revoked topic from a session, and informs the client, which may subscribe again if the gates admit it.
    /// `false` if the session does not hold the topic.
    pub fn withdraw(&self, member: &dyn Membership, topic: &Topic) -> bool {
        let is_released = member.session().release(topic);
        if is_released {
            member.settle(topic);
            member.tell_revoked(topic.clone(), Code::Forbidden);
        }
        is_released
    }
}
