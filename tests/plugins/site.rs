//! Files that are served and reloaded, and the components that are swapped below them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate::reload::{self, Built, Observer, Paths, Reloader, Terms, Trigger};
use tidegate_core::config::{Diagnostic, HumanDuration, Rollback};
use tidegate_core::flow::ports::{PluginRoster as _, PluginState, PluginStatus};
use tidegate_core::protocol::{Code, Generation};
use tidegate_wasm::{HostSettings, Inventory, PluginHost, PluginSource, Quarantine};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::kit::{BAD_MANIFEST, KINDS_MANIFEST, bad, kinds};
use tidegate_testkit::{Server, user};

/// A channel the bad plugin handles, and one whose authorizer is the plugin of the other kinds.
const CHANNELS: &str = "
feature: site
channels:
  room: { scope: public, payload: {}, inbound: { payload: {}, handler: bad } }
  vault.{vaultId}: { scope: authenticated, authorizer: kinds, payload: {} }
";

/// What became of a reload, or of a plugin that was taken back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied(u64),
    Rejected(Vec<String>),
    Warned(Vec<String>),
}

/// A server over real files, without sockets.
pub(crate) struct Site {
    root: TempDir,
    pub(crate) server: Server,
    pub(crate) inventory: Arc<Inventory>,
    triggers: mpsc::Sender<Trigger>,
    outcomes: mpsc::Receiver<Outcome>,
    shutdown: CancellationToken,
}

/// A site that was started again.
pub(crate) struct Restarted {
    pub(crate) server: Server,
    /// The plugins whose file is quarantined, with why.
    pub(crate) kept_out: Vec<(String, String)>,
}

/// A site to be.
pub(crate) struct SiteBuilder {
    root: TempDir,
    rollback: Rollback,
    terms: Terms,
}

impl Site {
    /// The bad plugin and the one of the other kinds, and a generous probation.
    pub(crate) fn of_both() -> SiteBuilder {
        let builder =
            SiteBuilder { root: tempfile::tempdir().unwrap(), rollback: Rollback::default(), terms: Terms::Whole };
        builder.write("channels/site.yaml", CHANNELS);
        builder.write("plugins/bad/plugin.yaml", BAD_MANIFEST);
        builder.write("plugins/bad/bad.wasm", bad(BAD_MANIFEST).component);
        builder.write("plugins/kinds/plugin.yaml", KINDS_MANIFEST);
        builder.write("plugins/kinds/kinds.wasm", kinds("kinds", KINDS_MANIFEST).component);
        builder
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write(&self.root, path, bytes);
    }

    /// The bad plugin in another version: other bytes that do the same.
    pub(crate) fn write_version(&self, version: &str) {
        self.write("plugins/bad/bad.wasm", version_of(&bad(BAD_MANIFEST), version));
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Says that files changed.
    pub(crate) async fn touch(&self) {
        self.triggers.send(Trigger::Files).await.unwrap();
    }

    /// Says that files changed, and waits for what comes of it.
    pub(crate) async fn reload(&mut self) -> Outcome {
        self.touch().await;
        self.outcome().await
    }

    /// What comes next.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        self.outcomes.recv().await.unwrap()
    }

    /// The reasons why a reload was rejected.
    pub(crate) async fn rejected(&mut self) -> Vec<String> {
        match self.reload().await {
            Outcome::Rejected(reasons) => reasons,
            other => panic!("{other:?}"),
        }
    }

    /// Sends what the bad plugin is to do.
    pub(crate) async fn order(&self, deed: &str) -> Result<(), Code> {
        let client = self.server.client(None);
        client.subscribe("room").await.map_err(|refusal| refusal.code)?;
        client.send("room", deed.into()).await.map(drop).map_err(|refusal| refusal.code)
    }

    /// Whether the authorizer lets this user in.
    pub(crate) async fn lets_in(&self, name: &str) -> bool {
        self.server.client(user(name)).subscribe("vault.v1").await.is_ok()
    }

    /// Has the bad plugin trap so often.
    pub(crate) async fn fail(&self, times: u32) {
        for _ in 0..times {
            assert_eq!(self.order("panic").await, Err(Code::HandlerFailed));
        }
    }

    /// The states of the versions of a plugin.
    pub(crate) fn states(&self, plugin: &str) -> Vec<PluginState> {
        self.statuses(plugin).into_iter().map(|status| status.state).collect()
    }

    pub(crate) fn statuses(&self, plugin: &str) -> Vec<PluginStatus> {
        self.inventory.list().into_iter().filter(|status| status.name == plugin).collect()
    }

    /// What starts from the files as they are now, on a server of its own.
    pub(crate) async fn restart(&self) -> Restarted {
        let host = self::host(&self.root);
        let read = reload::read(&paths(&self.root));
        let built = reload::build(&host, read, Generation(1), &[]).await;
        let Built { serving, kept_out, .. } = built.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let server = Server::declaring("feature: none\nchannels: {}\n").start();
        server.gates.replace(serving);
        Restarted {
            server,
            kept_out: kept_out.into_iter().map(|kept| (kept.plugin.to_string(), kept.reason)).collect(),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl SiteBuilder {
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write(&self.root, path, bytes);
    }

    pub(crate) fn probation(mut self, probation: Duration) -> Self {
        self.rollback.probation = HumanDuration::new(probation);
        self
    }

    /// As somebody has it who writes plugins.
    pub(crate) fn each_alone(mut self) -> Self {
        self.terms = Terms::EachAlone;
        self
    }

    /// Starts, and waits until it serves.
    pub(crate) async fn start(self) -> Site {
        let Self { root, rollback, terms } = self;
        let (host, paths) = (host(&root), paths(&root));
        let read = reload::read(&paths);
        let first = match terms {
            Terms::Whole => reload::build(&host, read, Generation(1), &[]).await,
            Terms::EachAlone => reload::build_each(&host, &paths, read, Generation(1), None).await,
        };
        let first = first.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let server = Server::declaring("feature: none\nchannels: {}\n").start();
        server.gates.replace(first.serving.clone());
        let inventory = Arc::new(Inventory::new(host.quarantine().clone()));
        inventory.serve(&first.plugins, Vec::new());
        let (triggers, triggered) = mpsc::channel(8);
        let (told, outcomes) = mpsc::channel(64);
        let shutdown = CancellationToken::new();
        let gates = server.gates.clone();
        let reloader =
            Reloader { paths, host, gates, inventory: inventory.clone(), rollback, terms, log: Arc::default() };
        let (on_applied, on_rejected, on_warned) = (told.clone(), told.clone(), told);
        let messages = |mistakes: &[Diagnostic]| mistakes.iter().map(|mistake| mistake.message.clone()).collect();
        let told = Observer {
            applied: move |generation: Generation| on_applied.try_send(Outcome::Applied(generation.0)).unwrap(),
            rejected: move |mistakes: &[Diagnostic]| {
                on_rejected.try_send(Outcome::Rejected(messages(mistakes))).unwrap();
            },
            warned: move |mistakes: &[Diagnostic]| {
                on_warned.try_send(Outcome::Warned(messages(mistakes))).unwrap();
            },
        };
        tokio::spawn(reloader.run(first, triggered, None, shutdown.clone(), told));
        Site { root, server, inventory, triggers, outcomes, shutdown }
    }
}

/// The component of a plugin with a custom section that says which one it is.
pub(crate) fn version_of(source: &PluginSource, version: &str) -> Vec<u8> {
    let mut component = source.component.clone();
    let name = b"version";
    let content = [&[name.len() as u8], name.as_slice(), version.as_bytes()].concat();
    component.extend([0, u8::try_from(content.len()).unwrap()]);
    component.extend(content);
    component
}

fn write(root: &TempDir, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn host(root: &TempDir) -> Arc<PluginHost> {
    let host = PluginHost::new(HostSettings { instances_max: 8, ..HostSettings::default() }).unwrap();
    Arc::new(host.refusing(Arc::new(Quarantine::at(root.path().join("quarantine.json")))))
}

fn paths(root: &TempDir) -> Paths {
    let at = |path: &str| root.path().join(path);
    Paths { channels: at("channels"), plugins: at("plugins"), bridge: at("bridge.yaml"), ..Paths::default() }
}
