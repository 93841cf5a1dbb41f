//! A connection to NATS, and what JetStream is asked over it. An answer that does not come in time ends the connection.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, pull};
use async_nats::jetstream::{self, context, stream};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, RequestErrorKind, Subscriber};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bus::health::{Contested, SessionError};
use tidegate_core::config::NatsUrl;

/// Codes of JetStream's errors.
const NO_CONSUMER: u64 = 10014;
const NO_STREAM: u64 = 10059;
/// For the server, for the account.
const NO_JETSTREAM: [u64; 2] = [10076, 10039];

/// Why a stream cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// NATS is away, or refuses.
    #[error("{place}: {cause}")]
    Nats {
        /// Where, without the password.
        place: String,
        /// What NATS or the connection says.
        cause: String,
    },
    /// Nobody there knows this user.
    #[error(
        "{place}: the user, password or token is wrong: see `authorization` in the configuration of the NATS server"
    )]
    Unauthorized {
        /// Where.
        place: String,
    },
    /// A server without JetStream, or an account that may not use it.
    #[error("{place}: JetStream is off: start the NATS server with `-js`, or enable it for this account")]
    NoJetStream {
        /// Where.
        place: String,
    },
    /// The stream is not there; the server does not make it, because it cannot know its limits.
    #[error(
        "there is no stream `{stream}`: create it with `nats stream add {stream} --subjects '{subjects}' --defaults`"
    )]
    NoStream {
        /// Its name.
        stream: String,
        /// The subjects that it should have.
        subjects: String,
    },
    /// The stream never holds messages of a configured subject.
    #[error("stream `{stream}` has no subject that `{subject}` matches; its subjects are {subjects}")]
    NotItsSubject {
        /// Its name.
        stream: String,
        /// The configured subject.
        subject: String,
        /// Those of the stream.
        subjects: String,
    },
    /// A stream that gives each message once.
    #[error(
        "stream `{stream}` gives each message to one reader only (its retention is `workqueue`): use `mode: shared`"
    )]
    OneReader {
        /// Its name.
        stream: String,
    },
    /// The consumer is gone: nobody read for `forget_after`, or somebody removed it.
    #[error("the consumer `{consumer}` is gone")]
    NoConsumer {
        /// Its name.
        consumer: String,
    },
    /// Another process reads under this node's name.
    #[error(transparent)]
    Contested(#[from] Contested),
}

impl SessionError for ReadError {
    fn is_contested(&self) -> bool {
        matches!(self, Self::Contested(_))
    }
}

/// The connection.
pub(super) struct Connection {
    client: Client,
    jetstream: jetstream::Context,
    place: String,
    stream: String,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// Cancelled when the connection is lost: what it waits for will not come.
    lost: CancellationToken,
    /// The last thing that NATS complained about: it answers no request that a user may not make.
    complaint: Arc<Mutex<Option<String>>>,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(url: &NatsUrl, stream: &str, timeout: Duration) -> Result<Self, ReadError> {
        let lost = CancellationToken::new();
        let complaint = Arc::new(Mutex::new(None));
        let servers: Vec<String> = url.expose().map(str::to_owned).collect();
        let (losing, complaining) = (lost.clone(), complaint.clone());
        let options = ConnectOptions::new()
            .name("tidegate")
            .connection_timeout(timeout)
            .request_timeout(Some(timeout))
            // The reader connects again by itself; each server is tried once.
            .max_reconnects(servers.len())
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => losing.cancel(),
                    Event::ServerError(error) => *complaining.lock() = Some(error.to_string()),
                    _ => {}
                }
                std::future::ready(())
            });
        let place = url.to_string();
        // It reads no user and no token in a URL.
        let options = match url.login() {
            Some((user, Some(password))) => options.user_and_password(user, password),
            Some((token, None)) => options.token(token),
            None => options,
        };
        let client = options.connect(servers).await.map_err(|error| match error.kind() {
            ConnectErrorKind::AuthorizationViolation => ReadError::Unauthorized { place: place.clone() },
            _ => ReadError::Nats { place: place.clone(), cause: error.to_string() },
        })?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(timeout);
        Ok(Self { client, jetstream, place, stream: stream.to_owned(), timeout, lost, complaint })
    }

    /// The stream as it is now.
    pub(super) async fn stream(&self, subjects: &[String]) -> Result<stream::Info, ReadError> {
        match self.ask(format!("STREAM.INFO.{}", self.stream), &json!({})).await? {
            Ok(info) => serde_json::from_value(info).map_err(|error| self.failed(&error)),
            Err(NotDone { code: NO_STREAM, .. }) => {
                let subjects = if subjects.is_empty() { format!("{}.>", self.stream) } else { subjects.join(",") };
                Err(ReadError::NoStream { stream: self.stream.clone(), subjects })
            }
            Err(error) => Err(self.refused(error)),
        }
    }

    /// A consumer of the stream, if it is there.
    pub(super) async fn consumer(&self, name: &str) -> Result<Option<consumer::Info>, ReadError> {
        match self.ask(format!("CONSUMER.INFO.{}.{name}", self.stream), &json!({})).await? {
            Ok(info) => serde_json::from_value(info).map(Some).map_err(|error| self.failed(&error)),
            Err(NotDone { code: NO_CONSUMER, .. }) => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Creates a consumer, or gives it this configuration.
    pub(super) async fn put_consumer(&self, name: &str, config: &pull::Config) -> Result<consumer::Info, ReadError> {
        let body = json!({ "stream_name": self.stream, "config": config, "action": "" });
        match self.ask(format!("CONSUMER.CREATE.{}.{name}", self.stream), &body).await? {
            Ok(info) => serde_json::from_value(info).map_err(|error| self.failed(&error)),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Removes a consumer.
    pub(super) async fn remove_consumer(&self, name: &str) -> Result<(), ReadError> {
        match self.ask(format!("CONSUMER.DELETE.{}.{name}", self.stream), &json!({})).await? {
            Ok(_) | Err(NotDone { code: NO_CONSUMER, .. }) => Ok(()),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Brings a consumer back to what is acknowledged: the rest comes again, in order and at once. A server before 2.14
    /// cannot do it; there the rest comes again by itself, later.
    pub(super) async fn rewind_consumer(&self, name: &str) -> Result<(), ReadError> {
        let body = json!({});
        let request = self.jetstream.request(format!("CONSUMER.RESET.{}.{name}", self.stream), &body);
        let answered: Result<Value, context::RequestError> = self.wait_for(request).await?;
        match answered {
            Err(error) if error.kind() != context::RequestErrorKind::NoResponders => Err(self.failed(&error)),
            _ => Ok(()),
        }
    }

    /// Lets the next process of this name read at once.
    pub(super) async fn unpin_consumer(&self, name: &str, group: &str) -> Result<(), ReadError> {
        self.ask(format!("CONSUMER.UNPIN.{}.{name}", self.stream), &json!({ "group": group })).await.map(drop)
    }

    /// Where the answers to [`Self::pull`] arrive.
    pub(super) async fn inbox(&self) -> Result<(String, Subscriber), ReadError> {
        let inbox = self.client.new_inbox();
        let subscriber = self.client.subscribe(inbox.clone()).await.map_err(|error| self.failed(&error))?;
        Ok((inbox, subscriber))
    }

    /// Asks for messages of a consumer. They arrive in the inbox, and after them perhaps a message that says why there
    /// are no more.
    pub(super) async fn pull(&self, name: &str, inbox: &str, request: &Value) -> Result<(), ReadError> {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", self.stream);
        let asked = self.client.publish_with_reply(subject, inbox.to_owned(), request.to_string().into()).await;
        asked.map_err(|error| self.failed(&error))
    }

    /// The next message of an inbox, as long as it may take.
    pub(super) async fn next(&self, inbox: &mut Subscriber, within: Duration) -> Result<jetstream::Message, ReadError> {
        match self.wait_for(tokio::time::timeout(within, inbox.next())).await? {
            Ok(Some(message)) => Ok(jetstream::Message { message, context: self.jetstream.clone() }),
            Ok(None) => Err(self.away("the connection was closed")),
            Err(_) => Err(self.silent()),
        }
    }

    /// Acknowledges messages by their reply subjects; the last one is answered once JetStream has all of them.
    pub(super) async fn acknowledge(&self, replies: &[String]) -> Result<(), ReadError> {
        let Some((last, others)) = replies.split_last() else { return Ok(()) };
        for reply in others {
            self.client.publish(reply.clone(), "+ACK".into()).await.map_err(|error| self.failed(&error))?;
        }
        match self.wait_for(self.client.request(last.clone(), "+ACK".into())).await? {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Err(self.away("JetStream is away")),
            Err(error) if error.kind() == RequestErrorKind::TimedOut => Err(self.silent()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The largest message that the server takes, in bytes.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.client.max_payload()
    }

    /// An answer of JetStream, which may be a no.
    async fn ask(&self, subject: String, body: &Value) -> Result<Result<Value, NotDone>, ReadError> {
        let answer: Result<Value, context::RequestError> = self.wait_for(self.jetstream.request(subject, body)).await?;
        let answer = answer.map_err(|error| match error.kind() {
            context::RequestErrorKind::NoResponders => ReadError::NoJetStream { place: self.place.clone() },
            context::RequestErrorKind::TimedOut => self.silent(),
            _ => self.failed(&error),
        })?;
        let Some(error) = answer.get("error") else { return Ok(Ok(answer)) };
        let description = error["description"].as_str().unwrap_or("JetStream refuses").to_owned();
        Ok(Err(NotDone { code: error["err_code"].as_u64().unwrap_or_default(), description }))
    }

    /// Waits for something, as long as there is a connection that it can come over.
    async fn wait_for<T>(&self, what: impl Future<Output = T>) -> Result<T, ReadError> {
        match self.lost.run_until_cancelled(what).await {
            Some(came) => Ok(came),
            None => Err(self.away("the connection was lost")),
        }
    }

    fn refused(&self, NotDone { code, description }: NotDone) -> ReadError {
        if NO_JETSTREAM.contains(&code) {
            return ReadError::NoJetStream { place: self.place.clone() };
        }
        self.away(&description)
    }

    /// NATS says nothing; perhaps it has said why before.
    fn silent(&self) -> ReadError {
        let timeout = tidegate_core::config::HumanDuration::new(self.timeout);
        match self.complaint.lock().as_deref() {
            Some(complaint) => self.away(&format!("no answer within {timeout}, but: {complaint}")),
            None => self.away(&format!("no answer within {timeout}")),
        }
    }

    fn failed(&self, error: &dyn std::error::Error) -> ReadError {
        self.away(&error.to_string())
    }

    pub(super) fn away(&self, cause: &str) -> ReadError {
        ReadError::Nats { place: self.place.clone(), cause: cause.to_owned() }
    }
}

/// A no of JetStream.
struct NotDone {
    code: u64,
    description: String,
}
