//! The live data of the dashboard: a world of its own beside the application's.
//!
//! It has its own catalog (`channels.yaml`), gates and clients, so that no user of the application reaches it and no
//! operator reaches the application by it (`entry`). It runs on a thread of its own: what happens there is counted in no
//! metric, and takes no time from the application's clients. `sampler` reads the metrics (`change`) and publishes what
//! they say (`overview`, `rates`); `tails` shows an operator the publications of the application for a while.

mod change;
mod entry;
mod overview;
mod rates;
mod sampler;
mod tails;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::operator::{COOKIE, Operators};
use entry::Entry;
pub use sampler::Application;
pub use tails::{Begun, Followed, TailedRooms, Tails};
use tidegate_backends::broker::{MemoryBroker, MemoryIdempotencyKeys, NoSharedMembers};
use tidegate_backends::bus::{MemoryBus, MemoryDeadLetters};
use tidegate_core::channels::{self, Catalog, Sources};
use tidegate_core::config::{Anonymous, Auth, Config, Diagnostic, HumanDuration, Limits, SourceFile, Transport};
use tidegate_core::flow::ports::{SystemClock, Unwatched};
use tidegate_core::flow::revoke::Revocations;
use tidegate_core::flow::{
    AuthPolicy, AuthProvider, Gates, Lifetimes, MemoryHistory, MemoryRetained, Ports, PublishRequest, Serving,
};
use tidegate_core::protocol::{Generation, Payload, Topic};
use tidegate_core::telemetry;
use tidegate_realtime::Realtime;
use tidegate_wasm::PluginSet;

/// The manifest of the live data.
const MANIFEST: &str = include_str!("channels.yaml");
/// Where the stock client connects.
const PATH: &str = "/dashboard/live/";
/// Most pages of operators that are open at the same time.
const PAGES_MAX: usize = 100;
/// Largest publication, in bytes: the rates of as many channels as there are.
const PUBLICATION_BYTES_MAX: usize = 4 << 20;
/// Most bytes that wait for one page.
const OUTBOUND_BYTES_MAX: usize = 16 << 20;
/// Most bytes that all histories take, and that all retained values take.
const KEPT_BYTES_MAX: usize = 32 << 20;
/// Most sessions that are remembered because they were ended before their time.
const ENDED_MAX: usize = 10_000;
/// How long they are remembered: as long as a session lasts.
const ENDED_KEPT: Duration = Duration::from_secs(crate::operator::SESSION_S);

/// The operators' world.
pub struct Live {
    gates: Arc<Gates>,
    realtime: Arc<Realtime>,
    auth: Auth,
    transport: Transport,
    runtime: Handle,
    tails: Arc<Tails>,
    /// The last sample of `overview`.
    newest: Mutex<Option<Value>>,
}

impl Live {
    /// Starts its thread, which lives until `stop`. Nobody can connect before [`Live::attach`].
    ///
    /// # Errors
    /// The operating system's error if there is no thread for it.
    pub fn start(
        config: &Config,
        operators: Arc<Operators>,
        tails: Arc<Tails>,
        stop: CancellationToken,
    ) -> io::Result<Arc<Self>> {
        let limits = limits(&config.limits);
        let catalog = catalog().map_err(|mistakes| {
            // The tests compile it, too.
            io::Error::other(mistakes.iter().map(|mistake| mistake.render_as("error")).collect::<String>())
        })?;
        let auth = Auth {
            anonymous: Anonymous::Deny,
            origins: Vec::new(),
            cors_headers: None,
            cookie: COOKIE.to_owned(),
            providers: Vec::new(),
            ..config.auth.clone()
        };
        let broker = Arc::new(MemoryBroker);
        let realtime = Realtime::new(limits.clone(), broker.clone());
        let history = Arc::new(MemoryHistory::new(KEPT_BYTES_MAX));
        let ports = Ports {
            rooms: realtime.clone(),
            broker,
            retained: Arc::new(MemoryRetained::new(KEPT_BYTES_MAX, history.clone())),
            history,
            // Nothing goes onto this bus, and nobody reads it.
            bus: Arc::new(MemoryBus::new(1).0),
            dead_letters: Arc::new(MemoryDeadLetters::new(1)),
            clock: Arc::new(SystemClock),
            clients: realtime.clone(),
            idempotency_keys: Arc::new(MemoryIdempotencyKeys::new(&limits)),
            shared_members: Arc::new(NoSharedMembers),
            watch: Arc::new(Unwatched),
            revocations: Arc::new(Revocations::unkept(ENDED_MAX, ENDED_KEPT)),
            budgets: Arc::default(),
        };
        let serving = Serving { catalog: Arc::new(catalog), plugins: Arc::new(PluginSet::default()) };
        let gates = Arc::new(Gates::new(serving, policy(operators), limits, ports));
        let recovery = HumanDuration::new(Duration::ZERO);
        let transport = Transport { path: PATH.to_owned(), recovery, ..Transport::default() };
        let (runtime, newest) = (runtime(stop)?, Mutex::default());
        Ok(Arc::new(Self { gates, realtime, auth, transport, runtime, tails, newest }))
    }

    /// Lets operators connect, and samples `application` until `shutdown`.
    pub fn serve(self: &Arc<Self>, application: Application, shutdown: CancellationToken) {
        self.runtime.spawn(self.realtime.clone().keep_time(self.gates.clone(), shutdown.clone()));
        let (live, clients) = (self.clone(), application.clients.clone());
        let all = async move {
            let tails = live.tails.clone();
            tokio::join!(tails.show(live.clone(), clients), sampler::run(live, application))
        };
        self.runtime.spawn(async move { shutdown.run_until_cancelled(all).await });
        self.gates.serves();
    }

    /// Adds the operators' transport to a router.
    pub fn attach<R>(&self, add: impl FnOnce(&Arc<Realtime>, &Arc<Gates>, &Auth, &Transport, Handle) -> R) -> R {
        add(&self.realtime, &self.gates, &self.auth, &self.transport, self.runtime.clone())
    }

    /// What operators follow.
    #[must_use]
    pub fn tails(&self) -> &Tails {
        &self.tails
    }

    /// The last sample of `overview`.
    #[must_use]
    pub fn newest(&self) -> Option<Value> {
        self.newest.lock().clone()
    }

    /// Ends the pages of a session.
    pub fn end_session(&self, id: &str) {
        let gates = self.gates.clone();
        let request = serde_json::from_value(json!({ "token": id, "reason": "signed out" }));
        self.runtime.spawn(async move {
            // An id of this server is always one that can be named.
            if let Some(revocation) = request.ok().and_then(|request| gates.revocation(request).ok()) {
                gates.enforce(revocation, "http");
            }
        });
    }

    /// Publishes a reload on `reloads`, as `GET /v1/reloads` tells it.
    pub fn tell_reload(self: &Arc<Self>, reload: Value) {
        let live = self.clone();
        self.runtime.spawn(async move { live.publish("reloads", reload).await });
    }

    /// Tells every page that the server stops, and closes them.
    pub async fn drain(&self) {
        let (realtime, gates) = (self.realtime.clone(), self.gates.clone());
        let _ = self.runtime.spawn(async move { realtime.drain(&gates).await }).await;
    }

    /// Whether an operator looks at a topic now.
    fn is_followed(&self, topic: &str) -> bool {
        Topic::parse(topic).is_ok_and(|topic| self.realtime.subscribers_count(&topic) > 0)
    }

    /// Publishes on one of the topics. Runs on the thread of this world only, so that nothing of it is counted.
    async fn publish(&self, topic: &str, value: Value) {
        let request = PublishRequest { topic: topic.to_owned(), payload: Payload::from(value), key: None };
        if let Err(refusal) = self.gates.publish_for_backend(request).await {
            tracing::debug!(topic, code = refusal.code.as_str(), "live data of the dashboard were not published");
        }
    }
}

fn limits(of_application: &Limits) -> Limits {
    Limits {
        connections_max: PAGES_MAX,
        payload_bytes_max: PUBLICATION_BYTES_MAX,
        outbound_bytes_max: OUTBOUND_BYTES_MAX,
        ack_bytes_max: OUTBOUND_BYTES_MAX,
        failed_connects_max: of_application.failed_connects_max,
        drain_timeout: of_application.drain_timeout,
        ..Limits::default()
    }
}

fn policy(operators: Arc<Operators>) -> AuthPolicy {
    AuthPolicy {
        anonymous: false,
        cookie: COOKIE.to_owned(),
        origins: Vec::new(),
        providers: vec![AuthProvider::Own(Arc::new(Entry(operators)))],
        lifetimes: Lifetimes::default(),
    }
}

fn catalog() -> Result<Catalog, Vec<Diagnostic>> {
    let manifest = SourceFile { path: "the dashboard's channels.yaml".to_owned(), text: MANIFEST.to_owned() };
    channels::compile(&Sources { manifests: vec![Arc::new(manifest)], ..Sources::default() }, Generation(1))
}

/// One thread, on which nothing is counted.
fn runtime(stop: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("dashboard".to_owned()).spawn(move || {
        telemetry::count_nothing_here();
        runtime.block_on(stop.cancelled());
    })?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_of_the_dashboard_is_for_operators_alone() {
        let catalog = catalog().unwrap();
        let user = tidegate_testkit::user("u");
        let operator = tidegate_core::protocol::User::new("ann", vec!["operator".to_owned()], None);
        for channel in catalog.channels() {
            let topic = channel.template.as_str().replace("{tail}", "t1");
            let params = catalog.resolve(&topic).unwrap().params;
            assert!(channel.scope.admit(Some(&user), &params).is_err(), "{topic}");
            assert!(channel.scope.admit(Some(&operator), &params).is_ok(), "{topic}");
            assert!(channel.inbound.is_none(), "{topic}: operators send nothing");
        }
    }
}
