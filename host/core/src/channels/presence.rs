//! `presence:` of a channel: whether its members are told to one another, and how.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema as JsonSchemaText, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Schema;
use crate::config::{Diagnostic, HumanDuration, KEY, Node, with_hint};

const DEBOUNCE: Duration = Duration::from_secs(3);
const DEBOUNCE_MAX: Duration = Duration::from_secs(10 * 60);
const MEMBERS: usize = 500;
const MEMBERS_MAX: usize = 10_000;

/// How the members of a topic are told to one another.
#[derive(Debug)]
pub struct PresencePolicy {
    /// How long a user may be away before the user's leave is told.
    pub debounce: Duration,
    /// The most users that are told by name; of more there is only a count.
    pub members_max: usize,
    /// The schema of what a user may tell about itself; `None`: nothing.
    pub info: Option<Schema>,
}

/// `true`, or the rules.
#[derive(Debug)]
pub(super) enum RawPresence {
    /// `false`.
    Off,
    /// `true`, or the keys that differ from the defaults.
    On(RawRules),
}

/// How the members of a topic are told to one another.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Presence")]
pub(super) struct RawRules {
    /// How long a user may be away before the others hear that the user left, at most 10 min. Default: 3s.
    debounce: Option<HumanDuration>,
    /// The most users that are told by name; of more there is only a count. At most 10,000. Default: 500.
    #[schemars(range(min = 1, max = 10_000))]
    members: Option<usize>,
    /// JSON Schema 2020-12 of what a user may tell about itself, inline or `$ref: schemas/name.json`. Without it a user
    /// tells nothing.
    #[serde(default)]
    #[schemars(schema_with = "super::manifest::json_schema_schema")]
    #[expect(dead_code, reason = "the schema is read from the tree, which has the places")]
    info: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for RawPresence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawPresence;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, or a mapping with `debounce`, `members` or `info`")
            }

            fn visit_bool<E>(self, is_on: bool) -> Result<RawPresence, E> {
                Ok(if is_on { RawPresence::On(RawRules::default()) } else { RawPresence::Off })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawPresence, E> {
                let mistake = E::invalid_type(de::Unexpected::Str(text), &self);
                Err(with_hint(mistake, &format!("write `{KEY}true`, or leave it out to have none")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPresence, A::Error> {
                RawRules::deserialize(MapAccessDeserializer::new(map)).map(RawPresence::On)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for RawPresence {
    fn schema_name() -> Cow<'static, str> {
        "PresenceOrTrue".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> JsonSchemaText {
        let rules = generator.subschema_for::<RawRules>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, rules] })
    }
}

impl RawPresence {
    /// The rules, checked; `info` is the compiled schema of the key.
    pub(super) fn read(
        self,
        node: &Node,
        info: Option<Schema>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<PresencePolicy> {
        let Self::On(RawRules { debounce, members, .. }) = self else { return None };
        let place_of = |key: &str| node.get(key).map_or(&node.place, |value| &value.place).clone();
        let debounce = debounce.map_or(DEBOUNCE, HumanDuration::get);
        if debounce > DEBOUNCE_MAX {
            let [debounce, most] = [debounce, DEBOUNCE_MAX].map(HumanDuration::new);
            let message = format!("`debounce` is {debounce}: expected at most {most}");
            diagnostics.push(Diagnostic::at(place_of("debounce"), message));
        }
        let members_max = members.unwrap_or(MEMBERS);
        if !(1..=MEMBERS_MAX).contains(&members_max) {
            let message = format!("`members` is {members_max}: expected 1 to {MEMBERS_MAX}");
            diagnostics.push(Diagnostic::at(place_of("members"), message));
        }
        Some(PresencePolicy { debounce, members_max, info })
    }
}
