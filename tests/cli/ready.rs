//! `tidegate dev --ready-file`: what a program sees that waits for the file.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::project::Project;

const DEV: [&str; 5] = ["dev", "--listen", "127.0.0.1:0", "--ready-file", "ready.json"];

fn told(project: &Project) -> Value {
    serde_json::from_str(&project.read("ready.json")).unwrap()
}

/// What the file says once it is there; it appears in one step.
fn awaited(project: &Project) -> Value {
    loop {
        // Empty as `mktemp` makes it, until `dev` takes it away.
        if std::fs::read(project.path("ready.json")).is_ok_and(|text| !text.is_empty()) {
            return told(project);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn the_file_says_where_the_server_is_and_goes_with_it() {
    let mut server = Project::new().write("ready.json", "").spawn(&DEV);
    let ready = awaited(&server.project);
    let address = ready["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{ready}");
    assert_eq!(ready["url"], format!("http://{address}"));
    let tokens: Vec<&String> = ready["tokens"].as_object().unwrap().keys().collect();
    assert_eq!(tokens, ["alice", "bob", "erin"]);
    assert_eq!(ready["api_keys"]["backend"], "a secret of thirty-two bytes and more");
    std::net::TcpStream::connect(address).unwrap();
    let path = server.project.path("ready.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(server.end(), Some(0));
    let left = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().contains("ready.json")));
}

#[test]
fn who_waits_for_a_server_that_does_not_start_is_told_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let broken = "component: broken.wasm\nbuild: exit 3\n";
    let unloadable = "component: odd.wasm\n";
    for (project, listen, exit, why) in [
        (Project::new(), address.as_str(), 69, "failed to listen on"),
        (
            Project::new().write("channels/wrong.yaml", "feature: wrong\nchannels:\n  a: { scop: public }\n"),
            "127.0.0.1:0",
            78,
            "`scop`",
        ),
        (
            Project::new().write("plugins/broken/plugin.yaml", broken),
            "127.0.0.1:0",
            65,
            "plugin `broken` does not build",
        ),
        (
            Project::new().write("plugins/odd/plugin.yaml", unloadable).write("plugins/odd/odd.wasm", "no component"),
            "127.0.0.1:0",
            65,
            "plugins/odd/odd.wasm",
        ),
    ] {
        let left = r#"{ "pid": 1, "url": "http://127.0.0.1:1" }"#;
        let project = project.write("ready.json", left);
        let output = project.run(&["dev", "--listen", listen, "--ready-file", "ready.json"]);
        assert_eq!(output.exit, Some(exit), "{}", output.shown());
        let told = told(&project);
        assert_eq!(told["exit_code"], exit, "{told}");
        let error = told["error"].as_str().unwrap();
        assert!(error.starts_with("error: ") && error.contains(why), "{error}");
        assert!(output.stderr.contains(why) && told.get("url").is_none(), "{}", output.shown());
    }
}

#[test]
fn a_file_that_is_somebody_elses_stays_as_it_is() {
    let project = Project::new().write("notes.json", r#"{ "mine": 1 }"#);
    let before = project.listing();
    let said = ["notes.json", "plugins", "nowhere/ready.json"]
        .map(|file| project.run(&["dev", "--listen", "127.0.0.1:0", "--ready-file", file]).shown());
    shown!("a_ready_file_that_cannot_be", said.join("\n"));
    assert_eq!(project.listing(), before);
}

#[test]
fn a_server_takes_only_its_own_file_away() {
    let mut server = Project::new().spawn(&DEV);
    awaited(&server.project);
    let others = r#"{ "pid": 1 }"#;
    server.project.replace("ready.json", others);
    assert_eq!(server.end(), Some(0));
    assert_eq!(server.project.read("ready.json"), others);
}
