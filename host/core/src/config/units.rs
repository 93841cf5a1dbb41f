//! Sizes and times as operators write them. The only home of `bytesize` and `humantime`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A number of bytes: `64KiB`, `2MiB`, `1MB`, or a plain number.
///
/// ```
/// use tidegate_core::config::ByteSize;
///
/// let size: ByteSize = serde_json::from_str("\"64KiB\"").unwrap();
/// assert_eq!(size.bytes(), 65_536);
/// assert_eq!(size.to_string(), "64KiB");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// This number of bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes, for data in memory; limited to what the machine can address.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that divides it: nothing is rounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like `64KiB`, or a number of bytes")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                let size = text.parse::<bytesize::ByteSize>();
                size.map(|size| ByteSize(size.as_u64())).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Size)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: `64KiB`, `2MiB`, or a plain number of bytes.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *([kKmMgGtT]([iI]?[bB])?|[bB])?$" }
            ]
        })
    }
}

/// A time span: `500ms`, `10s`, `10m`, `12h`, `1h 30m`.
///
/// ```
/// use std::time::Duration;
/// use tidegate_core::config::HumanDuration;
///
/// let wait: HumanDuration = serde_json::from_str("\"10m\"").unwrap();
/// assert_eq!(wait.get(), Duration::from_secs(600));
/// assert_eq!(wait.to_string(), "10m");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// This time span.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The time span.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Span;
        impl Visitor<'_> for Span {
            type Value = HumanDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like `500ms`, `10s`, `10m` or `12h`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                let span = humantime::parse_duration(text);
                span.map(HumanDuration).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        // `any`, so that a plain number, which has no unit, differs from a text.
        deserializer.deserialize_any(Span)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time span: `500ms`, `10s`, `10m`, `12h`.",
            "type": "string",
            "pattern": "^([0-9]+ *[a-zA-Z]+ *)+$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(json: &str) -> Result<u64, String> {
        serde_json::from_str::<ByteSize>(json).map(ByteSize::bytes).map_err(|error| error.to_string())
    }

    fn time(json: &str) -> Result<Duration, String> {
        serde_json::from_str::<HumanDuration>(json).map(HumanDuration::get).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_are_read_with_or_without_a_unit() {
        assert_eq!(size("\"64KiB\""), Ok(65_536));
        assert_eq!(size("\"2MiB\""), Ok(2 << 20));
        assert_eq!(size("\"1 MB\""), Ok(1_000_000));
        assert_eq!(size("\"512\""), Ok(512));
        assert_eq!(size("512"), Ok(512));
        for wrong in ["\"\"", "\"lots\"", "\"-1\"", "-1", "1.5", "\"1XiB\"", "null"] {
            assert!(size(wrong).unwrap_err().contains("expected a size like `64KiB`"), "{wrong}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(time("\"500ms\""), Ok(Duration::from_millis(500)));
        assert_eq!(time("\"10s\""), Ok(Duration::from_secs(10)));
        assert_eq!(time("\"10m\""), Ok(Duration::from_secs(600)));
        assert_eq!(time("\"12h\""), Ok(Duration::from_secs(43_200)));
        for wrong in ["\"\"", "\"soon\"", "\"10\"", "10", "\"-1s\"", "null"] {
            assert!(time(wrong).unwrap_err().contains("expected a time like"), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for bytes in [0, 1, 1023, 1024, 65_536, 1 << 30, (1 << 30) + 1] {
            let shown = serde_json::to_string(&ByteSize::from_bytes(bytes)).unwrap();
            assert_eq!(size(&shown), Ok(bytes));
        }
        let shown = serde_json::to_string(&HumanDuration::new(Duration::from_millis(90_500))).unwrap();
        assert_eq!(time(&shown), Ok(Duration::from_millis(90_500)));
    }
}
