//! That the checker sees what it should: each test breaks one rule in a small text.

use super::crates::{self, Crate};
use super::*;

/// The breaches of one file, as `line: rule`.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let found = judge(&[Source::new(path, &format!("//! Owns a test.\n{text}"))]);
    found.into_iter().map(|breach| format!("{}: {}", breach.line, breach.rule)).collect()
}

#[test]
fn an_arrow_that_runs_up_or_sideways_is_found_however_it_is_written() {
    let flow_imports_http = ["2: `flow` may not import `http`"];
    assert_eq!(breaches("host/core/src/flow/a.rs", "use crate::http::State;"), flow_imports_http);
    assert_eq!(breaches("host/core/src/flow/a.rs", "use crate::{channels::Catalog, http};"), flow_imports_http);
    assert_eq!(breaches("host/core/src/flow/a.rs", "use super::super::http::State;"), flow_imports_http);
    assert_eq!(breaches("host/core/src/flow/mod.rs", "use super::http::State;"), flow_imports_http);
    assert_eq!(breaches("host/core/src/flow/a.rs", "fn a() { let x = crate::http::new(); }"), flow_imports_http);
    assert_eq!(
        breaches("host/core/src/flow/a.rs", "fn a() { select! { x = crate::http::new() => {} } }"),
        flow_imports_http
    );
    assert_eq!(breaches("host/core/src/flow/a.rs", "fn a(b: crate::http::State) {}"), flow_imports_http);
    assert_eq!(
        breaches("host/backends/src/bus/mod.rs", "use crate::store::Store;"),
        ["2: `bus` may not import `store`"]
    );
    assert_eq!(breaches("host/core/src/lounge/mod.rs", ""), ["1: `core/lounge` is no module of the house"]);
}

#[test]
fn arrows_that_run_down_are_fine() {
    let none: [&str; 0] = [];
    assert_eq!(
        breaches("host/core/src/flow/a.rs", "use super::Gates; use crate::{channels::{a, http}, protocol};"),
        none
    );
    assert_eq!(breaches("host/server/src/app/nodes.rs", "use crate::reload::Built;"), none);
    assert_eq!(breaches("host/server/src/cli/serve.rs", "use crate::app; use crate::http;"), none);
    assert_eq!(breaches("host/core/src/flow/a.rs", "// use crate::http;\nconst A: &str = \"crate::http::a\";"), none);
    assert_eq!(breaches("host/core/src/flow/a.rs", "#[cfg(test)]\nmod tests { use crate::http::State; }"), none);
}

#[test]
fn a_foreign_crate_away_from_home_is_found() {
    assert_eq!(
        breaches("host/backends/src/bus/a.rs", "use axum::Router;"),
        ["2: `axum` is named in server/http/, realtime/ only"]
    );
    assert_eq!(
        breaches("host/backends/src/bus/a.rs", "use axum;"),
        ["2: `axum` is named in server/http/, realtime/ only"]
    );
    let expected = ["2: `axum` is named in server/http/, realtime/ only"];
    assert_eq!(breaches("host/server/src/app.rs", "fn a(b: axum::Router) {}"), expected);
    assert_eq!(breaches("host/server/src/app.rs", "fn a(b: ::axum::Router) {}"), expected);
    assert_eq!(
        breaches("host/core/src/channels/a.rs", "fn a() -> cel::Program { todo() }"),
        ["2: `cel` is named in core/channels/expression.rs, core/channels/cel_json.rs only"]
    );
    assert!(breaches("host/server/src/http/a.rs", "use axum::Router;").is_empty());
    assert!(breaches("host/server/src/http/a.rs", "use super::metrics; fn a() { health::metrics::b(); }").is_empty());
}

fn manifest(name: &str, dependencies: &str) -> Crate {
    Crate {
        name: name.to_owned(),
        manifest: format!("[dependencies]\n{dependencies}\n[dev-dependencies]\ncel = \"1\"\n"),
    }
}

fn rules(crates: &[Crate], homes: &[(&str, &[&str])]) -> Vec<String> {
    let mut found = Vec::new();
    crates::arrows_and_homes(crates, homes, &mut found);
    found.into_iter().map(|breach| format!("{}: {}", breach.file, breach.rule)).collect()
}

#[test]
fn a_rule_about_a_crate_that_is_not_there_is_found() {
    let crates = [manifest("server", "axum = \"1\"\ntower-http.workspace = true\n")];
    let homes: [(&str, &[&str]); 3] = [("axum", &["server/"]), ("tower_http", &["server/"]), ("cel", &["server/cli/"])];
    let expected = ["tests/architecture.rs: `cel` has a home in `server/cli/` and is not a dependency of that crate"];
    assert_eq!(rules(&crates, &homes), expected);
}

#[test]
fn a_crate_that_depends_on_what_lives_elsewhere_is_found() {
    let crates = [manifest("core", "axum.workspace = true\n"), manifest("server", "axum.workspace = true\n")];
    let expected = ["host/core/Cargo.toml: `axum` has no home here; it is named in server/ only"];
    assert_eq!(rules(&crates, &[("axum", &["server/"])]), expected);
}

#[test]
fn an_arrow_between_crates_that_runs_up_or_sideways_is_found() {
    let crates = [
        manifest("core", "tidegate-wasm.workspace = true\n"),
        manifest("wasm", "tidegate-core.workspace = true\ntidegate-backends = { path = \"../backends\" }\n"),
        manifest("lounge", ""),
    ];
    let expected = [
        "host/core/Cargo.toml: `core` may not depend on `wasm`",
        "host/wasm/Cargo.toml: `wasm` may not depend on `backends`",
        "host/lounge/Cargo.toml: `lounge` is no crate of the house",
    ];
    assert_eq!(rules(&crates, &[]), expected);
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
    assert_eq!(breaches("host/core/src/flow/a.rs", text), expected);
    assert!(breaches("host/core/src/flow/a.rs", &format!("#[cfg(test)]\nmod tests {{ {text} }}")).is_empty());
    assert!(breaches("host/server/src/cli/a.rs", "fn a() { println!(); b.unwrap_or(1); }").is_empty());
}

#[test]
fn names_that_say_nothing_are_found() {
    assert_eq!(breaches("tests/flow/helpers.rs", ""), ["1: `helpers` says nothing: name the file after its job"]);
    let text = "mod common; struct RoomManager;";
    let rule = |name| format!("2: `{name}` says nothing: name it after its job");
    assert_eq!(breaches("host/core/src/flow/a.rs", text), [rule("RoomManager"), rule("common")]);
}

#[test]
fn what_is_too_long_or_has_no_opening_is_found() {
    let body = |lines: usize| format!("fn a<T>(b: [T; 1]) -> C where T: D {{\n{}}}", "x();\n".repeat(lines));
    assert!(breaches("host/core/src/flow/a.rs", &body(70)).is_empty());
    let expected = ["2: `a` has 71 lines; a function has at most 70"];
    assert_eq!(breaches("host/core/src/flow/a.rs", &body(71)), expected);
    let long = "\n".repeat(500);
    assert_eq!(breaches("host/core/src/flow/a.rs", &long), ["501: 501 lines; a file has at most 500"]);
    let bare = judge(&[Source::new("host/core/src/flow/a.rs", "fn a() {}")]);
    assert_eq!(bare[0].rule, "a file opens with a `//!` comment that says what it owns");
}

#[test]
fn a_port_without_a_fake_is_found() {
    let ports = || Source::new("host/core/src/flow/ports/rooms.rs", "//! Ports.\npub trait Rooms { fn a(); }");
    let kit = |text: &str| Source::new("host/testkit/src/lib.rs", &format!("//! Kit.\n{text}"));
    let expected = "host/core/src/flow/ports/rooms.rs:2: port `Rooms` has no fake in host/testkit/";
    assert_eq!(judge(&[ports(), kit("impl Bus for FakeRooms {}")])[0].to_string(), expected);
    assert!(judge(&[ports(), kit("impl Rooms for FakeRooms {}")]).is_empty());
}

#[test]
fn a_stranger_at_the_top_level_and_a_folder_without_a_readme_are_found() {
    let mut found = Vec::new();
    let entry = |name: &str, is_folder, has_readme| (name.to_owned(), is_folder, has_readme);
    top_level(&[entry("host", true, true), entry("Cargo.toml", false, false)], &mut found);
    assert_eq!(found, []);
    top_level(&[entry("docs", true, true), entry("wit", true, false), entry("notes.txt", false, false)], &mut found);
    let files: Vec<&str> = found.iter().map(|breach| breach.file.as_str()).collect();
    assert_eq!(files, ["docs", "wit", "notes.txt"]);
}
