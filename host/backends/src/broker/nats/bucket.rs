//! A stream that keeps one message for each key, as JetStream's own key-value buckets do. A key is a subject; a write may say which message of the key it expects to be the last one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use super::super::{Lost, no_answer};
use super::NatsBrokerSettings;
use super::connection::Connection;

/// How long a key that was taken away is known: whoever reads behind has seen it by then.
pub(super) const TAKEN_AWAY: Duration = Duration::from_secs(60);
/// How often is looked whether the first connection is there.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The error codes of JetStream: no such stream, no such message, another message came first, a stream of this name with
/// another configuration.
const NO_STREAM: u64 = 10059;
const NO_MESSAGE: u64 = 10037;
const WRONG_LAST: u64 = 10071;
const NAME_TAKEN: u64 = 10058;
/// Too few servers for so many replicas.
const TOO_FEW_PEERS: [u64; 2] = [10005, 10074];
/// As many replicas as there can be of use: they survive the loss of one.
const REPLICAS: [usize; 2] = [3, 1];

/// The bucket, over a connection of its own.
pub(super) struct Bucket {
    connection: Arc<Connection>,
    settings: NatsBrokerSettings,
    opened: OnceCell<()>,
    /// Whether the stream was there when it was used last.
    is_there: AtomicBool,
    name: String,
    /// What its subjects begin with.
    base: String,
    keys_max: Option<usize>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The place of the message in the stream.
    pub(super) seq: u64,
    /// What it says; nothing: the key was taken away.
    pub(super) text: String,
}

/// How a key is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms<'t> {
    /// Only if the last message of the key is this one; 0: there is none.
    pub(super) after: Option<u64>,
    /// How long it is kept; whole seconds, at least one.
    pub(super) ttl: Option<Duration>,
    /// Who writes it, for those who read along.
    pub(super) by: Option<&'t str>,
}

impl Bucket {
    /// `PREFIX-NAME`, with at most so many keys: beyond that the ones that were written longest ago go. Does not connect yet.
    pub(super) fn new(settings: &NatsBrokerSettings, name: &str, keys_max: Option<usize>) -> Self {
        Self {
            connection: Arc::new(Connection::new(settings.timeout)),
            settings: settings.clone(),
            opened: OnceCell::new(),
            is_there: AtomicBool::new(false),
            name: format!("{}-{name}", settings.prefix),
            base: format!("{}.{name}", settings.prefix),
            keys_max,
        }
    }

    /// The name of the stream.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The subject of a key.
    pub(super) fn subject(&self, key: &str) -> String {
        format!("{}.{key}", self.base)
    }

    /// How long an answer may take.
    pub(super) fn within(&self) -> Duration {
        self.settings.timeout
    }

    /// Writes a key. Returns the place of the message; `None` if another message came first.
    ///
    /// # Errors
    /// Why it was not written, or why nobody knows.
    pub(super) async fn put(&self, key: &str, text: String, terms: Terms<'_>) -> Result<Option<u64>, Lost> {
        let mut headers = HeaderMap::new();
        if let Some(seq) = terms.after {
            headers.insert("Nats-Expected-Last-Subject-Sequence", seq.to_string());
        }
        if let Some(ttl) = terms.ttl {
            headers.insert("Nats-TTL", format!("{}s", ttl.as_millis().div_ceil(1000).max(1)));
        }
        if let Some(by) = terms.by {
            headers.insert(BY, by);
        }
        self.ensure().await?;
        match read(&self.request(self.subject(key), headers, text).await?.payload) {
            Ok(told) => Ok(Some(told["seq"].as_u64().ok_or("an answer without a sequence")?)),
            Err((WRONG_LAST, _)) => Ok(None),
            Err((_, why)) => Err(why),
        }
    }

    /// What a key holds, as the leader has it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Held>, Lost> {
        self.ensure().await?;
        let which = json!({ "last_by_subj": self.subject(key) });
        match self.ask(&format!("STREAM.MSG.GET.{}", self.name), &which).await? {
            Ok(told) => held(&told["message"]).map(Some).ok_or_else(|| "a message that cannot be read".to_owned()),
            Err((NO_MESSAGE, _)) => Ok(None),
            Err((_, why)) => Err(why),
        }
    }

    /// Asks JetStream; the inner error is its own, with its code.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&self, operation: &str, question: &Value) -> Result<Result<Value, (u64, String)>, Lost> {
        let answer = self.request(format!("$JS.API.{operation}"), HeaderMap::new(), question.to_string()).await?;
        let answer = read(&answer.payload);
        if matches!(answer, Err((NO_STREAM, _))) {
            self.is_there.store(false, Ordering::Release);
        }
        Ok(answer)
    }

    /// The connected client.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn client(&self) -> Result<&Client, Lost> {
        let until = Instant::now() + self.settings.timeout;
        self.opened.get_or_try_init(|| self.connection.open(&self.settings)).await?;
        loop {
            match self.connection.client() {
                Ok(client) => return Ok(client),
                Err(why) if Instant::now() >= until => return Err(why),
                Err(_) => sleep(LOOK_INTERVAL).await,
            }
        }
    }

    /// Makes the stream, unless it was there before.
    ///
    /// # Errors
    /// Why it is not there.
    pub(super) async fn ensure(&self) -> Result<(), Lost> {
        if self.is_there.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut refused = String::new();
        for replicas in REPLICAS {
            let config = self.config(replicas);
            let mut made = self.ask(&format!("STREAM.CREATE.{}", self.name), &config).await?;
            if matches!(made, Err((NAME_TAKEN, _))) {
                made = self.ask(&format!("STREAM.UPDATE.{}", self.name), &config).await?;
            }
            match made {
                Ok(_) => {
                    self.is_there.store(true, Ordering::Release);
                    return Ok(());
                }
                Err((code, why)) if TOO_FEW_PEERS.contains(&code) => refused = why,
                Err((_, why)) => return Err(why),
            }
        }
        Err(refused)
    }

    fn config(&self, replicas: usize) -> Value {
        let keys_max = self.keys_max.and_then(|max| i64::try_from(max).ok());
        json!({
            "name": self.name,
            "description": "Tidegate",
            "subjects": [self.subject(">")],
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "num_replicas": replicas,
            "max_msgs": keys_max.unwrap_or(-1),
            "max_msgs_per_subject": 1,
            "allow_direct": true,
            "allow_msg_ttl": true,
        })
    }

    async fn request(&self, subject: String, headers: HeaderMap, text: String) -> Result<Message, Lost> {
        let request = Request::new().headers(headers).payload(Bytes::from(text)).timeout(Some(self.settings.timeout));
        let client = self.client().await?;
        // The time also for a place in the driver's queue.
        match timeout(self.settings.timeout, client.send_request(subject, request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // Perhaps nobody keeps this subject any more.
                self.is_there.store(false, Ordering::Release);
                Err(self.connection.told(&error))
            }
            Err(_) => Err(no_answer(self.settings.timeout)),
        }
    }
}

/// The header that says who wrote a message.
pub(super) const BY: &str = "Tidegate-By";

/// An answer, or the error in it.
fn read(answer: &[u8]) -> Result<Value, (u64, String)> {
    let told: Value = serde_json::from_slice(answer).map_err(|error| (0, error.to_string()))?;
    let Some(error) = told.get("error") else { return Ok(told) };
    let code = error["err_code"].as_u64().unwrap_or_default();
    Err((code, error["description"].as_str().unwrap_or("an error without a reason").to_owned()))
}

/// A message as the leader answers with it.
fn held(message: &Value) -> Option<Held> {
    let text = match message["data"].as_str() {
        Some(data) => String::from_utf8(STANDARD.decode(data).ok()?).ok()?,
        None => String::new(),
    };
    Some(Held { seq: message["seq"].as_u64()?, text })
}
