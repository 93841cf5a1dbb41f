//! Positions in the history of a topic, and what a client that was away gets of it.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::{Payload, TraceContext};

/// Longest epoch, in bytes.
const EPOCH_BYTES_MAX: usize = 64;

/// One life of a topic's history. It changes when the history was lost or made anew.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// Reads an epoch: letters, digits, `-` and `_`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_epoch = !text.is_empty() && text.len() <= EPOCH_BYTES_MAX && text.bytes().all(is_part);
        is_epoch.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of a publication in the history of its topic. Offsets count from 1 without holes; 0 is the place before the
/// first publication.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the history.
    pub epoch: Epoch,
    /// The number of the publication.
    pub offset: u64,
}

impl Position {
    /// Reads `EPOCH:OFFSET`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = text.split_once(':')?;
        // `u64` would also accept `+5`.
        let is_number = offset.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self { epoch: Epoch::parse(epoch)?, offset: offset.parse().ok().filter(|_| is_number)? })
    }

    /// Whether this is the other position, or an earlier one of the same epoch.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.offset <= other.offset
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch.as_str(), self.offset)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("position", 2)?;
        out.serialize_field("epoch", self.epoch.as_str())?;
        out.serialize_field("offset", &self.offset)?;
        out.end()
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Raw {
            epoch: String,
            offset: u64,
        }
        let Raw { epoch, offset } = Raw::deserialize(deserializer)?;
        let epoch = Epoch::parse(&epoch).ok_or_else(|| D::Error::custom("not an epoch"))?;
        Ok(Self { epoch, offset })
    }
}

/// What is known of a publication beside its payload: the second argument of the event. It is always an object, empty
/// on a channel without history.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meta<'a> {
    /// Its place in the history.
    pub position: Option<&'a Position>,
    /// Where in a trace it was published, on a channel that tells.
    pub trace: Option<&'a TraceContext>,
}

impl Serialize for Meta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        if let Some(Position { epoch, offset }) = self.position {
            out.serialize_entry("epoch", epoch.as_str())?;
            out.serialize_entry("offset", offset)?;
        }
        if let Some(trace) = self.trace {
            out.serialize_entry("traceparent", &format_args!("{trace}"))?;
        }
        out.end()
    }
}

/// A publication that the history kept: `{ payload, meta }`.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The payload.
    pub payload: Payload,
    /// Its place.
    pub position: Position,
    /// Where in a trace it was published, on a channel that tells.
    pub trace: Option<TraceContext>,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position && self.payload.as_str() == other.payload.as_str()
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("publication", 2)?;
        out.serialize_field("payload", self.payload.as_raw())?;
        out.serialize_field("meta", &Meta { position: Some(&self.position), trace: self.trace.as_ref() })?;
        out.end()
    }
}

/// Why a client cannot have what it missed. It gets nothing of it then, never a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrecovered {
    /// It was kept once, and `ttl` took it.
    Expired,
    /// It is more than the history keeps, or more than one answer holds.
    TooMany,
    /// The position is of another epoch, or was never given.
    EpochChanged,
    /// The channel keeps no history.
    NoHistory,
    /// Nobody knows the session that the client wants back: it is over, or it was on another node.
    UnknownSession,
    /// The session that the client wants back is another user's.
    OtherUser,
}

impl Unrecovered {
    /// Every reason, in the order of the manual.
    pub const ALL: [Self; 6] =
        [Self::Expired, Self::TooMany, Self::EpochChanged, Self::NoHistory, Self::UnknownSession, Self::OtherUser];

    /// The stable name on the wire and in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            Self::EpochChanged => "epoch_changed",
            Self::NoHistory => "no_history",
            Self::UnknownSession => "unknown_session",
            Self::OtherUser => "other_user",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(epoch: &str, offset: u64) -> Position {
        Position { epoch: Epoch::parse(epoch).unwrap(), offset }
    }

    #[test]
    fn a_position_is_written_as_it_is_read() {
        for (text, epoch, offset) in [("a:0", "a", 0), ("9f-3_X:17", "9f-3_X", 17)] {
            assert_eq!(Position::parse(text), Some(position(epoch, offset)));
            assert_eq!(position(epoch, offset).to_string(), text);
        }
        let long = format!("{}:1", "a".repeat(EPOCH_BYTES_MAX + 1));
        for wrong in ["", ":", "a", "a:", ":1", "a:+1", "a:-1", "a:1.0", "a b:1", "ä:1", "a:1:2", "a:1 ", &long] {
            assert_eq!(Position::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Position::parse("a:18446744073709551616"), None);
    }

    #[test]
    fn a_publication_tells_its_position_where_there_is_one_and_an_empty_object_elsewhere() {
        let show = |meta: Meta<'_>| serde_json::to_string(&meta).unwrap();
        let at = position("a", 7);
        assert_eq!(show(Meta { position: Some(&at), trace: None }), r#"{"epoch":"a","offset":7}"#);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::parse(parent);
        let traced = Meta { position: Some(&at), trace: trace.as_ref() };
        assert_eq!(show(traced), format!(r#"{{"epoch":"a","offset":7,"traceparent":"{parent}"}}"#));
        let traced = Meta { position: None, trace: trace.as_ref() };
        assert_eq!(show(traced), format!(r#"{{"traceparent":"{parent}"}}"#));
        assert_eq!(serde_json::from_str::<Position>(r#"{"epoch":"a","offset":7}"#).unwrap(), at);
        assert!(serde_json::from_str::<Position>(r#"{"epoch":"a b","offset":7}"#).is_err());
        assert_eq!(show(Meta::default()), "{}");
        let kept = Kept { payload: Payload::parse(r#"{"n": 1.0}"#.to_owned()).unwrap(), position: at, trace: None };
        assert_eq!(serde_json::to_string(&kept).unwrap(), r#"{"payload":{"n": 1.0},"meta":{"epoch":"a","offset":7}}"#);
    }

    #[test]
    fn a_position_is_within_a_later_one_of_its_epoch_only() {
        assert!(position("a", 3).is_within(&position("a", 3)) && position("a", 3).is_within(&position("a", 4)));
        assert!(!position("a", 4).is_within(&position("a", 3)) && !position("a", 3).is_within(&position("b", 4)));
    }
}
