//! What a generation declares, as data, and what another one changes of it, in words. Pure: no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::{Catalog, Sources};
use crate::config::{Node, parse_yaml};

/// Longest value in words, in characters.
const WORDS_CHARS_MAX: usize = 80;

/// What is declared: each part by its name, as data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy(BTreeMap<Subject, Value>);

/// A part of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The channel with this template.
    Channel(String),
    /// The bridge rule from this event type to this channel, or what it does in place of publishing.
    Rule(String, String),
    /// The plugin with this name.
    Plugin(String),
}

/// A difference between two policies.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it is about.
    pub subject: Subject,
    /// Where in it, as keys with dots between them; empty for the whole.
    pub key: String,
    /// What it was; `None`: it was not there.
    pub from: Option<Value>,
    /// What it is; `None`: it is gone.
    pub to: Option<Value>,
}

impl Policy {
    /// The policy of a catalog, compiled from these sources, and of plugins, each with what is to be compared of it.
    #[must_use]
    pub fn of(catalog: &Catalog, sources: &Sources, plugins: impl IntoIterator<Item = (String, Value)>) -> Self {
        let channels = catalog.channels().map(|channel| {
            let mut described = serde_json::to_value(channel.described()).unwrap_or_default();
            if let Value::Object(fields) = &mut described {
                // Names and places change nothing for anybody.
                fields.retain(|key, _| !["channel", "manifest", "line"].contains(&key.as_str()));
            }
            (Subject::Channel(channel.template.to_string()), described)
        });
        let plugins = plugins.into_iter().map(|(name, value)| (Subject::Plugin(name), value));
        Self(channels.chain(rules(sources)).chain(plugins).collect())
    }
}

/// The rules as they are written.
fn rules(sources: &Sources) -> Vec<(Subject, Value)> {
    let tree = sources.bridge.as_ref().and_then(|source| parse_yaml(source, &mut Vec::new()));
    let rules = tree.as_ref().and_then(|tree| tree.get("rules")).map(Node::items).unwrap_or_default();
    let named = rules.iter().map(|rule| {
        let text = |key: &str| rule.get(key).and_then(Node::as_str).map(str::to_owned);
        let to = match (text("to"), text("revoke")) {
            (Some(to), _) if rule.entry("remove").is_some() => format!("{to} (remove)"),
            (Some(to), _) => to,
            (None, Some(revoke)) => format!("{revoke} (revoke)"),
            (None, None) => "end_sessions".to_owned(),
        };
        let mut value = rule.to_json();
        if let Value::Object(fields) = &mut value {
            fields.retain(|key, _| !["on", "to", "revoke"].contains(&key.as_str()));
        }
        (Subject::Rule(text("on").unwrap_or_default(), to), value)
    });
    named.collect()
}

/// What changes from one policy to another: channels, rules and plugins in this order, each by its name.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let subjects: BTreeSet<&Subject> = old.0.keys().chain(new.0.keys()).collect();
    let mut changes = Vec::new();
    for subject in subjects {
        compare(subject, "", old.0.get(subject), new.0.get(subject), &mut changes);
    }
    changes
}

fn compare(subject: &Subject, key: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (old, new) if old == new => {}
        // Who may join is one thing, however it is written.
        (Some(Value::Object(was)), Some(Value::Object(is))) if key != "scope" => {
            let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for below in keys {
                let key = if key.is_empty() { below.clone() } else { format!("{key}.{below}") };
                compare(subject, &key, was.get(below), is.get(below), changes);
            }
        }
        (old, new) => {
            changes.push(Change { subject: subject.clone(), key: key.to_owned(), from: old.cloned(), to: new.cloned() })
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(channel) => write!(f, "`{channel}`"),
            Self::Rule(on, to) => write!(f, "rule `{on}` → `{to}`"),
            Self::Plugin(name) => write!(f, "plugin `{name}`"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, key, from, to } = self;
        match (from, to) {
            (None, Some(is)) if key.is_empty() => {
                write!(f, "{subject}: new")?;
                match (subject, is.get("scope"), is.get("version")) {
                    (Subject::Channel(_), Some(scope), _) => write!(f, ", scope {}", Words(scope)),
                    (Subject::Plugin(_), _, Some(version)) => write!(f, ", version {}", Words(version)),
                    _ => Ok(()),
                }
            }
            (Some(_), None) if key.is_empty() => write!(f, "{subject}: gone"),
            (from, to) => {
                let words =
                    |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), |it| Words(it).to_string());
                write!(f, "{subject}: {key} {} → {}", words(from), words(to))
            }
        }
    }
}

/// A value in words.
struct Words<'a>(&'a Value);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            Value::String(text) => text.clone(),
            Value::Object(fields) => named(fields),
            Value::Array(items) => items.iter().map(|item| Words(item).to_string()).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        match text.char_indices().nth(WORDS_CHARS_MAX) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(if text.is_empty() { "nothing" } else { &text }),
        }
    }
}

fn named(fields: &Map<String, Value>) -> String {
    fields.iter().map(|(key, value)| format!("{key} {}", Words(value))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::channels::{PluginKinds, compile};
    use crate::config::SourceFile;
    use crate::protocol::{Generation, PluginName};

    const MANIFEST: &str = "\
feature: vault
channels:
  vault.{vaultId}:
    scope: authenticated
    payload: { type: object, properties: { at: { type: integer } }, required: [at] }
    inbound: { relay: others, rate: 5/s }
    history: { messages: 100 }
  news: { scope: public, payload: true }
";
    const BRIDGE: &str = "rules:\n  - { on: a.b, to: news, payload: event.data }\n";

    fn policy(manifest: &str, bridge: &str, plugins: &[(&str, Value)]) -> Policy {
        let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() });
        let sources = Sources {
            manifests: vec![file("vault.yaml", manifest)],
            bridge: Some(file("bridge.yaml", bridge)),
            plugins: [(PluginName::new("members"), PluginKinds::ALL)].into(),
            ..Sources::default()
        };
        let catalog = compile(&sources, Generation(1)).unwrap();
        Policy::of(&catalog, &sources, plugins.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
    }

    fn told(old: &Policy, new: &Policy) -> Vec<String> {
        diff(old, new).iter().map(ToString::to_string).collect()
    }

    /// The changes when each text of the manifest is replaced by the other.
    fn edited(edits: &[(&str, &str)]) -> Vec<String> {
        let replace = |text: String, (from, to): &(&str, &str)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        };
        let manifest = edits.iter().fold(MANIFEST.to_owned(), replace);
        told(&policy(MANIFEST, BRIDGE, &[]), &policy(&manifest, BRIDGE, &[]))
    }

    #[test]
    fn a_change_of_a_channel_is_told_with_what_it_was_and_what_it_is() {
        assert_eq!(edited(&[]), [""; 0]);
        assert_eq!(
            edited(&[("scope: authenticated", "scope: public")]),
            ["`vault.{vaultId}`: scope authenticated → public"]
        );
        assert_eq!(
            edited(&[("scope: authenticated", "scope: { role: keeper }\n    authorizer: members")]),
            ["`vault.{vaultId}`: authorizer none → members", "`vault.{vaultId}`: scope authenticated → roles keeper"]
        );
        assert_eq!(
            edited(&[("relay: others, rate: 5/s", "relay: all"), ("messages: 100", "messages: 200, ttl: 1h")]),
            [
                "`vault.{vaultId}`: history.messages 100 → 200",
                "`vault.{vaultId}`: history.ttl 10m → 1h",
                "`vault.{vaultId}`: rate 5/s → none",
                "`vault.{vaultId}`: relay others → all",
            ]
        );
        assert_eq!(
            edited(&[("type: integer } }, required: [at]", "type: number } }")]),
            [
                "`vault.{vaultId}`: schema.properties.at.type integer → number",
                "`vault.{vaultId}`: schema.required at → none",
            ]
        );
    }

    #[test]
    fn what_is_only_written_in_another_way_is_no_change() {
        let roles = ("scope: authenticated", "scope: { role: a }");
        let other =
            [roles, ("feature: vault", "# a comment\nfeature: vault"), ("messages: 100", "messages: 100, ttl: 600s")];
        assert_eq!(edited(&other), edited(&[roles]));
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_told() {
        let with_more = MANIFEST.replace("  news:", "  press: { scope: { user: id }, payload: true }\n  news:");
        let with_more = with_more.replace("press:", "press.{id}:");
        let (old, new) = (policy(MANIFEST, BRIDGE, &[]), policy(&with_more, BRIDGE, &[]));
        assert_eq!(told(&old, &new), ["`press.{id}`: new, scope user id"]);
        assert_eq!(told(&new, &old), ["`press.{id}`: gone"]);
    }

    #[test]
    fn rules_and_plugins_are_compared_by_their_names() {
        let grants = |http: &[&str]| json!({ "version": "abc", "grants": { "http": http } });
        let old = policy(MANIFEST, BRIDGE, &[("ping", grants(&["https://a.example"])), ("old", json!({}))]);
        let bridge = "rules:\n  - { on: a.b, to: news, when: event.data.x == 1 }\n  - { on: c.*, to: news }\n";
        let new =
            policy(MANIFEST, bridge, &[("ping", json!({ "version": "def", "grants": {} })), ("pong", grants(&[]))]);
        assert_eq!(
            told(&old, &new),
            [
                "rule `a.b` → `news`: payload event.data → none",
                "rule `a.b` → `news`: when none → event.data.x == 1",
                "rule `c.*` → `news`: new",
                "plugin `old`: gone",
                "plugin `ping`: grants.http https://a.example → none",
                "plugin `ping`: version abc → def",
                "plugin `pong`: new, version abc",
            ]
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = format!("scope: {{ roles: [{}] }}", "abcdefgh, ".repeat(100));
        let told = edited(&[("scope: authenticated", &long)]);
        assert!(told[0].ends_with('…') && told[0].chars().count() < 150, "{}", told[0]);
    }
}
