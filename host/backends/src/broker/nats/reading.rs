//! Everything that was written in a bucket, in the order in which it was written.

use async_nats::{Message, StatusCode};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::super::{Lost, no_answer};
use super::bucket::{BY, Bucket};

/// Most messages of one answer, and most bytes.
const MESSAGES_PER_READ: usize = 1000;
const BYTES_PER_READ: usize = 1 << 20;

/// A message of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Its place in the stream.
    pub(super) seq: u64,
    /// Who wrote it.
    pub(super) by: String,
    /// What it says.
    pub(super) text: String,
}

/// The stream of a bucket, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    /// When it was made: another time is another stream.
    pub(super) created: String,
    /// The place of its last message.
    pub(super) last_seq: u64,
}

impl Bucket {
    /// How far the stream is.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn life(&self) -> Result<Life, Lost> {
        self.ensure().await?;
        let info = self.ask(&format!("STREAM.INFO.{}", self.name()), &json!({})).await?.map_err(|(_, why)| why)?;
        let created = info["created"].as_str().unwrap_or_default().to_owned();
        Ok(Life { created, last_seq: info["state"]["last_seq"].as_u64().unwrap_or_default() })
    }

    /// The messages from this place on, as a replica has them.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(super) async fn since(&self, from: u64) -> Result<Vec<Written>, Lost> {
        let until = Instant::now() + self.within();
        let client = self.client().await?;
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        let mut found: Vec<Written> = Vec::new();
        loop {
            let from = found.last().map_or(from, |last| last.seq + 1).max(1);
            let ask = json!({
                "seq": from,
                "next_by_subj": self.subject(">"),
                "batch": MESSAGES_PER_READ,
                "max_bytes": BYTES_PER_READ,
            });
            let subject = format!("$JS.API.DIRECT.GET.{}", self.name());
            let asking = client.publish_with_reply(subject, inbox.clone(), ask.to_string().into());
            timeout_at(until, asking)
                .await
                .map_err(|_| no_answer(self.within()))?
                .map_err(|error| error.to_string())?;
            loop {
                let answer = timeout_at(until, answers.next()).await.map_err(|_| no_answer(self.within()))?;
                let Some(answer) = answer else { return Err("the connection was closed".to_owned()) };
                match answer.status.as_ref().map(StatusCode::as_u16) {
                    None => found.push(written(&answer).ok_or("a message that cannot be read")?),
                    Some(404) => return Ok(found),
                    Some(204) if header(&answer, "Nats-Num-Pending").is_none_or(|pending| pending == "0") => {
                        return Ok(found);
                    }
                    Some(204) => break,
                    Some(status) => {
                        return Err(format!("it answered {status} {}", answer.description.unwrap_or_default()));
                    }
                }
            }
        }
    }
}

fn written(message: &Message) -> Option<Written> {
    let seq = header(message, "Nats-Sequence")?.parse().ok()?;
    let by = header(message, BY).unwrap_or_default().to_owned();
    Some(Written { seq, by, text: std::str::from_utf8(&message.payload).ok()?.to_owned() })
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}
