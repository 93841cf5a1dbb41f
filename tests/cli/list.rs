//! `tidegate plugin list`: what a running server says of its plugins.

use serde_json::Value;

use crate::project::{Project, Server};

/// A server with the shipped `ping`, and its URL.
fn serving_ping() -> (Server, String) {
    let project = Project::new().with_plugin("ping").env("RUST_LOG", "info");
    let config = project.read("config/tidegate.yaml");
    let keys = "api_keys:\n  - { name: backend, key: '${TIDEGATE_API_KEY}', may: [operate] }\n";
    let config = config.split("api_keys:").next().unwrap().to_owned() + keys;
    let project = project.write("config/tidegate.yaml", &config);
    let mut server = project.spawn(&SERVE);
    let url = listening(&mut server);
    (server, url)
}

pub(super) const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// The URL of a server that has just begun.
pub(super) fn listening(server: &mut Server) -> String {
    let line: Value = serde_json::from_str(&server.wait_for("server.listening")).unwrap();
    let address = line["fields"]["address"].as_str().or_else(|| line["address"].as_str()).unwrap();
    format!("http://{address}")
}

#[test]
fn a_restart_with_an_unchanged_plugin_compiles_nothing() {
    let (server, url) = serving_ping();
    let cached = |server: &Server, url: &str| {
        let output = server.project.run(&["plugin", "list", "--url", url, "--format", "json"]);
        let answer: Value = serde_json::from_str(&output.stdout).unwrap();
        answer["plugins"][0]["service"]["cached"].clone()
    };
    assert_eq!(cached(&server, &url), false);
    let mut server = server.restart(&SERVE);
    let compiled = server.wait_for("plugin.compiled");
    assert!(compiled.contains("\"cached\":true"), "{compiled}");
    let url = listening(&mut server);
    assert_eq!(cached(&server, &url), true);
}

#[test]
fn plugin_list_shows_a_rejected_candidate_beside_the_version_that_serves() {
    let (mut server, url) = serving_ping();
    let list = |server: &Server| -> Value {
        let output = server.project.run(&["plugin", "list", "--url", &url, "--format", "json"]);
        assert_eq!(output.exit, Some(0), "{}", output.shown());
        serde_json::from_str::<Value>(&output.stdout).unwrap()["plugins"].clone()
    };
    let before = list(&server);
    assert_eq!(before.as_array().unwrap().len(), 1, "{before}");
    assert_eq!((&before[0]["name"], &before[0]["state"]), (&"ping".into(), &"active".into()));
    assert_eq!(before[0]["digest"], "DIGEST");
    assert_eq!(before[0]["service"]["calls"], 0);

    server.project.replace("plugins/ping/ping.wasm", "no component");
    server.wait_for("reload.rejected");
    let after = list(&server);
    assert_eq!(after[0], before[0], "what serves goes on");
    assert_eq!(after[1]["state"], "rejected");
    assert_ne!(after[1]["version"], before[0]["version"]);
    assert!(after[1]["reasons"][0].as_str().unwrap().contains("is not WebAssembly"), "{after}");
    let text = server.project.run(&["plugin", "list", "--url", &url]).stdout;
    assert!(text.contains("ping: rejected: plugins/ping/plugin.yaml:"), "{text}");
}

#[test]
fn plugin_list_without_a_key_says_where_to_get_one() {
    shown!(Project::new().without_secrets().run(&["plugin", "list"]));
}

#[test]
fn plugin_list_and_clear_ask_where_the_configuration_has_the_server_listen() {
    // Nobody listens on a port that was just given up.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::new();
    let config = project.read("config/tidegate.yaml") + &format!("listen: 0.0.0.0:{port}\n");
    let project = project.write("config/tidegate.yaml", &config);
    let listed = project.run(&["plugin", "list"]);
    assert!(listed.shown().contains(&format!("`http://127.0.0.1:{port}`")), "{}", listed.shown());
    let kept_out = "{\"plugin\":\"ping\",\"scope\":\"component\",\"digest\":\"d\",\"version\":\"v\",\
                    \"since_unix_s\":1,\"reason\":\"taken back\"}\n";
    let cleared = project.write("tidegate.quarantine.json", kept_out).run(&["plugin", "clear", "ping"]);
    let at = format!("(no server answers at http://127.0.0.1:{port})");
    assert!(cleared.exit == Some(0) && cleared.shown().contains(&at), "{}", cleared.shown());
}

#[test]
fn plugin_list_says_that_no_server_answers() {
    // Nobody listens on a port that was just given up.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let project = Project::new().hide(&address, "ADDRESS");
    shown!(project.run(&["plugin", "list", "--url", &format!("http://{address}")]));
}

#[test]
fn plugin_list_says_that_the_key_is_not_known() {
    let (server, url) = serving_ping();
    let output =
        server.project.run(&["plugin", "list", "--url", &url, "--key", "another key of thirty-two bytes and more"]);
    assert_eq!(output.exit, Some(69), "{}", output.shown());
    assert!(
        output.shown().contains("answers 401") && output.shown().contains("hint: the server does not know this key"),
        "{}",
        output.shown()
    );
}
