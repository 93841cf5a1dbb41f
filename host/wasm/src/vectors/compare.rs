//! The `expect` of a vector, and how an answer differs from it.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use tidegate_core::channels::PluginKind;

/// Longest value shown in a difference, in characters.
const SHOWN_CHARS_MAX: usize = 200;
/// Most differences that the report of one answer lists.
const DIFFERENCES_MAX: usize = 20;
/// Keys that are compared only if the vector has them: sentences for people, which change with their wording, and how
/// long a yes lasts.
pub(super) const OPTIONAL: [(&str, &str); 4] =
    [("/refusal", "message"), ("/fault", "detail"), ("", "reason"), ("", "ttl_ms")];

/// The keys of `expect`, to check their spelling. Values are compared as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    #[serde(default, deserialize_with = "present")]
    reply: Option<Value>,
    effects: Option<Vec<Effect>>,
    refusal: Option<Refusal>,
    decision: Option<Decision>,
    #[serde(default, deserialize_with = "present")]
    user: Option<Value>,
    #[expect(dead_code, reason = "compared as JSON")]
    reason: Option<String>,
    #[expect(dead_code, reason = "compared as JSON")]
    ttl_ms: Option<u64>,
    snapshot: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Value>,
    crosses: Option<bool>,
    fault: Option<Fault>,
}

/// A value that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
#[expect(dead_code, reason = "compared as JSON")]
enum Effect {
    Emit(Emit),
    Publish(Publish),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "compared as JSON")]
struct Emit {
    topic: String,
    payload: Value,
    to: Option<Audience>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Audience {
    Everyone,
    Others,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "compared as JSON")]
struct Publish {
    kind: String,
    subject: Option<String>,
    data: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "compared as JSON")]
struct Refusal {
    code: RefusalCode,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefusalCode {
    InvalidPayload,
    Forbidden,
    Unavailable,
    Failed,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Allow,
    Deny,
    CannotTell,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "compared as JSON")]
struct Fault {
    kind: String,
    detail: Option<String>,
}

impl Expect {
    /// Why no answer of this kind of plugin can be like this.
    pub(super) fn misfit(&self, kind: PluginKind) -> Option<String> {
        use PluginKind::{Authorizer, Connection, Handler, Snapshot, Transform};
        // For each form of answer: whether the file has it, and which kinds answer so.
        let answers: [(bool, &[PluginKind]); 5] = [
            (self.reply.is_some() || self.refusal.is_some(), &[Handler]),
            (self.effects.is_some(), &[Handler, Connection]),
            (self.decision.is_some() || self.user.is_some(), &[Authorizer]),
            (self.snapshot.is_some(), &[Snapshot]),
            (self.payload.is_some() || self.crosses.is_some(), &[Transform]),
        ];
        let outcome = self.reply.is_some() || self.effects.is_some();
        let (refusal, fault) = (self.refusal.is_some(), self.fault.is_some());
        let [payload, crosses] = [self.payload.is_some(), self.crosses.is_some()];
        let ways = [outcome, refusal, self.decision.is_some(), self.snapshot.is_some(), payload, crosses, fault];
        if ways.into_iter().filter(|is| *is).count() > 1 {
            return Some("`expect` may have only one answer, or a `fault`".to_owned());
        }
        if self.crosses == Some(true) {
            return Some("`expect`: an event that crosses needs a `payload`".to_owned());
        }
        let owes = match kind {
            Handler => "`reply` and `effects`, or a `refusal`",
            Authorizer => "a `decision`",
            Snapshot => "a `snapshot`, a list of payloads",
            Transform => "a `payload`, or `crosses: false`",
            Connection => "`effects`",
        };
        let wrong = answers.into_iter().any(|(says, kinds)| says && !kinds.contains(&kind));
        wrong.then(|| format!("`expect`: a plugin of the kind `{}` answers {owes}", kind.as_str()))
    }
}

/// How an answer differs from what a vector expects.
pub(super) fn expected(expect: &Value, answer: &Value) -> Vec<String> {
    let mut answer = answer.clone();
    let mut expect = expect.clone();
    for (pointer, key) in OPTIONAL {
        let says = expect.pointer(pointer).is_some_and(|at| at.get(key).is_some());
        if let Some(Value::Object(keys)) = answer.pointer_mut(pointer)
            && !says
        {
            keys.shift_remove(key);
        }
    }
    complete(&mut expect);
    differences(&expect, &answer)
}

/// The sentence of an answer that was not compared. It may say why the answer differs.
pub(super) fn said(expect: &Value, answer: &Value) -> Option<String> {
    let mut words = OPTIONAL.into_iter().filter(|(_, key)| *key != "ttl_ms").filter_map(|(pointer, key)| {
        let is_compared = expect.pointer(pointer).is_some_and(|at| at.get(key).is_some());
        let text = answer.pointer(pointer)?.get(key)?.as_str()?;
        (!is_compared && !text.is_empty()).then(|| format!("it says: {}", cut(text)))
    });
    words.next()
}

/// Adds what a vector may leave out: empty effects, an emit to everyone.
fn complete(expect: &mut Value) {
    let Value::Object(keys) = expect else { return };
    if keys.is_empty() || keys.contains_key("reply") {
        keys.entry("effects").or_insert_with(|| json!([]));
    }
    for effect in keys.get_mut("effects").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::Object(emit)) = effect.get_mut("emit") {
            emit.entry("to").or_insert_with(|| json!("everyone"));
        }
    }
}

/// How two values differ, a line each, by JSON Pointer.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut told = Vec::new();
    descend("", expected, found, &mut told);
    if told.len() > DIFFERENCES_MAX {
        let more = told.len() - DIFFERENCES_MAX;
        told.truncate(DIFFERENCES_MAX);
        told.push(format!("and {more} more"));
    }
    told
}

fn descend(at: &str, expected: &Value, found: &Value, told: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => objects(at, one, other, told),
        (Value::Array(one), Value::Array(other)) => {
            for index in 0..one.len().max(other.len()) {
                beside(&format!("{at}/{index}"), one.get(index), other.get(index), told);
            }
        }
        _ if equal(expected, found) => {}
        _ => tell(at, Some(expected), Some(found), told),
    }
}

fn objects(at: &str, one: &Map<String, Value>, other: &Map<String, Value>, told: &mut Vec<String>) {
    let added = other.keys().filter(|key| !one.contains_key(*key));
    for key in one.keys().chain(added) {
        let below = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        beside(&below, one.get(key), other.get(key), told);
    }
}

fn beside(at: &str, expected: Option<&Value>, found: Option<&Value>, told: &mut Vec<String>) {
    match (expected, found) {
        (Some(expected), Some(found)) => descend(at, expected, found, told),
        (None, None) => {}
        _ => tell(at, expected, found, told),
    }
}

/// JSON has one kind of number: 1 and 1.0 are the same.
fn equal(one: &Value, other: &Value) -> bool {
    one == other || (one.is_f64() || other.is_f64()) && one.as_f64().is_some() && one.as_f64() == other.as_f64()
}

fn tell(at: &str, expected: Option<&Value>, found: Option<&Value>, told: &mut Vec<String>) {
    let shown = |value: Option<&Value>| {
        let Some(value) = value else { return "nothing".to_owned() };
        cut(&value.to_string())
    };
    let at = if at.is_empty() { "the answer" } else { at };
    told.push(format!("{at}: expected {}, found {}", shown(expected), shown(found)));
}

/// Cuts a text to the length that is shown.
fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_where_and_what() {
        let expect = json!({ "reply": { "pong": 8, "by": "me" }, "effects": [] });
        let answer =
            json!({ "reply": { "pong": 7, "n": [1] }, "effects": [{ "publish": { "kind": "a", "data": 1 } }] });
        assert_eq!(
            expected(&expect, &answer),
            [
                "/reply/pong: expected 8, found 7",
                "/reply/by: expected \"me\", found nothing",
                "/reply/n: expected nothing, found [1]",
                "/effects/0: expected nothing, found {\"publish\":{\"kind\":\"a\",\"data\":1}}",
            ]
        );
    }

    #[test]
    fn what_a_vector_leaves_out_is_the_default_and_a_sentence_is_not_compared() {
        let answer = json!({ "effects": [{ "emit": { "topic": "t", "payload": 1, "to": "everyone" } }] });
        let without_to = json!({ "effects": [{ "emit": { "topic": "t", "payload": 1.0 } }] });
        assert_eq!(expected(&without_to, &answer), [""; 0]);
        let refused = json!({ "refusal": { "code": "forbidden", "message": "not you" } });
        assert_eq!(expected(&json!({ "refusal": { "code": "forbidden" } }), &refused), [""; 0]);
        let other = json!({ "refusal": { "code": "forbidden", "message": "never" } });
        assert_eq!(expected(&other, &refused), ["/refusal/message: expected \"never\", found \"not you\""]);
        assert_eq!(expected(&json!({}), &json!({ "effects": [] })), [""; 0]);
        assert_eq!(expected(&json!({ "reply": 1 }), &json!({ "reply": 1, "effects": [] })), [""; 0]);
    }

    #[test]
    fn another_answer_altogether_is_told() {
        let told = expected(&json!({ "decision": "allow" }), &json!({ "fault": { "kind": "trap", "detail": "x" } }));
        assert_eq!(
            told,
            ["/decision: expected \"allow\", found nothing", "/fault: expected nothing, found {\"kind\":\"trap\"}"]
        );
    }
}
