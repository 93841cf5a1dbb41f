//! `tidegate asyncapi` on the command line. What the official parser and validators say of its documents is in
//! `tests/e2e/asyncapi.test.mjs`.

use serde_json::Value;

use crate::project::Project;

const CHANNEL: &str = "feature: a\nchannels:\n  a.{id}:\n    scope: authenticated\n    authorizer: mine\n    payload: true\n    \
    inbound: { handler: mine, payload: { type: integer }, rate: 5/s }\n";

#[test]
fn asyncapi_needs_no_plugin_and_no_secret() {
    let project = Project::new().without_secrets().write("channels/a.yaml", CHANNEL);
    let output = project.write("plugins/mine/plugin.yaml", "component: mine.wasm\n").run(&["asyncapi"]);
    assert_eq!(output.exit, Some(0), "{}", output.shown());
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let channel = &document["channels"]["AId"];
    assert_eq!(channel["address"], "a.{id}");
    assert_eq!(channel["x-tidegate"]["authorizer"], true, "whose name is nobody's business");
    assert!(!output.stdout.contains("mine"), "{}", output.stdout);
    assert_eq!(document["components"]["schemas"]["AIdInbound"], serde_json::json!({ "type": "integer" }));
}

#[test]
fn asyncapi_of_a_channel_that_is_not_declared_is_none() {
    let project =
        || Project::new().write("channels/a.yaml", CHANNEL).write("plugins/mine/plugin.yaml", "component: mine.wasm\n");
    shown!(project().run(&["asyncapi", "--channel", "a.{di}"]));
    let broken = project().write("channels/broken.yaml", "feature: b\nchannels: { a: { scope: public } }\n");
    assert_eq!(broken.run(&["asyncapi"]).exit, Some(78));
}

#[test]
fn asyncapi_says_what_the_address_of_a_server_is() {
    shown!(Project::new().run(&["asyncapi", "--url", "rt.example.com/socket.io/"]));
}
