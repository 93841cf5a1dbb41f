//! Guests built from source, loaded and called the way the server does it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tidegate_core::channels::{Sources, compile};
use tidegate_core::config::{Diagnostic, SourceFile};
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{Action, Answer, AuthorizerCall, Decision, Fault, HandlerCall, Outcome};
use tidegate_core::protocol::{ConnectionId, Generation, Payload, PluginName, User};
use tidegate_wasm::{
    BuildOutput, HostSettings, Plugin, PluginHost, PluginSource, build, ensure_wasm_target, read_manifest,
};

/// The plugin that misbehaves as its payload says, with grants for some of it.
pub(crate) const BAD_MANIFEST: &str = "
component: bad.wasm
build: cargo build --release --target wasm32-wasip2
grants:
  emit: [granted, 'granted.{x}']
  publish: [granted.*]
limits: { memory: 16MiB, cpu: 100ms, wall: 1s }
";

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where guests are built: below the target directory of the tests, so that they are built once a checkout.
fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests")
}

/// A plugin's manifest and component, built from source.
fn built(dir: &Path, manifest: &str) -> PluginSource {
    let source = Arc::new(SourceFile { path: "plugin.yaml".to_owned(), text: manifest.to_owned() });
    let read = read_manifest(&source).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"));
    ensure_wasm_target(dir).unwrap();
    let report = build(dir, &read, &target_dir(), BuildOutput::Inherit).unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    let component = std::fs::read(&report.component).unwrap();
    PluginSource {
        name: PluginName::new(name),
        manifest: source,
        component_path: read.component,
        component,
        vectors: Vec::new(),
    }
}

/// A plugin of `plugins/`, as shipped.
pub(crate) fn shipped(name: &str) -> PluginSource {
    static BUILDING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap();
    let dir = root().join("plugins").join(name);
    let manifest = std::fs::read_to_string(dir.join("plugin.yaml")).unwrap();
    built(&dir, &manifest)
}

/// The bad plugin with this `plugin.yaml`.
pub(crate) fn bad(manifest: &str) -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    let source = BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/bad"), BAD_MANIFEST)).clone();
    with_manifest(source, manifest)
}

/// The plugin that reaches for what it is told to, with these lines of `plugin.yaml`.
pub(crate) fn reaching(lines: &str) -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    const MANIFEST: &str = "component: reach.wasm\nbuild: cargo build --release --target wasm32-wasip2\n";
    let source = BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/reach"), MANIFEST)).clone();
    with_manifest(source, &format!("component: reach.wasm\n{lines}\n"))
}

/// The plugin that sends the HTTP requests it is told to, with these lines of `plugin.yaml`.
pub(crate) fn fetching(lines: &str) -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    const MANIFEST: &str = "component: fetch.wasm\nbuild: cargo build --release --target wasm32-wasip2\n";
    let source = BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/fetch"), MANIFEST)).clone();
    with_manifest(source, &format!("component: fetch.wasm\n{lines}\n"))
}

/// The `plugin.yaml` of the plugin that is everything but a handler.
pub(crate) const KINDS_MANIFEST: &str = "
component: kinds.wasm
build: cargo build --release --target wasm32-wasip2
kinds: [authorizer, snapshot, transform, connection]
grants:
  emit: [lobby]
  publish: [connection.*]
limits: { memory: 16MiB, cpu: 100ms, wall: 1s }
";

/// The plugin that is everything but a handler, under this name and with this `plugin.yaml`.
pub(crate) fn kinds(name: &str, manifest: &str) -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    let source = BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/kinds"), KINDS_MANIFEST)).clone();
    PluginSource { name: PluginName::new(name), ..with_manifest(source, manifest) }
}

/// The plugin of every kind that is written with the Rust SDK.
pub(crate) fn typed() -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    let grants = "grants:\n  http: ['http://api.test']\n";
    let manifest = KINDS_MANIFEST.replace("kinds.wasm", "typed.wasm").replace("grants:\n", grants);
    BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/typed"), &manifest)).clone()
}

/// The plugin that does with the key-value store what it is told to, under this name and with these lines of `plugin.yaml`.
pub(crate) fn keys(name: &str, lines: &str) -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    const MANIFEST: &str = "component: keys.wasm\nbuild: cargo build --release --target wasm32-wasip2\n";
    let source = BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/keys"), MANIFEST)).clone();
    PluginSource { name: PluginName::new(name), ..with_manifest(source, &format!("component: keys.wasm\n{lines}\n")) }
}

/// The plugin that asks the queries it is told to, with these lines of `plugin.yaml`.
pub(crate) fn asks(lines: &str) -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    const MANIFEST: &str = "component: asks.wasm\nbuild: cargo build --release --target wasm32-wasip2\n";
    let source = BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/asks"), MANIFEST)).clone();
    with_manifest(source, &format!("component: asks.wasm\n{lines}\n"))
}

/// The plugin of every kind that was made for the contract's first version, with these lines of `plugin.yaml`.
pub(crate) fn first(lines: &str) -> PluginSource {
    static BUILT: OnceLock<PluginSource> = OnceLock::new();
    const MANIFEST: &str = "component: first.wasm\nbuild: cargo build --release --target wasm32-wasip2\n";
    let source = BUILT.get_or_init(|| built(&root().join("tests/plugins/guests/first"), MANIFEST)).clone();
    with_manifest(source, &format!("component: first.wasm\n{lines}\n"))
}

/// The same component with another `plugin.yaml`.
pub(crate) fn with_manifest(source: PluginSource, manifest: &str) -> PluginSource {
    let file = SourceFile { path: "plugin.yaml".to_owned(), text: manifest.to_owned() };
    PluginSource { manifest: Arc::new(file), ..source }
}

/// A component written as WebAssembly text.
pub(crate) fn text(wat: &str) -> PluginSource {
    bytes(wat::parse_str(wat).unwrap())
}

/// A component of these bytes.
pub(crate) fn bytes(component: Vec<u8>) -> PluginSource {
    let manifest = SourceFile { path: "plugin.yaml".to_owned(), text: "component: x.wasm".to_owned() };
    let (name, component_path) = (PluginName::new("x"), "x.wasm".to_owned());
    PluginSource { name, manifest: Arc::new(manifest), component_path, component, vectors: Vec::new() }
}

/// The engine reserves address space by the terabyte, so the tests share one.
pub(crate) fn host() -> &'static PluginHost {
    static HOST: OnceLock<PluginHost> = OnceLock::new();
    HOST.get_or_init(|| PluginHost::new(HostSettings { instances_max: 64, ..HostSettings::default() }).unwrap())
}

pub(crate) async fn load(source: PluginSource) -> Arc<Plugin> {
    host().load(source).await.unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

/// What is wrong with a plugin that must not load: message, line of `plugin.yaml`, hint.
pub(crate) async fn refused(source: PluginSource) -> (String, usize, String) {
    let diagnostics = host().load(source).await.unwrap_err();
    assert_eq!(diagnostics.len(), 1, "{diagnostics:#?}");
    let Diagnostic { message, place, hint, .. } = diagnostics.into_iter().next().unwrap();
    (message, place.unwrap().line, hint.unwrap_or_default())
}

/// A connection of this user on this topic of this channel.
pub(crate) fn context(channel: &str, topic: &str, user: Option<&str>) -> CallContext {
    let text = format!("feature: tests\nchannels:\n  '{channel}': {{ scope: public, payload: {{}} }}\n");
    let manifest = Arc::new(SourceFile { path: "tests.yaml".to_owned(), text });
    let catalog = compile(&Sources { manifests: vec![manifest], ..Sources::default() }, Generation(1));
    let resolved = catalog.unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}")).resolve(topic).unwrap();
    let user = user.map(|id| User::new(id, vec!["r".to_owned()], None));
    CallContext { resolved, user: user.map(Arc::new), connection: ConnectionId::new("c1") }
}

/// Sends a message to a handler.
pub(crate) async fn send(plugin: &Plugin, payload: &str) -> Result<Answer, Fault> {
    send_on(plugin, &context("realtime-ping", "realtime-ping", Some("u1")), payload).await
}

pub(crate) async fn send_on(plugin: &Plugin, context: &CallContext, payload: &str) -> Result<Answer, Fault> {
    plugin.handle(HandlerCall { context, payload: &Payload::parse(payload.to_owned()).unwrap() }).await
}

/// Has the bad plugin do something.
pub(crate) async fn order(plugin: &Plugin, deed: &str) -> Result<Answer, Fault> {
    send(plugin, &format!("\"{deed}\"")).await
}

/// The reply to a message the handler took.
pub(crate) fn reply(answer: Result<Answer, Fault>) -> String {
    let Outcome { reply, .. } = answer.unwrap().unwrap();
    reply.unwrap().as_str().to_owned()
}

pub(crate) async fn ask(plugin: &Plugin, context: &CallContext) -> Result<Decision, Fault> {
    plugin.authorize(AuthorizerCall { context, action: Action::Subscribe, payload: None }).await
}
