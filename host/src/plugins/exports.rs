//! What a component is, read from what it exports.

use semver::Version;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::contract::VERSION;
use super::load::Mistake;
use crate::channels::PluginKinds;

/// The WIT package of the contract.
const PACKAGE: &str = "tidegate:plugin/";
/// What the names of all packages of the contract begin with.
const OURS: &str = "tidegate:";

/// The kinds of plugin a component is.
///
/// # Errors
/// [`Mistake`] when it is none, or exports or imports another version of the contract.
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
        check_version("exports", export, &version)?;
        *kind = true;
    }
    for (import, _) in component_type.imports(engine) {
        let version = import.strip_prefix(OURS).and_then(|name| name.split_once('@')?.1.parse().ok());
        if let Some(version) = version {
            check_version("imports", import, &version)?;
        }
    }
    if kinds == PluginKinds::default() {
        return Err(Mistake::new(format!("is neither a handler nor an authorizer: it exports {}", list(&names)))
            .hint("in Rust, `register!(MyPlugin: handler)` makes the export"));
    }
    Ok(kinds)
}

/// The same minor version fits, whatever the patch.
fn check_version(how: &str, name: &str, version: &Version) -> Result<(), Mistake> {
    if (version.major, version.minor) == (VERSION.major, VERSION.minor) {
        return Ok(());
    }
    let served = format!("{}.{}", VERSION.major, VERSION.minor);
    Err(Mistake::new(format!("{how} `{name}`, this host serves version {served} of the contract"))
        .hint("build it with the SDK of this server's version"))
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
