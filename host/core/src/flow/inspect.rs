//! What is kept of a topic, for operators.

use serde::Serialize;

use super::Gates;
use super::ports::{ValuesUnread, Wanted};
use crate::channels::{HistoryPolicy, Resolved};
use crate::protocol::{Code, Key, Payload, Position, Refusal};

/// Most retained values that are listed.
const VALUES_MAX: usize = 100;

/// What is kept of a topic.
#[derive(Debug, Default, Serialize)]
pub struct Kept {
    /// The newest position, on a channel with history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// How many publications its history holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_entries: Option<usize>,
    /// The first retained values, on a channel that retains them; the one that was published longest ago first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained: Option<Vec<KeptValue>>,
    /// How many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_count: Option<usize>,
}

/// A retained value.
#[derive(Debug, Serialize)]
pub struct KeptValue {
    /// Its key.
    pub key: Key,
    /// Its place in the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Its payload, for whoever may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// How large its payload is.
    pub bytes: usize,
}

impl Gates {
    /// What is kept of a topic; payloads only if `payloads`.
    ///
    /// # Errors
    /// `unavailable` if it cannot be reached.
    pub async fn kept(&self, of: &Resolved, payloads: bool) -> Result<Kept, Refusal> {
        let away = || Refusal::because(Code::Unavailable, "what is kept of the topic cannot be reached now");
        let mut kept = Kept::default();
        if let Some(policy) = of.channel.history {
            let HistoryPolicy { messages_max, .. } = policy;
            // The policy bounds the bytes.
            let wanted = Wanted { since: None, entries_max: messages_max, bytes_max: usize::MAX };
            let page = self.ports.history.read(&of.topic, policy, wanted).await.map_err(|_away| away())?;
            kept.history_entries = Some(page.entries.map_or(0, |entries| entries.len()));
            kept.position = Some(page.newest);
        }
        if let Some(keeping) = of.channel.retain {
            let read = self.ports.retained.read(of, keeping, usize::MAX).await;
            let values = match read {
                Ok(values) => values.values,
                Err(ValuesUnread::Away | ValuesUnread::TooLarge(_)) => return Err(away()),
            };
            kept.retained_count = Some(values.len());
            let shown = values.into_iter().take(VALUES_MAX).map(|value| KeptValue {
                key: value.key,
                position: value.position.filter(|_| of.channel.history.is_some()),
                bytes: value.payload.as_str().len(),
                payload: payloads.then_some(value.payload),
            });
            kept.retained = Some(shown.collect());
        }
        Ok(kept)
    }
}
