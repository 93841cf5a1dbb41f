//! What a component is, read from what it exports, and whether what it imports is of a version this host serves.

use semver::Version;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::contract::VERSION;
use super::load::Mistake;
use crate::channels::{PluginKind, PluginKinds};

/// The WIT package of the contract.
const PACKAGE: &str = "tidegate:plugin/";
/// What every package of the contract begins with.
const OURS: &str = "tidegate:";
const VERSION_HINT: &str = "build it with the SDK of this server's version";

/// The kinds of plugin a component is.
///
/// # Errors
/// [`Mistake`] when it is none, or an export or import of it is of another version of the contract.
pub(super) fn kinds(component: &Component, engine: &Engine) -> Result<PluginKinds, Mistake> {
    let component_type = component.component_type();
    let exports: Vec<String> = component_type.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let mut kinds = PluginKinds::default();
    for export in &exports {
        let Some((interface, version)) = export.strip_prefix(PACKAGE).and_then(|name| name.split_once('@')) else {
            continue;
        };
        let Some(kind) = PluginKind::ALL.into_iter().find(|kind| kind.as_str() == interface) else { continue };
        check_version("exports", export, version)?;
        kinds.add(kind);
    }
    for (import, _) in component_type.imports(engine) {
        if let Some((_, version)) = import.strip_prefix(OURS).and_then(|name| name.split_once('@')) {
            check_version("imports", import, version)?;
        }
    }
    if kinds == PluginKinds::default() {
        return Err(Mistake::new(format!("is no kind of plugin: it exports {}", list(&exports)))
            .hint("in Rust, `register!(MyPlugin: handler)` makes the export"));
    }
    Ok(kinds)
}

/// Whether the component is all that `kinds` of its `plugin.yaml` asks for.
///
/// # Errors
/// [`Mistake`] that names what is missing and what is there.
pub(super) fn check_asked(kinds: PluginKinds, asked: &[PluginKind]) -> Result<(), Mistake> {
    let missing: PluginKinds = asked.iter().copied().filter(|kind| !kinds.has(*kind)).collect();
    if missing == PluginKinds::default() {
        return Ok(());
    }
    let message = format!("does not export {}, which `kinds` asks for", missing.in_words());
    Err(Mistake::at("/kinds", message).hint(&format!("it exports {}", kinds.in_words())))
}

/// The same minor version fits, whatever the patch; a version that is none is for the linker to judge.
fn check_version(how: &str, name: &str, version: &str) -> Result<(), Mistake> {
    let Ok(version) = version.parse::<Version>() else { return Ok(()) };
    if (version.major, version.minor) == (VERSION.major, VERSION.minor) {
        return Ok(());
    }
    let package = name.split('/').next().unwrap_or(name);
    let served = format!("{}.{}", VERSION.major, VERSION.minor);
    Err(Mistake::new(format!("{how} `{name}`, this host serves version {served} of `{package}`")).hint(VERSION_HINT))
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
