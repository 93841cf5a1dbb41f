//! Files that come as a mounted volume has them: each a link into `..data`, which is a link to a directory that is
//! swapped as a whole.

use std::fs;
use std::os::unix::fs::symlink;

use super::project::Project;

const ORDERS: &str = "feature: orders\nchannels:\n  order: { scope: public, payload: { $ref: schemas/order.json } }\n";
const BRIDGE: &str = "rules:\n  - on: order.placed\n    to: order\n";

impl Project {
    /// Mounts files in a directory, as its first version.
    fn with_volume(self, directory: &str, files: &[(&str, &str)]) -> Self {
        fs::create_dir_all(self.path(directory)).unwrap();
        self.swap(directory, 1, files);
        for (name, _) in files {
            symlink(format!("..data/{name}"), self.path(directory).join(name)).unwrap();
        }
        self
    }

    /// Puts another version of the volume in the place of the one before, in one step.
    fn swap(&self, directory: &str, version: u32, files: &[(&str, &str)]) {
        let mount = self.path(directory);
        let named = |version: u32| format!("..2026_11_29_{version}");
        fs::create_dir_all(mount.join(named(version))).unwrap();
        for (name, text) in files {
            fs::write(mount.join(named(version)).join(name), text).unwrap();
        }
        symlink(named(version), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        let _ = fs::remove_dir_all(mount.join(named(version - 1)));
    }
}

fn mounted() -> Project {
    let schema = [("order.json", r#"{ "type": "object" }"#)];
    Project::new()
        .with_volume("mounted", &[("orders.yaml", ORDERS)])
        .with_volume("mounted/schemas", &schema)
        .with_volume("bridged", &[("bridge.yaml", BRIDGE)])
        .env("TIDEGATE__CHANNELS", "mounted")
        .env("TIDEGATE__BRIDGE", "bridged/bridge.yaml")
}

#[test]
fn a_volume_is_read_and_the_names_of_its_own_are_no_files() {
    let checked = mounted().run(&["check"]);
    assert_eq!(
        checked.shown(),
        "exit: 0\n--- stdout\nok: 1 channel, 0 plugins, 1 bridge rule, 0 examples\n--- stderr\n"
    );
}

#[test]
fn the_swap_of_a_volume_is_a_reload_and_a_mistake_names_the_file_and_not_the_version() {
    let mut server = mounted().spawn(&["serve", "--listen", "127.0.0.1:0"]);
    server.wait_for("server.listening");
    let schema = |text: &str| [("order.json", text.to_owned())];
    let swap = |server: &super::project::Server, directory, version, files: &[(&str, String)]| {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        server.project.swap(directory, version, &files);
    };
    swap(&server, "mounted/schemas", 2, &schema(r#"{ "type": "object", "required": ["id"] }"#));
    server.wait_for("reload.applied");
    swap(&server, "mounted/schemas", 3, &schema(r#"{ "type": "objekt" }"#));
    let rejected = server.wait_for("reload.rejected");
    assert!(rejected.contains("mounted/schemas/order.json:1:"), "{rejected}");
    swap(&server, "mounted/schemas", 4, &schema(r#"{ "type": "object", "required": ["id"] }"#));
    server.wait_for("reload.reverted");
    swap(&server, "mounted", 2, &[("orders.yaml", ORDERS.replace("public", "authenticated"))]);
    server.wait_for("reload.applied");
    swap(&server, "bridged", 2, &[("bridge.yaml", BRIDGE.replace("placed", "paid"))]);
    server.wait_for("reload.applied");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_whole_directory_may_be_a_link_and_a_file_of_it_may_not_lead_out() {
    let project =
        Project::new().write("elsewhere/more.json", "{}").write("elsewhere/b.yaml", "feature: b\nchannels: {}\n");
    symlink("channels", project.path("linked")).unwrap();
    let project = project.env("TIDEGATE__CHANNELS", "linked");
    assert!(project.run(&["check"]).stdout.starts_with("ok: 4 channels"));
    fs::create_dir_all(project.path("channels/schemas")).unwrap();
    for (link, to) in [
        ("channels/schemas/more.json", "../../elsewhere/more.json"),
        ("channels/b.yaml", "../elsewhere/b.yaml"),
        ("channels/nowhere.yaml", "../nowhere.yaml"),
        ("channels/schemas/loop.json", "loop.json"),
        ("channels/schemas/again", ".."),
        ("channels/.#room.yaml", "someone@somewhere:1"),
    ] {
        symlink(to, project.path(link)).unwrap();
    }
    shown!(project.run(&["check"]));
}

#[test]
fn the_swap_of_a_linked_directory_is_a_reload() {
    let project = Project::new()
        .write("..1/channels/a.yaml", "feature: a\nchannels: { news: { scope: public, payload: true } }\n")
        .write("..2/channels/a.yaml", "feature: a\nchannels: { news: { scope: authenticated, payload: true } }\n");
    symlink("..1", project.path("..data")).unwrap();
    symlink("..data/channels", project.path("declared")).unwrap();
    let project = project.env("TIDEGATE__CHANNELS", "declared");
    let mut server = project.spawn(&["serve", "--listen", "127.0.0.1:0"]);
    server.wait_for("server.listening");
    symlink("..2", server.project.path("..data_tmp")).unwrap();
    fs::rename(server.project.path("..data_tmp"), server.project.path("..data")).unwrap();
    server.wait_for("reload.applied");
    // The directory that is served now is watched, too.
    server.project.replace("..2/channels/a.yaml", "feature: [a]\n");
    server.wait_for("reload.rejected");
}
