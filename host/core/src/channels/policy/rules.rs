//! Bridge rules, compared: which events cross to whom.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Sources;
use super::access::is_open;
use super::words::Words;
use super::{ChangeKind, Changes, Leaf, Policy, Subject, leaves, names};
use crate::config::{Node, parse_yaml};

/// What a rule does that publishes nothing, behind its target.
const REMOVES: &str = " (remove)";
const REVOKES: &str = " (revoke)";
const ENDS_SESSIONS: &str = "end_sessions";

/// The rules as they are written, by event type and target.
pub(super) fn written(sources: &Sources) -> BTreeMap<(String, String), Value> {
    let tree = sources.bridge.as_ref().and_then(|source| parse_yaml(source, &mut Vec::new()));
    let rules = tree.as_ref().and_then(|tree| tree.get("rules")).map(Node::items).unwrap_or_default();
    let named = rules.iter().map(|rule| {
        let text = |key: &str| rule.get(key).and_then(Node::as_str).map(str::to_owned);
        let to = match (text("to"), text("revoke")) {
            (Some(to), _) if rule.entry("remove").is_some() => format!("{to}{REMOVES}"),
            (Some(to), _) => to,
            (None, Some(revoke)) => format!("{revoke}{REVOKES}"),
            (None, None) => {
                let by_token = rule.get(ENDS_SESSIONS).is_some_and(|ends| ends.entry("token").is_some());
                format!("{ENDS_SESSIONS}.{}", if by_token { "token" } else { "user" })
            }
        };
        let mut value = rule.to_json();
        if let Value::Object(fields) = &mut value {
            fields.retain(|key, _| !["on", "to", "revoke"].contains(&key.as_str()));
        }
        ((text("on").unwrap_or_default(), to), value)
    });
    named.collect()
}

/// The types of the events that cross to a channel.
pub(super) fn crossing(policy: &Policy, template: &str) -> Vec<String> {
    policy.rules.keys().filter(|(_, to)| to == template).map(|(on, _)| on.clone()).collect()
}

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Publishes,
    Removes,
    /// It takes subscriptions or sessions away.
    TakesBack,
}

fn does(to: &str) -> Does {
    match to {
        to if to.ends_with(REMOVES) => Does::Removes,
        to if to.ends_with(REVOKES) || to.starts_with(ENDS_SESSIONS) && !to.contains('{') => Does::TakesBack,
        _ => Does::Publishes,
    }
}

/// Compares the rules of two policies.
pub(super) fn compare(old: &Policy, new: &Policy, changes: &mut Changes) {
    let moved = moved(old, new);
    for rule in names(&old.rules, &new.rules) {
        let (on, to) = &rule;
        let subject = Subject::Rule(on.clone(), to.clone());
        let leaf = |from: Option<&Value>, is: Option<&Value>| Leaf::new("", from.cloned(), is.cloned());
        match (old.rules.get(&rule), new.rules.get(&rule)) {
            (Some(was), Some(is)) => changed(&subject, to, [was, is], new, changes),
            (None, Some(is)) => match moved.iter().find(|(_, now)| *now == rule) {
                Some(((_, before), _)) => {
                    let means = reaches(new, on, to);
                    let leaf = Leaf::new("to", Some(before.as_str().into()), Some(to.as_str().into()));
                    changes.note(crosses(new, to), &subject, leaf, means);
                }
                None => {
                    let (kind, means) = match does(to) {
                        Does::Publishes => (crosses(new, to), reaches(new, on, to)),
                        Does::Removes => (ChangeKind::Other, format!("`{on}` takes retained values away")),
                        Does::TakesBack => (ChangeKind::Narrower, format!("`{on}` takes access back")),
                    };
                    changes.note(kind, &subject, leaf(None, Some(is)), means);
                }
            },
            (Some(_), None) if moved.iter().any(|(before, _)| *before == rule) => {}
            (Some(was), None) => {
                let (kind, means) = match does(to) {
                    Does::Publishes => (ChangeKind::Stops, format!("`{on}` reaches `{to}` no more")),
                    Does::Removes => (ChangeKind::Other, format!("`{on}` takes no retained values away any more")),
                    Does::TakesBack => (ChangeKind::Wider, format!("`{on}` takes no access back any more")),
                };
                changes.note(kind, &subject, leaf(Some(was), None), means);
            }
            (None, None) => {}
        }
    }
}

/// Rules with one event type whose only target is another one now.
fn moved(old: &Policy, new: &Policy) -> Vec<((String, String), (String, String))> {
    type Rules = BTreeMap<(String, String), Value>;
    let only = |of: &Rules, not_in: &Rules, on: &str| {
        let mut found =
            of.keys().filter(|rule| rule.0 == on && does(&rule.1) == Does::Publishes && !not_in.contains_key(*rule));
        found.next().filter(|_| found.next().is_none()).cloned()
    };
    let gone = old.rules.keys().filter(|rule| !new.rules.contains_key(*rule));
    gone.filter_map(|(on, _)| only(&old.rules, &new.rules, on).zip(only(&new.rules, &old.rules, on))).collect()
}

/// The kind of a change by which events reach a channel.
fn crosses(policy: &Policy, to: &str) -> ChangeKind {
    let open = policy.channels.get(to).is_some_and(|channel| is_open(channel));
    if open { ChangeKind::CrossesPublic } else { ChangeKind::Crosses }
}

fn reaches(policy: &Policy, on: &str, to: &str) -> String {
    match policy.channels.get(to) {
        Some(channel) if is_open(channel) => format!("`{on}` reaches a channel that everybody may join"),
        Some(channel) => {
            let asked = channel.authorizer.as_ref().map(|plugin| format!(", if the authorizer `{plugin}` lets them"));
            let who = super::access::who(&channel.scope);
            format!("`{on}` reaches {}{}", who.trim_end_matches(','), asked.unwrap_or_default())
        }
        None => String::new(),
    }
}

fn changed(subject: &Subject, to: &str, [was, is]: [&Value; 2], new: &Policy, changes: &mut Changes) {
    // An expression is one thing, and so are the params together.
    for key in ["when", "payload", "transform", "params", "user", "remove", "end_sessions"] {
        let (from, now) = (was.get(key), is.get(key));
        if from == now {
            continue;
        }
        let condition = now.map(|now| Words(now).to_string()).unwrap_or_default();
        let (kind, means) = match (does(to), key, from, now) {
            (Does::Publishes, "when", _, None) => (crosses(new, to), "every event of this type crosses now".to_owned()),
            (Does::Publishes, "when", None, _) => {
                (ChangeKind::Stops, format!("only events cross for which `{condition}`"))
            }
            (Does::Publishes, "when", ..) => (crosses(new, to), "other events cross than before".to_owned()),
            (Does::Publishes, "params", ..) => (crosses(new, to), "events may reach other topics".to_owned()),
            (Does::Publishes, ..) => (crosses(new, to), "receivers may see other parts of the events".to_owned()),
            (Does::TakesBack, "when", _, None) => {
                (ChangeKind::Narrower, "every event of this type takes access back".to_owned())
            }
            (Does::TakesBack, "when", ..) => {
                (ChangeKind::Wider, "events that took access back may not do so any more".to_owned())
            }
            (Does::TakesBack, "user", _, None) => {
                (ChangeKind::Narrower, "the subscriptions of all users end".to_owned())
            }
            (Does::TakesBack, ..) => (ChangeKind::Wider, "who loses access may be another one than before".to_owned()),
            (Does::Removes, ..) => (ChangeKind::Other, String::new()),
        };
        changes.note(kind, subject, Leaf::new(key, from.cloned(), now.cloned()), means);
    }
    // Keys that are not known here.
    for leaf in leaves("", Some(was), Some(is)) {
        let known = ["when", "payload", "transform", "params", "user", "remove", "end_sessions"];
        let first = leaf.key.split('.').next().unwrap_or_default();
        if !known.contains(&first) {
            changes.note(ChangeKind::Other, subject, leaf, "");
        }
    }
}
