//! Messages of a consumer, batch by batch.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::{StatusCode, Subscriber, header};
use serde_json::json;

use super::connection::{Connection, ReadError};
use super::consumer::READERS;
use tidegate_core::config::BusMode;

/// Longest wait for messages. A drain waits for its end, and so does the periodic work.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Most bytes of a batch, unless a single message may be larger.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Nobody reads with this consumer now whom JetStream knows by this pin.
const WRONG_PIN: u16 = 423;

/// Asks for messages with one connection.
pub(super) struct Pull {
    consumer: String,
    mode: BusMode,
    batch: usize,
    inbox: String,
    arriving: Subscriber,
}

/// What a [`Pull`] brought.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    /// As many as were asked for: there may be more.
    pub(super) is_full: bool,
}

impl Pull {
    pub(super) async fn new(
        connection: &Connection,
        consumer: &str,
        mode: BusMode,
        batch: usize,
    ) -> Result<Self, ReadError> {
        let (inbox, arriving) = connection.inbox().await?;
        Ok(Self { consumer: consumer.to_owned(), mode, batch, inbox, arriving })
    }

    /// The messages that there are, at most a batch; waits for the first one, but not for long. `pin` is what JetStream
    /// gave this process with earlier messages, and is kept up.
    pub(super) async fn next(&mut self, connection: &Connection, pin: &mut Option<String>) -> Result<Batch, ReadError> {
        let wait = WAIT_MAX.min(connection.timeout / 2);
        let bytes_max = BYTES_MAX.max(connection.message_bytes_max() * 2);
        // With `no_wait` it ends when there are no more messages; with `expires` it waits for the first one.
        let mut request =
            json!({ "batch": self.batch, "expires": wait.as_nanos() as u64, "no_wait": true, "max_bytes": bytes_max });
        if self.mode == BusMode::FanOut {
            request["group"] = READERS.into();
            if let Some(pin) = pin {
                request["id"] = pin.clone().into();
            }
        }
        connection.pull(&self.consumer, &self.inbox, &request).await?;
        let mut batch = Batch::default();
        while batch.messages.len() < self.batch {
            let message = connection.next(&mut self.arriving, wait + connection.timeout).await?;
            let Some(status) = message.status else {
                if let Some(given) = message.headers.as_ref().and_then(|headers| headers.get(header::NATS_PIN_ID)) {
                    *pin = Some(given.to_string());
                }
                batch.messages.push(message);
                continue;
            };
            let about = message.description.as_deref().unwrap_or_default();
            match status {
                StatusCode::IDLE_HEARTBEAT => {}
                StatusCode::NOT_FOUND | StatusCode::TIMEOUT => return Ok(batch),
                // Nobody is pinned, or another process is: the next look says which.
                status if status.as_u16() == WRONG_PIN => {
                    *pin = None;
                    return Ok(batch);
                }
                // As much as was asked for, in bytes.
                _ if about.contains("MaxBytes") && !batch.messages.is_empty() => {
                    batch.is_full = true;
                    return Ok(batch);
                }
                _ if about.contains("Consumer Deleted") || status == StatusCode::NO_RESPONDERS => {
                    return Err(ReadError::NoConsumer { consumer: self.consumer.clone() });
                }
                _ => return Err(connection.away(&format!("{} {about}", status.as_u16()))),
            }
        }
        batch.is_full = true;
        Ok(batch)
    }
}
