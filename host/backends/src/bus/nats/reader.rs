//! The reader of one stream: connects, takes its consumer, reads messages, takes them across the bridge, acknowledges
//! them; and starts over after a failure.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, ReadError};
use super::consumer::{Consumer, Found, Position, READERS};
use super::message::Message;
use super::pull::Pull;
use super::trimming::Trimming;
use crate::bus::crossing::{Crossed, Crossing, source_of};
use crate::bus::health::{Health, Unread};
use tidegate_core::config::{BusMode, Name, NatsSource};
use tidegate_core::telemetry;

/// How often a process that was given nothing yet looks whether another one reads under its node's name.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Most messages that cross one after another before others have their turn.
const TOGETHER_MAX: usize = 32;

const TRIMMED: &str = "the stream dropped them before this node read them";
const TRIMMED_PERHAPS: &str = "the stream dropped messages before this node read it, perhaps of these subjects";
const LOST: &str = "the messages that were read last are not in the stream: it was made anew or restored";

pub(super) struct Reader {
    source: Arc<NatsSource>,
    consumer: Consumer,
    crossing: Crossing,
    health: Health,
    /// The last message that this process knows to be read: the consumer's position at first, then the last one that it
    /// took across.
    position: Option<Position>,
    /// What JetStream knows this process by, of those with the same node's name; it lasts longer than a connection.
    pin: Option<String>,
    trimming: Trimming,
}

impl Reader {
    pub(super) fn new(source: Arc<NatsSource>, node: &Name, crossing: Crossing, unread: &Unread) -> Self {
        let consumer = Consumer::new(&source, node);
        let health = Health::new(crossing.label.clone(), unread);
        Self { source, consumer, crossing, health, position: None, pin: None, trimming: Trimming::default() }
    }

    /// Reads until `draining`; the messages that were read by then cross and are acknowledged.
    pub(super) async fn run(mut self, draining: CancellationToken) {
        while !draining.is_cancelled() {
            if let Err(error) = self.session(&draining).await {
                self.health.failed(&error, &draining).await;
            }
        }
    }

    /// Reads with one connection as long as it lasts.
    async fn session(&mut self, draining: &CancellationToken) -> Result<(), ReadError> {
        let connection = Connection::open(&self.source.url, &self.source.stream, self.source.timeout.get()).await?;
        let found = self.begin(&connection).await?;
        let mut pull = Pull::new(&connection, &self.consumer.name, self.source.mode, self.source.batch).await?;
        self.health.back(match found {
            Found::There => "where it stopped",
            Found::New => "now on",
            Found::Again => "where this process stopped",
            Found::Lost => "what was written since",
        });
        let mut look = Instant::now() + LOOK_AGAIN;
        while !draining.is_cancelled() {
            self.round(&connection, &mut pull, &mut look).await?;
            self.health.works();
        }
        if self.pin.take().is_some() {
            connection.unpin_consumer(&self.consumer.name, READERS).await?;
        }
        Ok(())
    }

    /// Takes the consumer, and tells what is gone.
    async fn begin(&mut self, connection: &Connection) -> Result<Found, ReadError> {
        let (found, place) = self.consumer.ensure(connection, &mut self.position, self.pin.as_deref()).await?;
        let trimmed = self.trimming.begin(place);
        if found == Found::Lost {
            telemetry::bus_missed(&self.crossing.label, 1, LOST);
            self.crossing.tell_gap().await;
        } else if found != Found::New {
            self.tell_trimmed(trimmed).await;
        }
        Ok(found)
    }

    /// Takes new messages across, and looks at what changes meanwhile.
    async fn round(&mut self, connection: &Connection, pull: &mut Pull, look: &mut Instant) -> Result<(), ReadError> {
        let batch = pull.next(connection, &mut self.pin).await?;
        self.take(connection, batch.messages).await?;
        if batch.is_full {
            let trimmed = self.trimming.behind(self.consumer.place(connection).await?);
            self.tell_trimmed(trimmed).await;
        } else {
            self.trimming.caught_up();
        }
        if self.source.mode == BusMode::FanOut && self.pin.is_none() && Instant::now() >= *look {
            self.consumer.hold(&self.consumer.info(connection).await?, None)?;
            *look = Instant::now() + LOOK_AGAIN;
        }
        Ok(())
    }

    /// Takes messages across, one after another, then acknowledges them.
    async fn take(&mut self, connection: &Connection, messages: Vec<jetstream::Message>) -> Result<(), ReadError> {
        let mut replies = Vec::with_capacity(messages.len());
        let mut crossed = Crossed::default();
        let mut last = None;
        for (at, message) in messages.into_iter().filter_map(Message::of).enumerate() {
            // What crossed goes out meanwhile, several publications together.
            if at % TOGETHER_MAX == TOGETHER_MAX - 1 {
                tokio::task::yield_now().await;
            }
            self.cross(&message, &mut crossed).await;
            last = last.max(Some((message.sequence, message.written)));
            replies.push(message.reply);
        }
        self.crossing.settle(crossed).await;
        if self.source.mode == BusMode::FanOut {
            // With the last one all before it are acknowledged.
            replies.drain(..replies.len().saturating_sub(1));
        }
        connection.acknowledge(&replies).await?;
        let read = self.position.as_ref().map(|position| position.sequence);
        if let Some((sequence, written)) = last.filter(|(sequence, _)| read.is_none_or(|read| read < *sequence)) {
            self.position = Consumer::behind(self.position.as_ref(), sequence, written);
        }
        Ok(())
    }

    async fn cross(&self, message: &Message, crossed: &mut Crossed) {
        let stream = &self.source.stream;
        match message.event(self.source.fields.as_ref(), stream, self.crossing.bytes_max()) {
            Ok(event) => self.crossing.cross(event, message.written_unix_ms(), crossed).await,
            Err(reason) => self.crossing.dead_letter(&message.id, &source_of("nats", stream), message.shown(), reason),
        }
    }

    async fn tell_trimmed(&self, messages: u64) {
        if messages == 0 {
            return;
        }
        // Of some subjects nobody knows how many there were.
        let (messages, why) = if self.consumer.reads_all() { (messages, TRIMMED) } else { (1, TRIMMED_PERHAPS) };
        telemetry::bus_missed(&self.crossing.label, messages, why);
        self.crossing.tell_gap().await;
    }
}
