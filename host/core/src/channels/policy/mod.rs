//! What a generation declares, as data, and what another one changes of it: for whom that matters, in words. Pure: no
//! I/O. A reload logs it, and `tidegate diff` tells it before.

mod access;
mod channels;
mod configuration;
mod kinds;
mod payloads;
mod plugins;
mod proof;
mod rules;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{Catalog, Channel, Sources, Violation};
use payloads::Comparer;

pub use kinds::{ChangeGroup, ChangeKind};

/// What is declared: each part by its name.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// By template.
    channels: BTreeMap<String, Arc<Channel>>,
    /// By event type and target.
    rules: BTreeMap<(String, String), Value>,
    /// By name: what is compared of each.
    plugins: BTreeMap<String, Value>,
    /// What the configuration says of rights, by name.
    rights: BTreeMap<String, Value>,
}

/// A part of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The channel with this template.
    Channel(String),
    /// The bridge rule from this event type to this channel, or what it does in place of publishing.
    Rule(String, String),
    /// The plugin with this name.
    Plugin(String),
    /// A part of the configuration.
    Configuration(String),
}

/// A difference between two policies.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it means for people.
    pub kind: ChangeKind,
    /// What it is about.
    pub subject: Subject,
    /// Where in it, as keys with dots between them; empty for the whole.
    pub key: String,
    /// What it was; `None`: it was not there.
    pub from: Option<Value>,
    /// What it is; `None`: it is gone.
    pub to: Option<Value>,
    /// What changes, in words.
    pub what: String,
    /// What that means, as half a sentence; empty where `what` says it all.
    pub means: String,
    /// A payload that shows it.
    pub shown: Option<Shown>,
}

/// A payload that one of two schemas accepts and the other one refuses, as both validators judge it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Who is affected.
    pub affects: Affected,
    /// The payload.
    pub payload: Value,
    /// Which of the two schemas refuses it; the other one accepts it.
    pub refused_by: Side,
    /// What that schema says.
    pub violations: Vec<Violation>,
}

/// Who is affected by a change of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Affected {
    /// Backends, bridge rules and plugins that publish.
    Publishers,
    /// Clients that send.
    Senders,
    /// Both, where one schema judges what both send.
    PublishersAndSenders,
    /// Clients that receive.
    Receivers,
    /// The plugin that handles what clients send.
    Handlers,
}

/// One of two policies that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The one before.
    Old,
    /// The one after.
    New,
}

impl Policy {
    /// The policy of a catalog, compiled from these sources, and of plugins, each with what is to be compared of it.
    #[must_use]
    pub fn of(catalog: &Catalog, sources: &Sources, plugins: impl IntoIterator<Item = (String, Value)>) -> Self {
        let channels = catalog.channels().map(|channel| (channel.template.to_string(), channel.clone())).collect();
        let (rules, plugins) = (rules::written(sources), plugins.into_iter().collect());
        Self { channels, rules, plugins, rights: BTreeMap::new() }
    }

    /// The same, and what a configuration as written says of who is let in and who may do what.
    #[must_use]
    pub fn with_configuration(self, configuration: &Value) -> Self {
        Self { rights: configuration::rights(configuration), ..self }
    }
}

/// What changes from one policy to another, the most serious kind first.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let mut changes = Changes::default();
    channels::compare(old, new, &mut changes);
    rules::compare(old, new, &mut changes);
    plugins::compare(old, new, &mut changes);
    configuration::compare(old, new, &mut changes);
    let mut found = changes.found;
    found.sort_by(|one, other| (one.kind, &one.subject, &one.key).cmp(&(other.kind, &other.subject, &other.key)));
    found
}

/// The changes found so far.
#[derive(Default)]
struct Changes {
    found: Vec<Change>,
    comparer: Comparer,
}

impl Changes {
    /// Notes that a part is new, gone, or has another value.
    fn note(&mut self, kind: ChangeKind, subject: &Subject, leaf: Leaf, means: impl Into<String>) {
        let what = words::changed(subject, &leaf);
        let Leaf { key, from, to } = leaf;
        let subject = subject.clone();
        self.found.push(Change { kind, subject, key, from, to, what, means: means.into(), shown: None });
    }
}

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq)]
struct Leaf {
    key: String,
    from: Option<Value>,
    to: Option<Value>,
}

impl Leaf {
    fn new(key: &str, from: Option<Value>, to: Option<Value>) -> Self {
        Self { key: key.to_owned(), from, to }
    }
}

/// Every key below `key` whose value differs.
fn leaves(key: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<Leaf> {
    match (old, new) {
        (old, new) if old == new => Vec::new(),
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            let more = is.keys().filter(|name| !was.contains_key(*name));
            let mut names: Vec<&String> = was.keys().chain(more).collect();
            names.sort_unstable();
            let below = |name: &String| if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            names.into_iter().flat_map(|name| leaves(&below(name), was.get(name), is.get(name))).collect()
        }
        (old, new) => vec![Leaf::new(key, old.cloned(), new.cloned())],
    }
}

/// Every name of both maps, once.
fn names<'m, K: Ord + Clone, V>(old: &'m BTreeMap<K, V>, new: &'m BTreeMap<K, V>) -> Vec<K> {
    let more = new.keys().filter(|name| !old.contains_key(*name));
    old.keys().chain(more).cloned().collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
