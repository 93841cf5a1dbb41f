//! `POST /v1/explain`: what each gate answers to a user who wants to subscribe or to send, and why.

use axum::body::Body;
use axum::extract;
use axum::http::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::State;
use super::answer::{Fresh, Problem, fresh};
use super::body;
use super::openapi::{Answers, Caller, Operation, Verb};
use tidegate_core::config::Permission;
use tidegate_core::flow::ports::Action;
use tidegate_core::flow::{Asker, Step};
use tidegate_core::protocol::{Payload, User};
use tidegate_core::telemetry;

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Post,
    path: "/v1/explain",
    id: "explain",
    summary: "Ask the gates whether a user may subscribe or send, and why",
    caller: Caller::Key(Permission::Operate),
    parameters: &[],
    body: &[("application/json", "Question")],
    answers: Answers {
        status: 200,
        says: "What each gate answers. Nothing else happens.",
        contents: &[("application/json", "Explanation")],
    },
    refuses: &[],
};

/// What an explanation may take beside its payload: a token, a topic.
const QUESTION_BYTES: usize = 32 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    user: Option<Named>,
    anonymous: Option<bool>,
    token: Option<String>,
    action: Wish,
    topic: String,
    /// `null` is a payload, too.
    #[serde(default, deserialize_with = "given")]
    payload: Option<Box<RawValue>>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    id: String,
    #[serde(default)]
    roles: Vec<String>,
    tenant: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Subscribe,
    Send,
}

#[derive(Serialize)]
pub(super) struct Explained {
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    steps: Vec<Step>,
}

/// One of `{ user: { id, roles?, tenant? } }`, `{ anonymous: true }` and `{ token }`, with `{ action, topic, payload? }`:
/// `{ allowed, code?, steps }`. Authorizers are really asked, whatever answers of theirs the server keeps; a handler is not
/// called, and nothing counts in a rate. A token goes through gate 1; no session begins, and it is not kept.
pub(super) async fn explain(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<Explained>, Problem> {
    let key = state.admit(&headers, Permission::Operate)?;
    let limits = state.gates.limits();
    // Larger than a payload may be: that a payload is too large can be explained, too.
    let text = body::read(body, limits.payload_bytes_max.saturating_mul(2) + QUESTION_BYTES, limits).await?;
    let fields = body::fields(&text).map_err(no_question)?;
    if let Some((name, _)) = fields.iter().find(|(name, value)| value.is_null() && *name != "payload") {
        return Err(Problem::bad_request(format!(
            "not a valid question: `{name}` is null; leave it out if you do not need it"
        )));
    }
    let Question { user, anonymous, token, action, topic, payload } =
        serde_json::from_str(&text).map_err(no_question)?;
    let asker = match (user, anonymous, token) {
        (Some(Named { id, roles, tenant }), None, None) => Asker::User(User::new(id, roles, tenant)),
        (None, Some(true), None) => Asker::Anonymous,
        (None, None, Some(token)) => Asker::Token(token),
        _ => {
            let message = "not a valid question: name one of `user`, `anonymous: true` and `token`";
            return Err(Problem::bad_request(message));
        }
    };
    let (about, id) = match &asker {
        Asker::User(user) => ("user", Some(user.id.as_str())),
        Asker::Anonymous => ("anonymous", None),
        Asker::Token(_) => ("token", None),
    };
    telemetry::operator_asked(&key.name, about, id, &topic);
    let action = match action {
        Wish::Subscribe => Action::Subscribe,
        Wish::Send => Action::Send,
    };
    let payload = payload.map(|payload| Payload::parse(payload.get().to_owned())).transpose();
    let payload = payload.map_err(|error| Problem::bad_request(format!("not a valid payload: {error}")))?;
    let explanation = state.gates.explain(asker, action, topic, payload).await;
    let (allowed, code) = (explanation.allowed(), explanation.code());
    Ok(fresh(Explained { allowed, code, steps: explanation.steps }))
}

fn no_question(error: serde_json::Error) -> Problem {
    Problem::bad_request(format!("not a valid question: {error}"))
}
