//! Which crate may depend on which, and on which foreign crates: read off the manifests.

use std::path::Path;

use super::Breach;

/// Each crate below `host/` and those of the house it may depend on.
const MAY_DEPEND: [(&str, &[&str]); 7] = [
    ("core", &[]),
    ("wasm", &["core"]),
    ("realtime", &["core", "transport"]),
    ("backends", &["core"]),
    ("server", &["backends", "core", "realtime", "wasm"]),
    ("testkit", &["core"]),
    ("transport", &[]),
];
/// The crates whose modules stand on floors; the others are one module each.
pub(crate) const HAVE_FLOORS: [&str; 3] = ["core", "backends", "server"];

/// A crate of the house, by the name of its folder.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) manifest: String,
}

impl Crate {
    /// What it is built of; what only its tests are built of is left out.
    fn dependencies(&self) -> Vec<String> {
        let lines = self.manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
        let name = |line: &str| Some(line.split_once(['=', '.'])?.0.trim().replace('-', "_"));
        lines.take_while(|line| !line.starts_with('[')).filter_map(name).collect()
    }

    fn breach(&self, rule: String) -> Breach {
        Breach { file: format!("host/{}/Cargo.toml", self.name), line: 1, rule }
    }
}

/// Every crate below a folder.
pub(crate) fn read(host: &Path) -> Vec<Crate> {
    let mut crates: Vec<Crate> = std::fs::read_dir(host)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let manifest = std::fs::read_to_string(path.join("Cargo.toml")).ok()?;
            Some(Crate { name: path.file_name()?.to_string_lossy().into_owned(), manifest })
        })
        .collect();
    crates.sort_by(|one, other| one.name.cmp(&other.name));
    crates
}

/// Crates depend downwards only, and on a foreign crate with a home only where a home is; and every home is in use.
pub(crate) fn arrows_and_homes(crates: &[Crate], homes: &[(&str, &[&str])], breaches: &mut Vec<Breach>) {
    for of_house in crates {
        let Some((_, allowed)) = MAY_DEPEND.iter().find(|(name, _)| *name == of_house.name) else {
            breaches.push(of_house.breach(format!("`{}` is no crate of the house", of_house.name)));
            continue;
        };
        let prefix = format!("{}/", of_house.name);
        for dependency in of_house.dependencies() {
            if let Some(below) = dependency.strip_prefix("tidegate_").filter(|below| !allowed.contains(below)) {
                breaches.push(of_house.breach(format!("`{}` may not depend on `{below}`", of_house.name)));
            }
            let Some((_, homes)) = homes.iter().find(|(name, _)| *name == dependency) else { continue };
            // The kit of the tests speaks to servers in its own way.
            if of_house.name == "testkit" {
                continue;
            }
            if !homes.iter().any(|home| home.starts_with(&prefix)) {
                let rule = format!("`{dependency}` has no home here; it is named in {} only", homes.join(", "));
                breaches.push(of_house.breach(rule));
            }
        }
    }
    for (name, homes) in homes {
        for home in *homes {
            let lives = |of_house: &&Crate| home.starts_with(&format!("{}/", of_house.name));
            let depends = |of_house: &Crate| of_house.dependencies().iter().any(|dependency| dependency == name);
            if !crates.iter().find(lives).is_some_and(depends) {
                let rule = format!("`{name}` has a home in `{home}` and is not a dependency of that crate");
                breaches.push(Breach { file: "tests/architecture.rs".to_owned(), line: 1, rule });
            }
        }
    }
}
