//! A server that is built: the adapters around one set of gates. It serves until the caller stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::nodes::Nodes;
use super::shutdown::{Phase, Running, Shutdown};
use super::stores::Stores;
use super::{AppError, Options, Prepared, Show, descriptors, operators, paths};
use crate::auth::{Providers, Upkeep};
use crate::dashboard::Tails;
use crate::http;
use crate::operator::Operators;
use crate::otlp::Exporter;
use crate::reload::{Built, Observer, Reloader, Terms, Triggers, Watcher};
use tidegate_backends::bus::{Consumers, MemoryBus, OwnQueue, Queue, Unread};
use tidegate_core::config::{Config, Diagnostic};
use tidegate_core::flow::ports::SystemClock;
use tidegate_core::flow::revoke::{Keeper, Revocations};
use tidegate_core::flow::{Gates, Ports, ReloadLog};
use tidegate_core::protocol::Generation;
use tidegate_core::telemetry;
use tidegate_realtime::{ListenerLimits, Realtime, Visitors};
use tidegate_wasm::{Inventory, KeptOut, PluginHost};

/// Connections that may wait to be accepted; the operating system may have a lower limit.
const ACCEPT_QUEUE_MAX: u32 = 1024;
/// How often the gates remove the rate windows of silent users.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How often the metrics are told what teams use.
const TELL_BUDGETS_INTERVAL: Duration = Duration::from_secs(1);

/// A server with its first generation. Nobody can connect before [`Server::serve`].
pub struct Server {
    config: Config,
    terms: Terms,
    socket: TcpSocket,
    store: Stores,
    nodes: Nodes,
    host: Arc<PluginHost>,
    first: Built,
    gates: Arc<Gates>,
    realtime: Arc<Realtime>,
    /// Who may sign in to the dashboard; `None` if there is none.
    operators: Option<Arc<Operators>>,
    /// The publications that operators follow.
    tails: Arc<Tails>,
    bus: Queue,
    /// What happens to the server itself.
    watched: OwnQueue,
    upkeep: Upkeep,
    /// Stores revocations, where a store keeps them.
    keeper: Option<Keeper>,
    exporter: Option<Exporter>,
}

impl Server {
    pub(super) fn assemble(prepared: Prepared, first: Built) -> Self {
        let Prepared { config, terms, socket, nodes, store, providers, host, watch, watched, budgets, exporter } =
            prepared;
        let realtime = Realtime::new(config.limits.clone(), nodes.broker.clone());
        let (bus, queue) = MemoryBus::new(config.limits.bus_queue_max);
        let revocations = Revocations::kept(config.limits.revocations_max, config.auth.revocations_kept.get());
        let revocations = Arc::new(revocations);
        let keeper = revocations.keeper(store.revocations.clone());
        let tails = Arc::new(Tails::default());
        let ports = Ports {
            clients: realtime.clone(),
            idempotency_keys: nodes.idempotency_keys.clone(),
            shared_members: nodes.shared_members.clone(),
            revocations,
            rooms: operators::rooms(&config, &realtime, &tails),
            broker: nodes.broker.clone(),
            history: nodes.history.clone(),
            retained: nodes.retained.clone(),
            bus: Arc::new(bus),
            dead_letters: store.dead_letters.clone(),
            clock: Arc::new(SystemClock),
            watch,
            budgets,
        };
        let Providers { policy, upkeep } = providers;
        let gates = Arc::new(Gates::new(first.serving.clone(), policy, config.limits.clone(), ports));
        let bus = queue;
        let operators = operators::operators(&config);
        Self {
            config,
            terms,
            socket,
            store,
            nodes,
            host,
            first,
            gates,
            realtime,
            operators,
            tails,
            bus,
            watched,
            upkeep,
            keeper,
            exporter,
        }
    }

    /// The secret of a link that signs an operator in once; `None` if there is no dashboard.
    #[must_use]
    pub fn operator_link(&self) -> Option<String> {
        self.operators.as_ref().map(|operators| operators.link())
    }

    /// The errors in files that are not part of the first generation, where each part stands alone.
    #[must_use]
    pub fn held_up(&self) -> &[Diagnostic] {
        &self.first.held_up
    }

    /// Serves until `stop` ends. Then the server passes the phases of its shutdown and closes the store.
    ///
    /// # Errors
    /// [`AppError`] if the server cannot listen. Once it serves, errors in the files do not end it.
    pub async fn serve(mut self, stop: impl Future<Output = ()>, options: Options) -> Result<(), AppError> {
        let (store, shutdown) = (self.store.clone(), Shutdown::default());
        let exporter = self.exporter.take().map(|exporter| exporter.spawn(shutdown.at(Phase::Leaving)));
        let served = match self.start(&shutdown, options).await {
            Ok(running) => {
                stop.await;
                running.stop(shutdown, exporter).await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        store.close().await;
        served
    }

    /// Starts every task of the server. The sources come last: before clients can connect, their events have no receiver.
    async fn start(self, shutdown: &Shutdown, options: Options) -> Result<Running, AppError> {
        let Self {
            config,
            terms,
            socket,
            store,
            mut nodes,
            host,
            first,
            gates,
            realtime,
            operators: signing_in,
            tails,
            bus,
            watched,
            upkeep,
            keeper,
            ..
        } = self;
        let tcp = listen(socket, config.listen)?;
        let address = tcp.local_addr()?;
        let draining = shutdown.at(Phase::Draining);
        let upkeep = upkeep.spawn(&draining);
        let inventory = inventory(&host, &first, &gates);
        let unread = Unread::default();
        let live = operators::live(&config, signing_in.as_ref(), &tails, shutdown)?;
        let reloads = Arc::new(ReloadLog::default());
        let state = http::State {
            gates: gates.clone(),
            clients: realtime.clone(),
            visitors: Visitors::new(&realtime, &gates, &config.auth),
            api_keys: Arc::new(config.api_keys.clone()),
            operators: signing_in,
            live: live.clone(),
            dead_letters: store.dead_letters,
            plugins: inventory.clone(),
            store: store.health,
            bus_sources: Arc::new(unread.clone()),
            reloads: reloads.clone(),
            document: http::document(&config.auth),
        };
        let mut router = realtime.attach(http::router(state.clone()), &gates, &config.auth, &config.transport);
        if let Some(live) = &live {
            operators::serve(live, &state, &realtime, &config, shutdown);
            router = live.attach(|clients, gates, auth, way, on| clients.attach_apart(router, gates, auth, way, on));
        }
        let bridge = tokio::spawn(bus.run(gates.clone(), draining.clone()));
        let watched = tokio::spawn(watched.run(gates.clone(), shutdown.at(Phase::Closing)));
        tokio::spawn(realtime.clone().keep_time(gates.clone(), draining.clone()));
        let keeper = keep_revocations(keeper, &gates, shutdown).await;
        nodes.connect(gates.clone(), shutdown.at(Phase::Leaving));
        spawn_sweeps(&host, &inventory, &gates, &draining);
        pace(&gates, shutdown);
        let Options { ready, on_rejected, on_warned, triggers } = options;
        let (paths, rollback) = (paths(&config), config.rollback.clone());
        let reloader = Reloader { paths, host, gates: gates.clone(), inventory, rollback, terms, log: reloads };
        let observer = observer(&gates, &realtime, on_rejected, on_warned);
        spawn_reloader(reloader, first, triggers, draining.clone(), observer);
        let bounds = ListenerLimits::new(&config.limits, descriptors::tcp_connections_max(&config.limits));
        let listener = tokio::spawn(tidegate_realtime::serve(tcp, router, bounds, shutdown.at(Phase::Closing)));
        let consumers = Consumers::start(&config, &gates, &unread, &draining);
        serves(&gates, address, ready);
        let drain_timeout = config.limits.drain_timeout;
        Ok(Running { gates, realtime, live, bridge, watched, consumers, listener, upkeep, keeper, drain_timeout })
    }
}

/// Loads the revocations that a store keeps, and stores those to come.
async fn keep_revocations(keeper: Option<Keeper>, gates: &Arc<Gates>, shutdown: &Shutdown) -> Option<JoinHandle<()>> {
    let mut keeper = keeper?;
    keeper.load(gates).await;
    Some(tokio::spawn(keeper.run(gates.clone(), shutdown.at(Phase::Storing))))
}

/// Clients can connect from here on.
fn serves(gates: &Gates, address: SocketAddr, ready: Option<oneshot::Sender<SocketAddr>>) {
    telemetry::listening(&address.to_string());
    gates.serves();
    if let Some(ready) = ready {
        let _ = ready.send(address);
    }
}

/// What the gates do from time to time.
fn pace(gates: &Arc<Gates>, shutdown: &Shutdown) {
    tokio::spawn(sweep(gates.clone(), shutdown.at(Phase::Draining)));
    tokio::spawn(gates.clone().pace(shutdown.at(Phase::Disconnecting)));
    // Until the last client is gone: the others must not take this node for dead.
    tokio::spawn(gates.clone().tell_presence(shutdown.at(Phase::Closing)));
    if !gates.budgets().is_empty() {
        tokio::spawn(tell_budgets(gates.clone(), shutdown.at(Phase::Closing)));
    }
}

/// The inventory of the first generation.
fn inventory(host: &PluginHost, first: &Built, gates: &Gates) -> Arc<Inventory> {
    first.kept_out.iter().for_each(|kept_out| gates.saw(kept_out.event()));
    let inventory = Inventory::new(host.quarantine().clone());
    inventory.serve(&first.plugins, Vec::new());
    let kept_out = first.kept_out.iter().map(KeptOut::status);
    inventory.reject(kept_out.chain(first.rejected.iter().cloned()).collect());
    Arc::new(inventory)
}

type Applied = Box<dyn Fn(Generation) + Send + Sync>;
type Shown = Box<dyn Fn(&[Diagnostic]) + Send + Sync>;

/// What follows from a reload: sessions are checked against the new generation, and mistakes are shown.
fn observer(
    gates: &Arc<Gates>,
    realtime: &Arc<Realtime>,
    rejected: Option<Show>,
    warned: Option<Show>,
) -> Observer<Applied, Shown, Shown> {
    let (gates, realtime) = (gates.clone(), realtime.clone());
    let applied = move |_generation| {
        realtime.recheck_all(&gates);
        let (gates, realtime) = (gates.clone(), realtime.clone());
        tokio::spawn(async move { realtime.reauthorize_all(&gates).await });
    };
    let shown = |show: Option<Show>| show.unwrap_or_else(|| Box::new(|_| {}));
    Observer { applied: Box::new(applied), rejected: shown(rejected), warned: shown(warned) }
}

fn spawn_reloader(
    reloader: Reloader,
    first: Built,
    triggers: Triggers,
    shutdown: CancellationToken,
    observer: Observer<Applied, Shown, Shown>,
) {
    let Triggers { sender, receiver } = triggers;
    let watcher = Watcher::start(&reloader.paths, sender.clone());
    tokio::spawn(async move {
        // The reloader ends when the last sender is gone, and this may be the only one.
        let _sender = sender;
        reloader.run(first, receiver, Some(watcher), shutdown, observer).await;
    });
}

/// Takes the address. Nobody can connect yet.
pub(super) fn bind(address: SocketAddr) -> Result<TcpSocket, AppError> {
    let bound = || -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that ended a moment ago may still hold the address; the next one takes it over.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|source| AppError::Bind { address, source })
}

fn listen(socket: TcpSocket, address: SocketAddr) -> Result<TcpListener, AppError> {
    socket.listen(ACCEPT_QUEUE_MAX).map_err(|source| AppError::Bind { address, source })
}

fn spawn_sweeps(host: &Arc<PluginHost>, inventory: &Arc<Inventory>, gates: &Arc<Gates>, shutdown: &CancellationToken) {
    let drain_max = gates.limits().plugin_drain_max;
    tokio::spawn(sweep_plugins(host.clone(), inventory.clone(), drain_max, shutdown.clone()));
    tokio::spawn(sweep(gates.clone(), shutdown.clone()));
}

async fn sweep(gates: Arc<Gates>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        gates.sweep();
    }
}

async fn tell_budgets(gates: Arc<Gates>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(TELL_BUDGETS_INTERVAL);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        gates.budgets().tell();
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
        // Instances that are dropped give their memory back, which blocks for a while.
        let swept = tokio::task::spawn_blocking(move || {
            host.sweep();
            inventory.sweep(drain_max);
        });
        let _ = swept.await;
    }
}
