//! The last values of topics: for who subscribes, beside what a plugin returns, and taken away by who may publish.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::ports::{Removal, Removed, RetainedAway, Values, ValuesUnread};
use super::{Gates, Publication};
use crate::channels::{Channel, DeliveryPolicy, Resolved};
use crate::protocol::{Code, Key, Payload, Position, Refusal, RetainedValue, Topic, Version};

impl Gates {
    /// The retained values of a topic, the one that was published longest ago first, and the position up to which they
    /// tell everything; `None` if its channel retains none.
    ///
    /// # Errors
    /// `unavailable` if they cannot be reached, `payload_too_large` if they are more than one answer holds.
    pub async fn retained(&self, of: &Resolved) -> Result<Option<Values>, Refusal> {
        let Some(keeping) = of.channel.retain else { return Ok(None) };
        let bytes_max = self.limits.ack_bytes_max;
        let read = self.ports.retained.read(of, keeping, bytes_max).await;
        let mut found = read.map_err(|unread| match unread {
            ValuesUnread::Away => Refusal::because(Code::Unavailable, "the retained values cannot be reached now"),
            ValuesUnread::TooLarge(bytes) => too_large(bytes, bytes_max),
        })?;
        if of.channel.history.is_none() {
            found.values.iter_mut().for_each(|value| value.position = None);
        }
        Ok(Some(found))
    }

    /// Takes the retained value of a key away, or of every key, and tells the subscribers. Returns how many there were.
    ///
    /// # Errors
    /// `unknown_channel`, `no_retained`, `unavailable`, `draining`.
    pub async fn remove_retained(&self, topic: &str, key: Option<Key>) -> Result<usize, Refusal> {
        self.refuse_while_draining()?;
        let resolved = self.serving().catalog.resolve(topic).ok_or(Code::UnknownChannel)?;
        let removal = removal(&resolved, key)?;
        let removed = self.remove(&removal).await;
        removed.map_err(|_away| Refusal::because(Code::Unavailable, "the retained values cannot be reached now"))
    }

    /// Takes values away. When this returns, the removal has its place in the order of the topic.
    pub(super) fn remove(&self, removal: &Removal) -> BoxFuture<'static, Result<usize, RetainedAway>> {
        let mut tell = |removed: Removed| self.tell_removed_here(&removal.topic, &removal.channel, &removed);
        self.ports.retained.remove(removal, &mut tell).boxed()
    }

    /// Tells this node's subscribers what was taken away on any node.
    pub(super) fn removed_heard(&self, topic: &Topic, removed: &Removed) {
        if let Some(resolved) = self.serving().catalog.resolve(topic.as_str()) {
            self.tell_removed_here(topic, &resolved.channel, removed);
        }
    }

    fn tell_removed_here(&self, topic: &Topic, channel: &Arc<Channel>, removed: &Removed) {
        let tell = || self.ports.rooms.tell_removed(topic, channel, removed);
        if channel.delivery.at_most.is_some() {
            self.thinning.forget(topic, &removed.keys, tell);
        } else {
            tell();
        }
    }
}

impl Publication {
    /// The position that clients see: that in the history.
    #[must_use]
    pub fn position_shown(&self) -> Option<&Position> {
        self.position.as_ref().filter(|_| self.channel.history.is_some())
    }
}

/// The removal of a key, or of every key, on a channel that retains values.
pub(super) fn removal(of: &Resolved, key: Option<Key>) -> Result<Removal, Refusal> {
    if of.channel.retain.is_none() {
        return Err(Code::NoRetained.into());
    }
    Ok(Removal { topic: of.topic.clone(), channel: of.channel.clone(), key, once: None })
}

/// Puts what a plugin returned beside the retained values: of each key the newer one, by the version where the channel
/// has one, else the retained one. What the plugin has beyond them comes last.
pub(super) fn merged(values: Vec<RetainedValue>, state: Vec<Payload>, delivery: &DeliveryPolicy) -> Vec<RetainedValue> {
    let version = |payload: &Payload| delivery.version_of(payload).ok().flatten();
    let is_newer = |new: &Option<Version>, old: &Payload| new.is_some() && *new > version(old);
    let mut merged = values;
    let mut by_key: HashMap<Key, usize> =
        merged.iter().enumerate().map(|(at, value)| (value.key.clone(), at)).collect();
    for payload in state {
        let key = delivery.key_of(&payload);
        let value = RetainedValue { key: key.clone(), payload, position: None };
        match by_key.get(&key).and_then(|at| merged.get_mut(*at)) {
            Some(retained) if is_newer(&version(&value.payload), &retained.payload) => *retained = value,
            Some(_) => {}
            None => {
                by_key.insert(key, merged.len());
                merged.push(value);
            }
        }
    }
    merged
}

/// The refusal of a snapshot that one answer does not hold.
pub(super) fn too_large(bytes: usize, bytes_max: usize) -> Refusal {
    let details = serde_json::json!({ "bytes": bytes, "bytes_max": bytes_max });
    Refusal::new(Code::PayloadTooLarge).with_details(details)
}
