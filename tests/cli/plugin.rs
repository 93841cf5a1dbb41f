//! `tidegate plugin`: what feature teams do with plugins without a server.

use serde_json::Value;
use tidegate_wasm::Digest;

use crate::project::Project;

const MAKES_ITSELF: &str = "component: made.wasm\nbuild: echo component > made.wasm\n";
const BROKEN_BUILD: &str = "component: made.wasm\nbuild: echo 'no such crate' >&2; exit 3\n";

#[test]
fn plugin_build_says_what_was_built_and_what_did_not_change() {
    let project = Project::new()
        .write("plugins/made/plugin.yaml", MAKES_ITSELF)
        .write("plugins/shipped/plugin.yaml", "component: s.wasm\n")
        .write("plugins/shipped/s.wasm", "as it came");
    shown!(project.run(&["plugin", "build"]));
    assert_eq!(project.read("plugins/made/made.wasm"), "component\n");
    let again = project.run(&["plugin", "build", "made", "--format", "json"]);
    let answer: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(answer["built"][0]["changed"], false, "{answer}");
    assert_eq!(answer["built"].as_array().unwrap().len(), 1);
}

#[test]
fn plugin_build_shows_the_words_of_the_toolchain_and_builds_the_others() {
    let project = Project::new()
        .write("plugins/broken/plugin.yaml", BROKEN_BUILD)
        .write("plugins/made/plugin.yaml", MAKES_ITSELF);
    shown!(project.run(&["plugin", "build"]));
    assert_eq!(project.read("plugins/made/made.wasm"), "component\n");
}

#[test]
fn a_plugin_that_is_not_there_is_named_with_the_nearest_one() {
    let project = Project::new().write("plugins/made/plugin.yaml", MAKES_ITSELF);
    shown!(project.run(&["plugin", "build", "mad"]));
}

#[test]
fn plugins_are_found_by_their_directory_without_a_configuration() {
    let project = Project::empty().write("my/made/plugin.yaml", MAKES_ITSELF);
    assert_eq!(project.run(&["plugin", "build", "my/made"]).exit, Some(0));
    assert_eq!(project.read("my/made/made.wasm"), "component\n");
    shown!(project.run(&["plugin", "check", "./my"]));
}

#[test]
fn plugin_check_says_what_loads() {
    shown!(Project::new().with_plugin("ping").with_plugin("vault-members").run(&["plugin", "check"]));
}

#[test]
fn check_and_plugin_check_say_that_a_plugin_is_quarantined() {
    let project = Project::new().with_plugin("ping").with_plugin("vault-members");
    assert_eq!(project.run(&["check"]).exit, Some(0));
    let digest = Digest::of(&std::fs::read(project.path("plugins/ping/ping.wasm")).unwrap());
    let (digest, version) = (digest.as_str(), "0".repeat(64));
    let project = project.write(
        "tidegate.quarantine.json",
        &format!(
            "{{\"plugin\":\"ping\",\"scope\":\"component\",\"digest\":\"{digest}\",\"version\":\"{version}\",\
             \"since_unix_s\":1,\"reason\":\"taken back: it failed\"}}\n"
        ),
    );
    // A server would start, and everything but that plugin would serve.
    let checked = project.run(&["check"]);
    assert_eq!(checked.exit, Some(0), "{}", checked.shown());
    assert!(
        checked.shown().contains("note: plugin `ping` is quarantined: taken back: it failed"),
        "{}",
        checked.shown()
    );
    assert!(checked.stdout.contains(" 1 plugin,"), "{}", checked.shown());
    for what in [&["ping"][..], &["plugins/ping"], &[]] {
        let of_plugin = project.run(&[&["plugin", "check"], what].concat());
        assert_eq!(of_plugin.exit, Some(65), "{}", of_plugin.shown());
        assert!(of_plugin.shown().contains("is quarantined: taken back: it failed"), "{}", of_plugin.shown());
    }
}

#[test]
fn check_counts_plugins_that_no_channel_names() {
    let output = Project::new().with_plugin("ping").run(&["check", "--format", "json"]);
    let answer: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.shown()));
    assert_eq!(answer["plugins"], 1);
}

#[test]
fn plugin_check_tells_a_script_what_loads_and_what_does_not() {
    let project = Project::new()
        .with_plugin("ping")
        .write("plugins/none/plugin.yaml", "component: none.wasm\n")
        .write("plugins/none/none.wasm", "no component");
    let output = project.run(&["plugin", "check", "--format", "json"]);
    assert_eq!(output.exit, Some(65), "{}", output.shown());
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(answer["plugins"][0]["kinds"], serde_json::json!(["handler"]));
    let mistake = &answer["mistakes"][0];
    assert_eq!(mistake["message"], "component `plugins/none/none.wasm`: is not WebAssembly");
}

#[test]
fn plugin_check_tells_every_mistake_of_every_plugin() {
    let project = Project::new()
        .write("plugins/a/plugin.yaml", "component: a.wasm\nlimit: {}\ngrants:\n  emit: ['{']\n")
        .write("plugins/b/plugin.yaml", "component: b.wasm\n")
        .write("plugins/b/b.wasm", "no component");
    shown!(project.run(&["plugin", "check"]));
}

#[test]
fn plugin_test_asks_the_shipped_plugins_what_their_vectors_say() {
    let project = Project::new().with_plugin("ping").with_plugin("vault-members").with_vectors("ping");
    shown!(project.with_vectors("vault-members").run(&["plugin", "test"]));
}

const WRONG: &str = r#"{ "kind": "handler", "context": { "topic": "realtime-ping" }, "payload": { "n": 7 },
  "expect": { "reply": { "pong": 8 } } }"#;

#[test]
fn plugin_test_says_how_an_answer_differs_and_update_takes_it() {
    let project = Project::new().with_plugin("ping").write("plugins/ping/tests/wrong.json", WRONG);
    shown!(project.run(&["plugin", "test", "ping"]));
    assert_eq!(project.run(&["plugin", "test", "--update"]).exit, Some(0));
    let vector: Value = serde_json::from_str(&project.read("plugins/ping/tests/wrong.json")).unwrap();
    assert_eq!(vector["expect"]["reply"], serde_json::json!({ "pong": 7 }));
    assert_eq!(project.run(&["plugin", "test"]).exit, Some(0));
}

#[test]
fn update_writes_the_answer_and_leaves_every_other_byte_of_the_vector() {
    let project = Project::new().with_plugin("ping").write("plugins/ping/tests/wrong.json", WRONG);
    assert_eq!(project.run(&["plugin", "test", "--update"]).exit, Some(0));
    let written = project.read("plugins/ping/tests/wrong.json");
    let (before, _) = WRONG.split_once("\"expect\"").unwrap();
    assert!(written.starts_with(before), "{written}");
    // Written once, nothing is left to write.
    assert_eq!(project.run(&["plugin", "test", "--update"]).exit, Some(0));
    assert_eq!(project.read("plugins/ping/tests/wrong.json"), written);
}

#[test]
fn what_one_command_compiled_no_other_compiles_again() {
    let project = Project::new().with_plugin("ping").with_vectors("ping").write("seven.json", r#"{ "n": 7 }"#);
    let compiled = || {
        let entries = std::fs::read_dir(project.path("cache")).unwrap().map(|entry| entry.unwrap().path());
        let native = entries.map(|entry| entry.join("component.cwasm")).filter(|native| native.is_file());
        native.map(|native| std::fs::metadata(&native).unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(project.run(&["plugin", "test", "ping"]).exit, Some(0));
    let first = compiled();
    assert_eq!(first.len(), 1);
    let call = ["plugin", "call", "ping", "handler", "--topic", "realtime-ping", "--input", "seven.json"];
    for command in [&call[..], &["plugin", "test", "ping"], &["plugin", "test", "plugins/ping"]] {
        assert_eq!(project.run(command).exit, Some(0), "{command:?}");
        assert_eq!(compiled(), first, "{command:?}");
    }
}

#[test]
fn plugins_are_built_without_the_environment_of_the_configuration() {
    let project = Project::new().without_secrets().write("plugins/made/plugin.yaml", MAKES_ITSELF);
    let config = project.read("config/tidegate.yaml") + "store: '${DATABASE_URL}'\n";
    let project = project.write("config/tidegate.yaml", &config);
    let built = project.run(&["plugin", "build", "made"]);
    assert_eq!(built.exit, Some(0), "{}", built.shown());
}

#[test]
fn a_vector_that_is_none_is_told_with_its_place() {
    let misspelt = WRONG.replace("\"payload\"", "\"payloat\"");
    let project = Project::new().with_plugin("ping").write("plugins/ping/tests/misspelt.json", &misspelt).write(
        "plugins/ping/tests/elsewhere.json",
        &WRONG.replace("\"topic\": \"realtime-ping\"", "\"topic\": \"a..b\""),
    );
    shown!(project.run(&["plugin", "test", "ping"]));
}

#[test]
fn a_plugin_that_answers_a_vector_otherwise_is_no_plugin_to_serve() {
    let project = Project::new().with_plugin("ping").with_vectors("ping").env("RUST_LOG", "error");
    assert_eq!(project.run(&["plugin", "check"]).exit, Some(0));
    let vector = project.read("plugins/ping/tests/answers.json").replace("\"pong\": 7", "\"pong\": 8");
    let project = project.write("plugins/ping/tests/answers.json", &vector);
    shown!(project.run(&["serve", "--listen", "127.0.0.1:0"]));
}

const KINDS: &str = "component: kinds.wasm\nbuild: cargo build --release --target wasm32-wasip2\n\
    grants: { emit: [lobby], publish: [connection.*] }\n";

#[test]
fn plugin_test_asks_a_plugin_of_every_kind() {
    let vectors = [
        (
            "snapshot",
            r#"{ "kind": "snapshot", "context": { "topic": "board.1", "channel": "board.{what}" },
                "expect": { "snapshot": [{ "n": 0 }] } }"#,
        ),
        (
            "crosses-not",
            r#"{ "kind": "transform", "context": { "topic": "t" }, "event": { "type": "a" }, "payload": "skip",
                "expect": { "crosses": false } }"#,
        ),
        (
            "fails",
            r#"{ "kind": "transform", "context": { "topic": "t" }, "event": { "type": "a", "data": "error" },
                "expect": { "fault": { "kind": "failed" } } }"#,
        ),
        (
            "connected",
            r#"{ "kind": "connection", "context": { "user": { "id": "error" } }, "phase": "connected",
                "expect": { "effects": [] } }"#,
        ),
        ("wrong", r#"{ "kind": "snapshot", "context": { "topic": "t" }, "expect": { "effects": [] } }"#),
        ("other", r#"{ "kind": "connection", "context": { "topic": "t" }, "phase": "connected" }"#),
    ];
    let project = Project::new().with_guest("kinds", KINDS);
    let path = |name| format!("plugins/kinds/tests/{name}.json");
    let project = vectors.iter().fold(project, |project, (name, text)| project.write(&path(name), text));
    shown!(project.run(&["plugin", "test", "kinds"]));
}

#[test]
fn a_plugin_that_should_authenticate_must_be_there_and_be_an_authorizer() {
    let naming = |name: &str| {
        let providers = format!("auth:\n  providers:\n    - plugin: {{ name: {name} }}\n");
        Project::new().with_plugin("ping").with_plugin("vault-members").write("config/tidegate.yaml", &providers)
    };
    shown!(naming("vault-member").run(&["check"]));
    let no_authorizer = naming("ping").run(&["check"]);
    assert!(no_authorizer.shown().contains("plugin `ping` does not export `authorizer`"), "{}", no_authorizer.shown());
    assert_eq!(naming("vault-members").run(&["check"]).exit, Some(0));
}

#[test]
fn a_provider_that_would_never_be_asked_is_told() {
    let providers = "auth:\n  providers:\n    - plugin: { name: vault-members, cookies: ['a b'] }\n    - jwt: { secret: '${TIDEGATE_JWT_SECRET}' }\n";
    shown!(Project::new().with_plugin("vault-members").write("config/tidegate.yaml", providers).run(&["check"]));
}
