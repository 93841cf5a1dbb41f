//! The connection to NATS: how it is made and kept, and what it tells of itself. The driver connects again by itself, and
//! listens again to what was listened to; whatever was sent to this node meanwhile is lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::connection::State as Connected;
use async_nats::{Client, ConnectOptions, Event, Request, ServerInfo};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::{Lost, no_answer, pause};
use super::NatsBrokerSettings;

/// Messages of one topic that wait for this node; beyond that the driver drops the newest, and every topic is told a gap.
const WAITING_PER_TOPIC_MAX: usize = 10_000;

/// The connection.
pub(super) struct Connection {
    client: OnceLock<Client>,
    is_up: watch::Sender<bool>,
    losses: watch::Sender<u64>,
    times_lost: AtomicU64,
    /// Why there is none, as the driver said last.
    why: Mutex<String>,
    timeout: Duration,
}

impl Connection {
    /// Not made yet.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            client: OnceLock::new(),
            is_up: watch::Sender::new(false),
            losses: watch::Sender::new(0),
            times_lost: AtomicU64::new(0),
            why: Mutex::new("not connected yet".to_owned()),
            timeout,
        }
    }

    /// Makes it, and lets the driver keep it. Returns when it is there, or after a while.
    ///
    /// # Errors
    /// The driver's error, if it does not accept the URL.
    pub(super) async fn open(self: &Arc<Self>, settings: &NatsBrokerSettings) -> Result<(), Lost> {
        let seen = Arc::clone(self);
        let options = options(settings).event_callback(move |event| {
            seen.happened(&event);
            std::future::ready(())
        });
        let servers: Vec<&str> = settings.url.expose().collect();
        let client = options.connect(servers).await.map_err(|error| error.to_string())?;
        let _ = self.client.set(client);
        // Not for ever: who starts without its NATS says so.
        let _ = timeout(self.timeout, self.is_up.subscribe().wait_for(|is_up| *is_up)).await;
        Ok(())
    }

    fn happened(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.why.lock().clear();
                self.is_up.send_replace(true);
            }
            Event::Disconnected => {
                self.is_up.send_replace(false);
                *self.why.lock() = "the connection was closed".to_owned();
                self.times_lost.fetch_add(1, Ordering::AcqRel);
                self.losses.send_modify(|losses| *losses += 1);
            }
            // The driver dropped something.
            Event::SlowConsumer(_) => self.losses.send_modify(|losses| *losses += 1),
            Event::ServerError(_) | Event::ClientError(_) => *self.why.lock() = event.to_string(),
            _ => {}
        }
    }

    /// How often something that was sent to this node may have been lost.
    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// How often the connection was lost.
    pub(super) fn times_lost(&self) -> u64 {
        self.times_lost.load(Ordering::Acquire)
    }

    /// The client, if it is connected.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn client(&self) -> Result<&Client, Lost> {
        match self.client.get() {
            Some(client) if client.connection_state() == Connected::Connected => Ok(client),
            _ => {
                let why = self.why.lock().clone();
                Err(if why.is_empty() { "not connected".to_owned() } else { why })
            }
        }
    }

    /// What the server told of itself at the last connection.
    pub(super) fn server(&self) -> Option<ServerInfo> {
        self.client.get()?.try_server_info()
    }

    /// Whether the server is one of several: what it takes may not reach the others.
    pub(super) fn is_of_cluster(&self) -> bool {
        self.server().is_some_and(|server| server.cluster.is_some())
    }

    /// Leaves the server for another one of its cluster: it answers, and does not reach the others.
    pub(super) async fn go_elsewhere(&self) {
        if self.is_of_cluster()
            && let Ok(client) = self.client()
        {
            let _ = timeout(self.timeout, client.force_reconnect()).await;
        }
    }

    /// Waits until the server of this node has taken everything that was sent before: a message of this node to itself.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn round_trip(&self) -> Result<(), Lost> {
        let client = self.client()?;
        let inbox = client.new_inbox();
        let request = Request::new().inbox(inbox.clone()).timeout(Some(self.timeout));
        client.send_request(inbox, request).await.map(drop).map_err(|error| self.told(&error))
    }

    /// Publishes to whoever listens now.
    ///
    /// # Errors
    /// Why it was not sent.
    pub(super) async fn publish(&self, subject: String, message: String) -> Result<(), Lost> {
        let sending = self.client()?.publish(subject, Bytes::from(message));
        match timeout(self.timeout, sending).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err(no_answer(self.timeout)),
        }
    }

    /// An error of a request, in our words where we have some.
    pub(super) fn told(&self, error: &async_nats::RequestError) -> Lost {
        match error.kind() {
            async_nats::RequestErrorKind::TimedOut => no_answer(self.timeout),
            async_nats::RequestErrorKind::NoResponders => {
                "JetStream is not there: it is not enabled, or has no leader".to_owned()
            }
            _ => error.to_string(),
        }
    }
}

/// How to connect. Nothing waits without a bound: what is to be sent waits in the broker's queue, and what the driver has
/// of it in one as long.
fn options(settings: &NatsBrokerSettings) -> ConnectOptions {
    let mut options = ConnectOptions::new();
    if let Some((user, password)) = settings.url.login() {
        options = match password {
            Some(password) => options.user_and_password(user, password),
            None => options.token(user),
        };
    }
    options
        .name(format!("tidegate {}", settings.node))
        .retry_on_initial_connect()
        .connection_timeout(settings.timeout)
        .request_timeout(Some(settings.timeout))
        // Three without an answer, and the connection is lost.
        .ping_interval(settings.timeout * 3 / 2)
        .subscription_capacity(WAITING_PER_TOPIC_MAX)
        .client_capacity(settings.queue_max.clamp(16, 1 << 16))
        .reconnect_delay_callback(|failures| pause(u32::try_from(failures).unwrap_or(u32::MAX).saturating_sub(1)))
}
