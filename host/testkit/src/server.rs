//! A server without sockets: the real catalog and gates, fakes around them.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tidegate_core::channels::{self, Catalog, PluginKinds, Sources};
use tidegate_core::config::{Config, Limits, SourceFile, Teams, decode, parse_yaml};
use tidegate_core::flow::ports::Provider;
use tidegate_core::flow::revoke::{Revocation, Revocations};
use tidegate_core::flow::{AuthPolicy, AuthProvider, Budgets, Gates, Lifetimes, Ports, Serving};
use tidegate_core::protocol::{BusEvent, Generation, PluginName, User};

use super::{
    Client, FakeBroker, FakeBus, FakeBusSources, FakeClients, FakeClock, FakeDeadLetters, FakeHistory,
    FakeIdempotencyKeys, FakePlugins, FakeRetained, FakeRooms, FakeSharedMembers, FakeStoreHealth, FakeWatch,
};

/// The plugins a manifest of the tests may name; each can be anything.
const PLUGINS: [&str; 2] = ["answerer", "members"];
/// The processors of which teams have a share.
const PROCESSORS: usize = 2;

/// A server that was started, with its fakes at hand.
pub struct Server {
    /// The gates.
    pub gates: Arc<Gates>,
    /// What was delivered.
    pub rooms: Arc<FakeRooms>,
    /// The other nodes.
    pub broker: Arc<FakeBroker>,
    /// The histories.
    pub history: Arc<FakeHistory>,
    /// The last values and versions.
    pub retained: Arc<FakeRetained>,
    /// What was put on the bus.
    pub bus: Arc<FakeBus>,
    /// What could not cross.
    pub dead_letters: Arc<FakeDeadLetters>,
    /// The wall clock.
    pub clock: Arc<FakeClock>,
    /// What clients were revoked from.
    pub clients: Arc<FakeClients>,
    /// The idempotency keys of all nodes.
    pub idempotency_keys: Arc<FakeIdempotencyKeys>,
    /// The members on other nodes.
    pub shared_members: Arc<FakeSharedMembers>,
    /// What happened to the server itself.
    pub watch: Arc<FakeWatch>,
    /// Whether the store is there.
    pub store: Arc<FakeStoreHealth>,
    /// Whether the sources of bus events were read.
    pub bus_sources: Arc<FakeBusSources>,
    /// The plugins of the first generation.
    pub plugins: Arc<FakePlugins>,
    teams: Teams,
    connections: Mutex<u32>,
}

/// A server to be.
pub struct ServerBuilder {
    manifests: Vec<String>,
    teams: Teams,
    bridge: Option<String>,
    plugins: FakePlugins,
    bus: FakeBus,
    limits: Limits,
    auth: AuthPolicy,
    revocations: Option<Arc<Revocations>>,
}

impl Server {
    /// A server that will serve the channels of this manifest. Until told otherwise its plugins are silent, its bus is
    /// roomy, and it lets anonymous connections in.
    pub fn declaring(manifest: &str) -> ServerBuilder {
        let auth = AuthPolicy {
            anonymous: true,
            cookie: "sid".to_owned(),
            origins: Vec::new(),
            providers: Vec::new(),
            lifetimes: Lifetimes::default(),
        };
        ServerBuilder {
            manifests: vec![manifest.to_owned()],
            teams: Teams::default(),
            bridge: None,
            plugins: FakePlugins::silent(),
            bus: FakeBus::roomy(),
            limits: Limits::default(),
            auth,
            revocations: None,
        }
    }

    /// What `POST /v1/revoke` with these fields revokes, enforced.
    pub fn revoke(&self, fields: Value) -> Revocation {
        let revocation = self.gates.revocation(serde_json::from_value(fields).unwrap()).unwrap();
        self.gates.enforce(revocation.clone(), "http");
        revocation
    }

    /// A new connection of this user; `None` is anonymous.
    pub fn client(&self, user: impl Into<Option<User>>) -> Client {
        let mut connections = self.connections.lock();
        *connections += 1;
        Client::new(self.gates.clone(), *connections, user.into())
    }

    /// Puts another manifest and other plugins in force, as a reload does.
    pub fn reload(&self, manifest: &str, plugins: FakePlugins) {
        self.serve(manifest, plugins);
    }

    /// The same, and what the plugins are asked can be looked at.
    pub fn serve(&self, manifest: &str, plugins: FakePlugins) -> Arc<FakePlugins> {
        let (generation, plugins) = (Generation(self.gates.generation().0 + 1), Arc::new(plugins));
        self.gates.replace(Serving {
            catalog: catalog_of(&[manifest], None, &self.teams, generation),
            plugins: plugins.clone(),
        });
        plugins
    }

    /// Puts another manifest and another bridge table in force.
    pub fn reload_with_bridge(&self, manifest: &str, bridge: &str) {
        let generation = Generation(self.gates.generation().0 + 1);
        let catalog = catalog_of(&[manifest], Some(bridge), &self.teams, generation);
        self.gates.replace(Serving { catalog, plugins: self.plugins.clone() });
    }

    /// What was delivered so far, as `(topic, payload)`.
    pub fn delivered(&self) -> Vec<(String, Value)> {
        self.rooms.delivered()
    }

    /// Takes a bus event across the bridge.
    pub async fn bridge(&self, event: &BusEvent) {
        self.gates.perform(self.gates.bridge(event).await).await.unwrap();
    }
}

impl ServerBuilder {
    /// With these plugins.
    pub fn plugins(mut self, plugins: FakePlugins) -> Self {
        self.plugins = plugins;
        self
    }

    /// With this manifest of another feature, too.
    pub fn beside(mut self, manifest: &str) -> Self {
        self.manifests.push(manifest.to_owned());
        self
    }

    /// With these teams, as the configuration has them.
    pub fn teams(mut self, teams: &str) -> Self {
        let file = SourceFile { path: "tidegate.yaml".to_owned(), text: teams.to_owned() };
        let mut mistakes = Vec::new();
        let teams = parse_yaml(&Arc::new(file), &mut mistakes).and_then(|tree| decode(&tree, &mut mistakes));
        assert_eq!(mistakes, [], "the teams are right");
        self.teams = teams.unwrap_or_default();
        self
    }

    /// With this bridge table.
    pub fn bridge(mut self, table: &str) -> Self {
        self.bridge = Some(table.to_owned());
        self
    }

    /// With this bus.
    pub fn bus(mut self, bus: FakeBus) -> Self {
        self.bus = bus;
        self
    }

    /// With these limits.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// With this policy of gate 1.
    pub fn auth(mut self, change: impl FnOnce(&mut AuthPolicy)) -> Self {
        change(&mut self.auth);
        self
    }

    /// Asking this provider, after those named before.
    pub fn provider(mut self, provider: Arc<dyn Provider>) -> Self {
        self.auth.providers.push(AuthProvider::Own(provider));
        self
    }

    /// Remembering these revocations.
    pub fn revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Opens the gates.
    pub fn start(self) -> Server {
        let rooms = Arc::new(FakeRooms::default());
        let broker = Arc::new(FakeBroker::default());
        let history = Arc::new(FakeHistory::new(self.limits.history_bytes_max));
        let retained = Arc::new(FakeRetained::new(self.limits.retained_bytes_max, history.clone()));
        let bus = Arc::new(self.bus);
        let dead_letters = Arc::new(FakeDeadLetters::default());
        let clock = Arc::new(FakeClock::stopped());
        let plugins = Arc::new(self.plugins);
        let clients = Arc::new(FakeClients::default());
        let idempotency_keys = Arc::new(FakeIdempotencyKeys::default());
        let shared_members = Arc::new(FakeSharedMembers::default());
        let watch = Arc::new(FakeWatch::default());
        let revocations = self.revocations.unwrap_or_else(|| {
            let kept = Config::default().auth.revocations_kept.get();
            Arc::new(Revocations::unkept(self.limits.revocations_max, kept))
        });
        let ports = Ports {
            rooms: rooms.clone(),
            broker: broker.clone(),
            history: history.clone(),
            retained: retained.clone(),
            bus: bus.clone(),
            dead_letters: dead_letters.clone(),
            clock: clock.clone(),
            clients: clients.clone(),
            idempotency_keys: idempotency_keys.clone(),
            shared_members: shared_members.clone(),
            watch: watch.clone(),
            revocations,
            budgets: Arc::new(Budgets::on(PROCESSORS, &self.teams)),
        };
        let manifests: Vec<&str> = self.manifests.iter().map(String::as_str).collect();
        let catalog = catalog_of(&manifests, self.bridge.as_deref(), &self.teams, Generation(1));
        let serving = Serving { catalog, plugins: plugins.clone() };
        let gates = Arc::new(Gates::new(serving, self.auth, self.limits, ports));
        let store = Arc::new(FakeStoreHealth::default());
        Server {
            gates,
            rooms,
            broker,
            history,
            retained,
            bus,
            dead_letters,
            clock,
            clients,
            idempotency_keys,
            shared_members,
            watch,
            store,
            bus_sources: Arc::default(),
            plugins,
            teams: self.teams,
            connections: Mutex::default(),
        }
    }
}

/// Compiles a catalog from texts that are right; what is wrong fails the test with every mistake.
pub fn catalog(manifest: &str, bridge: Option<&str>, generation: Generation) -> Arc<Catalog> {
    catalog_of(&[manifest], bridge, &Teams::default(), generation)
}

fn catalog_of(manifests: &[&str], bridge: Option<&str>, teams: &Teams, generation: Generation) -> Arc<Catalog> {
    let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() });
    let sources = Sources {
        manifests: manifests.iter().map(|manifest| file("channels/test.yaml", manifest)).collect(),
        teams: teams.clone(),
        bridge: bridge.map(|text| file("bridge.yaml", text)),
        plugins: PLUGINS.into_iter().map(|name| (PluginName::new(name), PluginKinds::ALL)).collect(),
        ..Sources::default()
    };
    Arc::new(channels::compile(&sources, generation).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")))
}

/// A user with nothing but an id.
pub fn user(id: &str) -> User {
    User::new(id, Vec::new(), None)
}

/// A bus event.
pub fn event(kind: &str, data: Value) -> BusEvent {
    BusEvent::new("event-1".to_owned(), "/test".to_owned(), kind.to_owned(), data)
}
