//! Composition: the only place that names concrete adapters. [`prepare`] takes what a server needs, [`Prepared::build`]
//! makes the first generation, [`Server::serve`] serves and stops.

mod check;
mod descriptors;
mod gate_one;
mod nodes;
mod operators;
mod server;
mod shutdown;
mod stores;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::auth::Providers;
use crate::egress::{Asker, Egress, EgressError, EgressSettings, SystemResolver};
use crate::otlp::Exporter;
use crate::reload::{self, Built, Paths, Terms, Triggers};
pub use check::{Checked, check};
use nodes::Nodes;
pub use server::Server;
use stores::Stores;
use tidegate_backends::bus::{OwnEvents, OwnQueue, node_name};
use tidegate_core::channels::{NamedPlugin, PluginKind};
use tidegate_core::config::{Config, Diagnostic, PluginProvider, Provider};
use tidegate_core::flow::Budgets;
use tidegate_core::flow::ports::SystemClock;
use tidegate_core::protocol::Generation;
use tidegate_core::telemetry;
use tidegate_wasm::{
    CompilePlace, CompileSettings, Effort, HostError, HostSettings, KeptOut, PluginHost, Quarantine, Secrets, Services,
};

/// One request with spans and one with metrics, at once.
const EXPORTS_MAX: usize = 2;

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
    Egress(#[from] EgressError),
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
    /// Asks for reloads, beside the watch on the files.
    pub triggers: Triggers,
}

/// A server that has everything except the files of plugins and channels: its address and its store are reserved.
pub struct Prepared {
    config: Config,
    terms: Terms,
    socket: TcpSocket,
    nodes: Nodes,
    store: Stores,
    providers: Providers,
    host: Arc<PluginHost>,
    watch: Arc<OwnEvents>,
    watched: OwnQueue,
    budgets: Arc<Budgets>,
    exporter: Option<Exporter>,
}

/// Binds the address and opens the store: errors that can be known early appear before anything is built.
///
/// # Errors
/// [`AppError`] if it cannot start.
pub async fn prepare(config: Config, terms: Terms) -> Result<Prepared, AppError> {
    let socket = server::bind(config.listen)?;
    if terms == Terms::EachAlone {
        // Before builds, which take long.
        reload::judge_declared(reload::read(&paths(&config))).map_err(AppError::Diagnostics)?;
    }
    let name = node_name(&config);
    let (watch, watched) = OwnEvents::new(name.as_str(), Arc::new(SystemClock), config.limits.own_events_max);
    let watch = Arc::new(watch);
    let nodes = Nodes::new(&config, &name)?;
    let store = Stores::at(&config);
    store.open().await?;
    let (kv, queries) = (store.kv.clone(), store.queries.clone());
    let providers = gate_one::providers(&config, queries.clone(), store.sessions.clone()).await?;
    let budgets = Arc::new(Budgets::new(&config.teams));
    let (http, watching) = (egress(&config)?, watch.clone());
    let services = Services { kv, queries, http, watch: watching, budgets: budgets.clone(), ..services() };
    let host = plugin_host(&config, terms, services)?;
    let exporter = exporter(&config, name.as_str())?;
    Ok(Prepared { config, terms, socket, nodes, store, providers, host, watch, watched, budgets, exporter })
}

impl Prepared {
    /// Builds the first generation.
    ///
    /// # Errors
    /// [`AppError::Diagnostics`] with every error in the files.
    pub async fn build(self) -> Result<Server, AppError> {
        let started = Instant::now();
        let first = first_generation(&self.config, self.terms, &self.host).await?;
        telemetry::reload_applied(first.serving.catalog.generation().0, started.elapsed());
        first.tell_notes(None);
        first.kept_out.iter().for_each(KeptOut::tell);
        Ok(Server::assemble(self, first))
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
fn egress(config: &Config) -> Result<Arc<Egress>, EgressError> {
    let private_origins = config.private_origins.iter().cloned().collect();
    let settings =
        EgressSettings { private_origins, requests_max: config.limits.plugin_requests_max, asker: Asker::Plugins };
    Egress::new(settings, Arc::new(SystemResolver::default())).map(Arc::new)
}

/// The exporter of traces and metrics. An operator who names a collector means it, wherever it is.
fn exporter(config: &Config, node: &str) -> Result<Option<Exporter>, EgressError> {
    let Some(collector) = &config.telemetry.otlp else { return Ok(None) };
    let private_origins = [collector.origin().clone()].into();
    let settings = EgressSettings { private_origins, requests_max: EXPORTS_MAX, asker: Asker::Exporter };
    let http = Egress::new(settings, Arc::new(SystemResolver::default()))?;
    Ok(Exporter::new(&config.telemetry, &config.limits, node, Arc::new(http)))
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
        ack_bytes_max: Some(config.limits.ack_bytes_max),
        teams: config.teams.clone(),
    }
}
