//! Whether a component imports only what there is, and what it was granted: judged before anything is linked.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::super::grants::Grants;
use super::super::load::Mistake;

/// The interfaces every plugin may import.
const BASE: [&str; 4] = ["tidegate:host/log", "tidegate:host/config", "tidegate:host/clock", "tidegate:host/random"];
/// The interfaces that need a grant: the interface, the key of `grants:`, and the line to add.
const GRANTED: [(&str, &str, &str); 4] = [
    ("tidegate:host/secrets", "secrets", "secrets: [NAME]"),
    ("tidegate:kv/store", "kv", "kv: [bucket]"),
    ("tidegate:sql/queries", "queries", "queries: { name: \"select … where id = $1\" }"),
    ("tidegate:http/client", "http", "http: [\"https://api.example.com\"]"),
];

/// The key of `grants:` that an import needs, given as components name it: `tidegate:kv/store@0.1.0`. `None` for what
/// every plugin may import and for what nobody offers.
#[must_use]
pub fn grant_of_import(import: &str) -> Option<&'static str> {
    let interface = import.split('@').next().unwrap_or(import);
    GRANTED.iter().find(|(name, ..)| *name == interface).map(|(_, grant, _)| *grant)
}

/// Checks the imports of a component against the grants of its manifest; their versions were checked with the exports'. WASI is left to the linker, which has all of
/// 0.2, empty.
///
/// # Errors
/// [`Mistake`] naming the first import that is not there for it, and the line that would grant it.
pub(in crate::plugins) fn check(component: &Component, engine: &Engine, grants: &Grants) -> Result<(), Mistake> {
    let component_type = component.component_type();
    for (import, _) in component_type.imports(engine) {
        check_one(import, grants)?;
    }
    Ok(())
}

fn check_one(import: &str, grants: &Grants) -> Result<(), Mistake> {
    let interface = import.split('@').next().unwrap_or(import);
    // Types only: what the exports of the contract are made of.
    if interface.starts_with("wasi:") || interface == "tidegate:plugin/types" {
        return Ok(());
    }
    let granted = GRANTED.iter().find(|(name, ..)| *name == interface);
    if granted.is_none() && !BASE.contains(&interface) {
        return Err(Mistake::new(format!("imports `{import}`, which nobody offers")).hint(
            "a plugin has `tidegate:host` (log, config, clock, random), by grant `tidegate:host/secrets`, \
             `tidegate:kv`, `tidegate:sql` and `tidegate:http`, and an empty WASI 0.2",
        ));
    }
    let Some((_, grant, line)) = granted else { return Ok(()) };
    let has_grant = match *grant {
        "secrets" => !grants.secrets.is_empty(),
        "kv" => !grants.kv.is_empty(),
        "queries" => !grants.queries.is_empty(),
        _ => !grants.http.is_empty(),
    };
    if has_grant {
        return Ok(());
    }
    let message = format!("imports `{import}`, and `grants.{grant}` grants nothing");
    Err(Mistake::at("/grants", message).hint(&format!("add to `grants:` in plugin.yaml: `{line}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_of_the_contract_is_offered_or_granted() {
        let contract = include_str!("../../../../wit/plugin.wit");
        let imports = contract.lines().filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'));
        let mut count = 0;
        for import in imports {
            count += 1;
            let interface = import.split('@').next().unwrap();
            assert!(BASE.contains(&interface) || grant_of_import(import).is_some(), "{import}");
        }
        assert_eq!(count, BASE.len() + GRANTED.len());
    }
}
