//! The services of the host while a plugin answers a golden vector: the query answers, keys and secrets of the vector,
//! and a list of what the plugin asked for in vain.
//!
//! A call runs in the task of its caller, and so do its host calls. So the stage belongs to the task, like the records
//! of [`recorded`](crate::recorded).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::contract::queries::Error;
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::KeyValue;

/// Most missing answers that the report of one vector lists.
const MISSED_MAX: usize = 8;

tokio::task_local! {
    static STAGE: RefCell<State>;
}

/// The services of one vector.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    /// The answers to queries, each used once; `None` asks the database, if there is one.
    pub(crate) queries: Option<Vec<StagedQuery>>,
    /// The keys before the call; `None` if the vector has no keys.
    pub(crate) kv: Option<Arc<MemoryKv>>,
    /// Secrets instead of those of the environment; `None` if the vector has no secrets.
    pub(crate) secrets: Option<BTreeMap<String, String>>,
}

/// An expected query, and its answer.
#[derive(Debug, Clone)]
pub(crate) struct StagedQuery {
    /// Its name in `grants.queries`.
    pub(crate) query: String,
    /// The params that the query must have; `None` allows any.
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

/// Runs `asked` on this stage. Also gives what it asked for without an answer.
pub(crate) async fn staged<T>(stage: Stage, asked: impl Future<Output = T>) -> (T, Vec<String>) {
    STAGE
        .scope(RefCell::new(State { stage, missed: Vec::new() }), async {
            let answer = asked.await;
            (answer, STAGE.with(|state| std::mem::take(&mut state.borrow_mut().missed)))
        })
        .await
}

/// Notes a missing answer, if a vector runs.
pub(crate) fn missed(what: impl FnOnce() -> String) {
    let _ = STAGE.try_with(|state| {
        let missed = &mut state.borrow_mut().missed;
        if missed.len() < MISSED_MAX {
            missed.push(what());
        }
    });
}

/// The answer to a query while a vector with query answers runs; `None` at any other time.
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

/// The keys of the vector that runs; `None` if no vector runs, or if it has no keys.
pub(super) fn kv() -> Option<Arc<dyn KeyValue>> {
    STAGE.try_with(|state| state.borrow().stage.kv.clone()).ok()?.map(|kv| kv as Arc<dyn KeyValue>)
}

/// A granted secret while a vector with secrets runs. The inner `None` says that the vector lacks a secret of this
/// name.
pub(crate) fn secret(name: &str) -> Option<Option<String>> {
    STAGE.try_with(|state| state.borrow().stage.secrets.as_ref().map(|secrets| secrets.get(name).cloned())).ok()?
}
