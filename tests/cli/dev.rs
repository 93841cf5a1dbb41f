//! `tidegate dev` without a toolchain: the builds of these plugins copy a component that is there.

use std::net::TcpListener;

use crate::project::Project;

/// Notes that it was built, in a file that does not count as a source, and is `ping`.
const COPIES: &str = "component: made.wasm\nbuild: echo built >> $PWD/../../builds && cp ../../seed.wasm made.wasm\n\
    grants: { emit: [realtime-ping], publish: [ping.seen] }\n";
const DEV: [&str; 3] = ["dev", "--listen", "127.0.0.1:0"];

/// A plugin that builds in no time.
fn copying() -> Project {
    let project = Project::new().with_plugin("ping").env("RUST_LOG", "info");
    let seed = std::fs::read(project.path("plugins/ping/ping.wasm")).unwrap();
    std::fs::remove_dir_all(project.path("plugins/ping")).unwrap();
    project.write_bytes("seed.wasm", &seed).write("plugins/made/plugin.yaml", COPIES).write("plugins/made/source", "1")
}

fn builds(project: &Project) -> usize {
    std::fs::read_to_string(project.path("builds")).unwrap_or_default().lines().count()
}

#[test]
fn what_can_be_known_first_is_told_before_anything_is_built() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let no_provider = copying().write("config/tidegate.yaml", "auth: { providers: [] }\n");
    let wrong_manifest = copying().write("channels/wrong.yaml", "feature: wrong\nchannels:\n  a: { scop: public }\n");
    for (project, listen, exit, told) in [
        (copying(), address.as_str(), 69, "failed to listen on"),
        (no_provider, "127.0.0.1:0", 78, "no `jwt` provider"),
        (wrong_manifest, "127.0.0.1:0", 78, "unknown key `scop`"),
    ] {
        let output = project.run(&["dev", "--listen", listen]);
        assert!(output.exit == Some(exit) && output.shown().contains(told), "{}", output.shown());
        assert_eq!(builds(&project), 0, "{told}");
    }
}

#[test]
fn nothing_is_built_that_did_not_change_whoever_built_it() {
    let mut server = copying().spawn(&DEV);
    server.wait_for("server.listening");
    assert_eq!(builds(&server.project), 1);
    server = server.restart(&DEV);
    server.wait_for("server.listening");
    assert_eq!(builds(&server.project), 1);
    // What a plugin is asked and how it is set up makes no component.
    server.project.replace("plugins/made/tests/none.json", "{}");
    server.project.replace("plugins/made/plugin.yaml", &format!("{COPIES}config: {{ a: 1 }}\n"));
    server.wait_for("reload.applied");
    server.project.replace("plugins/made/source", "2");
    server.wait_for("built plugin `made`");
    assert_eq!(builds(&server.project), 2);
    assert_eq!(server.project.run(&["plugin", "build", "made"]).exit, Some(0), "which always builds");
    server = server.restart(&DEV);
    server.wait_for("server.listening");
    assert_eq!(builds(&server.project), 3);
}

#[test]
fn a_plugin_that_does_not_build_leaves_the_others_serving() {
    let broken = "component: broken.wasm\nbuild: echo no such crate; exit 3\n";
    let mut server = copying().write("plugins/broken/plugin.yaml", broken).spawn(&DEV);
    server.wait_for("broken: no such crate");
    server.wait_for("plugin `broken` does not build");
    server.wait_for("server.listening");
}
