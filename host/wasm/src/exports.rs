//! The kinds of a component, by its exports, and whether its imports and exports have a version that this host
//! supports.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::load::Mistake;
use super::versions;
use tidegate_core::channels::{PluginKind, PluginKinds};

/// The WIT package of the contract.
const PACKAGE: &str = "tidegate:plugin/";

/// The kinds of plugin that a component is.
///
/// # Errors
/// [`Mistake`] if it is none, or if one of its exports or imports has an unsupported version of the contract.
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
        return Err(Mistake::new(format!("is not a plugin of any kind: it exports {}", list(&exports)))
            .hint("in Rust, `register!(MyPlugin: handler)` creates the export"));
    }
    Ok(kinds)
}

/// Whether the component has all `kinds` of its `plugin.yaml`.
///
/// # Errors
/// [`Mistake`] that names the missing and the existing kinds.
pub(super) fn check_asked(kinds: PluginKinds, asked: &[PluginKind]) -> Result<(), Mistake> {
    let missing: PluginKinds = asked.iter().copied().filter(|kind| !kinds.has(*kind)).collect();
    if missing == PluginKinds::default() {
        return Ok(());
    }
    let message = format!("does not export {}, which `kinds` requires", missing.in_words());
    Err(Mistake::at("/kinds", message).hint(&format!("it exports {}", kinds.in_words())))
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
