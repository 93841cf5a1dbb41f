//! The `queries`, `kv` and `secrets` of a vector.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::tape::{Stage, StagedAnswer, StagedQuery};
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::KvKey;
use tidegate_core::flow::ports::SystemClock;

/// One query and its answer in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryFile {
    query: String,
    params: Option<Vec<Value>>,
    answer: Box<RawValue>,
}

/// An answer with an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorFile {
    error: ErrorKind,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ErrorKind {
    TooLarge,
    RateLimited,
    Timeout,
    Unavailable,
}

/// Keys by bucket. A text is stored as it is, any other value as JSON.
pub(super) type KvFile = BTreeMap<String, BTreeMap<String, Value>>;

/// Makes the stage of a vector.
///
/// # Errors
/// The first mistake, with the number of its query.
pub(super) fn read(
    queries: Option<&[QueryFile]>,
    kv: Option<&KvFile>,
    secrets: Option<&BTreeMap<String, String>>,
) -> Result<Stage, String> {
    let one =
        |(number, file): (usize, &QueryFile)| file.read().map_err(|why| format!("`queries/{number}/answer`: {why}"));
    let queries = queries.map(|queries| queries.iter().enumerate().map(one).collect::<Result<_, _>>()).transpose()?;
    Ok(Stage { queries, kv: kv.map(keys), secrets: secrets.cloned() })
}

impl QueryFile {
    fn read(&self) -> Result<StagedQuery, &'static str> {
        let text = self.answer.get();
        let answer = if serde_json::from_str::<Vec<Map<String, Value>>>(text).is_ok() {
            StagedAnswer::Rows(text.to_owned())
        } else {
            let refused = serde_json::from_str::<ErrorFile>(text);
            match refused.map_err(|_| "expected a list of rows, each an object, or `{ \"error\": … }`: too-large, rate-limited, timeout, unavailable")?.error {
                ErrorKind::TooLarge => StagedAnswer::TooLarge,
                ErrorKind::RateLimited => StagedAnswer::RateLimited,
                ErrorKind::Timeout => StagedAnswer::Timeout,
                ErrorKind::Unavailable => StagedAnswer::Unavailable,
            }
        };
        Ok(StagedQuery { query: self.query.clone(), params: self.params.clone(), answer })
    }
}

fn keys(file: &KvFile) -> Arc<MemoryKv> {
    let keys = MemoryKv::new(Arc::new(SystemClock));
    for (bucket, entries) in file {
        for (key, value) in entries {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            keys.lay(KvKey { bucket, key }, value.into_bytes());
        }
    }
    Arc::new(keys)
}
