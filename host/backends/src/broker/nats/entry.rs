//! The messages in the log of a topic: a line of state, the key, and what nodes hear, as it is in `broker/message.rs`.
//!
//! Each message carries the state of its topic, so that the newest one tells everything but the values.

use std::time::Duration;

use super::super::message::{Body, Message};
use tidegate_core::channels::{HistoryPolicy, Keeping};

/// In the place of a version or of values.
const NO_VERSION: &str = "-";
/// Says that values are kept.
const SHELVED: &str = "v";

/// The state of a topic after a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stand {
    /// Distinguishes this message from every other: a node that does not know whether it wrote looks for it.
    pub(super) id: String,
    /// The place in the stream of the first message of this epoch; 0: this one is it.
    pub(super) began: u64,
    /// The place of the message that ended the history before; 0 if there is none.
    pub(super) unnumbered: u64,
    /// The bytes of all payloads of this epoch.
    pub(super) bytes: u64,
    /// How much is kept.
    pub(super) policy: HistoryPolicy,
    /// How often retained values were taken away.
    pub(super) removals: u64,
    /// The offset that followed when they were taken away last; 0 if they never were.
    pub(super) removed_before: u64,
    /// The values, if the channel keeps them or their versions.
    pub(super) shelf: Option<ShelfStand>,
}

/// The state of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ShelfStand {
    /// The place of the first message since which they miss nothing; 0: this one.
    pub(super) from: u64,
    /// What tells the places of keys and versions from others.
    pub(super) found_by: u64,
    /// What is kept.
    pub(super) keeping: Keeping,
}

/// A message in the log.
#[derive(Debug, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) stand: Stand,
    /// Its key; of all keys if values of all were taken away.
    pub(super) key: &'a str,
    /// Its version.
    pub(super) version: Option<&'a str>,
    /// What nodes hear; `None`: the history ended here, because a publication went without a number.
    pub(super) message: Option<Message<'a>>,
}

impl<'a> Entry<'a> {
    /// Reads a message; `None` if its version is unknown.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (line, rest) = text.split_once('\n')?;
        let mut words = line.split(' ');
        let (id, shelved, version) = (words.next()?.to_owned(), words.next()? == SHELVED, words.next()?);
        let mut number = || words.next()?.parse::<u64>().ok();
        let (began, unnumbered, bytes) = (number()?, number()?, number()?);
        let policy = HistoryPolicy { messages_max: size(number()?), bytes_max: size(number()?), ttl: ms(number()?) };
        let (removals, removed_before) = (number()?, number()?);
        let (from, found_by, values) = (number()?, number()?, number()? == 1);
        let keeping = Keeping { values, keys_max: size(number()?), bytes_max: size(number()?), ttl: ms(number()?) };
        let key_bytes = size(number()?);
        let (key, message) = rest.split_at_checked(key_bytes)?;
        let shelf = shelved.then_some(ShelfStand { from, found_by, keeping });
        let message = if message.is_empty() { None } else { Some(Message::read(message)?) };
        let stand = Stand { id, began, unnumbered, bytes, policy, removals, removed_before, shelf };
        Some(Self { stand, key, version: (version != NO_VERSION).then_some(version), message })
    }

    /// What nodes hear of a message, without its state.
    pub(super) fn heard(text: &'a str) -> Option<Message<'a>> {
        Self::read(text)?.message
    }

    /// The position that it gives or follows: its epoch and offset.
    pub(super) fn place(&self) -> Option<(&'a str, u64)> {
        let message = self.message.as_ref()?;
        match message.body {
            Body::Numbered { epoch, .. } | Body::Removed { epoch, .. } => Some((epoch, message.count)),
            Body::Publication { .. } | Body::Gap => None,
        }
    }
}

/// A message as it is written.
pub(super) fn write(stand: &Stand, key: &str, version: Option<&str>, message: &str) -> String {
    let Stand { id, began, unnumbered, bytes, policy, removals, removed_before, shelf } = stand;
    let HistoryPolicy { messages_max, bytes_max, ttl } = policy;
    let none = ShelfStand { from: 0, found_by: 0, keeping: Keeping::VERSIONS };
    let shelved = if shelf.is_some() { SHELVED } else { NO_VERSION };
    let ShelfStand { from, found_by, keeping } = shelf.unwrap_or(none);
    let (version, ttl, key_bytes) = (version.unwrap_or(NO_VERSION), ttl.as_millis(), key.len());
    let Keeping { values, keys_max, bytes_max: shelf_bytes_max, ttl: shelf_ttl } = keeping;
    let (values, shelf_ttl) = (u8::from(values), shelf_ttl.as_millis());
    format!(
        "{id} {shelved} {version} {began} {unnumbered} {bytes} {messages_max} {bytes_max} {ttl} {removals} {removed_before} {from} {found_by} \
         {values} {keys_max} {shelf_bytes_max} {shelf_ttl} {key_bytes}\n{key}{message}"
    )
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_the_key_and_the_payload_hold() {
        let shelf = ShelfStand { from: 3, found_by: u64::MAX, keeping: Keeping { values: true, ..Keeping::VERSIONS } };
        for (shelf, version, key) in [(None, None, "null"), (Some(shelf), Some("15"), "[1,\n \"ü\"]")] {
            let policy = HistoryPolicy { messages_max: 9, bytes_max: 8, ttl: Duration::from_millis(7) };
            let stand = Stand {
                id: "n-1".to_owned(),
                began: 1,
                unnumbered: 2,
                bytes: 4,
                policy,
                removals: 5,
                removed_before: 6,
                shelf,
            };
            let text = write(&stand, key, version, "6 7 n h - e-1 {\"a\":\n 1}");
            let body = Body::Numbered { heading: "-", epoch: "e-1", payload: "{\"a\":\n 1}" };
            let message = Message { before: 6, count: 7, node: "n", body };
            let entry = Entry { stand: stand.clone(), key, version, message: Some(message) };
            assert_eq!(Entry::read(&text), Some(entry));
            assert_eq!(Entry::read(&text).unwrap().place(), Some(("e-1", 7)));
            assert_eq!(Entry::heard(&write(&stand, key, version, "")), None);
        }
        for text in ["", "a\n", "1 2 n p - 1"] {
            assert_eq!(Entry::read(text), None, "{text}");
        }
    }
}
