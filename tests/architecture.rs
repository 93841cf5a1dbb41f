//! The rules of the house, held: what may import what, which module may name which foreign crate, how long things get.
//!
//! Every breach is printed as `file:line: rule`, all at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

#[path = "architecture/source.rs"]
mod source;

use source::Source;

/// Each module of the host and the modules it may import. Arrows run down; adapters do not know one another.
const MAY_IMPORT: [(&str, &[&str]); 15] = [
    ("protocol", &[]),
    ("telemetry", &[]),
    ("config", &["protocol", "telemetry"]),
    ("channels", &["protocol", "config", "telemetry"]),
    ("flow", &["channels", "protocol", "config", "telemetry"]),
    ("auth", &["flow", "protocol", "config", "telemetry"]),
    ("realtime", ADAPTER),
    ("http", ADAPTER),
    ("plugins", ADAPTER),
    ("bus", ADAPTER),
    ("broker", ADAPTER),
    ("store", ADAPTER),
    ("outbound", ADAPTER),
    // It loads the plugins of the next generation.
    ("reload", &["plugins", "flow", "channels", "protocol", "config", "telemetry"]),
    (
        "app",
        &[
            "realtime",
            "http",
            "plugins",
            "auth",
            "bus",
            "broker",
            "store",
            "outbound",
            "reload",
            "flow",
            "channels",
            "protocol",
            "config",
            "telemetry",
        ],
    ),
];
const ADAPTER: &[&str] = &["flow", "channels", "protocol", "config", "telemetry"];

/// Each foreign crate that has a home, and the files or directories below `host/src/` that may name it.
const HOMES: [(&str, &[&str]); 29] = [
    ("socketioxide", &["realtime/"]),
    ("wasmtime", &["plugins/"]),
    ("wasmtime_wasi", &["plugins/"]),
    ("axum", &["http/", "realtime/"]),
    ("tower_http", &["http/", "realtime/"]),
    ("cel", &["channels/expression.rs", "channels/cel_json.rs"]),
    ("jsonschema", &["channels/schema.rs"]),
    ("granit_parser", &["config/yaml.rs", "config/quoting.rs"]),
    ("ring", &["auth/keys.rs", "outbound/tls.rs"]),
    ("spki", &["auth/pem.rs"]),
    ("metrics", &["telemetry/"]),
    ("metrics_exporter_prometheus", &["telemetry/"]),
    ("tracing_subscriber", &["telemetry/"]),
    ("tracing_appender", &["telemetry/output.rs"]),
    ("governor", &["flow/rate.rs"]),
    ("quick_cache", &["flow/decisions.rs"]),
    ("notify", &["reload/"]),
    ("clap", &["cli/"]),
    ("sqlx", &["store/", "bus/outbox/"]),
    ("redis", &["bus/", "broker/"]),
    ("url", &["config/"]),
    ("hyper", &["outbound/", "realtime/listener.rs", "realtime/timed_body.rs"]),
    ("hyper_util", &["outbound/", "realtime/listener.rs"]),
    ("hyper_rustls", &["outbound/"]),
    ("rustls", &["outbound/"]),
    ("rustls_native_certs", &["outbound/tls.rs"]),
    (
        "rustix",
        &["plugins/compile/", "plugins/room.rs", "store/sqlite/dry.rs", "app/descriptors.rs", "realtime/listener.rs"],
    ),
    ("ureq", &["cli/plugin/ask.rs"]),
    // There it is a module of `ring`.
    ("hmac", &["plugins/compile/", "auth/keys.rs"]),
];

/// What the top level holds: the folders, each with a README, and the files.
const FOLDERS: [&str; 10] =
    ["host", "wit", "plugins", "channels", "config", "tests", "examples", "findings", ".cargo", ".ci"];
const FILES: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
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
const NOT_OURS: [&str; 2] = [".git", "target"];

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

/// Arrows run down: which module of the host may import which.
fn imports(source: &Source, breaches: &mut Vec<Breach>) {
    let Some(module) = source.module() else { return };
    if matches!(module, "lib" | "main" | "cli") {
        return;
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        breaches.push(source.breach(1, format!("`{module}` is no module of the house")));
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
    let Some(below) = source.in_host() else { return };
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
    let Some(module) = source.module() else { return };
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

/// A trait is a port only with a fake beside the real thing.
fn fakes(sources: &[Source], breaches: &mut Vec<Breach>) {
    let Some(ports) = sources.iter().find(|source| source.path == "host/src/flow/ports.rs") else { return };
    let kit = || sources.iter().filter(|source| source.path.starts_with("tests/support/"));
    for (position, token) in ports.tokens.iter().enumerate().filter(|(_, token)| token.text == "trait") {
        let port = ports.text_at(position + 1);
        let has_fake = kit().any(|source| {
            (0..source.tokens.len())
                .any(|at| source.at(at, &["impl", port, "for"]) && source.text_at(at + 3).starts_with("Fake"))
        });
        if !has_fake {
            breaches.push(ports.breach(token.line, format!("port `{port}` has no fake in tests/support/")));
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

/// A rule about a crate that is not there holds nothing: every crate with a home is a dependency of the host.
fn homes(manifest: &str, homes: &[(&str, &[&str])], breaches: &mut Vec<Breach>) {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let dependencies: Vec<String> = lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().replace('-', "_")))
        .collect();
    for (name, _) in homes.iter().filter(|(name, _)| !dependencies.iter().any(|dependency| dependency == name)) {
        let rule = format!("`{name}` has a home and is not a dependency of the host");
        breaches.push(Breach { file: "tests/architecture.rs".to_owned(), line: 1, rule });
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
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
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
    homes(&std::fs::read_to_string(root().join("host/Cargo.toml")).unwrap(), &HOMES, &mut breaches);
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

/// That the checker sees what it should: each test breaks one rule in a small text.
#[cfg(test)]
mod checker {
    use super::*;

    /// The breaches of one file, as `line: rule`.
    fn breaches(path: &str, text: &str) -> Vec<String> {
        let found = judge(&[Source::new(path, &format!("//! Owns a test.\n{text}"))]);
        found.into_iter().map(|breach| format!("{}: {}", breach.line, breach.rule)).collect()
    }

    #[test]
    fn an_arrow_that_runs_up_or_sideways_is_found_however_it_is_written() {
        let flow_imports_http = ["2: `flow` may not import `http`"];
        assert_eq!(breaches("host/src/flow/a.rs", "use crate::http::State;"), flow_imports_http);
        assert_eq!(breaches("host/src/flow/a.rs", "use crate::{channels::Catalog, http};"), flow_imports_http);
        assert_eq!(breaches("host/src/flow/a.rs", "use super::super::http::State;"), flow_imports_http);
        assert_eq!(breaches("host/src/flow/mod.rs", "use super::http::State;"), flow_imports_http);
        assert_eq!(breaches("host/src/flow/a.rs", "fn a() { let x = crate::http::new(); }"), flow_imports_http);
        assert_eq!(
            breaches("host/src/flow/a.rs", "fn a() { select! { x = crate::http::new() => {} } }"),
            flow_imports_http
        );
        assert_eq!(breaches("host/src/flow/a.rs", "fn a(b: crate::http::State) {}"), flow_imports_http);
        assert_eq!(breaches("host/src/bus/mod.rs", "use crate::http::State;"), ["2: `bus` may not import `http`"]);
        assert_eq!(breaches("host/src/lounge/mod.rs", ""), ["1: `lounge` is no module of the house"]);
    }

    #[test]
    fn arrows_that_run_down_are_fine() {
        let none: [&str; 0] = [];
        assert_eq!(
            breaches("host/src/flow/a.rs", "use super::Gates; use crate::{channels::{a, http}, protocol};"),
            none
        );
        assert_eq!(breaches("host/src/reload/mod.rs", "use crate::plugins::Plugins;"), none);
        assert_eq!(breaches("host/src/cli/serve.rs", "use crate::app; use crate::http;"), none);
        assert_eq!(breaches("host/src/flow/a.rs", "// use crate::http;\nconst A: &str = \"crate::http::a\";"), none);
        assert_eq!(breaches("host/src/flow/a.rs", "#[cfg(test)]\nmod tests { use crate::http::State; }"), none);
    }

    #[test]
    fn a_foreign_crate_away_from_home_is_found() {
        assert_eq!(breaches("host/src/bus/a.rs", "use axum::Router;"), ["2: `axum` is named in http/, realtime/ only"]);
        assert_eq!(breaches("host/src/bus/a.rs", "use axum;"), ["2: `axum` is named in http/, realtime/ only"]);
        let expected = ["2: `axum` is named in http/, realtime/ only"];
        assert_eq!(breaches("host/src/app.rs", "fn a(b: axum::Router) {}"), expected);
        assert_eq!(breaches("host/src/app.rs", "fn a(b: ::axum::Router) {}"), expected);
        assert_eq!(
            breaches("host/src/channels/a.rs", "fn a() -> cel::Program { todo() }"),
            ["2: `cel` is named in channels/expression.rs, channels/cel_json.rs only"]
        );
        assert!(breaches("host/src/http/a.rs", "use axum::Router;").is_empty());
        assert!(breaches("host/src/http/a.rs", "use super::metrics; fn a() { health::metrics::b(); }").is_empty());
    }

    #[test]
    fn a_rule_about_a_crate_that_is_not_there_is_found() {
        let manifest =
            "[dependencies]\naxum = \"1\"\ntower-http = { version = \"1\" }\n\n[dev-dependencies]\ncel = \"1\"\n";
        let mut found = Vec::new();
        homes(manifest, &[("axum", &[]), ("tower_http", &[]), ("cel", &[])], &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rule, "`cel` has a home and is not a dependency of the host");
    }

    #[test]
    fn what_panics_or_prints_is_found_outside_tests() {
        let text = "fn a() { b.unwrap(); c.expect(\"d\"); panic!(); println!(); assert!(a != b); }";
        let expected = [
            "2: `.expect()` stands in tests only",
            "2: `.unwrap()` stands in tests only",
            "2: `panic!` stands in tests only",
            "2: `println!` stands in cli/ only",
        ];
        assert_eq!(breaches("host/src/flow/a.rs", text), expected);
        assert!(breaches("host/src/flow/a.rs", &format!("#[cfg(test)]\nmod tests {{ {text} }}")).is_empty());
        assert!(breaches("host/src/cli/a.rs", "fn a() { println!(); b.unwrap_or(1); }").is_empty());
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        assert_eq!(breaches("tests/flow/helpers.rs", ""), ["1: `helpers` says nothing: name the file after its job"]);
        let text = "mod common; struct RoomManager;";
        let rule = |name| format!("2: `{name}` says nothing: name it after its job");
        assert_eq!(breaches("host/src/flow/a.rs", text), [rule("RoomManager"), rule("common")]);
    }

    #[test]
    fn what_is_too_long_or_has_no_opening_is_found() {
        let body = |lines: usize| format!("fn a<T>(b: [T; 1]) -> C where T: D {{\n{}}}", "x();\n".repeat(lines));
        assert!(breaches("host/src/flow/a.rs", &body(70)).is_empty());
        let expected = ["2: `a` has 71 lines; a function has at most 70"];
        assert_eq!(breaches("host/src/flow/a.rs", &body(71)), expected);
        let long = "\n".repeat(500);
        assert_eq!(breaches("host/src/flow/a.rs", &long), ["501: 501 lines; a file has at most 500"]);
        let bare = judge(&[Source::new("host/src/flow/a.rs", "fn a() {}")]);
        assert_eq!(bare[0].rule, "a file opens with a `//!` comment that says what it owns");
    }

    #[test]
    fn a_port_without_a_fake_is_found() {
        let ports = || Source::new("host/src/flow/ports.rs", "//! Ports.\npub trait Rooms { fn a(); }");
        let kit = |text: &str| Source::new("tests/support/mod.rs", &format!("//! Kit.\n{text}"));
        let expected = "host/src/flow/ports.rs:2: port `Rooms` has no fake in tests/support/";
        assert_eq!(judge(&[ports(), kit("impl Bus for FakeRooms {}")])[0].to_string(), expected);
        assert!(judge(&[ports(), kit("impl Rooms for FakeRooms {}")]).is_empty());
    }

    #[test]
    fn a_stranger_at_the_top_level_and_a_folder_without_a_readme_are_found() {
        let mut found = Vec::new();
        let entry = |name: &str, is_folder, has_readme| (name.to_owned(), is_folder, has_readme);
        top_level(&[entry("host", true, true), entry("Cargo.toml", false, false)], &mut found);
        assert_eq!(found, []);
        top_level(
            &[entry("docs", true, true), entry("wit", true, false), entry("notes.txt", false, false)],
            &mut found,
        );
        let files: Vec<&str> = found.iter().map(|breach| breach.file.as_str()).collect();
        assert_eq!(files, ["docs", "wit", "notes.txt"]);
    }
}
