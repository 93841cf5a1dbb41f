//! What a component is, read from what it exports, and whether what it imports is of a version this host serves.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::load::Mistake;
use super::versions;
use tidegate_core::channels::{PluginKind, PluginKinds};

/// The WIT package of the contract.
const PACKAGE: &str = "tidegate:plugin/";

/// The kinds of plugin a component is.
///
/// # Errors
/// [`Mistake`] when it is none, or an export or import of it is of another version of the contract.
pub(super) fn kinds(component: &Component, engine: &Engine) -> Result<PluginKinds, Mistake> {
    let component_type = component.component_type();
    let exports: Vec<String> = component_type.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let mut kinds = PluginKinds::default();
    for export in &exports {
        let Some((interface, _)) = export.strip_prefix(PACKAGE).and_then(|name| name.split_once('@')) else { continue };
        let Some(kind) = PluginKind::ALL.into_iter().find(|kind| kind.as_str() == interface) else { continue };
        versions::check("exports", export)?;
        kinds.add(kind);
    }
    for (import, _) in component_type.imports(engine) {
        versions::check("imports", import)?;
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

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
