//! The kinds of plugin that a component is, by its exports, and whether this host serves the versions that it exports
//! and imports.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::versions;
use crate::mistake::Mistake;
use tidegate_core::channels::{PluginKind, PluginKinds};

/// The WIT package of the contract.
const PACKAGE: &str = "tidegate:plugin/";

/// The kinds of plugin that a component is.
///
/// # Errors
/// [`Mistake`] when the component is not a plugin, or an export or import has another version of the contract.
pub(crate) fn kinds(component: &Component, engine: &Engine) -> Result<PluginKinds, Mistake> {
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

/// Checks that the component has all the kinds that `kinds` of its `plugin.yaml` asks for.
///
/// # Errors
/// [`Mistake`] with the missing kinds and the exported kinds.
pub(crate) fn check_asked(kinds: PluginKinds, asked: &[PluginKind]) -> Result<(), Mistake> {
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
