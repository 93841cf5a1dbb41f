//! `GET /v1/dead-letters`, `POST /v1/dead-letters/{id}/retry`, `DELETE /v1/dead-letters/{id}`: lists, retries and
//! discards bus events that could not cross the bridge.

use axum::Json;
use axum::extract;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::State;
use super::answer::{Fresh, HttpCode, Problem, fresh};
use super::client::judged;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use super::paging::page_limit;
use super::query::Query;
use tidegate_core::config::Permission;
use tidegate_core::flow::ports::{Letters, LettersAway};
use tidegate_core::flow::{DeadLetter, Effect};
use tidegate_core::protocol::Code;
use tidegate_core::telemetry;

pub(super) const LIST: Operation = Operation {
    method: Verb::Get,
    path: "/v1/dead-letters",
    id: "list_dead_letters",
    summary: "List the bus events that could not cross the bridge",
    caller: Caller::Key(Permission::Operate),
    parameters: &["page_limit", "search_letters", "after"],
    body: &[],
    answers: Answers { status: 200, says: "The newest letters.", contents: &[("application/json", "DeadLetters")] },
    refuses: &[],
};

pub(super) const RETRY: Operation = Operation {
    method: Verb::Post,
    path: "/v1/dead-letters/{id}/retry",
    id: "retry_dead_letter",
    summary: "Apply the rule of a dead letter again",
    caller: Caller::Key(Permission::Operate),
    parameters: &["id"],
    body: &[],
    answers: Answers {
        status: 202,
        says: "It crossed, was skipped, or is dead again.",
        contents: &[("application/json", "Retried")],
    },
    refuses: &[Reason::Http(HttpCode::NotFound), Reason::Of(Code::Unavailable), Reason::Of(Code::Draining)],
};

pub(super) const DISCARD: Operation = Operation {
    method: Verb::Delete,
    path: "/v1/dead-letters/{id}",
    id: "discard_dead_letter",
    summary: "Discard a dead letter for good",
    caller: Caller::Key(Permission::Operate),
    parameters: &["id", "why"],
    body: &[],
    answers: Answers {
        status: 200,
        says: "The letter, whose event exists nowhere else.",
        contents: &[("application/json", "Discarded")],
    },
    refuses: &[Reason::Http(HttpCode::NotFound), Reason::Of(Code::Unavailable)],
};

/// Letters that are read at a time.
const LETTERS_READ: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    search: Option<String>,
    after: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscardQuery {
    reason: Option<String>,
}

/// Written as text and not through a JSON tree: the numbers of an event keep their digits.
#[derive(Serialize)]
pub(super) struct Listed {
    dead_letters: Vec<DeadLetter>,
    kept: usize,
    #[serde(skip_serializing_if = "is_true")]
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_true(complete: &bool) -> bool {
    *complete
}

#[derive(Serialize)]
pub(super) struct Retried {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<DeadLetter>,
}

#[derive(Serialize)]
pub(super) struct Discarded {
    discarded: DeadLetter,
}

/// Newest first: `{ dead_letters: […], kept }`; `kept` is the total number. With `complete: false` the list has only
/// the letters of this process, because the store with the others is away. `search` is a part of the id, the rule, the
/// reason or the event; with `next` there are more.
pub(super) async fn list(
    extract::State(state): extract::State<State>,
    query: Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Fresh<Listed>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let ListQuery { limit, search, after } =
        query.expecting("the query may have `limit`, a whole number, `search` and `after`")?;
    let limit = page_limit(limit)?;
    let (mut found, mut after): (Vec<DeadLetter>, _) = (Vec::new(), after);
    loop {
        let Letters { letters, kept, complete } = state.dead_letters.before(after.as_deref(), LETTERS_READ).await;
        let is_last = letters.len() < LETTERS_READ;
        after = letters.last().map(|last| last.id.clone());
        found.extend(letters.into_iter().filter(|letter| search.as_ref().is_none_or(|search| has(letter, search))));
        if is_last || found.len() > limit {
            let has_more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| has_more).map(|last| last.id.clone());
            return Ok(fresh(Listed { dead_letters: found, kept, complete, next }));
        }
    }
}

/// Whether a letter has a text anywhere.
fn has(letter: &DeadLetter, search: &str) -> bool {
    let DeadLetter { id, rule, reason, event, .. } = letter;
    [id, &rule.on, &rule.to, reason].into_iter().any(|text| text.contains(search)) || event.to_text().contains(search)
}

/// Applies the letter's own rule again: 202 `{ outcome: "crossed" | "skipped" | "dead", dead_letter? }`. If it fails
/// again, the answer has the new letter. If the rule is gone (404) or the broker is away (503), the letter stays.
pub(super) async fn retry(
    extract::State(state): extract::State<State>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Retried>), Problem> {
    let key = state.admit(&headers, Permission::Operate)?;
    if state.gates.is_draining() {
        return Err(Code::Draining.into());
    }
    let Path(id) = id.map_err(|_| Problem::bad_request("the id in the path is not UTF-8"))?;
    let none = || Problem::not_found("no such dead letter");
    let letter = state.dead_letters.find(&id).await.map_err(away)?.ok_or_else(none)?;
    let Some(effects) = state.gates.retry(&letter).await else {
        let why = if !letter.has_rule() {
            "the entry was not a valid event, so a retry cannot succeed; the dead letter stays"
        } else {
            "the bridge table no longer has this rule; the dead letter stays"
        };
        return Err(Problem::not_found(why));
    };
    // Of two concurrent retries only the one that takes the letter out continues.
    let letter = state.dead_letters.take(&id).await.map_err(away)?.ok_or_else(none)?;
    state.gates.dead_letter_gone(&letter);
    let answer = match effects.first() {
        None => Retried { outcome: "skipped", dead_letter: None },
        Some(Effect::DeadLetter(again)) => Retried { outcome: "dead", dead_letter: Some(again.clone()) },
        Some(Effect::Deliver(_) | Effect::Remove(..) | Effect::Publish(_) | Effect::Revoke(..)) => {
            Retried { outcome: "crossed", dead_letter: None }
        }
    };
    if let Err(refusal) = state.gates.perform(effects).await {
        // It did not reach every node, and can be retried.
        state.dead_letters.add(letter);
        return Err(refusal.into());
    }
    telemetry::operator_retried(&key.name, &id, answer.outcome);
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Discards a letter for good: 200 `{ discarded }` with the letter, whose event exists nowhere else. The log records
/// who did it, and why if the caller gives a `reason`.
pub(super) async fn discard(
    extract::State(state): extract::State<State>,
    id: Result<Path<String>, PathRejection>,
    query: Query<DiscardQuery>,
    headers: HeaderMap,
) -> Result<Json<Discarded>, Problem> {
    let key = state.admit(&headers, Permission::Operate)?;
    let DiscardQuery { reason } = query.expecting("the query may have `reason`")?;
    let reason = reason.as_deref().map(judged).transpose()?;
    let Path(id) = id.map_err(|_| Problem::bad_request("the id in the path is not UTF-8"))?;
    let letter = state.dead_letters.take(&id).await.map_err(away)?;
    let letter = letter.ok_or_else(|| Problem::not_found("no such dead letter"))?;
    state.gates.dead_letter_gone(&letter);
    telemetry::dead_letter_discarded(&letter.id, &letter.rule.on, &letter.rule.to, &key.name, reason);
    Ok(Json(Discarded { discarded: letter }))
}

fn away(_: LettersAway) -> Problem {
    Code::Unavailable.into()
}
