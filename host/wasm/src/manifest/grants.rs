//! What a plugin may do: its effects, and the resources it may use outside its sandbox.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::mistakes::Mistakes;
use tidegate_core::channels::Template;
use tidegate_core::config::{Diagnostic, Node, Origin};
use tidegate_core::protocol::OWN_PREFIX;

/// Longest name of a bucket, a query or a secret, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The prefix of the server's own secrets. No plugin receives one of them.
const OWN_SECRETS: &str = "TIDEGATE_";

/// The `grants:` section of `plugin.yaml`. A plugin may do nothing that this section does not list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrantsSection {
    /// Channels that the plugin may publish to: `realtime-ping`, `vault.{vaultId}`.
    emit: Vec<String>,
    /// Types of bus events that the plugin may publish: `ping.seen`, or a prefix, `ping.*`.
    publish: Vec<String>,
    /// Buckets of the key-value store that the plugin may read and write. Plugins with the same bucket share it.
    kv: Vec<String>,
    /// SQL queries that the plugin may run on the store's database, by name: `select role from members where user_id =
    /// $1`.
    queries: BTreeMap<String, String>,
    /// Origins that the plugin may send HTTP requests to: `https://api.example.com`.
    http: Vec<Origin>,
    /// Environment variables of the server that the plugin may read; none that begins with `TIDEGATE_`.
    secrets: Vec<String>,
}

/// The grants of one plugin. Everything else is forbidden.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants {
    emit: Vec<Template>,
    publish: Vec<EventTypes>,
    /// Buckets.
    pub(crate) kv: BTreeSet<String>,
    /// SQL, by the query's name.
    pub(crate) queries: BTreeMap<String, String>,
    /// Origins.
    pub(crate) http: BTreeSet<Origin>,
    /// Names of secrets.
    pub(crate) secrets: BTreeSet<String>,
}

/// The types of bus events that a grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum EventTypes {
    /// `ping.seen`.
    One(String),
    /// `ping.*`, stored as `ping.`.
    Below(String),
}

impl Grants {
    /// Reads the `grants:` section.
    pub(crate) fn read(section: GrantsSection, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut mistakes = Mistakes { section: "grants", file: node, diagnostics };
        let mut grants = Self::default();
        for (index, channel) in section.emit.iter().enumerate() {
            match Template::parse(channel) {
                Ok(template) => grants.emit.push(template),
                Err(error) => mistakes.add_entry("emit", index, &format!("`{channel}` {error}"), None),
            }
        }
        for (index, types) in section.publish.iter().enumerate() {
            match EventTypes::parse(types) {
                Some(_) if types.starts_with(OWN_PREFIX) => {
                    let message = format!("`{types}`: the types that begin with `{OWN_PREFIX}` are the server's own");
                    mistakes.add_entry("publish", index, &message, Some("name it otherwise"));
                }
                Some(types) => grants.publish.push(types),
                None => {
                    let hint = "write a type, `ping.seen`, or a prefix, `ping.*`";
                    mistakes.add_entry("publish", index, &format!("`{types}` is not a valid event type"), Some(hint));
                }
            }
        }
        for (index, bucket) in section.kv.iter().enumerate() {
            if !is_name(bucket) {
                mistakes.add_entry("kv", index, &format!("`{bucket}` is not a valid bucket name"), Some(NAME_HINT));
            }
        }
        for name in section.queries.keys().filter(|name| !is_name(name)) {
            mistakes.add_entry("queries", name, &format!("`{name}` is not a valid query name"), Some(NAME_HINT));
        }
        for (index, name) in section.secrets.iter().enumerate() {
            check_secret(name, index, &mut mistakes);
        }
        Self {
            kv: section.kv.into_iter().collect(),
            queries: section.queries,
            http: section.http.into_iter().collect(),
            secrets: section.secrets.into_iter().collect(),
            ..grants
        }
    }

    /// Whether the plugin may publish on this topic.
    pub(crate) fn may_emit(&self, topic: &str) -> bool {
        self.emit.iter().any(|channel| channel.matches(topic).is_some())
    }

    /// Whether the plugin may put an event of this type on the bus.
    pub(crate) fn may_publish(&self, kind: &str) -> bool {
        self.publish.iter().any(|types| types.cover(kind))
    }
}

const NAME_HINT: &str = "use letters, digits, `-`, `_` and `.`, at most 128";

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(plain)
}

fn check_secret(name: &str, index: usize, mistakes: &mut Mistakes<'_>) {
    if !is_name(name) || name.contains(['-', '.']) || name.starts_with(|c: char| c.is_ascii_digit()) {
        let hint = "use the name of an environment variable, like `API_TOKEN`";
        mistakes.add_entry("secrets", index, &format!("`{name}` is not a valid secret name"), Some(hint));
    } else if name.to_ascii_uppercase().starts_with(OWN_SECRETS) {
        let hint = "give the plugin its own secret with another name";
        mistakes.add_entry("secrets", index, &format!("`{name}` is a secret of the server"), Some(hint));
    }
}

impl EventTypes {
    fn parse(text: &str) -> Option<Self> {
        let (name, types) = match text.strip_suffix(".*") {
            Some(prefix) => (prefix, Self::Below(format!("{prefix}."))),
            None => (text, Self::One(text.to_owned())),
        };
        let is_plain = !name.is_empty() && !name.contains(|c: char| c == '*' || c.is_whitespace() || c.is_control());
        is_plain.then_some(types)
    }

    fn cover(&self, kind: &str) -> bool {
        match self {
            Self::One(own) => own == kind,
            Self::Below(prefix) => kind.len() > prefix.len() && kind.starts_with(prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_what_is_below_it_and_nothing_else() {
        let types = EventTypes::parse("ping.*").unwrap();
        assert!(types.cover("ping.seen"));
        assert!(!types.cover("ping"));
        assert!(!types.cover("ping."));
        assert!(!types.cover("pingpong.seen"));
        assert!(EventTypes::parse("ping.seen").unwrap().cover("ping.seen"));
        for wrong in ["", "*", ".*", "a*", "a b", "*.b"] {
            assert_eq!(EventTypes::parse(wrong), None, "{wrong}");
        }
    }
}
