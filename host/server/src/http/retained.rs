//! `DELETE /v1/channels/{topic}/retained`: takes retained values of a topic away, and tells its subscribers.

use axum::Json;
use axum::extract;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::Problem;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use super::query::Query;
use super::{State, TopicPath, topic_of};
use tidegate_core::config::Permission;
use tidegate_core::protocol::{Code, Key};

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Delete,
    path: "/v1/channels/{topic}/retained",
    id: "remove_retained",
    summary: "Take retained values of a topic away",
    caller: Caller::Key(Permission::Publish),
    parameters: &["topic", "key"],
    body: &[],
    answers: Answers { status: 200, says: "How many values there were.", contents: &[("application/json", "Removed")] },
    refuses: &[
        Reason::Of(Code::UnknownChannel),
        Reason::Of(Code::NoRetained),
        Reason::Of(Code::Unavailable),
        Reason::Of(Code::Draining),
    ],
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveQuery {
    key: Option<String>,
}

/// `{ removed }`: how many values there were.
#[derive(Debug, Serialize)]
pub(super) struct Removed {
    removed: usize,
}

/// Takes the value of `key` away, or every value without it; 200 `{ removed }`, 409 `no_retained`.
pub(super) async fn remove(
    extract::State(state): extract::State<State>,
    topic: TopicPath,
    query: Query<RemoveQuery>,
    headers: HeaderMap,
) -> Result<Json<Removed>, Problem> {
    state.admit(&headers, Permission::Publish)?;
    let topic = topic_of(topic)?;
    let expected = "the query may have `key`, as JSON or as bare text, and nothing else";
    let RemoveQuery { key } = query.expecting(expected)?;
    let removed = state.gates.remove_retained(&topic, key.as_deref().map(key_of)).await?;
    Ok(Json(Removed { removed }))
}

/// A key as JSON text; any other text is the key itself.
fn key_of(text: &str) -> Key {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => Key::new(json.get()),
        Err(_) => Key::new(&Value::from(text).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_json_or_bare_text() {
        for (text, key) in [
            ("d1", r#""d1""#),
            (r#""d1""#, r#""d1""#),
            ("7", "7"),
            (r#""7""#, r#""7""#),
            ("null", "null"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("[1, 2]", "[1, 2]"),
        ] {
            assert_eq!(key_of(text).as_str(), key, "{text}");
        }
    }
}
