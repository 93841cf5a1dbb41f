//! The rules of the house, held: what may import what, which module may name which foreign crate, how long things get.
//!
//! Every breach is printed as `file:line: rule`, all at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(test)]
#[path = "architecture/checker.rs"]
mod checker;
#[path = "architecture/crates.rs"]
mod crates;
#[path = "architecture/source.rs"]
mod source;

use source::Source;

/// Each module of a crate with several floors, and the modules of its crate that it may import. Arrows run down;
/// adapters do not know one another. Arrows between crates are in `architecture/crates.rs`.
const MAY_IMPORT: [(&str, &[&str]); 16] = [
    ("core/protocol", &[]),
    ("core/telemetry", &["protocol"]),
    ("core/config", &["protocol", "telemetry"]),
    ("core/channels", &["protocol", "config", "telemetry"]),
    ("core/flow", &["channels", "protocol", "config", "telemetry"]),
    ("backends/bus", &[]),
    ("backends/broker", &[]),
    ("backends/store", &[]),
    ("server/auth", &[]),
    ("server/operator", &[]),
    ("server/dashboard", &["operator"]),
    ("server/http", &["dashboard", "operator"]),
    ("server/egress", &[]),
    ("server/otlp", &[]),
    ("server/reload", &[]),
    ("server/app", &["auth", "dashboard", "egress", "http", "operator", "otlp", "reload"]),
];

/// Each foreign crate that has a home, and the files or directories that may name it, below `host/` and without `src/`.
pub(crate) const HOMES: [(&str, &[&str]); 39] = [
    ("engineioxide_core", &["transport/"]),
    ("socketioxide_core", &["transport/"]),
    ("socketioxide_parser_common", &["transport/"]),
    ("tungstenite", &["transport/websocket/"]),
    ("flate2", &["transport/websocket/deflate.rs"]),
    ("wasmtime", &["wasm/"]),
    ("wasmtime_wasi", &["wasm/"]),
    ("axum", &["server/http/", "realtime/"]),
    ("tower_http", &["server/http/", "realtime/"]),
    ("cel", &["core/channels/expression.rs", "core/channels/cel_json.rs"]),
    ("jsonschema", &["core/channels/schema.rs"]),
    ("granit_parser", &["core/config/yaml.rs", "core/config/quoting.rs"]),
    ("ring", &["server/auth/keys.rs", "server/egress/tls.rs"]),
    ("spki", &["server/auth/pem.rs"]),
    ("metrics", &["core/telemetry/"]),
    ("metrics_exporter_prometheus", &["core/telemetry/"]),
    ("tracing_subscriber", &["core/telemetry/"]),
    ("tracing_appender", &["core/telemetry/output.rs"]),
    ("fastrand", &["core/telemetry/trace/"]),
    ("opentelemetry_proto", &["server/otlp/"]),
    ("prost", &["server/otlp/"]),
    ("governor", &["core/flow/rate.rs"]),
    ("quick_cache", &["core/flow/decisions.rs"]),
    ("notify", &["server/reload/"]),
    ("clap", &["server/cli/"]),
    ("sqlx", &["backends/store/", "backends/bus/outbox/"]),
    ("redis", &["backends/bus/", "backends/broker/"]),
    ("async_nats", &["backends/bus/", "backends/broker/nats/"]),
    ("url", &["core/config/"]),
    ("hyper", &["server/egress/", "realtime/"]),
    ("hyper_util", &["server/egress/", "realtime/listener.rs"]),
    ("hyper_rustls", &["server/egress/"]),
    ("rustls", &["server/egress/"]),
    ("rustls_native_certs", &["server/egress/tls.rs"]),
    (
        "rustix",
        &[
            "wasm/compile/",
            "wasm/run/cpu_turns.rs",
            "wasm/proof/shadow_thread.rs",
            "backends/store/sqlite/dry.rs",
            "server/app/descriptors.rs",
            "realtime/listener.rs",
            "transport/outbound/wire.rs",
        ],
    ),
    ("ureq", &["server/cli/ask.rs"]),
    ("sd_notify", &["server/cli/service_manager.rs"]),
    ("git_version", &["server/main.rs"]),
    // There it is a module of `ring`.
    ("hmac", &["wasm/compile/", "server/auth/keys.rs", "server/operator/seal.rs"]),
];

/// What the top level holds: the folders, each with a README, and the files.
const FOLDERS: [&str; 12] = [
    "host", "client", "wit", "plugins", "channels", "config", "packages", "tests", "examples", "findings", ".cargo",
    ".ci",
];
const FILES: [&str; 17] = [
    "Cargo.toml",
    "Cargo.lock",
    "package.json",
    "package-lock.json",
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "VERSIONS.md",
    "LICENSE",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "clippy.toml",
    "deny.toml",
    "typos.toml",
    ".gitignore",
    ".gitattributes",
    ".editorconfig",
];
/// What version control and builds leave there.
const NOT_OURS: [&str; 3] = [".git", "target", "node_modules"];

const NAMES_SAYING_NOTHING: [&str; 8] = ["util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"];
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// A rule broken at a place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: String,
    line: usize,
    rule: String,
}

impl Source {
    fn breach(&self, line: usize, rule: impl Into<String>) -> Breach {
        Breach { file: self.path.clone(), line, rule: rule.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// Arrows run down: which module of a crate may import which.
fn imports(source: &Source, breaches: &mut Vec<Breach>) {
    let Some((of_crate, module)) = source.floor() else { return };
    if matches!(module, "lib" | "main" | "cli") || !crates::HAVE_FLOORS.contains(&of_crate) {
        return;
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == format!("{of_crate}/{module}")) else {
        breaches.push(source.breach(1, format!("`{of_crate}/{module}` is no module of the house")));
        return;
    };
    for (line, imported) in imported_modules(source) {
        if imported != module && !allowed.contains(&imported.as_str()) {
            breaches.push(source.breach(line, format!("`{module}` may not import `{imported}`")));
        }
    }
}

/// Every module of the crate named by a path: `crate::x`, `crate::{x, y::z}`, or enough `super::`.
fn imported_modules(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for position in 0..source.tokens.len() {
        let Some(first) = after_root(source, position) else { continue };
        if source.text_at(first) != "{" {
            found.push((source.tokens[position].line, source.text_at(first).to_owned()));
            continue;
        }
        let end = source.closing(first);
        let mut inner = first + 1;
        let mut starts = true;
        while inner < end {
            let token = &source.tokens[inner];
            if starts {
                found.push((token.line, token.text.clone()));
            }
            starts = token.text == ",";
            inner = if token.text == "{" { source.closing(inner) + 1 } else { inner + 1 };
        }
    }
    found
}

/// Where a path that starts here goes on below the crate's root.
fn after_root(source: &Source, position: usize) -> Option<usize> {
    if !source.begins_a_path(position) {
        return None;
    }
    if source.at(position, &["crate", "::"]) {
        return Some(position + 2);
    }
    let mut next = position;
    let mut supers = 0;
    while source.at(next, &["super", "::"]) {
        supers += 1;
        next += 2;
    }
    (supers > 0 && supers >= source.depth()).then_some(next)
}

/// A foreign crate that has a home is named nowhere else.
fn foreign_crates(source: &Source, breaches: &mut Vec<Breach>) {
    let Some(below) = source.in_host().filter(|below| !below.starts_with("testkit/")) else { return };
    for (position, token) in source.tokens.iter().enumerate() {
        let Some((name, homes)) = HOMES.iter().find(|(name, _)| token.text == *name) else { continue };
        let goes_on = source.text_at(position + 1) == "::";
        let used = position > 0 && source.text_at(position - 1) == "use";
        let at_home = homes.iter().any(|home| below == *home || (home.ends_with('/') && below.starts_with(home)));
        if source.begins_a_path(position) && (goes_on || used) && !at_home {
            breaches.push(source.breach(token.line, format!("`{name}` is named in {} only", homes.join(", "))));
        }
    }
}

/// No way to panic on purpose, no printing past the command line and the log.
fn panics_and_prints(source: &Source, breaches: &mut Vec<Breach>) {
    let Some((of_crate, module)) = source.floor() else { return };
    if of_crate == "testkit" {
        return;
    }
    for (position, token) in source.tokens.iter().enumerate() {
        let name = token.text.as_str();
        if matches!(name, "unwrap" | "expect") && position > 0 && source.at(position - 1, &[".", name, "("]) {
            breaches.push(source.breach(token.line, format!("`.{name}()` stands in tests only")));
        }
        if !source.at(position + 1, &["!"]) || source.at(position + 1, &["!", "="]) {
            continue;
        }
        if matches!(name, "panic" | "todo" | "unimplemented" | "dbg") {
            breaches.push(source.breach(token.line, format!("`{name}!` stands in tests only")));
        }
        if matches!(name, "print" | "println" | "eprint" | "eprintln") && module != "cli" {
            breaches.push(source.breach(token.line, format!("`{name}!` stands in cli/ only")));
        }
    }
}

/// A name says what a thing is.
fn names(source: &Source, breaches: &mut Vec<Breach>) {
    for part in source.path.trim_end_matches(".rs").split('/') {
        if NAMES_SAYING_NOTHING.contains(&part) {
            breaches.push(source.breach(1, format!("`{part}` says nothing: name the file after its job")));
        }
    }
    for (position, token) in source.tokens.iter().enumerate() {
        let name = source.text_at(position + 1);
        let is_module = token.text == "mod" && NAMES_SAYING_NOTHING.contains(&name);
        let is_type = matches!(token.text.as_str(), "struct" | "enum" | "trait")
            && ["Manager", "Helper", "Util", "Utils"].iter().any(|ending| name.ends_with(ending));
        if is_module || is_type {
            breaches.push(source.breach(token.line, format!("`{name}` says nothing: name it after its job")));
        }
    }
}

/// Files and functions stay short, and every file says first what it owns.
fn size_and_opening(source: &Source, breaches: &mut Vec<Breach>) {
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        breaches.push(source.breach(lines, format!("{lines} lines; a file has at most {FILE_LINES_MAX}")));
    }
    if !source.text.starts_with("//! ") {
        breaches.push(source.breach(1, "a file opens with a `//!` comment that says what it owns"));
    }
    for (position, token) in source.tokens.iter().enumerate() {
        if token.text != "fn" {
            continue;
        }
        let Some(open) = body_of_function(source, position) else { continue };
        let close = source.closing(open);
        let lines = source.tokens.get(close).map_or(0, |close| close.line.saturating_sub(source.tokens[open].line + 1));
        if lines > FUNCTION_LINES_MAX {
            let name = source.text_at(position + 1);
            let rule = format!("`{name}` has {lines} lines; a function has at most {FUNCTION_LINES_MAX}");
            breaches.push(source.breach(token.line, rule));
        }
    }
}

fn body_of_function(source: &Source, position: usize) -> Option<usize> {
    let end = source.end_of_item(position);
    let last = source.tokens.get(end.checked_sub(1)?)?;
    let is_body = last.text == "}";
    is_body.then(|| (position..end).find(|at| source.text_at(*at) == "{" && source.closing(*at) + 1 == end)).flatten()
}

/// A public trait of the flow is a port, and a port only with a fake beside the real thing: one of the kit, or one in
/// memory that serves without a database too.
fn fakes(sources: &[Source], breaches: &mut Vec<Breach>) {
    let has_fake = |port: &str| {
        sources.iter().any(|source| {
            let in_kit = source.path.starts_with("host/testkit/src/");
            let in_flow = source.path.starts_with("host/core/src/flow/");
            (0..source.tokens.len())
                .filter(|at| source.at(*at, &["impl", port, "for"]))
                .any(|at| in_kit || (in_flow && source.text_at(at + 3).starts_with("Memory")))
        })
    };
    for flow in sources.iter().filter(|source| source.path.starts_with("host/core/src/flow/")) {
        for position in (0..flow.tokens.len()).filter(|position| flow.at(*position, &["pub", "trait"])) {
            let port = flow.text_at(position + 2);
            if !has_fake(port) {
                let rule = format!("port `{port}` has no fake in host/testkit/");
                breaches.push(flow.breach(flow.tokens[position].line, rule));
            }
        }
    }
}

/// The top level holds what the design lists, and every folder explains itself.
fn top_level(entries: &[(String, bool, bool)], breaches: &mut Vec<Breach>) {
    for (name, is_folder, has_readme) in entries {
        let breach = |rule: &str| Breach { file: name.clone(), line: 1, rule: rule.to_owned() };
        let list: &[&str] = if *is_folder { &FOLDERS } else { &FILES };
        if !list.contains(&name.as_str()) {
            breaches.push(breach("the top level holds nothing that the design does not list"));
        } else if *is_folder && !has_readme && !name.starts_with('.') {
            breaches.push(breach("a top-level folder has a README.md that is its part of the manual"));
        }
    }
}

fn judge(sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in sources {
        size_and_opening(source, &mut breaches);
        names(source, &mut breaches);
        let served = source.without_tests();
        imports(&served, &mut breaches);
        foreign_crates(&served, &mut breaches);
        panics_and_prints(&served, &mut breaches);
    }
    fakes(sources, &mut breaches);
    breaches.sort();
    breaches
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn read_sources(folder: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "node_modules") {
                read_sources(&path, sources);
            }
        } else if name.ends_with(".rs") {
            let below = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            sources.push(Source::new(&below, &std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_house_is_in_order() {
    let mut sources = Vec::new();
    for folder in ["host", "plugins", "tests"].map(|folder| root().join(folder)).iter().filter(|folder| folder.exists())
    {
        read_sources(folder, &mut sources);
    }
    let mut breaches = judge(&sources);
    crates::arrows_and_homes(&crates::read(&root().join("host")), &HOMES, &mut breaches);
    let mut entries = BTreeSet::new();
    for entry in std::fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !NOT_OURS.contains(&name.as_str()) {
            entries.insert((name, path.is_dir(), path.join("README.md").exists()));
        }
    }
    top_level(&entries.into_iter().collect::<Vec<_>>(), &mut breaches);
    let report: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(report.is_empty(), "{} breaches\n{}", report.len(), report.join("\n"));
}
