//! How two answers to one call differ, each difference of one kind of a closed list.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tape::Unused;
use crate::vectors::differences;

/// Sentences for people: where they stand in an answer.
const SENTENCES: [(&str, &str); 2] = [("/refusal", "message"), ("", "reason")];
/// Longest question to the host that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// The reply, the snapshot or the payload of a transform; or a refusal on one side only.
    Reply,
    /// The decision of an authorizer: yes or no, for how long, for which user.
    Decision,
    /// The effects, or their order.
    Effects,
    /// A fault on one side only, or of another kind.
    Fault,
    /// Only the sentence of a refusal or of a decision.
    Sentence,
    /// It asked the host what was not asked then.
    ImportMissing,
    /// It did not ask the host what was asked then.
    ImportUnused,
    /// It took longer than is tolerated.
    Time,
    /// It grew larger than is tolerated.
    Memory,
}

impl DifferenceKind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::Decision,
        Self::Reply,
        Self::Effects,
        Self::Fault,
        Self::Sentence,
        Self::ImportMissing,
        Self::ImportUnused,
        Self::Time,
        Self::Memory,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Decision => "decision",
            Self::Effects => "effects",
            Self::Fault => "fault",
            Self::Sentence => "sentence",
            Self::ImportMissing => "import-missing",
            Self::ImportUnused => "import-unused",
            Self::Time => "time",
            Self::Memory => "memory",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its kind.
    pub kind: DifferenceKind,
    /// What it is, a line each.
    pub shown: Vec<String>,
}

/// How the answer to a call and what was asked of the host meanwhile differ from what was recorded.
pub(super) fn of(recorded: &Value, found: &Value, rest: &Unused) -> Vec<Difference> {
    let mut all = of_answers(recorded, found);
    if rest.missed_count > 0 {
        let mut shown: Vec<String> = rest.missed.iter().map(|it| told(it.import, &it.asked)).collect();
        shown
            .extend((rest.missed_count > shown.len()).then(|| format!("and {} more", rest.missed_count - shown.len())));
        all.push(Difference { kind: DifferenceKind::ImportMissing, shown });
    }
    if !rest.unused.is_empty() {
        let shown = rest.unused.iter().map(|it| told(&it.import, &it.asked)).collect();
        all.push(Difference { kind: DifferenceKind::ImportUnused, shown });
    }
    all
}

fn told(import: &str, asked: &Value) -> String {
    let asked = if asked.is_null() { String::new() } else { asked.to_string() };
    format!("{import} {}", asked.chars().take(SHOWN_CHARS_MAX).collect::<String>()).trim_end().to_owned()
}

fn of_answers(recorded: &Value, found: &Value) -> Vec<Difference> {
    if recorded == found {
        return Vec::new();
    }
    let is_fault = |answer: &Value| answer.get("fault").is_some();
    if is_fault(recorded) || is_fault(found) {
        // The details of one fault differ from build to build.
        let kind = |answer: &Value| answer.pointer("/fault/kind").cloned();
        if kind(recorded) == kind(found) {
            return Vec::new();
        }
        return vec![Difference {
            kind: DifferenceKind::Fault,
            shown: differences(&only_fault(recorded), &only_fault(found)),
        }];
    }
    let mut all = Vec::new();
    let (mut one, mut other) = (recorded.clone(), found.clone());
    let mut part = |kind, recorded: Value, found: Value| {
        let shown = differences(&recorded, &found);
        if !shown.is_empty() {
            all.push(Difference { kind, shown });
        }
    };
    let effects = [take(&mut one, "", "effects"), take(&mut other, "", "effects")];
    let sentences = SENTENCES.map(|(at, key)| [take(&mut one, at, key), take(&mut other, at, key)]);
    let is_decision = |answer: &Value| answer.get("decision").is_some();
    let kind = if is_decision(&one) || is_decision(&other) { DifferenceKind::Decision } else { DifferenceKind::Reply };
    let same = one == other;
    part(kind, one, other);
    let [recorded, found] = effects;
    part(DifferenceKind::Effects, recorded, found);
    if same {
        for [recorded, found] in sentences {
            part(DifferenceKind::Sentence, recorded, found);
        }
    }
    all
}

fn only_fault(answer: &Value) -> Value {
    Map::from_iter(answer.get("fault").map(|fault| ("fault".to_owned(), fault.clone()))).into()
}

/// Takes a key out of an answer: an object with nothing else.
fn take(answer: &mut Value, at: &str, key: &str) -> Value {
    let taken = answer.pointer_mut(at).and_then(Value::as_object_mut).and_then(|keys| keys.shift_remove(key));
    // An answer without effects and one with none are the same.
    let taken = taken.filter(|value| value.as_array().is_none_or(|items| !items.is_empty()));
    Map::from_iter(taken.map(|value| (key.to_owned(), value))).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(recorded: Value, found: Value) -> Vec<&'static str> {
        of(&recorded, &found, &Unused::default()).into_iter().map(|one| one.kind.as_str()).collect()
    }

    #[test]
    fn each_part_of_an_answer_has_its_kind() {
        let emit = json!({ "emit": { "topic": "t", "payload": 1, "to": "everyone" } });
        let none: [&str; 0] = [];
        assert_eq!(kinds(json!({ "reply": 1, "effects": [] }), json!({ "reply": 1.0 })), none);
        assert_eq!(
            kinds(json!({ "reply": 1, "effects": [] }), json!({ "reply": 2, "effects": [emit] })),
            ["reply", "effects"]
        );
        let refused = |message: &str| json!({ "refusal": { "code": "forbidden", "message": message } });
        assert_eq!(kinds(refused("no"), refused("never")), ["sentence"]);
        assert_eq!(kinds(refused("no"), json!({ "effects": [] })), ["reply"]);
        assert_eq!(kinds(json!({ "snapshot": [1] }), json!({ "snapshot": [1, 2] })), ["reply"]);
        assert_eq!(kinds(json!({ "crosses": false }), json!({ "payload": 1 })), ["reply"]);
        let deny = |reason: &str| json!({ "decision": "deny", "reason": reason });
        assert_eq!(kinds(deny("a"), deny("b")), ["sentence"]);
        assert_eq!(kinds(deny("a"), json!({ "decision": "allow", "ttl_ms": 0 })), ["decision"]);
        let fault = |kind: &str, detail: &str| json!({ "fault": { "kind": kind, "detail": detail } });
        assert_eq!(kinds(fault("trap", "0x1"), fault("trap", "0x2")), none);
        assert_eq!(kinds(fault("trap", "0x1"), fault("cpu", "0x1")), ["fault"]);
        assert_eq!(kinds(fault("trap", "0x1"), json!({ "reply": 1 })), ["fault"]);
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in DifferenceKind::ALL {
            assert_eq!(DifferenceKind::named(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(DifferenceKind::named("other"), None);
    }
}
