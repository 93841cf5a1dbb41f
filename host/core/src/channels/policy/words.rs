//! Changes in words.

use std::fmt;

use serde_json::{Map, Value};

use super::{Affected, Change, Leaf, Subject};

/// Longest value in words, in characters.
const WORDS_CHARS_MAX: usize = 80;
/// Longest payload in words, in characters.
const PAYLOAD_CHARS_MAX: usize = 200;
/// Most places of a schema that are told.
const PLACES_MAX: usize = 4;

/// What changes of a subject.
pub(super) fn changed(subject: &Subject, leaf: &Leaf) -> String {
    let Leaf { key, from, to } = leaf;
    match (from, to) {
        (None, Some(is)) if key.is_empty() => match (subject, is.get("scope"), is.get("version")) {
            (Subject::Channel(_), Some(scope), _) => format!("new, scope {}", Words(scope)),
            (Subject::Plugin(_), _, Some(version)) => format!("new, version {}", Words(version)),
            _ => "new".to_owned(),
        },
        (Some(_), None) if key.is_empty() => "gone".to_owned(),
        (from, to) => format!("{key} {} → {}", optional(from.as_ref()), optional(to.as_ref())),
    }
}

/// Where schemas differ.
pub(super) fn places(key: &str, leaves: &[Leaf]) -> String {
    let told = leaves.iter().take(PLACES_MAX).map(|Leaf { key, from, to }| {
        let at = if key.is_empty() { String::new() } else { format!("{key} ") };
        format!("{at}{} → {}", optional(from.as_ref()), optional(to.as_ref()))
    });
    let told = told.collect::<Vec<_>>().join("; ");
    match leaves.len().saturating_sub(PLACES_MAX) {
        0 => format!("{key}: {told}"),
        more => format!("{key}: {told}; {more} more"),
    }
}

fn optional(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| Words(value).to_string())
}

/// Names as a list in a sentence.
pub(super) fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

impl Affected {
    /// The name for scripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publishers => "publishers",
            Self::Senders => "senders",
            Self::PublishersAndSenders => "publishers_and_senders",
            Self::Receivers => "receivers",
            Self::Handlers => "handlers",
        }
    }

    /// What they meet when a payload shows a difference.
    pub(super) const fn meets(self) -> &'static str {
        match self {
            Self::Publishers => "stricter for publishers: one that still publishes this is refused",
            Self::Senders => "stricter for senders: a client that still sends this is refused",
            Self::PublishersAndSenders => {
                "stricter for publishers and senders: a backend or a client that still sends this is refused"
            }
            Self::Receivers => "looser for receivers: pages that know only the old schema may receive this",
            Self::Handlers => "looser for senders, who need no change: the handler may get this",
        }
    }

    /// What is not known of them.
    pub(super) const fn is_unknown(self) -> &'static str {
        match self {
            Self::Publishers => "no payload shows whether it is stricter for publishers",
            Self::Senders => "no payload shows whether it is stricter for senders",
            Self::PublishersAndSenders => "no payload shows whether it is stricter for publishers and senders",
            Self::Receivers => "no payload shows whether it is looser for receivers",
            Self::Handlers => "no payload shows whether the handler may get more",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(channel) => write!(f, "`{channel}`"),
            Self::Rule(on, to) => write!(f, "rule `{on}` → `{to}`"),
            Self::Plugin(name) => write!(f, "plugin `{name}`"),
            Self::Configuration(part) => write!(f, "configuration, {part}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, what, means, shown, .. } = self;
        write!(f, "{subject}: {what}")?;
        if !means.is_empty() {
            write!(f, "; {means}")?;
        }
        let Some(shown) = shown else { return Ok(()) };
        let payload = shown.payload.to_string();
        match payload.char_indices().nth(PAYLOAD_CHARS_MAX) {
            Some((end, _)) => write!(f, ": `{}…`", &payload[..end]),
            None => write!(f, ": `{payload}`"),
        }
    }
}

/// A value in words.
pub(super) struct Words<'a>(pub(super) &'a Value);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            Value::String(text) => text.clone(),
            Value::Object(fields) => named(fields),
            Value::Array(items) => items.iter().map(|item| Words(item).to_string()).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        // One line, whatever stands in a value.
        let text = text.replace(['\n', '\r'], " ");
        match text.char_indices().nth(WORDS_CHARS_MAX) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(if text.is_empty() { "nothing" } else { &text }),
        }
    }
}

fn named(fields: &Map<String, Value>) -> String {
    fields.iter().map(|(key, value)| format!("{key} {}", Words(value))).collect::<Vec<_>>().join(", ")
}
