//! What a component is, read from what it exports.

use semver::Version;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::contract::VERSION;
use super::load::Mistake;
use crate::channels::PluginKinds;

/// The WIT package of the contract.
const PACKAGE: &str = "tidegate:plugin/";

/// The kinds of plugin a component is.
///
/// # Errors
/// [`Mistake`] when it is none, or was built against another version of the contract.
pub(super) fn kinds(component: &Component, engine: &Engine) -> Result<PluginKinds, Mistake> {
    let component_type = component.component_type();
    let names: Vec<String> = component_type.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let mut kinds = PluginKinds::default();
    for export in &names {
        let Some((interface, version)) = contract_name(export) else { continue };
        let kind = match interface {
            "handler" => &mut kinds.handler,
            "authorizer" => &mut kinds.authorizer,
            _ => continue,
        };
        if (version.major, version.minor) != (VERSION.major, VERSION.minor) {
            let served = format!("{}.{}", VERSION.major, VERSION.minor);
            return Err(Mistake::new(format!("exports `{export}`, this host serves version {served} of the contract"))
                .hint("build it with the SDK of this server's version"));
        }
        *kind = true;
    }
    if kinds == PluginKinds::default() {
        return Err(Mistake::new(format!("is neither a handler nor an authorizer: it exports {}", list(&names)))
            .hint("in Rust, `register!(MyPlugin: handler)` makes the export"));
    }
    Ok(kinds)
}

/// The interface and version of an export of the contract: `tidegate:plugin/handler@0.1.0`.
fn contract_name(export: &str) -> Option<(&str, Version)> {
    let (interface, version) = export.strip_prefix(PACKAGE)?.split_once('@')?;
    Some((interface, version.parse().ok()?))
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
