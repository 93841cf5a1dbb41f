//! Composition: the only place that names concrete adapters. Start, serve, reload, drain.

mod check;
mod descriptors;
mod gate_one;
mod kept;
mod nodes;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::{Providers, Upkeep};
use crate::http;
use crate::outbound::{Asker, Outbound, OutboundError, OutboundSettings, SystemResolver};
use crate::reload::{self, Built, Paths, Reloader, Terms, Told, Trigger, Watcher};
pub use check::{Checked, check};
use kept::Kept;
use nodes::Nodes;
use tidegate_backends::bus::{MemoryBus, Queue, Sources, Unread};
use tidegate_core::channels::{NamedPlugin, PluginKind};
use tidegate_core::config::{Config, Diagnostic, PluginProvider, Provider};
use tidegate_core::flow::ports::{Clock, DeadLetters, StoreHealth, SystemClock};
use tidegate_core::flow::revoke::{Keeper, Revocations};
use tidegate_core::flow::{Gates, Ports};
use tidegate_core::protocol::Generation;
use tidegate_core::telemetry;
use tidegate_realtime::{ListenerLimits, Realtime};
use tidegate_wasm::{
    CompilePlace, CompileSettings, Effort, HostError, HostSettings, Inventory, KeptOut, PluginHost, Quarantine,
    Secrets, Services,
};

/// Most waiting triggers; more of them say nothing new.
const TRIGGERS_MAX: usize = 1;
/// Connections that may wait to be accepted; the operating system may have a lower limit.
const ACCEPT_QUEUE_MAX: u32 = 1024;
/// How often the rate windows of silent users are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Why the server does not start or did not continue.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// All errors in the files.
    #[error("{} errors in the declared files", .0.len())]
    Diagnostics(Vec<Diagnostic>),
    /// The plugin engine cannot run here.
    #[error("failed to start the plugin engine")]
    Engine(#[from] HostError),
    /// HTTP requests of plugins are not possible.
    #[error("failed to start the HTTP client")]
    Outbound(#[from] OutboundError),
    /// The driver does not accept the broker's URL.
    #[error("failed to set up the broker of `broker`: {0}")]
    Broker(String),
    /// The server cannot listen on the address.
    #[error("failed to listen on `{address}`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The store does not open; the message names it.
    #[error("failed to open the store {0}")]
    Store(String),
    /// The operating system refused something that a server needs.
    #[error("failed to serve")]
    Io(#[from] io::Error),
}

/// Shows errors to a person.
pub type Show = Box<dyn Fn(&[Diagnostic]) + Send + Sync>;

/// The differences between `serve` and `dev`.
#[derive(Default)]
pub struct Options {
    /// Receives the address once clients can connect.
    pub ready: Option<oneshot::Sender<SocketAddr>>,
    /// Shows the errors that hold up a reload.
    pub on_rejected: Option<Show>,
    /// Shows failed golden vectors of plugins that serve nevertheless.
    pub on_warned: Option<Show>,
    /// Reports changed files that the watch may have missed.
    pub changed: Option<mpsc::Receiver<()>>,
}

/// A server that has everything except the files of plugins and channels: its address and its store are reserved.
pub struct Prepared {
    config: Config,
    terms: Terms,
    socket: TcpSocket,
    nodes: Nodes,
    store: Kept,
    providers: Providers,
    host: Arc<PluginHost>,
}

/// Binds the address and opens the store: errors that can be known early appear before anything is built.
///
/// # Errors
/// [`AppError`] if it cannot start.
pub async fn prepare(config: Config, terms: Terms) -> Result<Prepared, AppError> {
    let socket = bind(config.listen)?;
    if terms == Terms::EachAlone {
        // Before builds, which take long.
        reload::judge_declared(reload::read(&paths(&config))).map_err(AppError::Diagnostics)?;
    }
    let nodes = Nodes::new(&config)?;
    let store = Kept::at(&config);
    store.open().await?;
    let (kv, queries) = (store.kv.clone(), store.queries.clone());
    let providers = gate_one::providers(&config, queries.clone(), store.sessions.clone()).await?;
    let host = plugin_host(&config, terms, Services { kv, queries, http: outbound(&config)?, ..services() })?;
    Ok(Prepared { config, terms, socket, nodes, store, providers, host })
}

impl Prepared {
    /// Serves until SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// [`AppError`] if it cannot start; once it serves, errors in the files no longer end it.
    pub async fn run(self, options: Options) -> Result<(), AppError> {
        let started = Instant::now();
        let Self { config, terms, socket, nodes, store, providers, host } = self;
        let first = first_generation(&config, terms, &host).await?;
        telemetry::reload_applied(first.serving.catalog.generation().0, started.elapsed());
        first.tell_notes(None);
        first.kept_out.iter().for_each(KeptOut::tell);
        let server = Server::assemble(&config, terms, providers, host, first, &store, nodes);
        let served = server.serve(&config, socket, options).await;
        store.close().await;
        served
    }
}

fn plugin_host(config: &Config, terms: Terms, services: Services) -> Result<Arc<PluginHost>, AppError> {
    let host = PluginHost::with_services(HostSettings::from(&config.limits), services)?;
    let (host, quarantine) = match terms {
        Terms::Whole => (host, Quarantine::at(config.plugin_quarantine.clone())),
        // A developer may load every version, and sees the message that a plugin failed on.
        Terms::EachAlone => (host.showing_inputs(), Quarantine::default()),
    };
    Ok(Arc::new(host.compiling(compile_settings(config, terms)).refusing(Arc::new(quarantine))))
}

/// The services that plugins may use, by grant.
fn services() -> Services {
    Services { secrets: Secrets::Environment, ..Services::in_memory() }
}

/// The client for the HTTP requests of plugins.
fn outbound(config: &Config) -> Result<Arc<Outbound>, OutboundError> {
    let private_origins = config.private_origins.iter().cloned().collect();
    let settings =
        OutboundSettings { private_origins, requests_max: config.limits.plugin_requests_max, asker: Asker::Plugins };
    Outbound::new(settings, Arc::new(SystemResolver::default())).map(Arc::new)
}

/// Compiles in children of this program, and caches the result.
fn compile_settings(config: &Config, terms: Terms) -> CompileSettings {
    let limits = &config.limits;
    CompileSettings {
        place: CompilePlace::this_program(),
        effort: if terms == Terms::EachAlone { Effort::Quick } else { Effort::Full },
        memory_bytes_max: limits.plugin_compile_memory_bytes_max as u64,
        wall_max: limits.plugin_compile_time_max,
        cache: CompileSettings::cache_place(config.plugin_cache.clone()),
        cache_bytes_max: limits.plugin_cache_bytes_max as u64,
    }
}

async fn first_generation(config: &Config, terms: Terms, host: &PluginHost) -> Result<Built, AppError> {
    let paths = paths(config);
    let read = reload::read(&paths);
    let built = match terms {
        Terms::Whole => reload::build(host, read, Generation(1), &[]).await,
        Terms::EachAlone => reload::build_each(host, &paths, read, Generation(1), None).await,
    };
    built.map_err(AppError::Diagnostics)
}

fn paths(config: &Config) -> Paths {
    let named = config.auth.providers.iter().filter_map(|provider| match provider {
        Provider::Plugin(PluginProvider { name, place, .. }) => {
            Some(NamedPlugin { name: name.clone(), kind: PluginKind::Authorizer, place: place.clone()? })
        }
        Provider::Jwt(_) | Provider::Session(_) | Provider::Introspect(_) => None,
    });
    Paths {
        channels: config.channels.clone(),
        plugins: config.plugins.clone(),
        bridge: config.bridge.clone(),
        named: named.collect(),
    }
}

/// The adapters around the gates.
struct Server {
    gates: Arc<Gates>,
    realtime: Arc<Realtime>,
    bus: Queue,
    dead_letters: Arc<dyn DeadLetters>,
    host: Arc<PluginHost>,
    first: Built,
    store: Arc<dyn StoreHealth>,
    upkeep: Upkeep,
    revocations: Option<Keeper>,
    nodes: Nodes,
    terms: Terms,
}

impl Server {
    fn assemble(
        config: &Config,
        terms: Terms,
        providers: Providers,
        host: Arc<PluginHost>,
        first: Built,
        kept: &Kept,
        nodes: Nodes,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let realtime = Realtime::new(config.limits.clone(), nodes.broker.clone());
        let (bus, queue) = MemoryBus::new(config.limits.bus_queue_max);
        let dead_letters = kept.dead_letters.clone();
        let revocations =
            Arc::new(Revocations::kept(config.limits.revocations_max, config.auth.revocations_kept.get()));
        let keeper = revocations.keeper(kept.revocations.clone());
        let ports = Ports {
            clients: realtime.clone(),
            revocations,
            rooms: realtime.clone(),
            broker: nodes.broker.clone(),
            bus: Arc::new(bus),
            dead_letters: dead_letters.clone(),
            clock: clock.clone(),
        };
        let Providers { policy, upkeep } = providers;
        let gates = Arc::new(Gates::new(first.serving.clone(), policy, config.limits.clone(), ports));
        let store = kept.health.clone();
        Self {
            gates,
            realtime,
            bus: queue,
            dead_letters,
            host,
            first,
            store,
            upkeep,
            revocations: keeper,
            nodes,
            terms,
        }
    }

    async fn serve(self, config: &Config, socket: TcpSocket, mut options: Options) -> Result<(), AppError> {
        let Self { gates, realtime, bus, dead_letters, host, first, store, upkeep, revocations, mut nodes, terms } =
            self;
        let mut stop = StopSignals::new()?;
        let tcp = listen(socket, config.listen)?;
        let address = tcp.local_addr()?;
        let draining = CancellationToken::new();
        let upkeep = upkeep.spawn(&draining);

        let inventory = Arc::new(Inventory::new(host.quarantine().clone()));
        inventory.serve(&first.plugins, Vec::new());
        let kept_out = first.kept_out.iter().map(KeptOut::status);
        inventory.reject(kept_out.chain(first.rejected.iter().cloned()).collect());
        let api_keys = Arc::new(config.api_keys.clone());
        let unread = Unread::default();
        let bus_sources = Arc::new(unread.clone());
        let plugins = inventory.clone();
        let state = http::State { gates: gates.clone(), api_keys, dead_letters, plugins, store, bus_sources };
        let router = realtime.attach(http::router(state), &gates, &config.auth);
        let bridge = tokio::spawn(bus.run(gates.clone(), draining.clone()));
        tokio::spawn(realtime.clone().keep_time(gates.clone(), draining.clone()));
        let ended = CancellationToken::new();
        let mut keeper = revocations;
        if let Some(keeper) = &mut keeper {
            keeper.load(&gates).await;
        }
        let linked = CancellationToken::new();
        nodes.link(gates.clone(), linked.clone());
        let _until_the_end = linked.drop_guard();
        let keeper = keeper.map(|keeper| tokio::spawn(keeper.run(gates.clone(), ended.clone())));
        let ready = options.ready.take();
        let rollback = config.rollback.clone();
        tokio::spawn(sweep_plugins(host.clone(), inventory.clone(), config.limits.plugin_drain_max, draining.clone()));
        let reloader = Reloader { paths: paths(config), host, gates: gates.clone(), inventory, rollback, terms };
        spawn_reloader(config, reloader, first, &realtime, draining.clone(), options)?;
        tokio::spawn(sweep(gates.clone(), draining.clone()));
        let closing = CancellationToken::new();
        let bounds = ListenerLimits::new(&config.limits, descriptors::tcp_connections_max(&config.limits));
        let accepting = tokio::spawn(tidegate_realtime::serve(tcp, router, bounds, closing.clone()));

        // Once clients can connect: before that nobody could receive what is read.
        let sources = Sources::start(config, &gates, &unread, &draining);
        telemetry::listening(&address.to_string());
        if let Some(ready) = ready {
            let _ = ready.send(address);
        }
        stop.received().await;

        gates.drain();
        draining.cancel();
        // First the accepted events: their publications still reach the rooms. Then the sockets, while polling clients
        // can still learn of it; new sessions are refused meanwhile. Then the running HTTP requests.
        let orderly = async {
            let _ = bridge.await;
            // A frozen server of a source takes no time from the sockets; what it did not learn is read again.
            let _ = tokio::time::timeout(config.limits.drain_timeout / 2, sources.ended()).await;
            let cut = realtime.drain(&gates).await;
            closing.cancel();
            let _ = accepting.await;
            upkeep.join_all().await;
            cut
        };
        let cut = tokio::time::timeout(config.limits.drain_timeout, orderly).await;
        ended.cancel();
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
        telemetry::stopped(cut.unwrap_or_else(|_| realtime.connections_count()));
        Ok(())
    }
}

fn spawn_reloader(
    config: &Config,
    reloader: Reloader,
    first: Built,
    realtime: &Arc<Realtime>,
    shutdown: CancellationToken,
    options: Options,
) -> Result<(), AppError> {
    let Options { on_rejected, on_warned, changed, .. } = options;
    let (sender, triggers) = mpsc::channel(TRIGGERS_MAX);
    let watcher = Watcher::start(&paths(config), sender.clone());
    if let Some(mut changed) = changed {
        let (sender, told) = (sender.clone(), shutdown.clone());
        tokio::spawn(async move {
            while let Some(Some(())) = told.run_until_cancelled(changed.recv()).await {
                let _ = sender.send(Trigger::Files).await;
            }
        });
    }
    let mut hangups = signal(SignalKind::hangup())?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        while let Some(Some(())) = asked.run_until_cancelled(hangups.recv()).await {
            let _ = sender.send(Trigger::Asked).await;
        }
    });
    let (gates, realtime) = (reloader.gates.clone(), realtime.clone());
    let applied = move |_generation| {
        realtime.recheck_all(&gates);
        let (gates, realtime) = (gates.clone(), realtime.clone());
        tokio::spawn(async move { realtime.reauthorize_all(&gates).await });
    };
    let shown = |show: Option<Show>| {
        move |mistakes: &[Diagnostic]| {
            if let Some(show) = &show {
                show(mistakes);
            }
        }
    };
    let told = Told { applied, rejected: shown(on_rejected), warned: shown(on_warned) };
    tokio::spawn(reloader.run(first, triggers, Some(watcher), shutdown, told));
    Ok(())
}

/// Binds the address. Nobody can connect yet.
fn bind(address: SocketAddr) -> Result<TcpSocket, AppError> {
    let bound = || -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that ended a moment ago does not block the address.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|source| AppError::Bind { address, source })
}

fn listen(socket: TcpSocket, address: SocketAddr) -> Result<TcpListener, AppError> {
    socket.listen(ACCEPT_QUEUE_MAX).map_err(|source| AppError::Bind { address, source })
}

async fn sweep(gates: Arc<Gates>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        gates.sweep();
    }
}

async fn sweep_plugins(
    host: Arc<PluginHost>,
    inventory: Arc<Inventory>,
    drain_max: Duration,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(PluginHost::SWEEP_INTERVAL);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let (host, inventory) = (host.clone(), inventory.clone());
        // Dropping instances frees their memory, which takes time.
        let swept = tokio::task::spawn_blocking(move || {
            host.sweep();
            inventory.sweep(drain_max);
        });
        let _ = swept.await;
    }
}

/// SIGTERM and SIGINT, caught from the moment this exists.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
