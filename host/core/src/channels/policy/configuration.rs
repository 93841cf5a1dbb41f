//! What the configuration says of rights, compared: who is let in and as whom, and what API keys may do. Secrets are
//! compared, and never told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::words::listed;
use super::{ChangeKind, Changes, Leaf, Policy, Subject, names};
use crate::config::Permission;

/// Keys of providers whose values are no secrets. All others are told as changed, without their values.
const TOLD: [&str; 21] = [
    "absolute",
    "algorithm",
    "audience",
    "bearer",
    "cache",
    "cookie",
    "cookies",
    "expires",
    "idle",
    "issuer",
    "leeway",
    "lifetime",
    "name",
    "query",
    "required",
    "roles",
    "tenant",
    "timeout",
    "token",
    "user",
    "write_back",
];
/// The value of a part that stands without being told.
const NOT_TOLD: &str = "(not shown)";

/// The parts that are compared, by name.
pub(super) fn rights(configuration: &Value) -> BTreeMap<String, Value> {
    let mut rights = BTreeMap::new();
    for (key, default) in [
        ("anonymous", json!("allow")),
        ("origins", json!([])),
        ("cookie", json!("tidegate_token")),
        ("trusted_proxies", json!([])),
    ] {
        let value = configuration.pointer(&format!("/auth/{key}")).cloned();
        rights.insert(format!("auth.{key}"), value.unwrap_or(default));
    }
    rights.insert("private_origins".to_owned(), configuration.get("private_origins").cloned().unwrap_or(json!([])));
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for (place, provider) in items(configuration.pointer("/auth/providers")).enumerate() {
        for (kind, fields) in provider.as_object().into_iter().flatten() {
            let own = fields.get("name").or_else(|| fields.get("issuer")).and_then(Value::as_str);
            let name = own.map_or_else(|| kind.clone(), |own| format!("{kind} {own}"));
            let count = counted.entry(name.clone()).or_default();
            *count += 1;
            let name = if *count > 1 { format!("{name} {count}") } else { name };
            let mut fields = fields.as_object().cloned().unwrap_or_default();
            // The first one that recognises a credential decides.
            fields.insert("order".to_owned(), (place + 1).into());
            rights.insert(format!("provider {name}"), fields.into());
        }
    }
    for key in items(configuration.get("api_keys")) {
        let name = key.get("name").and_then(Value::as_str).unwrap_or_default();
        let all = || Permission::ALL.iter().map(|permission| permission.as_str().into()).collect();
        let may = key.get("may").cloned().unwrap_or_else(|| Value::Array(all()));
        let secret = key.get("key").cloned().unwrap_or_default();
        rights.insert(format!("API key {name}"), json!({ "may": may, "key": secret }));
    }
    rights
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// Compares what two configurations say of rights.
pub(super) fn compare(old: &Policy, new: &Policy, changes: &mut Changes) {
    for name in names(&old.rights, &new.rights) {
        let (was, is) = (old.rights.get(&name), new.rights.get(&name));
        let subject = Subject::Configuration(format!("`{name}`"));
        if was == is {
            continue;
        }
        if name.starts_with("API key ") {
            key(&subject, was, is, changes);
        } else if name.starts_with("provider ") {
            provider(&subject, was, is, changes);
        } else if name == "private_origins" {
            let [from, to] = [was, is].map(|value| items(value).filter_map(Value::as_str).collect::<BTreeSet<_>>());
            let more: Vec<&&str> = to.difference(&from).collect();
            let (kind, means) = match more.is_empty() {
                true => (ChangeKind::GrantsLess, String::new()),
                false => (ChangeKind::Grants, format!("plugins that are granted it may reach {}", listed(more))),
            };
            changes.note(kind, &subject, Leaf::new("origins", was.cloned(), is.cloned()), means);
        } else {
            let means = match (name.as_str(), is.and_then(Value::as_str)) {
                ("auth.anonymous", Some("allow")) => "who has no credential may connect",
                ("auth.anonymous", _) => "who has no credential may not connect any more",
                ("auth.origins", _) => "pages of these origins may connect",
                ("auth.trusted_proxies", _) => "the server believes what these say of a client's address",
                _ => "",
            };
            changes.note(ChangeKind::Auth, &subject, Leaf::new("value", was.cloned(), is.cloned()), means);
        }
    }
}

fn key(subject: &Subject, was: Option<&Value>, is: Option<&Value>, changes: &mut Changes) {
    let may = |key: Option<&Value>| {
        items(key.and_then(|key| key.get("may"))).filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let told = |key: Option<&Value>| key.map(|key| key["may"].clone());
    let (before, now) = (may(was), may(is));
    let more: Vec<&String> = now.difference(&before).collect();
    if before != now || was.is_none() || is.is_none() {
        let kind = if more.is_empty() && is.is_none_or(|_| before != now) {
            ChangeKind::GrantsLess
        } else {
            ChangeKind::Grants
        };
        let means = match (more.is_empty(), is) {
            (false, _) => format!("it may {}", listed(more)),
            (true, None) => "it may do nothing any more".to_owned(),
            (true, Some(_)) => format!("it may not {} any more", listed(before.difference(&now))),
        };
        changes.note(kind, subject, Leaf::new("may", told(was), told(is)), means);
    }
    if let (Some(was), Some(is)) = (was, is)
        && was["key"] != is["key"]
    {
        hidden(subject, "key", changes);
    }
}

/// A value that differs and is not told.
fn hidden(subject: &Subject, key: &str, changes: &mut Changes) {
    let value = || Some(Value::from(NOT_TOLD));
    changes.note(ChangeKind::Auth, subject, Leaf::new(key, value(), value()), "it is another one");
}

fn provider(subject: &Subject, was: Option<&Value>, is: Option<&Value>, changes: &mut Changes) {
    let told = |fields: &Value| -> Value {
        let fields = fields.as_object().into_iter().flatten();
        fields
            .filter(|(key, _)| TOLD.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into()
    };
    match (was, is) {
        (None, Some(is)) => {
            let means = "credentials that it recognises are let in";
            changes.note(ChangeKind::Auth, subject, Leaf::new("", None, Some(told(is))), means);
        }
        (Some(was), None) => {
            let means = "credentials that it recognised are not let in any more, unless another one does";
            changes.note(ChangeKind::Auth, subject, Leaf::new("", Some(told(was)), None), means);
        }
        (Some(was), Some(is)) => {
            let keys: BTreeSet<&String> =
                [was, is].iter().flat_map(|fields| fields.as_object()).flat_map(Map::keys).collect();
            for key in keys.into_iter().filter(|key| was.get(*key) != is.get(*key)) {
                if TOLD.contains(&key.as_str()) || key == "order" {
                    let leaf = Leaf::new(key, was.get(key).cloned(), is.get(key).cloned());
                    changes.note(ChangeKind::Auth, subject, leaf, "");
                } else {
                    hidden(subject, key, changes);
                }
            }
        }
        (None, None) => {}
    }
}
