//! `tidegate plugin call`: a question to a plugin by hand.

use serde_json::{Value, json};

use crate::project::Project;

const GUEST: &str = "component: bad.wasm\nbuild: cargo build --release --target wasm32-wasip2\n";

fn called(project: &Project, arguments: &[&str]) -> Value {
    let output = project.run(&[&["plugin", "call"], arguments, &["--format", "json"]].concat());
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.shown()))
}

#[test]
fn plugin_call_shows_the_answer_of_a_handler_and_what_it_asked_for() {
    let project = Project::new().with_plugin("ping").write("seven.json", r#"{ "n": 7 }"#);
    let input = ["--input", "seven.json", "--topic", "realtime-ping", "--user", "u1"];
    shown!(project.run(&[&["plugin", "call", "ping", "handler"], &input[..]].concat()));
}

#[test]
fn plugin_call_asks_an_authorizer_about_a_subscription() {
    let project = Project::new().with_plugin("vault-members");
    let topic = ["plugins/vault-members", "authorizer", "--topic", "vault.v1", "--channel", "vault.{vaultId}"];
    let of = |user| called(&project, &[&topic[..], &["--user", user]].concat())["answer"]["decision"].clone();
    assert_eq!([of("alice"), of("mallory")], ["allow", "deny"]);
}

#[test]
fn plugin_call_finds_the_channel_of_a_topic_in_the_manifests_or_says_how_to_name_it() {
    let vault = "feature: vault\nchannels:\n  vault.{vaultId}: { scope: authenticated, payload: {} }\n";
    let project = Project::new().with_plugin("vault-members").write("channels/vault.yaml", vault);
    let asked = ["vault-members", "authorizer", "--topic", "vault.v1", "--user", "alice"];
    assert_eq!(called(&project, &asked)["answer"]["decision"], "allow");
    let unknown = ["plugin", "call", "vault-members", "authorizer", "--topic", "vaults.v1", "--user", "alice"];
    let output = project.run(&unknown);
    assert_eq!(output.exit, Some(78), "{}", output.shown());
    assert!(output.shown().contains("no manifest declares the channel of `vaults.v1`"), "{}", output.shown());
    assert!(output.shown().contains("hint: name the channel: `--channel"), "{}", output.shown());
    let named = [&unknown[..], &["--channel", "vaults.{vaultId}"]].concat();
    assert_eq!(project.run(&named).exit, Some(0));
}

#[test]
fn plugin_call_takes_a_vector_with_its_own_context() {
    let project = Project::new().with_plugin("ping").with_vectors("ping");
    let answer = called(&project, &["ping", "handler", "--input", "plugins/ping/tests/answers.json"]);
    assert_eq!(answer["answer"]["reply"], json!({ "pong": 7 }));
    shown!(project.run(&["plugin", "call", "ping", "authorizer", "--input", "plugins/ping/tests/answers.json"]));
}

#[test]
fn plugin_call_refuses_an_input_that_is_larger_than_it_reads() {
    let most = 4 << 20;
    let fits = format!("{{ \"n\": 7 }}{}", " ".repeat(most - 10));
    let project = Project::new().with_plugin("ping").write("fits.json", &fits).write("large.json", &(fits + " "));
    let asked =
        |input| project.run(&["plugin", "call", "ping", "handler", "--topic", "realtime-ping", "--input", input]);
    let (fits, large) = (asked("fits.json"), asked("large.json"));
    assert_eq!(fits.exit, Some(0), "{}", fits.shown());
    assert_eq!(large.exit, Some(69), "{}", large.shown());
    assert!(large.shown().contains("an input may have at most 4MiB"), "{}", large.shown());
}

#[test]
fn plugin_call_needs_a_topic_for_a_payload() {
    let project = Project::new().with_plugin("ping").write("seven.json", r#"{ "n": 7 }"#);
    shown!(project.run(&["plugin", "call", "ping", "handler", "--input", "seven.json"]));
}

#[test]
fn plugin_call_shows_what_a_plugin_logs_and_prints_and_how_it_fails() {
    let project = Project::new().with_guest("bad", &format!("{GUEST}limits: {{ log_lines: 3 }}\n"));
    let project = project.write("log.json", "\"log\"").write("print.json", "\"print\"").write("loop.json", "\"loop\"");
    let asked = |input| called(&project, &["bad", "handler", "--topic", "t", "--input", input]);
    let logged = asked("log.json");
    let line = |text| json!({ "level": "info", "line": text });
    assert_eq!(logged["log"], json!([line("0"), line("1"), line("2")]));
    assert_eq!(logged["log_dropped"], 997);
    assert!(logged["memory_bytes"].as_u64().unwrap() >= 64 << 10, "{logged}");
    assert!(asked("print.json")["printed"].as_str().unwrap().starts_with("xxx"));
    assert_eq!(asked("loop.json")["answer"]["fault"]["kind"], "cpu");
    let output = project.run(&["plugin", "call", "bad", "handler", "--topic", "t", "--input", "loop.json"]);
    assert_eq!(output.exit, Some(1), "{}", output.shown());
}

#[test]
fn plugin_call_repeats_and_says_how_long_the_calls_took() {
    let project = Project::new().with_plugin("ping").write("seven.json", r#"{ "n": 7 }"#);
    let input = ["ping", "handler", "--input", "seven.json", "--topic", "realtime-ping", "--repeat", "50"];
    let repeat = &called(&project, &input)["repeat"];
    assert_eq!(repeat["calls"], 50);
    let [p50, p99, max] = ["p50_us", "p99_us", "max_us"].map(|key| repeat[key].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{repeat}");
}

#[test]
fn plugin_call_finds_what_a_call_leaves_behind_for_the_next() {
    let project = Project::new().with_guest("bad", GUEST).with_plugin("ping");
    let project = project.write("count.json", "\"count\"").write("seven.json", r#"{ "n": 7 }"#);
    let asked = ["bad", "handler", "--topic", "t", "--fresh-vs-reused", "5", "--input", "count.json"];
    shown!(project.run(&[&["plugin", "call"], &asked[..]].concat()));
    let asked = ["ping", "handler", "--topic", "realtime-ping", "--fresh-vs-reused", "5", "--input", "seven.json"];
    assert_eq!(called(&project, &asked)["fresh_vs_reused"]["same"], true);
}

const KINDS: &str = "component: kinds.wasm\nbuild: cargo build --release --target wasm32-wasip2\n\
    grants: { emit: [lobby], publish: [connection.*] }\n";

#[test]
fn plugin_call_asks_a_plugin_of_every_kind() {
    let event = r#"{ "type": "order.paid", "subject": "o1", "data": { "n": 1 } }"#;
    let project = Project::new().with_guest("kinds", KINDS).write("event.json", event);
    let answer = |arguments: &[&str]| called(&project, &[&["kinds"], arguments].concat())["answer"].clone();
    let snapshot = answer(&["snapshot", "--topic", "board.2", "--channel", "board.{what}"]);
    assert_eq!(snapshot, json!({ "snapshot": [{ "n": 0 }, { "n": 1 }] }));
    let made = answer(&["transform", "--topic", "orders.o1", "--channel", "orders.{id}", "--input", "event.json"]);
    let told = json!({ "payload": { "n": 1 }, "topic": "orders.o1", "kind": "order.paid", "source": "/test",
        "id": "test", "subject": "o1", "time": "", "data": { "n": 1 } });
    assert_eq!(made, json!({ "payload": told }));
    let told = answer(&["connection", "--user", "u1", "--phase", "disconnected"]);
    assert_eq!(told["effects"][0]["emit"]["payload"]["phase"], "disconnected");
    assert_eq!(told["effects"][1]["publish"]["kind"], "connection.disconnected");
    let output =
        project.run(&["plugin", "call", "kinds", "snapshot", "--topic", "board.error", "--channel", "board.{w}"]);
    assert_eq!(output.exit, Some(1), "{}", output.shown());
    shown!(project.run(&["plugin", "call", "kinds", "connection", "--user", "u1"]));
}

#[test]
fn plugin_call_repeats_and_compares_plugins_of_every_kind() {
    let project = Project::new().with_guest("kinds", KINDS).write("event.json", r#"{ "type": "a", "data": 1 }"#);
    let kinds: [(&str, &[&str], bool); 4] = [
        ("snapshot", &["--topic", "board.2", "--channel", "board.{what}"], true),
        ("transform", &["--topic", "orders.o1", "--channel", "orders.{id}", "--input", "event.json"], true),
        ("connection", &[], true),
        // It grants once and denies whoever asks again.
        ("authorizer", &["--topic", "board.2", "--channel", "board.{what}"], false),
    ];
    for (kind, arguments, same) in kinds {
        let asked = [&["kinds", kind], arguments, &["--repeat", "20", "--fresh-vs-reused", "5"]].concat();
        let told = called(&project, &asked);
        assert_eq!(told["repeat"]["calls"], 20, "{kind}: {told}");
        assert_eq!(told["fresh_vs_reused"]["same"], same, "{kind}: {told}");
    }
}

#[test]
fn plugin_call_refuses_what_a_kind_is_not_asked() {
    let project = Project::new().with_guest("kinds", KINDS).write("payload.json", "1");
    let asked: [&[&str]; 4] = [
        &["snapshot", "--topic", "t", "--input", "payload.json"],
        &["connection", "--topic", "t"],
        &["transform", "--topic", "t", "--input", "payload.json"],
        &["snapshot", "--topic", "t", "--phase", "connected"],
    ];
    let said = asked.map(|asked| project.run(&[&["plugin", "call", "kinds"], asked].concat()).shown());
    shown!("plugin_call_refuses_what_a_kind_is_not_asked", said.join("\n"));
}
