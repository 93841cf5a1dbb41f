//! Channels, compared.

use serde_json::{Value, json};

use super::super::{Channel, HistoryPolicy, InboundAction, Keeping, Schema};
use super::access::{self, is_open, who};
use super::payloads::{Difference, Found, Refused};
use super::{Affected, Change, ChangeKind, Changes, Leaf, Policy, Shown, Side, Subject, leaves, names, rules, words};

/// What is compared by its meaning, or is only for people who look for it.
const TOLD_APART: [&str; 13] = [
    "channel",
    "manifest",
    "line",
    "scope",
    "authorizer",
    "schema",
    "inbound",
    "handler",
    "relay",
    "presence",
    "history",
    "retain",
    "snapshot",
];

/// Compares the channels of two policies.
pub(super) fn compare(old: &Policy, new: &Policy, changes: &mut Changes) {
    for template in names(&old.channels, &new.channels) {
        let subject = Subject::Channel(template.clone());
        let crossing = || rules::crossing(new, &template);
        match (old.channels.get(&template), new.channels.get(&template)) {
            (Some(was), Some(is)) => {
                access::compare(was, is, &subject, &crossing(), changes);
                Compared { was, is, subject: &subject, changes }.run();
            }
            (None, Some(is)) => {
                let kind = if is_open(is) { ChangeKind::Public } else { ChangeKind::New };
                let means = format!("{} may join", who(&is.scope));
                changes.note(kind, &subject, Leaf::new("", None, Some(described(is))), means);
            }
            (Some(was), None) => {
                let means = "clients that subscribe to it hear `unknown_channel`";
                changes.note(ChangeKind::Gone, &subject, Leaf::new("", Some(described(was)), None), means);
            }
            (None, None) => {}
        }
    }
}

fn described(channel: &Channel) -> Value {
    serde_json::to_value(channel.described()).unwrap_or_default()
}

struct Compared<'a> {
    was: &'a Channel,
    is: &'a Channel,
    subject: &'a Subject,
    changes: &'a mut Changes,
}

impl Compared<'_> {
    fn run(&mut self) {
        let (was, is) = (self.was, self.is);
        let relays_unchecked =
            |channel: &Channel| channel.inbound.as_ref().is_some_and(|inbound| inbound.payload.is_none());
        let publishers = match relays_unchecked(was) && relays_unchecked(is) {
            true => Affected::PublishersAndSenders,
            false => Affected::Publishers,
        };
        self.schema("schema", [&was.payload, &is.payload], [publishers, Affected::Receivers]);
        self.inbound();
        self.presence();
        self.history();
        self.retained();
        self.snapshot();
        let [was, is] = [was, is].map(|channel| {
            let mut described = described(channel);
            if let Value::Object(fields) = &mut described {
                fields.retain(|key, _| !TOLD_APART.contains(&key.as_str()));
            }
            described
        });
        for leaf in leaves("", Some(&was), Some(&is)) {
            self.changes.note(ChangeKind::Other, self.subject, leaf, "");
        }
    }

    fn note(&mut self, kind: ChangeKind, key: &str, from: Option<Value>, to: Option<Value>, means: impl Into<String>) {
        self.changes.note(kind, self.subject, Leaf::new(key, from, to), means);
    }

    /// A schema, with who is affected where it is stricter, and where it is looser.
    fn schema(&mut self, key: &str, [old, new]: [&Schema; 2], [stricter, looser]: [Affected; 2]) {
        let Some(Difference { stricter: refused, looser: taken }) = self.changes.comparer.compare(old, new) else {
            return;
        };
        let (from, to) = (old.written(), new.written());
        let what = words::places(key, &leaves("", Some(from), Some(to)));
        let change = |kind, means: &str, shown| Change {
            kind,
            subject: self.subject.clone(),
            key: key.to_owned(),
            from: Some(from.clone()),
            to: Some(to.clone()),
            what: what.clone(),
            means: means.to_owned(),
            shown,
        };
        let mut told = Vec::new();
        let is_same = refused == Found::Nothing && taken == Found::Nothing;
        for (found, affects, refused_by) in [(refused, stricter, Side::New), (taken, looser, Side::Old)] {
            // Who sends what was right before needs no change where more is taken.
            let breaks = affects != Affected::Handlers;
            match found {
                Found::Nothing => {}
                Found::Refused(Refused { payload, violations }) => {
                    let kind = if breaks { ChangeKind::Breaking } else { ChangeKind::Compatible };
                    let shown = Shown { affects, payload, refused_by, violations };
                    told.push(change(kind, affects.meets(), Some(shown)));
                }
                Found::Unknown if breaks => told.push(change(ChangeKind::CannotTell, affects.is_unknown(), None)),
                Found::Unknown => told.push(change(ChangeKind::Compatible, affects.is_unknown(), None)),
            }
        }
        if told.iter().any(|change| change.kind != ChangeKind::Compatible) {
            told.retain(|change| change.kind != ChangeKind::Compatible);
        }
        if is_same {
            told.push(change(ChangeKind::Compatible, "it accepts the same payloads", None));
        }
        self.changes.found.append(&mut told);
    }

    fn inbound(&mut self) {
        let (was, is) = match (&self.was.inbound, &self.is.inbound) {
            (Some(was), Some(is)) => (was, is),
            (None, Some(is)) => {
                let means = format!("clients may send: {}", goes(&is.action));
                return self.note(ChangeKind::Sends, "inbound", None, Some(action(&is.action)), means);
            }
            (Some(was), None) => {
                let means = "clients may not send any more: they hear `no_handler`";
                return self.note(ChangeKind::Gone, "inbound", Some(action(&was.action)), None, means);
            }
            (None, None) => return,
        };
        if was.action != is.action {
            // What clients write reaches others without a plugin between them.
            let is_let_through =
                matches!((&was.action, &is.action), (InboundAction::Handler(_), InboundAction::Relay { .. }));
            let kind = if is_let_through { ChangeKind::Sends } else { ChangeKind::Wiring };
            self.note(kind, "inbound", Some(action(&was.action)), Some(action(&is.action)), goes(&is.action));
        }
        if was.payload.is_some() || is.payload.is_some() {
            let old = was.payload.as_ref().unwrap_or(&self.was.payload);
            let new = is.payload.as_ref().unwrap_or(&self.is.payload);
            self.schema("inbound.payload", [old, new], [Affected::Senders, Affected::Handlers]);
        }
    }

    fn presence(&mut self) {
        let [from, to] = [self.was, self.is].map(|channel| described(channel).get("presence").cloned());
        let (was, is) = match (&self.was.presence, &self.is.presence) {
            (Some(was), Some(is)) => (was, is),
            (None, Some(_)) => {
                let means = "subscribers are told who else is there";
                return self.note(ChangeKind::Visible, "presence", from, to, means);
            }
            (Some(_), None) => {
                return self.note(ChangeKind::Other, "presence", from, to, "nobody is told any more who is there");
            }
            (None, None) => return,
        };
        for leaf in leaves("presence", from.as_ref(), to.as_ref()) {
            match leaf.key.as_str() {
                "presence.members" if is.members_max > was.members_max => {
                    self.changes.note(ChangeKind::Visible, self.subject, leaf, "more members are told by name");
                }
                "presence.info" if was.info.is_none() => {
                    let means = "members may tell the others about themselves";
                    self.changes.note(ChangeKind::Visible, self.subject, leaf, means);
                }
                key if key.starts_with("presence.info.")
                    || was.info.is_some() && is.info.is_some() && key == "presence.info" => {}
                _ => self.changes.note(ChangeKind::Other, self.subject, leaf, ""),
            }
        }
        if let (Some(old), Some(new)) = (&was.info, &is.info) {
            self.schema("presence.info", [old, new], [Affected::Senders, Affected::Receivers]);
        }
    }

    fn history(&mut self) {
        let [was, is] = [self.was, self.is].map(|channel| channel.history);
        let sizes = |HistoryPolicy { messages_max, bytes_max, ttl }: HistoryPolicy| {
            [messages_max as u128, bytes_max as u128, ttl.as_millis()]
        };
        self.kept("history", was.map(sizes), is.map(sizes), ["messages", "bytes", "ttl"]);
    }

    fn retained(&mut self) {
        let [was, is] = [self.was, self.is].map(|channel| channel.retain);
        let sizes =
            |Keeping { keys_max, bytes_max, ttl, .. }: Keeping| [keys_max as u128, bytes_max as u128, ttl.as_millis()];
        self.kept("retain", was.map(sizes), is.map(sizes), ["keys", "bytes", "ttl"]);
    }

    /// What is kept for who comes later.
    fn kept(&mut self, key: &str, was: Option<[u128; 3]>, is: Option<[u128; 3]>, parts: [&str; 3]) {
        let [from, to] = [self.was, self.is].map(|channel| described(channel).get(key).cloned());
        match (was, is) {
            (None, Some(_)) => {
                let means = format!("{} may read what was published before, as far as it is kept", who(&self.is.scope));
                self.note(ChangeKind::Kept, key, None, to, means);
            }
            (Some(_), None) => {
                self.note(ChangeKind::Other, key, from, None, "nothing is kept any more for who comes later")
            }
            (Some(was), Some(is)) => {
                for (part, (was, is)) in
                    parts.into_iter().zip(was.into_iter().zip(is)).filter(|(_, (was, is))| was != is)
                {
                    let [from, to] = [&from, &to].map(|kept| kept.as_ref().and_then(|kept| kept.get(part)).cloned());
                    let (kind, means) = match is > was {
                        true => (ChangeKind::Kept, "who comes later may read more"),
                        false => (ChangeKind::Other, "less is kept for who comes later"),
                    };
                    self.note(kind, &format!("{key}.{part}"), from, to, means);
                }
            }
            (None, None) => {}
        }
    }

    fn snapshot(&mut self) {
        let [from, to] =
            [self.was, self.is].map(|channel| channel.snapshot.as_ref().map(|plugin| json!(plugin.as_str())));
        if from == to {
            return;
        }
        let (kind, means) = match (&self.was.snapshot, &self.is.snapshot) {
            (None, Some(plugin)) => (ChangeKind::Kept, format!("who subscribes gets the state that `{plugin}` gives")),
            (_, None) => (ChangeKind::Wiring, "who subscribes gets no state any more".to_owned()),
            (Some(_), Some(plugin)) => (ChangeKind::Wiring, format!("`{plugin}` gives the state")),
        };
        self.note(kind, "snapshot", from, to, means);
    }
}

fn action(action: &InboundAction) -> Value {
    match action {
        InboundAction::Handler(plugin) => json!({ "handler": plugin.as_str() }),
        InboundAction::Relay { others_only: true } => json!({ "relay": "others" }),
        InboundAction::Relay { others_only: false } => json!({ "relay": "all" }),
    }
}

/// Where a message of a client goes.
fn goes(action: &InboundAction) -> String {
    match action {
        InboundAction::Handler(plugin) => format!("the plugin `{plugin}` answers"),
        InboundAction::Relay { others_only: true } => {
            "what a client sends goes to the other subscribers, without a plugin".to_owned()
        }
        InboundAction::Relay { others_only: false } => {
            "what a client sends goes to every subscriber, without a plugin".to_owned()
        }
    }
}
