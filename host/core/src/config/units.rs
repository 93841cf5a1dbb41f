//! Sizes and times as operators write them. The only home of `bytesize` and `humantime`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::way_out::{KEY, NO, with_hint};

/// Larger sizes are never meant.
const SIZE_MAX: u64 = 1 << 50;
/// The hint for somebody who wants no time at all.
const NO_TIME: &str = "write `{}0s`, if it can be switched off";

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
        let units = [("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
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
                bounded(bytes).ok_or_else(|| too_large(&bytes.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                let size = text.parse::<bytesize::ByteSize>();
                let size = size.map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                bounded(size.as_u64()).ok_or_else(|| too_large(text))
            }
        }
        fn bounded(bytes: u64) -> Option<ByteSize> {
            (bytes <= SIZE_MAX).then_some(ByteSize(bytes))
        }
        fn too_large<E: de::Error>(text: &str) -> E {
            E::custom(format!("expected a size of at most {}, found `{text}`", ByteSize(SIZE_MAX)))
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
    /// The largest unit that divides it, as people write it: `90s`, `32d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)];
        let units = units.into_iter().chain([("ms", 1_000_000), ("us", 1_000), ("ns", 1)]);
        let nanos = self.0.as_nanos();
        match units.into_iter().find(|(_, factor)| nanos != 0 && nanos.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", nanos / factor),
            None => f.write_str("0s"),
        }
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

            fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<HumanDuration, E> {
                let mistake = E::invalid_type(de::Unexpected::Bool(is_on), &self);
                Err(if is_on { mistake } else { with_hint(mistake, &NO_TIME.replace("{}", KEY)) })
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<HumanDuration, E> {
                let mistake = E::invalid_type(de::Unexpected::Unsigned(number), &self);
                Err(with_hint(mistake, &unit_for(number)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                let span = humantime::parse_duration(text);
                let mistake = || E::invalid_value(de::Unexpected::Str(text), &self);
                span.map(HumanDuration).map_err(|_| match text.parse::<u64>() {
                    Ok(number) => with_hint(mistake(), &unit_for(number)),
                    Err(_) if NO.contains(&text) => with_hint(mistake(), &NO_TIME.replace("{}", KEY)),
                    Err(_) => mistake(),
                })
            }
        }
        fn unit_for(number: u64) -> String {
            let in_ms = if number < 1000 { String::new() } else { format!("`{KEY}{number}ms` or ") };
            format!("a time has a unit: {in_ms}`{KEY}{number}s`")
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
        for wrong in ["\"99999999TiB\"", "2000000000000000000"] {
            assert!(size(wrong).unwrap_err().contains("expected a size of at most 1PiB, found"), "{wrong}");
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
        for (ms, shown) in [
            (0, "0s"),
            (90_500, "90500ms"),
            (90_000, "90s"),
            (3_600_000, "1h"),
            (90_000_000, "25h"),
            (2_764_800_000, "32d"),
        ] {
            assert_eq!(HumanDuration::new(Duration::from_millis(ms)).to_string(), shown);
            assert_eq!(time(&format!("\"{shown}\"")), Ok(Duration::from_millis(ms)));
        }
        assert_eq!(time("\"1us\"").map(|time| HumanDuration::new(time).to_string()), Ok("1us".to_owned()));
    }
}
