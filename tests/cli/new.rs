//! `tidegate new`: the first files of what a feature team adds.

use crate::project::Project;

#[test]
fn new_plugin_says_what_to_do_next() {
    let project = Project::new();
    shown!(project.run(&["new", "plugin", "hello-you", "--lang", "rust", "--kind", "handler"]));
    assert!(project.read("plugins/hello-you/plugin.yaml").starts_with("component: hello_you.wasm\n"));
    assert_eq!(project.read("plugins/hello-you/sdk/wit/plugin.wit"), crate::project::committed("wit/plugin.wit"));
}

#[test]
fn new_plugin_tells_a_script_which_files_it_made() {
    let project = Project::new();
    let output = project.run(&["new", "plugin", "hello", "--lang", "ts", "--kind", "authorizer", "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let files = answer["files"].as_array().unwrap();
    assert!(files.len() > 10, "{answer}");
    for file in files {
        assert!(!project.read(&format!("plugins/hello/{}", file.as_str().unwrap())).is_empty(), "{file}");
    }
}

#[test]
fn new_plugin_touches_nothing_that_is_there() {
    let project = Project::new().write("plugins/hello/notes.txt", "mine");
    shown!(project.run(&["new", "plugin", "hello", "--lang", "rust", "--kind", "handler"]));
    assert_eq!(project.read("plugins/hello/notes.txt"), "mine");
}

#[test]
fn new_plugin_takes_no_name_that_leads_elsewhere() {
    shown!(Project::new().run(&["new", "plugin", "../hello", "--lang", "rust", "--kind", "handler"]));
}

const WITH_COMMENTS: &str = "\
# Rooms, and why.
feature: room
channels:

    # Deep on purpose.
    room.{roomId}: { scope: public, payload: true }   # one line

    # Not yet:
    # room.later: …
";

#[test]
fn new_channel_makes_a_manifest_a_schema_and_examples_that_check_judges() {
    let project = Project::new();
    shown!(project.run(&["new", "channel", "shop", "shop.cart.{userId}", "user:userId"]));
    shown!("new_channel_manifest", project.read("channels/shop.yaml"));
    shown!("new_channel_examples", project.read("channels/tests/shop-cart-userId.json"));
    let output = project.run(&["check"]);
    assert!(output.stdout.ends_with(", 6 examples\n"), "{}", output.shown());
}

#[test]
fn new_channel_keeps_every_line_of_the_manifest_it_adds_to() {
    let project = Project::new().write("channels/room.yaml", WITH_COMMENTS).write("config/bridge.yaml", "rules: []\n");
    let output = project.run(&["new", "channel", "room", "room.{roomId}.typing", "role:editor", "--format", "json"]);
    assert_eq!(output.exit, Some(0), "{}", output.shown());
    let entry = "    room.{roomId}.typing:\n      scope: { role: \"editor\" }\n      \
        payload: { $ref: schemas/room-roomId-typing.json }\n";
    assert_eq!(project.read("channels/room.yaml"), format!("{WITH_COMMENTS}{entry}"));
    assert_eq!(project.run(&["check"]).exit, Some(0));
}

#[test]
fn new_channel_adds_before_the_key_that_follows() {
    let manifest = "channels:\r\n  a: { scope: public, payload: true }\r\n\r\n# Whose.\r\nfeature: room";
    let project = Project::new().write("channels/room.yaml", manifest);
    assert_eq!(project.run(&["new", "channel", "room", "b", "public"]).exit, Some(0));
    let entry = "  b:\r\n    scope: public\r\n    payload: { $ref: schemas/b.json }\r\n";
    let (before, after) = manifest.split_at(manifest.find("\r\n\r\n#").unwrap() + 2);
    assert_eq!(project.read("channels/room.yaml"), format!("{before}{entry}{after}"));
}

#[test]
fn new_channel_of_every_scope_passes_its_own_examples() {
    let project = Project::new();
    for (number, scope) in ["public", "authenticated", "role:a b", "roles:x,y", "user:id"].iter().enumerate() {
        let name = format!("n{number}.{{id}}");
        let output = project.run(&["new", "channel", "scopes", &name, scope]);
        assert_eq!(output.exit, Some(0), "{}", output.shown());
    }
    assert_eq!(project.run(&["check"]).exit, Some(0));
}

#[test]
fn new_channel_has_files_however_long_its_name_is() {
    let project = Project::new();
    // Two names of 250 bytes that end otherwise.
    for end in ["a", "b"] {
        let name = format!("{}.{}{end}", "a".repeat(120), "b".repeat(128));
        let output = project.run(&["new", "channel", "long", &name, "public"]);
        assert_eq!((name.len(), output.exit), (250, Some(0)), "{}", output.shown());
    }
    assert_eq!(project.run(&["check"]).exit, Some(0));
}

#[test]
fn new_channel_changes_nothing_when_it_cannot_be_made() {
    let flow = "feature: flow\nchannels: { f: { scope: public, payload: true } }\n";
    let project = Project::new().write("channels/flow.yaml", flow).write("channels/schemas/taken.json", "true");
    let before = project.listing();
    let asked: [&[&str]; 7] = [
        &["room", "room..x", "public"],
        &["../room", "room.x", "public"],
        &["room", "room.{roomId}", "public"],
        &["room", "room.x", "nobody"],
        &["room", "inbox2.{userId}", "user:id"],
        &["flow", "flow.x", "public"],
        &["room", "taken", "public"],
    ];
    let said = asked.map(|asked| project.run(&[&["new", "channel"], asked].concat()).shown());
    shown!("new_channel_that_cannot_be_made", said.join("\n"));
    assert_eq!(project.listing(), before);
}

#[test]
fn check_tells_the_examples_that_do_not_hold_with_their_places() {
    let examples = r#"{
  "topic": "inbox.u1",
  "scope": { "admits": [{ "id": "u1" }, null], "refuses": [{ "id": "u1" }] },
  "payload": { "accepts": [{}, 1], "refuses": [2] },
  "inbound": { "accepts": [1] }
}"#;
    let project = Project::new()
        .write("channels/tests/inbox.json", examples)
        .write("channels/tests/none.json", r#"{ "topic": "nowhere", "payloads": {} }"#);
    shown!(project.run(&["check"]));
}

const PINGS: &str = "feature: pings\nchannels:\n  pings.{who}:\n    scope: public\n    payload: { type: object }\n    \
    inbound: { handler: hello, payload: { type: object, required: [n], properties: { n: { type: integer } } } }\n";
const PING: &str = r#"{ "topic": "pings.ada", "inbound": { "accepts": [{ "n": 7 }] } }"#;

/// Files of types, and the file that uses them, where a language has them.
const LANGUAGES: [(&str, Option<&str>, &str); 6] = [
    ("rust", Some("src/types.rs"), "src/lib.rs"),
    ("typescript", Some("types.ts"), "plugin.ts"),
    ("python", Some("channel_types.py"), "plugin.py"),
    ("javascript", None, "plugin.js"),
    ("go", None, "plugin.go"),
    ("c", None, "plugin.c"),
];

#[test]
fn new_plugin_for_a_channel_has_its_types_and_asks_its_example() {
    for (language, types, source) in LANGUAGES {
        let project = Project::new()
            .write("channels/pings.yaml", &PINGS.replace("handler: hello, ", ""))
            .write("channels/tests/pings.json", PING);
        let output = project.run(&["new", "plugin", language, "--lang", language, "--handler", "pings.{who}"]);
        assert_eq!(output.exit, Some(0), "{}", output.shown());
        let named = PINGS.replace("{ handler: hello, ", &format!("{{ handler: {language}, "));
        assert_eq!(project.read("channels/pings.yaml"), named);
        let text = project.read(&format!("plugins/{language}/{source}"));
        assert!(text.contains("`pings.{who}`") && text.contains("PingsWhoInbound") == types.is_some(), "{text}");
        if let Some(types) = types {
            assert!(project.read(&format!("plugins/{language}/{types}")).contains("PingsWhoInbound"));
        }
        let vector: serde_json::Value =
            serde_json::from_str(&project.read(&format!("plugins/{language}/tests/answers.json"))).unwrap();
        assert_eq!(vector["expect"]["reply"], serde_json::json!({ "n": 7 }));
    }
}

#[test]
fn new_plugin_for_a_new_channel_lets_clients_send_on_it_and_changes_no_other_line() {
    let project = Project::new().write("channels/room.yaml", WITH_COMMENTS).write("config/bridge.yaml", "rules: []\n");
    assert_eq!(project.run(&["new", "channel", "room", "room.{roomId}.typing", "authenticated"]).exit, Some(0));
    let before = project.read("channels/room.yaml");
    let asked = ["new", "plugin", "typing", "--lang", "rust", "--handler", "room.{roomId}.typing"];
    shown!(project.run(&asked));
    let schema = "schemas/room-roomId-typing-inbound.json";
    let lines = format!("      inbound:\n        payload: {{ $ref: {schema} }}\n        handler: typing\n");
    assert_eq!(project.read("channels/room.yaml"), before + &lines);
    let vector: serde_json::Value = serde_json::from_str(&project.read("plugins/typing/tests/answers.json")).unwrap();
    assert_eq!(vector["context"]["topic"], "room.1.typing");
    let checked = project.run(&["check"]);
    // All but the component, which is not built yet.
    assert!(checked.exit == Some(65) && checked.stderr.contains("tidegate plugin build typing"), "{}", checked.shown());
    assert!(checked.stderr.ends_with("\n1 error\n"), "{}", checked.shown());
}

#[test]
fn new_plugin_may_be_named_by_its_channel_before_it_is_there() {
    let project = Project::new().write("channels/pings.yaml", PINGS);
    let asked = ["new", "plugin", "hello", "--lang", "go", "--handler", "pings.{who}", "--format", "json"];
    let output = project.run(&asked);
    let answer: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(answer["handler"]["manifest"], "channels/pings.yaml", "{}", output.shown());
    assert_eq!(project.read("channels/pings.yaml"), PINGS);
    // The channel has no example of a message.
    assert!(!project.path("plugins/hello/tests").exists());
}

#[test]
fn new_plugin_for_a_channel_changes_nothing_when_it_cannot_be() {
    let odd = "feature: odd\nchannels:\n  odd: &odd\n    scope: public\n    payload: true\n    inbound: &in\n      \
        payload: true\n      ? handler\n      : \n";
    let project = Project::new().write("channels/pings.yaml", PINGS).write("channels/odd.yaml", odd);
    let before = project.listing();
    let asked: [&[&str]; 6] = [
        &["--handler", "nws"],
        &["--handler", "room.{roomId}"],
        &["--handler", "pings.{who}"],
        &["--handler", "odd"],
        &["--handler", "news", "--kind", "authorizer"],
        &[],
    ];
    let said = asked.map(|asked| project.run(&[&["new", "plugin", "mine", "--lang", "go"], asked].concat()).shown());
    shown!("new_plugin_for_a_channel_that_cannot_be", said.join("\n"));
    assert_eq!(project.listing(), before);
}
