//! `plugin.yaml`: how a plugin is built, what it may do, and how much of the machine it may use.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::breaker::{self, BreakerSection, BreakerSettings};
use super::grants::{Grants, GrantsSection};
use super::limits::{self, LimitsSection, PluginLimits};
use super::mistakes::Mistakes;
use super::shadow::ShadowSection;
use tidegate_core::channels::PluginKind;
use tidegate_core::config::{
    ByteSize, Diagnostic, HumanDuration, Node, Shape, SourceFile, decode, editor_schema, is_told, parse_yaml,
};

/// Longest `instances.idle`.
const IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys that later versions will honour. Until then they are errors, never ignored.
const NOT_SERVED: [(&[&str], &str); 1] =
    [(&["on_failure"], "an authorizer that fails denies, a handler that fails answers `handler_failed`")];

/// A `plugin.yaml`, read and checked.
#[derive(Debug, Clone)]
pub struct PluginManifest {
    /// The file that the manifest was read from.
    pub source: Arc<SourceFile>,
    /// The component's file name, in the plugin's directory.
    pub component: String,
    /// The feature that the plugin belongs to.
    pub feature: Option<String>,
    /// What the component must export.
    pub kinds: Vec<PluginKind>,
    /// The command that builds the component, run in the plugin's directory.
    pub build: Option<String>,
    /// The component's expected SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// The answers of `tidegate:host/config`: each top-level value as JSON text.
    pub(crate) config: Arc<BTreeMap<String, String>>,
    pub(crate) grants: Grants,
    pub(crate) limits: PluginLimits,
    pub(crate) breaker: BreakerSettings,
    pub(crate) instances: Instances,
    pub(crate) shadow: Option<ShadowSection>,
    pub(crate) node: Node,
}

/// How the server keeps instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instances {
    pub(crate) isolation: Isolation,
    pub(crate) calls_max: u32,
    pub(crate) idle: Duration,
    /// The server drops an instance that grew beyond this size.
    pub(crate) memory_bytes_max: usize,
}

/// Whether calls share instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Isolation {
    /// An instance serves many calls. What one call leaves in the plugin's globals, the next call finds there.
    #[default]
    Pooled,
    /// Each call has a fresh instance, and leaves nothing behind.
    PerCall,
}

/// The manifest of a plugin, `plugin.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tidegate plugin.yaml")]
struct File {
    /// The component's file name in this directory. `build` creates the file, or you ship it ready-made.
    component: String,
    /// The feature that the plugin belongs to, as in channel manifests. Default: that of the channels that use it. It
    /// decides which team's budgets the plugin's calls count in.
    #[serde(default)]
    #[schemars(length(min = 1))]
    feature: Option<String>,
    /// The command that builds the component. `tidegate plugin build` and `tidegate dev` run it in this directory.
    #[serde(default)]
    build: Option<String>,
    /// The kinds that the component must export. The server refuses a component that lacks one of them.
    #[serde(default)]
    kinds: Vec<PluginKind>,
    /// The SHA-256 of the component, 64 hexadecimal digits. The server refuses any other component.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    sha256: Option<String>,
    /// The values that the plugin reads with `config.get`.
    #[serde(default)]
    config: BTreeMap<String, Value>,
    /// What the plugin may do. It may do nothing that is not listed here.
    #[serde(default)]
    grants: GrantsSection,
    /// How much of the machine the plugin may use.
    #[serde(default)]
    limits: LimitsSection,
    /// When the server pauses a plugin that keeps failing. Calls of authorizers count separately.
    #[serde(default)]
    breaker: BreakerSection,
    /// How the server keeps instances.
    #[serde(default)]
    instances: InstancesSection,
    /// A candidate for the next version: it is asked what the plugin is asked, and nothing that it does happens.
    #[serde(default)]
    shadow: Option<ShadowSection>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct InstancesSection {
    /// Whether calls share instances: `pooled`, an instance serves call after call; or `per-call`, each call has a fresh
    /// instance. Default `pooled`.
    isolation: Isolation,
    /// How many calls an instance serves before a fresh instance replaces it.
    max_calls: NonZeroU32,
    /// How long an instance may be idle before the server drops it, at most a day.
    idle: HumanDuration,
    /// The memory size beyond which the server drops an instance after its call. Default: three quarters of
    /// `limits.memory`.
    memory: Option<ByteSize>,
}

impl Default for InstancesSection {
    fn default() -> Self {
        Self {
            isolation: Isolation::Pooled,
            max_calls: NonZeroU32::MIN.saturating_add(9_999),
            idle: HumanDuration::new(Duration::from_secs(60)),
            memory: None,
        }
    }
}

/// Reads a `plugin.yaml`.
///
/// # Errors
/// All errors of the file, each with its place.
pub fn read_manifest(source: &Arc<SourceFile>) -> Result<PluginManifest, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let manifest = parse_yaml(source, &mut diagnostics).and_then(|node| read(source, node, &mut diagnostics));
    match manifest {
        Some(manifest) if diagnostics.is_empty() => Ok(manifest),
        _ => Err(diagnostics),
    }
}

/// The component that a `plugin.yaml` names and the command that builds it, even if the file has other errors; `None`
/// if it names no component.
#[must_use]
pub fn component_named(source: &Arc<SourceFile>) -> Option<(String, Option<String>)> {
    let tree = parse_yaml(source, &mut Vec::new())?;
    let text = |key: &str| tree.get(key).and_then(Node::as_str).map(str::to_owned);
    Some((text("component").filter(|name| is_plain(name))?, text("build")))
}

/// The JSON Schema of `plugin.yaml`, for editors.
#[must_use]
pub fn manifest_schema() -> Value {
    editor_schema::<File>()
}

fn read(source: &Arc<SourceFile>, mut node: Node, diagnostics: &mut Vec<Diagnostic>) -> Option<PluginManifest> {
    for (path, meanwhile) in NOT_SERVED {
        refuse(&mut node, path, meanwhile, diagnostics);
    }
    let file: File = decode(&node, diagnostics)?;
    check_component("/component", &file.component, &node, diagnostics);
    if let Some(shadow) = &file.shadow {
        check_component("/shadow/version", &shadow.version, &node, diagnostics);
    }
    let sha256 = file.sha256.as_deref().map(str::to_ascii_lowercase);
    let pin = node.nearest("/sha256");
    if !is_told(pin, diagnostics)
        && sha256.as_ref().is_some_and(|pin| pin.len() != 64 || !pin.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        let message = "`sha256`: expected 64 hexadecimal digits";
        diagnostics.push(Diagnostic::at(pin.place.clone(), message));
    }
    if file.feature.as_ref().is_some_and(|feature| feature.trim().is_empty()) {
        diagnostics.push(Diagnostic::at(node.nearest("/feature").place.clone(), "`feature` is empty"));
    }
    let grants = Grants::read(file.grants, &node, diagnostics);
    let limits = limits::check(&file.limits, &grants, &node, diagnostics);
    let breaker = breaker::check(&file.breaker, &node, diagnostics);
    Some(PluginManifest {
        source: source.clone(),
        component: file.component,
        feature: file.feature,
        kinds: file.kinds,
        build: file.build,
        sha256,
        config: Arc::new(file.config.into_iter().map(|(key, value)| (key, value.to_string())).collect()),
        grants,
        limits,
        breaker,
        instances: check_instances(&file.instances, &limits, &node, diagnostics),
        shadow: file.shadow,
        node,
    })
}

/// Reports a key that is not served yet, and removes it so that it is reported only once.
fn refuse(node: &mut Node, path: &[&str], meanwhile: &str, diagnostics: &mut Vec<Diagnostic>) {
    let [key, below @ ..] = path else { return };
    let Shape::Map(entries) = &mut node.shape else { return };
    let Some(position) = entries.iter().position(|entry| entry.key == *key) else { return };
    if !below.is_empty() {
        return refuse(&mut entries[position].value, below, meanwhile, diagnostics);
    }
    let entry = entries.remove(position);
    let message = format!("this version does not support `{key}`");
    diagnostics.push(Diagnostic::at(entry.key_place, message).hint(format!("leave it out: {meanwhile}")));
}

fn check_instances(
    file: &InstancesSection,
    limits: &PluginLimits,
    node: &Node,
    diagnostics: &mut Vec<Diagnostic>,
) -> Instances {
    let mut mistakes = Mistakes { section: "instances", file: node, diagnostics };
    if file.idle.get().is_zero() || file.idle.get() > IDLE_MAX {
        mistakes.add("idle", &format!("expected 1s to {}, found {}", HumanDuration::new(IDLE_MAX), file.idle));
    }
    let most = ByteSize::from_bytes(limits.memory_bytes_max as u64);
    if let Some(memory) = file.memory.filter(|memory| memory.bytes() == 0 || memory.bytes() > most.bytes()) {
        mistakes.add("memory", &format!("expected 1 byte to `limits.memory` ({most}), found {memory}"));
    }
    Instances {
        isolation: file.isolation,
        calls_max: file.max_calls.get(),
        idle: file.idle.get(),
        memory_bytes_max: file.memory.map_or(limits.memory_bytes_max / 4 * 3, ByteSize::as_usize),
    }
}

fn check_component(key: &str, name: &str, node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let at = node.nearest(key);
    let key = key[1..].replace('/', ".");
    // A missing component is reported already.
    if !is_plain(name) && node.get("component").is_some() && !is_told(at, diagnostics) {
        let message = format!("`{key}`: expected a file name, found `{name}`");
        let hint = "the component must be in the same directory as plugin.yaml";
        diagnostics.push(Diagnostic::at(at.place.clone(), message).hint(hint));
    }
}

/// Whether the text is a plain file name without a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<PluginManifest, Vec<String>> {
        let source = Arc::new(SourceFile { path: "plugin.yaml".to_owned(), text: text.to_owned() });
        read_manifest(&source).map_err(|diagnostics| {
            let told = |d: Diagnostic| {
                let line = d.place.map_or(0, |place| place.line);
                format!("{line}: {}", d.message)
            };
            diagnostics.into_iter().map(told).collect()
        })
    }

    #[test]
    fn a_component_is_all_a_manifest_needs() {
        let manifest = read("component: a.wasm").unwrap();
        assert_eq!(manifest.component, "a.wasm");
        assert_eq!(manifest.limits.memory_bytes_max, 64 << 20);
        assert_eq!(manifest.limits.cpu, Duration::from_millis(25));
        assert_eq!(manifest.limits.wall, Duration::from_millis(100));
        assert_eq!(manifest.limits.concurrency_max, 16);
        assert_eq!(manifest.limits.queue_max, 1024);
        assert_eq!(manifest.limits.output_bytes_max, 256 << 10);
        assert_eq!(manifest.breaker.faults_max, 20);
        assert_eq!(manifest.instances.calls_max, 10_000);
        assert_eq!(manifest.instances.isolation, Isolation::Pooled);
    }

    #[test]
    fn a_plugin_that_asks_a_database_or_another_server_has_time_for_it() {
        let wall = |lines: &str| read(&format!("component: a.wasm\n{lines}")).unwrap().limits.wall;
        assert_eq!(wall("grants: { queries: { one: select 1 as one } }"), Duration::from_secs(3));
        assert_eq!(wall("grants: { http: ['https://api.example.com'] }"), Duration::from_secs(3));
        assert_eq!(wall("grants: { kv: [b] }"), Duration::from_millis(100));
        assert_eq!(wall("grants: { kv: [b] }\nlimits: { wall: 1s }"), Duration::from_secs(1));
        assert_eq!(read("component: a.wasm").unwrap().limits.query_time_max, Duration::from_secs(2));
    }

    #[test]
    fn keys_of_later_versions_are_refused_and_not_ignored() {
        let told = read("component: a.wasm\non_failure: drop\n").unwrap_err();
        assert_eq!(told, ["2: this version does not support `on_failure`"]);
    }

    #[test]
    fn an_event_of_the_server_itself_cannot_be_granted() {
        let text = "component: a.wasm\ngrants: { publish: [tidegate.member.left, 'tidegate.*', tidegate] }\n";
        let told = read(text).unwrap_err();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|line| line.contains("the server's own")), "{told:?}");
    }

    #[test]
    fn a_list_is_no_section() {
        let told = read("component: a.wasm\nlimits: [64MiB]\ninstances: []\ngrants:\n  - [x]\n").unwrap_err();
        let expected = [(2, "limits"), (3, "instances"), (5, "grants")]
            .map(|(line, key)| format!("{line}: `{key}`: expected a mapping, found a list"));
        assert_eq!(told, expected);
    }

    #[test]
    fn zero_is_told_what_is_expected() {
        let text = "component: a.wasm\nlimits: { memory: 0, concurrency: 0, cpu: 0ms }\ninstances: { memory: 0 }\n";
        let told = read(text).unwrap_err().join("\n");
        for expected in [
            "`limits.memory`: expected 1 byte to 256MiB, found 0",
            "`concurrency`: expected a whole number, 1 or more, found integer `0`",
            "`limits.cpu`: expected 1ms to `limits.wall` (100ms), found 0s",
            "`instances.memory`: expected 1 byte to `limits.memory`",
        ] {
            assert!(told.contains(expected), "{expected} in {told}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_its_line() {
        let text = "component: ../a.wasm\nsha256: abc\nlimits:\n  memory: 1GiB\n  cpu: 200ms\nunknown: 1\nbreaker:\n  pause: 2m\n";
        let told = read(text).unwrap_err();
        for expected in [
            "1: `component`",
            "2: `sha256`",
            "4: `limits.memory`",
            "5: `limits.cpu`",
            "6: unknown key",
            "8: `breaker.pause`",
        ] {
            assert!(told.iter().any(|line| line.starts_with(expected)), "{expected} in {told:?}");
        }
    }
}
