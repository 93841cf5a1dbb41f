//! `plugin.yaml`: what a plugin is built from, what it may do, and how much of the machine it gets.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::engine::MEMORY_BYTES_MAX;
use super::grants::Grants;
use crate::channels::PluginKind;
use crate::config::{ByteSize, Diagnostic, HumanDuration, Node, Shape, SourceFile, decode, parse_yaml};

/// Keys that later versions honour; until then asking for one is an error, never silence.
const NOT_SERVED: [(&[&str], &str); 6] = [
    (&["on_failure"], "an authorizer that fails denies, a handler that fails answers `handler_failed`"),
    (&["grants", "kv"], "no plugin has a key-value store"),
    (&["grants", "queries"], "no plugin has named queries"),
    (&["grants", "http"], "no plugin has the network"),
    (&["grants", "secrets"], "no plugin has secrets"),
    (&["instances", "idle"], "an instance lives until `instances.max_calls`"),
];
/// Longest `limits.wall`.
const WALL_MAX: Duration = Duration::from_secs(30);
/// Most calls of one plugin at once.
const CONCURRENCY_MAX: u32 = 1024;

/// A `plugin.yaml`, read and checked.
#[derive(Debug, Clone)]
pub struct PluginManifest {
    /// The file it came from.
    pub source: Arc<SourceFile>,
    /// The component's file name, in the plugin's directory.
    pub component: String,
    /// What the component must export.
    pub kinds: Vec<PluginKind>,
    /// The command that builds the component, run in the plugin's directory.
    pub build: Option<String>,
    /// The component's expected SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// What `tidegate:host/config` answers: each top-level value as JSON text.
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) grants: Grants,
    pub(super) limits: PluginLimits,
    pub(super) instances: Instances,
    pub(super) node: Node,
}

/// What a plugin may use of the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct PluginLimits {
    pub(super) memory_bytes_max: usize,
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    pub(super) concurrency_max: u32,
    pub(super) output_bytes_max: usize,
}

/// How instances are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instances {
    pub(super) isolation: Isolation,
    pub(super) calls_max: u32,
}

/// Whether calls share instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Isolation {
    /// An instance serves call after call: what a call leaves in the plugin's globals, the next one finds.
    #[default]
    Pooled,
    /// Every call gets a fresh instance and leaves nothing behind.
    PerCall,
}

/// The file as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tidegate plugin.yaml")]
struct File {
    /// The component's file name, in this directory; `build` makes it, or it is shipped as it is.
    component: String,
    /// The command that builds the component, run in this directory.
    #[serde(default)]
    build: Option<String>,
    /// What the component must export; one that lacks any of it is refused.
    #[serde(default)]
    kinds: Vec<PluginKind>,
    /// The component's SHA-256. Another component is refused.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    sha256: Option<String>,
    /// What the plugin reads with `config.get`.
    #[serde(default)]
    config: BTreeMap<String, Value>,
    /// What the plugin may do. Nothing that is not listed.
    #[serde(default)]
    grants: GrantsSection,
    /// What the plugin may use of the machine.
    #[serde(default)]
    limits: LimitsSection,
    /// How instances are kept.
    #[serde(default)]
    instances: InstancesSection,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct GrantsSection {
    /// Channels it may publish to: `realtime-ping`, `vault.{vaultId}`.
    emit: Vec<String>,
    /// Types of bus events it may publish: `ping.seen`, or a prefix, `ping.*`.
    publish: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    /// Memory of one instance, all its memories together.
    memory: ByteSize,
    /// Processor time of one call.
    cpu: HumanDuration,
    /// Time of one call, waiting included.
    wall: HumanDuration,
    /// Calls at once; those beyond wait, `wall` at most.
    concurrency: NonZeroU32,
    /// Size of one answer: the reply and the effects together.
    output: ByteSize,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_bytes(64 << 20),
            cpu: HumanDuration::new(Duration::from_millis(25)),
            wall: HumanDuration::new(Duration::from_millis(100)),
            concurrency: NonZeroU32::MIN.saturating_add(15),
            output: ByteSize::from_bytes(256 << 10),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct InstancesSection {
    /// Whether calls share instances.
    isolation: Isolation,
    /// Calls an instance serves before a fresh one takes its place.
    max_calls: NonZeroU32,
}

impl Default for InstancesSection {
    fn default() -> Self {
        Self { isolation: Isolation::Pooled, max_calls: NonZeroU32::MIN.saturating_add(9_999) }
    }
}

/// Reads a `plugin.yaml`.
///
/// # Errors
/// Every mistake of the file, each with its place.
pub fn read_manifest(source: &Arc<SourceFile>) -> Result<PluginManifest, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let manifest = parse_yaml(source, &mut diagnostics).and_then(|node| read(source, node, &mut diagnostics));
    match manifest {
        Some(manifest) if diagnostics.is_empty() => Ok(manifest),
        _ => Err(diagnostics),
    }
}

/// The JSON Schema of `plugin.yaml`, for editors.
#[must_use]
pub fn manifest_schema() -> Value {
    schemars::schema_for!(File).to_value()
}

fn read(source: &Arc<SourceFile>, mut node: Node, diagnostics: &mut Vec<Diagnostic>) -> Option<PluginManifest> {
    for (path, meanwhile) in NOT_SERVED {
        refuse(&mut node, path, meanwhile, diagnostics);
    }
    let file: File = decode(&node, diagnostics)?;
    check_component(&file.component, &node, diagnostics);
    let sha256 = file.sha256.as_deref().map(str::to_ascii_lowercase);
    if sha256.as_ref().is_some_and(|pin| pin.len() != 64 || !pin.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        let message = "`sha256`: expected 64 hexadecimal digits";
        diagnostics.push(Diagnostic::at(node.nearest("/sha256").place.clone(), message));
    }
    let grants = Grants::read(&file.grants.emit, &file.grants.publish, &node, diagnostics);
    let limits = check_limits(&file.limits, &node, diagnostics);
    Some(PluginManifest {
        source: source.clone(),
        component: file.component,
        kinds: file.kinds,
        build: file.build,
        sha256,
        config: Arc::new(file.config.into_iter().map(|(key, value)| (key, value.to_string())).collect()),
        grants,
        limits,
        instances: Instances { isolation: file.instances.isolation, calls_max: file.instances.max_calls.get() },
        node,
    })
}

/// Tells of a key that is not honoured yet, and takes it out so that it is told once.
fn refuse(node: &mut Node, path: &[&str], meanwhile: &str, diagnostics: &mut Vec<Diagnostic>) {
    let [key, below @ ..] = path else { return };
    let Shape::Map(entries) = &mut node.shape else { return };
    let Some(position) = entries.iter().position(|entry| entry.key == *key) else { return };
    if !below.is_empty() {
        return refuse(&mut entries[position].value, below, meanwhile, diagnostics);
    }
    let entry = entries.remove(position);
    let message = format!("`{key}` is not served by this version");
    diagnostics.push(Diagnostic::at(entry.key_place, message).hint(format!("leave it out: {meanwhile}")));
}

fn check_component(name: &str, node: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if !is_plain {
        let message = format!("`component`: expected a file name, found `{name}`");
        let hint = "the component lies beside plugin.yaml";
        diagnostics.push(Diagnostic::at(node.nearest("/component").place.clone(), message).hint(hint));
    }
}

fn check_limits(file: &LimitsSection, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> PluginLimits {
    let mut refuse = |key: &str, message: String| {
        let place = node.nearest(&format!("/limits/{key}")).place.clone();
        diagnostics.push(Diagnostic::at(place, format!("`limits.{key}`: {message}")));
    };
    let memory_bytes_max = file.memory.as_usize();
    if memory_bytes_max == 0 || memory_bytes_max > MEMORY_BYTES_MAX {
        let most = ByteSize::from_bytes(MEMORY_BYTES_MAX as u64);
        refuse("memory", format!("expected at most {most}, found {}", file.memory));
    }
    let (cpu, wall) = (file.cpu.get(), file.wall.get());
    if wall.is_zero() || wall > WALL_MAX {
        refuse("wall", format!("expected 1ms to {}, found {}", HumanDuration::new(WALL_MAX), file.wall));
    }
    if cpu < super::engine::TICK || cpu > wall {
        refuse("cpu", format!("expected 1ms to `limits.wall` ({}), found {}", file.wall, file.cpu));
    }
    if file.concurrency.get() > CONCURRENCY_MAX {
        refuse("concurrency", format!("expected at most {CONCURRENCY_MAX}, found {}", file.concurrency));
    }
    if file.output.bytes() == 0 || file.output.as_usize() > super::answer::OUTPUT_BYTES_MAX {
        let most = ByteSize::from_bytes(super::answer::OUTPUT_BYTES_MAX as u64);
        refuse("output", format!("expected at most {most}, found {}", file.output));
    }
    PluginLimits {
        memory_bytes_max,
        cpu,
        wall,
        concurrency_max: file.concurrency.get(),
        output_bytes_max: file.output.as_usize(),
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(manifest.limits.output_bytes_max, 256 << 10);
        assert_eq!(manifest.instances.calls_max, 10_000);
        assert_eq!(manifest.instances.isolation, Isolation::Pooled);
    }

    #[test]
    fn keys_of_later_versions_are_refused_and_not_ignored() {
        let text = "component: a.wasm\ngrants:\n  kv: [x]\n  http: [y]\non_failure: drop\n";
        let told = read(text).unwrap_err();
        assert!(told.contains(&"3: `kv` is not served by this version".to_owned()), "{told:?}");
        assert!(told.contains(&"4: `http` is not served by this version".to_owned()), "{told:?}");
        assert!(told.contains(&"5: `on_failure` is not served by this version".to_owned()), "{told:?}");
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn every_mistake_is_told_at_its_line() {
        let text = "component: ../a.wasm\nsha256: abc\nlimits:\n  memory: 1GiB\n  cpu: 200ms\nunknown: 1\n";
        let told = read(text).unwrap_err();
        for expected in ["1: `component`", "2: `sha256`", "4: `limits.memory`", "5: `limits.cpu`", "6: unknown key"] {
            assert!(told.iter().any(|line| line.starts_with(expected)), "{expected} in {told:?}");
        }
    }
}
