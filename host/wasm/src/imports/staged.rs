//! The host's services while a golden vector runs: the vector's answers for queries, keys and secrets, and a list of
//! what the plugin asked for without an answer in the vector.
//!
//! A call runs in the task of its caller, imports included, so the stage belongs to the task, like the record of
//! [`recorded`](super::super::recording::recorded).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::contract::queries::Error;
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::KeyValue;

/// Most missing answers that are reported for one vector.
const MISSED_MAX: usize = 8;

tokio::task_local! {
    static STAGE: RefCell<State>;
}

/// The answers of a vector.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    /// The answers for queries, each used once; `None` asks the database, if there is one.
    pub(crate) queries: Option<Vec<StagedQuery>>,
    /// The keys that exist before the call; `None` if the vector does not mention keys.
    pub(crate) kv: Option<Arc<MemoryKv>>,
    /// Secrets that replace those of the environment; `None` if the vector does not mention secrets.
    pub(crate) secrets: Option<BTreeMap<String, String>>,
}

/// An expected query and its answer.
#[derive(Debug, Clone)]
pub(crate) struct StagedQuery {
    /// Its name in `grants.queries`.
    pub(crate) query: String,
    /// The params that the query must have; `None` accepts any.
    pub(crate) params: Option<Vec<Value>>,
    pub(crate) answer: StagedAnswer,
}

/// The answer to a query.
#[derive(Debug, Clone)]
pub(crate) enum StagedAnswer {
    /// Rows, as JSON.
    Rows(String),
    TooLarge,
    RateLimited,
    Timeout,
    Unavailable,
}

#[derive(Default)]
struct State {
    stage: Stage,
    missed: Vec<String>,
}

/// Runs a future on this stage. Also returns what it asked for without an answer.
pub(crate) async fn staged<T>(stage: Stage, asked: impl Future<Output = T>) -> (T, Vec<String>) {
    STAGE
        .scope(RefCell::new(State { stage, missed: Vec::new() }), async {
            let answer = asked.await;
            (answer, STAGE.with(|state| std::mem::take(&mut state.borrow_mut().missed)))
        })
        .await
}

/// Notes a request without an answer, if a vector runs.
pub(super) fn missed(what: impl FnOnce() -> String) {
    let _ = STAGE.try_with(|state| {
        let missed = &mut state.borrow_mut().missed;
        if missed.len() < MISSED_MAX {
            missed.push(what());
        }
    });
}

/// The answer to a query while a vector with queries runs; `None` at any other time.
pub(super) fn query(name: &str, params: &str) -> Option<Result<String, Error>> {
    let found = STAGE.try_with(|state| {
        let mut state = state.borrow_mut();
        let queries = state.stage.queries.as_mut()?;
        let given: Vec<Value> = serde_json::from_str(params).unwrap_or_default();
        let at = queries
            .iter()
            .position(|staged| staged.query == name && staged.params.as_ref().is_none_or(|params| *params == given));
        Some(at.map(|at| queries.remove(at).answer))
    });
    let answer = match found.ok()?? {
        Some(StagedAnswer::Rows(rows)) => Ok(rows),
        Some(StagedAnswer::TooLarge) => Err(Error::TooLarge),
        Some(StagedAnswer::RateLimited) => Err(Error::RateLimited),
        Some(StagedAnswer::Timeout) => Err(Error::Timeout),
        Some(StagedAnswer::Unavailable) => Err(Error::Unavailable("as the vector's `queries` says".to_owned())),
        None => {
            let why = format!("the vector's `queries` has no (more) answers for `{name}` with {params}");
            missed(|| why.clone());
            Err(Error::Unavailable(why))
        }
    };
    Some(answer)
}

/// The keys of a vector; `None` if none runs, or if it does not mention keys.
pub(super) fn kv() -> Option<Arc<dyn KeyValue>> {
    STAGE.try_with(|state| state.borrow().stage.kv.clone()).ok()?.map(|kv| kv as Arc<dyn KeyValue>)
}

/// A granted secret while a vector with secrets runs: the inner `None` if it does not have this name.
pub(super) fn secret(name: &str) -> Option<Option<String>> {
    STAGE.try_with(|state| state.borrow().stage.secrets.as_ref().map(|secrets| secrets.get(name).cloned())).ok()?
}
