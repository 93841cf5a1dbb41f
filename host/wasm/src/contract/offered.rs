//! Checks that a component imports only interfaces that the host offers and that `plugin.yaml` grants, before it is
//! linked.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::manifest::Grants;
use crate::mistake::Mistake;

/// The interfaces that every plugin may import.
const BASE: [&str; 4] = ["tidegate:host/log", "tidegate:host/config", "tidegate:host/clock", "tidegate:host/random"];
/// The interfaces that need a grant: the interface, the key of `grants:`, and the line to add.
const GRANTED: [(&str, &str, &str); 4] = [
    ("tidegate:host/secrets", "secrets", "secrets: [NAME]"),
    ("tidegate:kv/store", "kv", "kv: [bucket]"),
    ("tidegate:sql/queries", "queries", "queries: { name: \"select … where id = $1\" }"),
    ("tidegate:http/client", "http", "http: [\"https://api.example.com\"]"),
];

/// Whether a component may have an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Every plugin may import it.
    Everyone,
    /// WASI: the host offers it, and it is empty.
    Empty,
    /// `plugin.yaml` grants it.
    Granted {
        /// The key of `grants:`.
        grant: &'static str,
    },
    /// `plugin.yaml` lacks the grant.
    NotGranted {
        /// The key of `grants:`.
        grant: &'static str,
        /// The line to add.
        line: &'static str,
    },
    /// The host does not offer it.
    Nobody,
}

/// Checks the imports of a component against the grants of its manifest. `exports::kinds` checked their versions, and
/// the linker judges WASI: it has all of 0.2, empty.
///
/// # Errors
/// [`Mistake`] with the first import that the component may not have, and the line that would grant it.
pub(crate) fn check_imports(component: &Component, engine: &Engine, grants: &Grants) -> Result<(), Mistake> {
    let component_type = component.component_type();
    for (import, _) in component_type.imports(engine) {
        check_one(import, grants)?;
    }
    Ok(())
}

/// Whether the component may have each of its imports, in its own order, without imports of types only.
pub(crate) fn standings(component: &Component, engine: &Engine, grants: &Grants) -> Vec<(String, Standing)> {
    let component_type = component.component_type();
    let imports = component_type.imports(engine).map(|(import, _)| import.to_owned());
    let standings = imports.map(|import| (standing(&import, grants), import));
    standings.filter_map(|(standing, import)| Some((import, standing?))).collect()
}

/// `None` for the types of the contract, which are not a capability.
fn standing(import: &str, grants: &Grants) -> Option<Standing> {
    let interface = import.split('@').next().unwrap_or(import);
    if interface == "tidegate:plugin/types" {
        return None;
    }
    if interface.starts_with("wasi:") {
        return Some(Standing::Empty);
    }
    let Some((_, grant, line)) = GRANTED.iter().find(|(name, ..)| *name == interface) else {
        return Some(if BASE.contains(&interface) { Standing::Everyone } else { Standing::Nobody });
    };
    let has_grant = match *grant {
        "secrets" => !grants.secrets.is_empty(),
        "kv" => !grants.kv.is_empty(),
        "queries" => !grants.queries.is_empty(),
        _ => !grants.http.is_empty(),
    };
    Some(if has_grant { Standing::Granted { grant } } else { Standing::NotGranted { grant, line } })
}

fn check_one(import: &str, grants: &Grants) -> Result<(), Mistake> {
    match standing(import, grants) {
        None | Some(Standing::Empty | Standing::Everyone | Standing::Granted { .. }) => Ok(()),
        Some(Standing::Nobody) => Err(Mistake::new(format!("imports `{import}`, which the server does not offer"))
            .hint(
                "a plugin has `tidegate:host` (log, config, clock, random), by grant `tidegate:host/secrets`, \
             `tidegate:kv`, `tidegate:sql` and `tidegate:http`, and an empty WASI 0.2",
            )),
        Some(Standing::NotGranted { grant, line }) => {
            let message = format!("imports `{import}`, but `grants.{grant}` grants nothing");
            Err(Mistake::at("/grants", message).hint(&format!("add to `grants:` in plugin.yaml: `{line}`")))
        }
    }
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
            assert!(BASE.contains(&interface) || GRANTED.iter().any(|(name, ..)| *name == interface), "{import}");
        }
        assert_eq!(count, BASE.len() + GRANTED.len());
    }
}
