//! The stream that keeps everything which must not be lost: what JetStream is asked, in JSON.
//!
//! What is written goes through the leader of the stream, which needs a majority of its replicas. What is read is first
//! asked of the leader, too: other replicas may be behind, and are read only up to what the leader has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{HeaderMap, Message, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::{Lost, no_answer};
use super::batch::BATCHES_AT_ONCE_MAX;
use super::connection::Connection;
use super::names::Names;

/// Most messages of one answer, and most bytes.
const MESSAGES_PER_READ: usize = 500;
const BYTES_PER_READ: usize = 1 << 20;
/// How long to wait for a replica that is behind.
const BEHIND: Duration = Duration::from_millis(20);
/// The error codes of JetStream: no such stream, no such message, another message came first.
const NO_STREAM: u64 = 10059;
const NO_MESSAGE: u64 = 10037;
const WRONG_LAST: u64 = 10071;
/// Too few servers for so many replicas.
const TOO_FEW_PEERS: [u64; 2] = [10005, 10074];
/// The shortest time for which a stream remembers ids.
const ONCE_MIN: Duration = Duration::from_millis(100);
/// As many replicas as there can be of use: they survive the loss of one.
const REPLICAS: [usize; 2] = [3, 1];

/// The stream.
pub(super) struct Stream {
    connection: Arc<Connection>,
    names: Arc<Names>,
    within: Duration,
    /// For how long it knows a message again that is sent with the same id.
    once_for: Duration,
    /// Whether it keeps several messages in one step: NATS 2.12 does, in a stream that was made to.
    keeps_batches: AtomicBool,
    batches: Semaphore,
}

/// A message in the stream.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Its place in the stream.
    pub(super) seq: u64,
    /// When the server took it, in ms since the Unix epoch.
    pub(super) at_ms: u64,
    /// What it says.
    pub(super) text: String,
}

/// How a message is to be kept.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Only if the last message of these subjects is this one; 0: there is none.
    pub(super) after: Option<(String, u64)>,
    /// How long it is kept.
    pub(super) ttl: Option<Duration>,
    /// Whether it takes the place of all earlier ones of its subject.
    pub(super) is_alone: bool,
    /// What no second message has within the time for which ids are known.
    pub(super) once: Option<String>,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is the stream's, at this place.
    At(u64),
    /// One with the same id is already there, at this place.
    Before(u64),
    /// Another message came first: nothing was kept.
    Behind,
}

impl Terms {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some((subjects, seq)) = &self.after {
            headers.insert("Nats-Expected-Last-Subject-Sequence", seq.to_string());
            headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", subjects.as_str());
        }
        if let Some(ttl) = self.ttl {
            headers.insert("Nats-TTL", format!("{}s", ttl.as_secs().max(1)));
        }
        if self.is_alone {
            headers.insert("Nats-Rollup", "sub");
        }
        if let Some(once) = &self.once {
            headers.insert("Nats-Msg-Id", once.as_str());
        }
        headers
    }
}

impl Stream {
    /// Does not ask anything yet.
    pub(super) fn new(connection: Arc<Connection>, names: Arc<Names>, within: Duration, once_for: Duration) -> Self {
        Self {
            connection,
            names,
            within,
            once_for,
            keeps_batches: AtomicBool::new(false),
            batches: Semaphore::new(BATCHES_AT_ONCE_MAX),
        }
    }

    /// Makes the stream, unless it is there.
    ///
    /// # Errors
    /// Why it is not there, or not what this server needs.
    pub(super) async fn ensure(&self) -> Result<(), Lost> {
        let there = match self.ask(&format!("STREAM.INFO.{}", self.names.stream()), &json!({})).await? {
            Err((NO_STREAM, _)) => self.make().await?,
            answer => answer.map_err(|(_, why)| why)?,
        };
        let config = &there["config"];
        let has = |key: &str| config[key] == Value::Bool(true);
        let (_, sent_on) = self.names.sent_on();
        self.keeps_batches.store(has("allow_atomic"), Ordering::Release);
        if has("allow_direct")
            && has("allow_rollup_hdrs")
            && has("allow_msg_ttl")
            && config["republish"]["dest"] == *sent_on
        {
            return Ok(());
        }
        Err(format!(
            "the stream `{}` is there and not as it must be; delete it, or use another broker_prefix",
            self.names.stream()
        ))
    }

    async fn make(&self) -> Result<Value, Lost> {
        let (source, destination) = self.names.sent_on();
        let mut refused = String::new();
        for replicas in REPLICAS {
            let config = json!({
                "name": self.names.stream(),
                "description": "Tidegate: histories, retained values, words between nodes",
                "subjects": self.names.kept(),
                "retention": "limits",
                "storage": "file",
                "discard": "old",
                "num_replicas": replicas,
                "duplicate_window": u64::try_from(self.once_for.max(ONCE_MIN).as_nanos()).unwrap_or(u64::MAX),
                "allow_direct": true,
                "allow_rollup_hdrs": true,
                "allow_msg_ttl": true,
                // A server that does not know it leaves it out.
                "allow_atomic": true,
                "republish": { "src": source, "dest": destination },
            });
            match self.ask(&format!("STREAM.CREATE.{}", self.names.stream()), &config).await? {
                Ok(made) => return Ok(made),
                Err((code, why)) if TOO_FEW_PEERS.contains(&code) => refused = why,
                // Another node was first.
                Err((_, why)) => {
                    let there = self.ask(&format!("STREAM.INFO.{}", self.names.stream()), &json!({})).await?;
                    return there.map_err(|_| why);
                }
            }
        }
        Err(refused)
    }

    /// Keeps a message.
    ///
    /// # Errors
    /// Why it was not kept, or why nobody knows.
    pub(super) async fn store(&self, subject: String, text: String, terms: &Terms) -> Result<Stored, Lost> {
        let headers = terms.headers();
        let answer = self.request(subject, headers, text).await?;
        match read(&answer.payload) {
            Ok(told) if told["duplicate"] == true => Ok(Stored::Before(told["seq"].as_u64().unwrap_or_default())),
            Ok(told) => told["seq"].as_u64().map(Stored::At).ok_or_else(|| "an answer without a sequence".to_owned()),
            Err((WRONG_LAST, _)) => Ok(Stored::Behind),
            Err((_, why)) => Err(why),
        }
    }

    /// A turn to keep a batch; `None` if the server keeps none, or too many are under way.
    pub(super) fn batch(&self) -> Option<SemaphorePermit<'_>> {
        self.batches.try_acquire().ok().filter(|_| self.keeps_batches.load(Ordering::Acquire))
    }

    /// Keeps messages of one topic in one step, all of them or none, in this order and with nothing between them.
    /// Answers the place of the last one.
    ///
    /// # Errors
    /// Why nobody knows whether they were kept.
    pub(super) async fn store_all(&self, id: &str, messages: &[(String, String, Terms)]) -> Result<Stored, Lost> {
        let mut number = 0;
        let mut last = None;
        for (subject, text, terms) in messages {
            number += 1;
            let mut headers = terms.headers();
            headers.insert("Nats-Batch-Id", id);
            headers.insert("Nats-Batch-Sequence", number.to_string());
            if number < messages.len() {
                let sending =
                    self.connection.client()?.publish_with_headers(subject.clone(), headers, text.clone().into());
                let sent = timeout(self.within, sending).await.map_err(|_| no_answer(self.within))?;
                sent.map_err(|error| error.to_string())?;
            } else {
                headers.insert("Nats-Batch-Commit", "1");
                last = Some(self.request(subject.clone(), headers, text.clone()).await?);
            }
        }
        let Some(answer) = last else { return Ok(Stored::Behind) };
        match read(&answer.payload) {
            Ok(told) if told["count"].as_u64() == Some(number as u64) => {
                told["seq"].as_u64().map(Stored::At).ok_or_else(|| "an answer without a sequence".to_owned())
            }
            Ok(_) => Err("not the whole batch was kept".to_owned()),
            // Another message came first, or the server has no room for a batch: it kept none of it.
            Err((code, why)) => {
                tracing::debug!(code, why, "a batch was not kept");
                Ok(Stored::Behind)
            }
        }
    }

    /// The newest message of these subjects, as the leader has it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) async fn last(&self, subjects: &str) -> Result<Option<Kept>, Lost> {
        self.get(&json!({ "last_by_subj": subjects })).await
    }

    /// The message at a place, as the leader has it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) async fn at(&self, seq: u64) -> Result<Option<Kept>, Lost> {
        self.get(&json!({ "seq": seq })).await
    }

    /// The first message of these subjects at a place or behind it, as the leader has it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) async fn next(&self, subjects: &str, seq: u64) -> Result<Option<Kept>, Lost> {
        self.get(&json!({ "seq": seq, "next_by_subj": subjects })).await
    }

    async fn get(&self, which: &Value) -> Result<Option<Kept>, Lost> {
        match self.ask(&format!("STREAM.MSG.GET.{}", self.names.stream()), which).await? {
            Ok(told) => kept(&told["message"]).map(Some).ok_or_else(|| "a message that cannot be read".to_owned()),
            Err((NO_MESSAGE, _)) => Ok(None),
            Err((_, why)) => Err(why),
        }
    }

    /// The messages of these subjects from one place up to another, which the leader has; of any replica.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(super) async fn range(&self, subjects: &str, from: u64, up_to: u64) -> Result<Vec<Kept>, Lost> {
        let until = Instant::now() + self.within;
        let (mut found, mut from) = (Vec::new(), from.max(1));
        while from <= up_to {
            if Instant::now() >= until {
                return Err(no_answer(self.within));
            }
            let is_whole = self.part(subjects, from, until, &mut found).await?;
            let reached = found.last().map_or(0, |last: &Kept| last.seq);
            if is_whole && reached < up_to && self.last(subjects).await?.is_none_or(|last| last.seq <= reached) {
                // What the leader had is gone.
                break;
            }
            if is_whole && reached < up_to {
                sleep(BEHIND).await;
            }
            from = from.max(reached + 1);
        }
        Ok(found)
    }

    /// One answer of a replica. Returns whether the replica has no more.
    async fn part(&self, subjects: &str, from: u64, until: Instant, found: &mut Vec<Kept>) -> Result<bool, Lost> {
        let client = self.connection.client()?;
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        let ask = json!({
            "seq": from,
            "next_by_subj": subjects,
            "batch": MESSAGES_PER_READ,
            "max_bytes": BYTES_PER_READ,
        });
        let subject = format!("$JS.API.DIRECT.GET.{}", self.names.stream());
        let asking = client.publish_with_reply(subject, inbox, ask.to_string().into());
        timeout(self.within, asking).await.map_err(|_| no_answer(self.within))?.map_err(|error| error.to_string())?;
        // Each answer names the one before: after a lost connection only the last of them may come.
        let mut before = 0;
        let follows = |answer: &Message, before: u64| {
            header(answer, "Nats-Last-Sequence").and_then(|seq| seq.parse().ok()) == Some(before)
        };
        loop {
            let answer = timeout_at(until, answers.next()).await.map_err(|_| no_answer(self.within))?;
            let Some(answer) = answer else { return Err("the connection was closed".to_owned()) };
            match answer.status.as_ref().map(StatusCode::as_u16) {
                None | Some(204) if !follows(&answer, before) => return Err("an answer was lost".to_owned()),
                None => {
                    let kept = direct(&answer).ok_or("a message that cannot be read")?;
                    before = kept.seq;
                    found.push(kept);
                }
                Some(404) => return Ok(true),
                Some(204) => return Ok(header(&answer, "Nats-Num-Pending").is_none_or(|pending| pending == "0")),
                Some(status) => {
                    let why = answer.description.unwrap_or_default();
                    return Err(format!("it answered {status} {why}"));
                }
            }
        }
    }

    /// Removes the messages of these subjects before a place.
    ///
    /// # Errors
    /// Why they may be there still.
    pub(super) async fn purge(&self, subjects: &str, before: u64) -> Result<(), Lost> {
        let which = json!({ "filter": subjects, "seq": before });
        let purged = self.ask(&format!("STREAM.PURGE.{}", self.names.stream()), &which).await?;
        purged.map(drop).map_err(|(_, why)| why)
    }

    /// Removes all but so many of the newest messages of these subjects.
    ///
    /// # Errors
    /// Why they may be there still.
    pub(super) async fn keep(&self, subjects: &str, newest: u64) -> Result<(), Lost> {
        let which = json!({ "filter": subjects, "keep": newest });
        let purged = self.ask(&format!("STREAM.PURGE.{}", self.names.stream()), &which).await?;
        purged.map(drop).map_err(|(_, why)| why)
    }

    /// Asks JetStream; the inner error is its own, with its code.
    async fn ask(&self, operation: &str, question: &Value) -> Result<Result<Value, (u64, String)>, Lost> {
        let answer = self.request(format!("$JS.API.{operation}"), HeaderMap::new(), question.to_string()).await?;
        Ok(read(&answer.payload))
    }

    async fn request(&self, subject: String, headers: HeaderMap, text: String) -> Result<Message, Lost> {
        let request = Request::new().headers(headers).payload(Bytes::from(text)).timeout(Some(self.within));
        let client = self.connection.client()?;
        // The time also for a place in the driver's queue.
        match timeout(self.within, client.send_request(subject, request)).await {
            Ok(answer) => answer.map_err(|error| self.connection.told(&error)),
            Err(_) => Err(no_answer(self.within)),
        }
    }
}

/// An answer, or the error in it.
fn read(answer: &[u8]) -> Result<Value, (u64, String)> {
    let told: Value = serde_json::from_slice(answer).map_err(|error| (0, error.to_string()))?;
    let Some(error) = told.get("error") else { return Ok(told) };
    let code = error["err_code"].as_u64().unwrap_or_default();
    Err((code, error["description"].as_str().unwrap_or("an error without a reason").to_owned()))
}

/// A message as the leader answers with it.
fn kept(message: &Value) -> Option<Kept> {
    let text = match message["data"].as_str() {
        Some(data) => String::from_utf8(STANDARD.decode(data).ok()?).ok()?,
        None => String::new(),
    };
    Some(Kept { seq: message["seq"].as_u64()?, at_ms: ms(message["time"].as_str()?)?, text })
}

/// A message as a replica answers with it, or as it is sent on.
pub(super) fn direct(message: &Message) -> Option<Kept> {
    let seq = header(message, "Nats-Sequence")?.parse().ok()?;
    let at_ms = ms(header(message, "Nats-Time-Stamp")?)?;
    Some(Kept { seq, at_ms, text: std::str::from_utf8(&message.payload).ok()?.to_owned() })
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
}

fn ms(time: &str) -> Option<u64> {
    let time = async_nats::datetime::parse_rfc3339(time).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}
