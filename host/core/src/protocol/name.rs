//! Names and ids: topics, params, plugins, connections, generations.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Longest topic in bytes. A longer name matches no channel.
pub const TOPIC_BYTES_MAX: usize = 255;
/// Most segments of a topic, separated by dots; this limits the work of one look-up.
pub const TOPIC_SEGMENTS_MAX: usize = 16;

/// Names that no topic can have: the protocol's own events, and those that Socket.IO reserves.
pub const RESERVED_EVENTS: [&str; 10] = [
    "subscribe",
    "unsubscribe",
    "authenticate",
    "tidegate",
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Topics and types of bus events that begin like this are the server's own.
pub const OWN_PREFIX: &str = "tidegate.";

/// A concrete name that a client subscribes to: `notifications.user.u42`.
///
/// Non-empty segments separated by dots, without white space, control characters or braces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// Why a text is not a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Empty, or with an empty segment (`a..b`).
    #[error("a segment is empty")]
    EmptySegment,
    /// White space, a control character or a brace.
    #[error("holds white space, a control character or a brace")]
    Character,
    /// Longer than [`TOPIC_BYTES_MAX`], or with more than [`TOPIC_SEGMENTS_MAX`] segments.
    #[error("is too long")]
    TooLong,
    /// One of [`RESERVED_EVENTS`], or one that begins with [`OWN_PREFIX`].
    #[error("is reserved")]
    Reserved,
}

impl Topic {
    /// Reads a topic.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is not a valid topic.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.len() > TOPIC_BYTES_MAX || text.split('.').count() > TOPIC_SEGMENTS_MAX {
            return Err(InvalidName::TooLong);
        }
        if text.split('.').any(str::is_empty) {
            return Err(InvalidName::EmptySegment);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || is_invisible(c) || c == '{' || c == '}') {
            return Err(InvalidName::Character);
        }
        if RESERVED_EVENTS.contains(&text) || text.starts_with(OWN_PREFIX) {
            return Err(InvalidName::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that are invisible or change the direction of a line: two topics that look alike must be the same.
/// Unicode Standard Annex 9, section 2; zero-width characters and the byte order mark.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The values of the template's params in a topic: `{ userId: "u42" }`, in template order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(Arc<str>, String)>);

impl Params {
    /// The value of one param.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| &**key == name).map(|(_, value)| value.as_str())
    }

    /// Every param with its value, in template order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, value.as_str()))
    }
}

impl FromIterator<(Arc<str>, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, String)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The name of a plugin: its directory below `plugins/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginName(Arc<str>);

impl PluginName {
    /// Takes the name as it stands in a manifest.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One connection, by an id of the server's own: it names the connection in logs and to plugins, and opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionId(Arc<str>);

impl ConnectionId {
    /// Takes the id.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a catalog: the server starts with 1, and each applied reload adds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_dot_separated_segments_without_spaces() {
        assert!(Topic::parse("notifications.user.u42").is_ok());
        assert!(Topic::parse("room.a@b:c").is_ok());
        assert_eq!(Topic::parse(""), Err(InvalidName::EmptySegment));
        assert_eq!(Topic::parse("a..b"), Err(InvalidName::EmptySegment));
        assert_eq!(Topic::parse("a b"), Err(InvalidName::Character));
        assert_eq!(Topic::parse("a.{b}"), Err(InvalidName::Character));
        assert_eq!(Topic::parse("subscribe"), Err(InvalidName::Reserved));
        assert_eq!(Topic::parse(&"a".repeat(TOPIC_BYTES_MAX + 1)), Err(InvalidName::TooLong));
        assert_eq!(Topic::parse(&["a"; TOPIC_SEGMENTS_MAX + 1].join(".")), Err(InvalidName::TooLong));
    }
}
