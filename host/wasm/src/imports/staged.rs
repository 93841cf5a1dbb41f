//! What the host's services are while a golden vector is asked: the answers of queries, keys and secrets that stand in
//! it, and what the plugin asked for that has no answer there.
//!
//! A call runs in the task of its caller, imports included, so the stage belongs to the task, as what
//! [`recorded`](super::super::recording::recorded) keeps does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::contract::queries::Error;
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::KeyValue;

/// Most things without an answer that are told of one vector.
const MISSED_MAX: usize = 8;

tokio::task_local! {
    static STAGE: RefCell<State>;
}

/// What stands in a vector.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    /// What queries are answered, each once; `None` asks the database, where there is one.
    pub(crate) queries: Option<Vec<StagedQuery>>,
    /// The keys that are there before the call; `None` where the vector says nothing of them.
    pub(crate) kv: Option<Arc<MemoryKv>>,
    /// Secrets in the place of those of the environment; `None` where the vector says nothing of them.
    pub(crate) secrets: Option<BTreeMap<String, String>>,
}

/// A query that is expected, and its answer.
#[derive(Debug, Clone)]
pub(crate) struct StagedQuery {
    /// Its name in `grants.queries`.
    pub(crate) query: String,
    /// The params it must be asked with; `None` takes any.
    pub(crate) params: Option<Vec<Value>>,
    pub(crate) answer: StagedAnswer,
}

/// What a query is answered.
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

/// Asks on this stage; also what was asked for and had no answer.
pub(crate) async fn staged<T>(stage: Stage, asked: impl Future<Output = T>) -> (T, Vec<String>) {
    STAGE
        .scope(RefCell::new(State { stage, missed: Vec::new() }), async {
            let answer = asked.await;
            (answer, STAGE.with(|state| std::mem::take(&mut state.borrow_mut().missed)))
        })
        .await
}

/// Notes that something had no answer, where a vector is asked.
pub(super) fn missed(what: impl FnOnce() -> String) {
    let _ = STAGE.try_with(|state| {
        let missed = &mut state.borrow_mut().missed;
        if missed.len() < MISSED_MAX {
            missed.push(what());
        }
    });
}

/// What a query is answered while a vector is asked that answers queries; `None` at any other time.
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
            let why = format!("the vector's `queries` has no answer (left) for `{name}` with {params}");
            missed(|| why.clone());
            Err(Error::Unavailable(why))
        }
    };
    Some(answer)
}

/// The keys of a vector; `None` where none is asked, or where it says nothing of keys.
pub(super) fn kv() -> Option<Arc<dyn KeyValue>> {
    STAGE.try_with(|state| state.borrow().stage.kv.clone()).ok()?.map(|kv| kv as Arc<dyn KeyValue>)
}

/// What a granted secret is while a vector is asked that has secrets: the inner `None` where it has none of this name.
pub(super) fn secret(name: &str) -> Option<Option<String>> {
    STAGE.try_with(|state| state.borrow().stage.secrets.as_ref().map(|secrets| secrets.get(name).cloned())).ok()?
}
