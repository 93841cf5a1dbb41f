//! Plugins, compared: their versions, and what they may do.

use std::collections::BTreeMap;

use serde_json::Value;

use super::words::listed;
use super::{ChangeKind, Changes, Leaf, Policy, Subject, leaves, names};

/// What each grant allows, in words before the names.
const GRANTS: [(&str, &str); 6] = [
    ("emit", "publish on"),
    ("publish", "put events on the bus:"),
    ("kv", "read and write the buckets"),
    ("queries", "run the queries"),
    ("http", "send requests to"),
    ("secrets", "read the secrets"),
];

/// Compares the plugins of two policies.
pub(super) fn compare(old: &Policy, new: &Policy, changes: &mut Changes) {
    for name in names(&old.plugins, &new.plugins) {
        let subject = Subject::Plugin(name.clone());
        match (old.plugins.get(&name), new.plugins.get(&name)) {
            (Some(was), Some(is)) => changed(&subject, was, is, changes),
            (None, Some(is)) => {
                let may: Vec<String> =
                    GRANTS.iter().filter_map(|grant| gained(grant, None, is.pointer(&at(grant.0)))).collect();
                let kind = if may.is_empty() { ChangeKind::New } else { ChangeKind::Grants };
                changes.note(kind, &subject, Leaf::new("", None, Some(is.clone())), may.join("; "));
            }
            (Some(was), None) => changes.note(ChangeKind::Plugin, &subject, Leaf::new("", Some(was.clone()), None), ""),
            (None, None) => {}
        }
    }
}

fn at(grant: &str) -> String {
    format!("/grants/{grant}")
}

fn changed(subject: &Subject, was: &Value, is: &Value, changes: &mut Changes) {
    for grant in &GRANTS {
        let [from, to] = [was, is].map(|plugin| plugin.pointer(&at(grant.0)));
        if allowed(from) == allowed(to) {
            continue;
        }
        let more = gained(grant, from, to);
        let kind = if more.is_some() { ChangeKind::Grants } else { ChangeKind::GrantsLess };
        let means = more.or_else(|| Some(gained(grant, to, from)?.replacen("it may", "it may not any more", 1)));
        changes.note(
            kind,
            subject,
            Leaf::new(&format!("grants.{}", grant.0), from.cloned(), to.cloned()),
            means.unwrap_or_default(),
        );
    }
    for leaf in leaves("", Some(was), Some(is)) {
        let is_known = GRANTS.iter().any(|(name, _)| {
            let below = leaf.key.strip_prefix("grants.").and_then(|key| key.strip_prefix(name));
            leaf.key == "grants" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        // A component that is not built on one side says nothing.
        let is_unbuilt = leaf.key == "version" && (leaf.from.is_none() || leaf.to.is_none());
        if !is_known && !is_unbuilt {
            let means = if leaf.key == "version" { "its code or its plugin.yaml is another one" } else { "" };
            changes.note(ChangeKind::Plugin, subject, leaf, means);
        }
    }
}

/// What a grant allows: names, for queries with their text.
fn allowed(grant: Option<&Value>) -> BTreeMap<String, Option<&Value>> {
    match grant {
        Some(Value::Array(names)) => names.iter().map(|name| (text(name), None)).collect(),
        Some(Value::Object(by_name)) => by_name.iter().map(|(name, value)| (name.clone(), Some(value))).collect(),
        Some(one) => [(text(one), None)].into(),
        None => BTreeMap::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a grant allows that it did not; `None`: nothing.
fn gained((_, words): &(&str, &str), from: Option<&Value>, to: Option<&Value>) -> Option<String> {
    let before = allowed(from);
    let is_covered = |(name, value): &(String, Option<&Value>)| {
        before.iter().any(|(known, old)| {
            let below = known.strip_suffix('*').filter(|prefix| prefix.ends_with('.'));
            known == name && old == value || value.is_none() && below.is_some_and(|prefix| name.starts_with(prefix))
        })
    };
    let more: Vec<String> = allowed(to).into_iter().filter(|one| !is_covered(one)).map(|(name, _)| name).collect();
    (!more.is_empty()).then(|| format!("it may {words} {}", listed(&more)))
}
