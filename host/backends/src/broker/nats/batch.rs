//! Many publications on one topic, kept in one step: all of them or none. Where many wait, one step for each would be too
//! slow. A server before NATS 2.12 keeps one at a time.

use std::ops::ControlFlow;

use super::super::Lost;
use super::State;
use super::draft::{Draft, Wish, Written};
use super::stream::{Kept, Stored, Terms};
use super::topic_log::TopicLog;
use super::writer::{UNREADABLE, Waiting, now_ms};
use tidegate_core::protocol::Topic;

/// Fewer are kept faster one by one: a batch takes the server about as long as ten of them.
pub(super) const BATCH_MIN: usize = 32;
/// The most publications of a batch, and their bytes. The server has a bound of 1,000.
pub(super) const BATCH_MAX: usize = 256;
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;
/// Batches of this node that are under way at once; a server has a bound of 50 for a stream.
pub(super) const BATCHES_AT_ONCE_MAX: usize = 8;
/// So many are written one by one after another node was first: whoever writes one is always before who writes a batch.
const ALONE_AFTER_OTHERS: u32 = 256;

impl Wish {
    /// Whether it may be one of a batch: what is kept once, or in the place of others, or by its key, may not.
    pub(super) fn is_for_batch(&self) -> bool {
        matches!(self, Self::Publish { once: None, keep: None, policy, .. } if policy.messages_max > 0)
    }
}

impl State {
    /// Writes a batch. Breaks with a number if nothing was kept: so many are to be written one by one.
    ///
    /// # Errors
    /// Why nobody knows whether it was kept.
    pub(super) async fn write_batch(
        &self,
        topic: &Topic,
        log: &mut Option<TopicLog>,
        batch: &[Waiting],
    ) -> Result<ControlFlow<u32, Vec<Written>>, Lost> {
        let mut known = match log.take() {
            Some(log) => log,
            None => self.load(topic).await?,
        };
        let epoch = self.epoch_of(&known).await?;
        if known.newest.as_ref().is_none_or(|newest| newest.epoch != epoch) {
            // Every other message names the place of the first one of its epoch.
            *log = Some(known);
            return Ok(ControlFlow::Break(1));
        }
        let mut ahead = known.head();
        let (mut messages, mut all_written) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for Waiting { wish, .. } in batch {
            let Draft::Message { subject, text, terms, written } =
                self.draft(topic, &mut ahead, wish, &self.next_id(), &epoch)
            else {
                return Err("a publication that is none".to_owned());
            };
            // Its place is not known yet; who follows asks for its position alone.
            let kept = Kept { seq: ahead.seq + 1, at_ms: now_ms(), text };
            ahead.take(&kept).ok_or(UNREADABLE)?;
            // What the first one expects holds for all.
            let after = terms.after.filter(|_| messages.is_empty());
            messages.push((subject, kept.text, Terms { after, ..terms }));
            all_written.push(written);
        }
        let Stored::At(last) = self.stream.store_all(&self.next_id(), &messages).await? else {
            self.refresh(topic, &mut known, "").await?;
            *log = Some(known);
            return Ok(ControlFlow::Break(ALONE_AFTER_OTHERS));
        };
        self.saw(last);
        let first = last + 1 - messages.len() as u64;
        for (seq, (_, text, _)) in (first..).zip(messages) {
            known.take(&Kept { seq, at_ms: now_ms(), text }).ok_or(UNREADABLE)?;
        }
        *log = Some(known);
        Ok(ControlFlow::Continue(all_written))
    }
}
