//! The command line as a person or a script meets it: the real binary, its output word for word, its exit code.
//!
//! After a wanted change of words: `INSTA_UPDATE=always cargo test --workspace --test cli`, and read the difference.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

macro_rules! shown {
    ($output:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($output.shown())
        })
    };
    ($name:literal, $text:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $text)
        })
    };
}

mod asyncapi;
mod call;
mod clear;
mod dev;
mod diff;
mod health;
mod init;
mod inspect;
mod list;
mod manual;
mod network;
mod new;
mod plugin;
mod project;
mod ready;
mod service;
mod store;
mod store_server;
mod types;
mod volume;

use std::net::TcpListener;

use project::{Project, committed};
use serde_json::Value;

#[test]
fn help_lists_every_command() {
    shown!(Project::empty().run(&["--help"]));
}

#[test]
fn a_command_whose_output_nobody_reads_ends_as_ever_and_quietly() {
    let project = Project::new();
    for arguments in [
        &["--help"] as &[&str],
        &["--version"],
        &["channels"],
        &["channels", "--format", "json"],
        &["check"],
        &["explain", "--user", "u1", "subscribe", "inbox.u1"],
        &["schema", "tidegate"],
        &["token", "--user", "u1"],
        &["types", "--lang", "ts"],
    ] {
        let (read, unread) = (project.run(arguments), project.run_unread(arguments));
        assert_ne!(read.stdout, "", "{arguments:?}: {}", read.shown());
        assert_eq!((unread.exit, &unread.stderr), (read.exit, &read.stderr), "{arguments:?}");
    }
}

#[test]
fn a_mistake_that_nobody_reads_has_its_exit_code_still() {
    let project = Project::new().write("channels/bad.yaml", "feature: bad\nchannels: { bad: { scope: nobody } }\n");
    let listen = ["--listen", "127.0.0.1:0"];
    let [serve, dev] = ["serve", "dev"].map(|command| [command, listen[0], listen[1]]);
    for arguments in [&["check"] as &[&str], &serve, &dev, &["channels", "--nonsense"]] {
        assert_eq!(project.run_unheard(arguments), project.run(arguments).exit, "{arguments:?}");
    }
}

#[test]
fn a_misspelt_flag_is_a_usage_error_with_the_nearest_one() {
    shown!(Project::new().run(&["check", "--frmat", "json"]));
}

#[test]
fn check_counts_what_is_declared() {
    shown!(Project::new().run(&["check"]));
}

#[test]
fn check_tells_every_mistake_of_every_file_in_one_run() {
    let component = "component: p.wasm\n";
    let project = Project::new()
        .write("config/tidegate.yaml", "auth:\n  anonymus: deny\nlimits:\n  payload:\n")
        .write("channels/a.yaml", "feature: a\nchannels: { a: { scope: public, payload: true, scop: x }\n")
        .write(
            "channels/b.yaml",
            "feature: b\nchannels:\n  b: { scop: public, payload: { $ref: schemas/bytes.json } }\n",
        )
        .write_bytes("channels/c.yaml", b"feature: \xff\n")
        .write_bytes("channels/schemas/bytes.json", b"\xff")
        .write("channels/tests/b.json", "{ \"topic\": \"room.1\", \"payload\": { \"acepts\": [] } }")
        .write(
            "config/bridge.yaml",
            "rules:\n  - on: a.b\n    to: of-a\n    wen: x\n  - on: c.d\n    to: room.{roomId}\n",
        )
        .write("plugins/one/plugin.yaml", &format!("{component}build: make\nlimts: {{}}\nlimits: {{ cpu: }}\n"))
        .write("plugins/one/tests/wrong.json", "{ \"kind\": \"handlr\" }")
        .write("plugins/two/plugin.yaml", component)
        .write_bytes("plugins/two/tests/bytes.json", b"\xff")
        .write("plugins/three/plugin.yaml", "component: [p\n")
        .write("plugins/four/plugin.yaml", &format!("{component}sha256: abc\n"))
        .write("plugins/four/p.wasm", "no component")
        .write("plugins/five/plugin.yaml", "build: make\n");
    shown!(project.run(&["check"]));
}

#[test]
fn check_says_what_to_write_in_place_of_a_value() {
    let config = "store: sqlite::memory:\n";
    shown!(
        "check_says_how_to_quote_a_text_that_ends_with_a_colon",
        Project::new().write("config/tidegate.yaml", config).run(&["check"]).shown()
    );
    let project = Project::new()
        .write(
            "config/tidegate.yaml",
            "transport: { compression: off, recovery: 0, transports: websocket }\nlimits:\n  payload: 4MiB\n  drain_timeout: 2h\n",
        )
        .write(
            "channels/a.yaml",
            "feature: a\nchannels:\n  a:\n    scope: public\n    payload: true\n    delivery: { mode: latest, at_most: 5 }\n    \
             snapshot: { retain: latest, bytes: 9MiB }\n    history: true\n    presence: off\n",
        );
    shown!("check_says_what_to_write_in_place_of_a_value", project.run(&["check"]).shown());
    let project = Project::new().env("TIDEGATE__STORE", "sqlite::memory:");
    assert_eq!(project.run(&["check"]).exit, Some(0), "a variable is no YAML where its key wants a text");
}

#[test]
fn check_answers_a_script_in_json() {
    shown!(Project::new().run(&["check", "--format", "json"]));
}

#[test]
fn check_says_which_secrets_serve_will_need() {
    shown!(Project::new().without_secrets().run(&["check"]));
}

#[test]
fn check_asks_no_server_that_serve_starts_without_and_says_so() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let providers = format!(
        "[{{ jwt: {{ algorithm: RS256, jwks: 'http://{address}/keys' }} }}, {{ introspect: {{ url: 'http://{address}/me' }} }}]"
    );
    let project = Project::new()
        .env("TIDEGATE__BROKER", &format!("redis://{address}"))
        .env("TIDEGATE__BUS", &format!("[{{ redis: {{ url: 'redis://{address}', stream: telemetry }} }}]"))
        .env("TIDEGATE__AUTH__PROVIDERS", &providers);
    let output = project.run(&["check"]);
    assert_eq!(output.exit, Some(0), "{}", output.shown());
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody came");
    let help = project.run(&["check", "--help"]);
    // However wide the terminal is.
    let words: Vec<&str> = help.stdout.split_whitespace().collect();
    assert!(
        words.join(" ").contains("the Redis of `broker`, the sources of `bus`, and the URLs of"),
        "{}",
        help.stdout
    );
}

#[test]
fn check_tells_every_mistake_of_a_manifest_in_one_run() {
    shown!(Project::new().write("channels/room.yaml", BROKEN).run(&["check"]));
}

#[test]
fn check_tells_mistakes_to_a_script_in_json() {
    shown!(Project::new().write("channels/room.yaml", BROKEN).run(&["check", "--format", "json"]));
}

/// What is no mistake and judges nothing.
const NOTED: &str =
    "feature: noted\nchannels:\n  noted:\n    scope: public\n    payload: { type: object, requried: [n], x-ui: big }\n";

#[test]
fn check_notes_a_keyword_that_judges_nothing_and_fails_nothing() {
    shown!(Project::new().write("channels/noted.yaml", NOTED).run(&["check"]));
}

#[test]
fn check_notes_it_to_a_script_in_json() {
    shown!(Project::new().write("channels/noted.yaml", NOTED).run(&["check", "--format", "json"]));
}

#[test]
fn check_tells_the_mistakes_of_every_layer_of_the_configuration() {
    let project = Project::new().write("config/tidegate.yaml", "listn: 127.0.0.1:1\nlimits: { payload: much }\n");
    shown!(project.env("TIDEGATE__LIMITS__CONNECTION", "1").run(&["check"]));
}

#[test]
fn a_plugin_without_its_component_does_not_load() {
    shown!(Project::new().write("plugins/ping/plugin.yaml", "component: ping.wasm\nbuild: make\n").run(&["check"]));
}

#[test]
fn a_component_that_is_none_does_not_load() {
    let project = Project::new().write("plugins/ping/plugin.yaml", "component: ping.wasm\n");
    let output = project.write("plugins/ping/ping.wasm", "no component").run(&["check"]);
    assert_eq!(output.exit, Some(65), "{}", output.shown());
}

#[test]
fn without_a_configuration_there_is_a_way_to_one() {
    shown!(Project::empty().run(&["check"]));
}

#[test]
fn serve_refuses_to_start_without_its_secrets() {
    shown!(Project::new().without_secrets().run(&["serve"]));
}

#[test]
fn serve_says_that_its_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    shown!(Project::new().env("RUST_LOG", "off").hide(&address, "ADDRESS").run(&["serve", "--listen", &address]));
}

#[test]
fn serve_says_that_a_log_filter_is_wrong() {
    shown!(Project::new().env("RUST_LOG", "tidegate=loud").run(&["serve"]));
}

#[test]
fn serve_ends_well_when_it_is_asked_to() {
    let mut server = Project::new().spawn(&["serve", "--listen", "127.0.0.1:0"]);
    server.wait_for("server.listening");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn files_named_without_a_directory_are_watched_too() {
    let project = Project::new();
    let (config, bridge) = (project.read("config/tidegate.yaml"), project.read("config/bridge.yaml"));
    let here = format!("{config}channels: channels\nplugins: plugins\nbridge: bridge.yaml\n");
    let project = project.write("here.yaml", &here).write("bridge.yaml", &bridge);
    let mut server = project.spawn(&["serve", "--config", "here.yaml", "--listen", "127.0.0.1:0"]);
    server.wait_for("server.listening");
    server.project.replace("bridge.yaml", "rules: 7\n");
    server.wait_for("reload.rejected");
    server.project.replace("bridge.yaml", &bridge);
    server.wait_for("reload.reverted");
    let [channels, aside] = ["channels", "aside"].map(|name| server.project.path(name));
    std::fs::rename(&channels, &aside).unwrap();
    server.wait_for("reload.rejected");
    std::fs::rename(&aside, &channels).unwrap();
    server.wait_for("reload.reverted");
}

#[test]
fn channels_are_listed_as_a_table() {
    shown!(Project::new().run(&["channels"]));
}

#[test]
fn channels_are_listed_for_a_script() {
    shown!(Project::new().run(&["channels", "--format", "json"]));
}

#[test]
fn a_token_is_three_parts_on_one_line() {
    let output = Project::new().run(&["token", "--user", "alice", "--roles", "a,b"]);
    assert_eq!(output.exit, Some(0), "{}", output.shown());
    assert_eq!(output.stdout.trim_end().split('.').count(), 3, "{}", output.stdout);
    assert_eq!(output.stdout.lines().count(), 1);
}

#[test]
fn a_token_is_for_somebody() {
    let output = Project::new().run(&["token", "--user", ""]);
    assert_eq!((output.exit, output.stdout.as_str()), (Some(2), ""), "{}", output.shown());
}

#[test]
fn a_token_for_a_script_says_when_it_ends() {
    let output = Project::new().run(&["token", "--user", "alice", "--ttl", "2h", "--format", "json"]);
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(answer["user"], "alice");
    assert!(answer["expires_at"].as_u64().unwrap() > 7200);
}

#[test]
fn a_token_needs_a_provider_that_signs() {
    shown!(Project::new().write("config/tidegate.yaml", "").run(&["token", "--user", "alice"]));
}

#[test]
fn a_token_for_a_tenant_needs_a_claim_for_it() {
    shown!(Project::new().run(&["token", "--user", "alice", "--tenant", "t"]));
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let project = Project::empty();
    shown!(project.run(&["schema", "--write"]));
    let files = ["channels/channel", "config/bridge", "config/tidegate", "plugins/plugin"];
    for file in files.map(|name| format!("{name}.schema.json")) {
        let written: Value = serde_json::from_str(&project.read(&file)).unwrap();
        let kept: Value = serde_json::from_str(&committed(&file)).unwrap();
        assert_eq!(written, kept, "{file}: run `tidegate schema --write`");
    }
}

#[test]
fn a_schema_is_printed_by_its_name() {
    let output = Project::empty().run(&["schema", "tidegate"]);
    let schema: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(schema["title"], "Tidegate server configuration");
}

#[test]
fn explain_says_which_checks_let_a_user_subscribe() {
    shown!(Project::new().run(&["explain", "--user", "u1", "subscribe", "inbox.u1"]));
}

#[test]
fn explain_says_which_check_refuses_a_user() {
    shown!(Project::new().run(&["explain", "--user", "u2", "--roles", "reader", "subscribe", "inbox.u1"]));
}

#[test]
fn explain_names_the_channel_that_was_probably_meant() {
    let asked = |topic: &str| Project::new().run(&["explain", "--anonymous", "subscribe", topic]).shown();
    shown!("explain_names_the_channel_that_was_probably_meant", asked("inbx.u1"));
    shown!("explain_says_that_the_name_of_a_channel_is_not_a_topic", asked("inbox.{userId}"));
}

#[test]
fn explain_judges_what_is_sent() {
    shown!(Project::new().run(&["explain", "--user", "u1", "send", "room.r1", "--payload", r#"{"text": 1, "x": 2}"#]));
}

#[test]
fn explain_says_what_would_happen_with_a_message() {
    shown!(Project::new().run(&["explain", "--user", "u1", "send", "room.r1", "--payload", r#"{"text": "hi"}"#]));
}

#[test]
fn explain_answers_a_script_in_json() {
    let shown = Project::new().run(&["explain", "--anonymous", "--format", "json", "send", "news"]).shown();
    // How long a check took is another number each time.
    let timeless = shown.lines().map(|line| match line.split_once("\"took_us\": ") {
        Some((before, _)) => format!("{before}\"took_us\": …\n"),
        None => format!("{line}\n"),
    });
    shown!("explain_answers_a_script_in_json", timeless.collect::<String>());
}

#[test]
fn explain_needs_a_payload_that_is_json() {
    shown!(Project::new().run(&["explain", "--user", "u1", "send", "room.r1", "--payload", "{n: 1}"]));
}

const BROKEN: &str = "feature: room
channels:
  room.{roomId}:
    scop: authenticated
    payload: { type: object }
  inbox.{userId}:
    scope: { user: nobody }
    payload: { type: strin }
";

#[test]
fn serve_says_which_files_a_reload_waits_for() {
    let mut server = Project::new().env("RUST_LOG", "info").spawn(&["serve", "--listen", "127.0.0.1:0"]);
    server.wait_for("server.listening");
    server.project.replace("channels/wrong.yaml", "feature: wrong\nchannels:\n  a: { scop: public, payload: {} }\n");
    let held_up = server.wait_for("reload.held_up");
    assert!(held_up.contains("channels/wrong.yaml") && held_up.contains("unknown key `scop`"), "{held_up}");
    let told = server.wait_for("all saved changes wait for");
    assert!(told.contains("wait for channels/wrong.yaml; the server continues with what it served before"), "{told}");
}
