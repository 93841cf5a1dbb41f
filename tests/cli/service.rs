//! What a service manager sees: `tidegate --version`, and what systemd hears of a service of `Type=notify`.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::project::{Project, committed};

/// A server that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_version_tells_the_commit_and_wasmtime() {
    let told = Project::empty().run(&["--version"]);
    assert_eq!(told.exit, Some(0), "{}", told.shown());
    let (name, rest) = told.stdout.trim_end().split_once(" (commit ").unwrap();
    assert_eq!(name, concat!("tidegate ", env!("CARGO_PKG_VERSION")));
    let (commit, wasmtime) = rest.split_once(", wasmtime ").unwrap();
    let digits = commit.trim_end_matches(" with changes");
    let is_commit = digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    assert!(is_commit || commit == "unknown", "{commit}");
    let locked = format!("name = \"wasmtime\"\nversion = \"{}\"", wasmtime.trim_end_matches(')'));
    assert!(committed("Cargo.lock").contains(&locked), "{wasmtime}");
    assert_eq!(Project::empty().run(&["plugin", "list", "-V"]).exit, Some(0));
}

#[test]
fn the_service_manager_hears_when_clients_can_connect_and_when_the_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut bytes = [0; 4096];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };

    let project = Project::new().env("NOTIFY_SOCKET", path.to_str().unwrap());
    let server = project.spawn(&["serve", "--listen", "127.0.0.1:0"]);
    let ready = heard();
    let address = ready.strip_prefix("READY=1\nSTATUS=listens on ").unwrap().trim_end();
    std::net::TcpStream::connect(address).unwrap();
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(heard(), "STOPPING=1\nSTATUS=drains\n");
}

#[test]
fn a_service_manager_that_is_gone_stops_no_server() {
    let project = Project::new().env("NOTIFY_SOCKET", "/nonexistent/notify");
    let mut server = project.spawn(&["serve", "--listen", "127.0.0.1:0"]);
    server.wait_for("warning: failed to tell the service manager");
    assert_eq!(server.terminate(), Some(0));
}
