//! `tidegate diff` on the command line: two directories, revisions of git, gates.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::project::Project;

const BEFORE: &str = "\
feature: shop
channels:
  shop.order.{orderId}:
    scope: authenticated
    authorizer: guards
    payload:
      type: object
      required: [id]
      properties: { id: { type: string }, state: { enum: [open, paid] } }
      additionalProperties: false
    inbound:
      handler: orders
      payload: { type: object, required: [note], properties: { note: { type: string, maxLength: 200 } } }
  shop.news: { scope: authenticated, payload: { type: object } }
  shop.old: { scope: public, payload: true }
";
const PLUGIN: &str = "component: orders.wasm\nbuild: make\nkinds: [handler]\n";

/// The shop before and after somebody has worked on it, below `old/` and `new/`.
fn shops() -> Project {
    let after = BEFORE
        .replace("    authorizer: guards\n", "")
        .replace("enum: [open, paid]", "enum: [open, paid, lost]")
        .replace("maxLength: 200", "maxLength: 100")
        .replace("shop.news: { scope: authenticated", "shop.news: { scope: public")
        .replace("  shop.old: { scope: public, payload: true }\n", "");
    let grants = "grants: { http: ['https://mail.example.com'] }\n";
    shop(shop(Project::empty(), "old/", BEFORE, ""), "new/", &after, grants)
        .write(
            "old/config/bridge.yaml",
            "rules:\n  - { on: order.sold, to: shop.news, when: event.data.amount > 100 }\n",
        )
        .write("new/config/bridge.yaml", "rules:\n  - { on: order.sold, to: shop.news }\n")
}

fn shop(project: Project, folder: &str, manifest: &str, grants: &str) -> Project {
    let config = "auth: { providers: [jwt: { secret: '${TIDEGATE_JWT_SECRET}' }] }\n";
    project
        .write(&format!("{folder}config/tidegate.yaml"), config)
        .write(&format!("{folder}channels/shop.yaml"), manifest)
        .write(&format!("{folder}plugins/orders/plugin.yaml"), &format!("{PLUGIN}{grants}"))
        .write(&format!("{folder}plugins/guards/plugin.yaml"), "component: guards.wasm\n")
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main"]);
    let output = git.args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A repository whose `apps/live` became public, and then fell back in the work tree.
fn repository() -> Project {
    let after = BEFORE.replace("shop.news: { scope: authenticated", "shop.news: { scope: public");
    let project = shop(Project::empty(), "apps/live/", BEFORE, "");
    let root = project.path("");
    git(&root, &["init", "-q"]);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-qm", "before"]);
    git(&root, &["tag", "v1.2"]);
    project.replace("apps/live/channels/shop.yaml", &after);
    git(&root, &["commit", "-qam", "after"]);
    project.replace("apps/live/channels/shop.yaml", BEFORE);
    project
}

#[test]
fn diff_tells_what_changes_for_people_from_one_directory_to_another() {
    shown!(shops().run(&["diff", "old", "new"]));
}

#[test]
fn diff_answers_a_gate_in_json() {
    let output = shops().run(&["diff", "old", "new", "--format", "json", "--fail-on", "public,new"]);
    assert_eq!(output.exit, Some(1), "{}", output.shown());
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(told["failed_on"], serde_json::json!(["public"]));
    assert_eq!(told["counts"]["breaking"], 2, "{told:#}");
    shown!("diff_answers_a_gate_in_json", output.stdout);
}

#[test]
fn diff_fails_on_the_kinds_that_are_asked_for_and_on_what_counts_as_them() {
    let exit = |kinds: &str| shops().run(&["diff", "old", "new", "--fail-on", kinds]).exit;
    for failing in ["public", "wider", "crosses_public", "crosses", "breaking", "gone", "grants", "new,gone"] {
        assert_eq!(exit(failing), Some(1), "{failing}");
    }
    for passing in ["narrower", "visible", "cannot_tell", "auth,kept,stops"] {
        assert_eq!(exit(passing), Some(0), "{passing}");
    }
    let same = shops().run(&["diff", "new", "new", "--fail-on", "public,breaking"]);
    shown!("diff_of_the_same_says_so", same.shown());
    shown!("diff_knows_the_kinds_that_there_are", shops().run(&["diff", "old", "new", "--fail-on", "pulbic"]).shown());
}

#[test]
fn diff_reads_revisions_of_git_without_touching_the_work_tree() {
    let project = repository();
    let before = project.listing();
    let run = |from: &str, arguments: &[&str]| project.run_in(from, &[&["diff"], arguments].concat());
    for (from, old, new) in [
        ("", "v1.2:apps/live", "main:apps/live"),
        ("apps/live", "v1.2", "HEAD"),
        ("apps/live", "HEAD~1", "main"),
        ("apps", "HEAD~1:./live", "main:../apps/live/"),
        ("apps/live", ".", "HEAD:./"),
        ("apps/live", "main~1", "main"),
    ] {
        let output = run(from, &[old, new, "--format", "json"]);
        assert_eq!(output.exit, Some(0), "{old} {new}: {}", output.shown());
        let told: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(told["counts"], serde_json::json!({ "public": 1 }), "{old} {new}: {told:#}");
    }
    // The work tree is as before again.
    assert_eq!(run("apps/live", &["main", "."]).exit, Some(0));
    assert_eq!(run("", &["v1.2:apps/live", "HEAD:apps/live", "--format", "json"]).exit, Some(0));
    let files = |project: &Project| {
        project.listing().into_iter().filter(|(path, _)| !path.contains("/.git/")).collect::<Vec<_>>()
    };
    assert_eq!(files(&project), before.into_iter().filter(|(path, _)| !path.contains("/.git/")).collect::<Vec<_>>());
    assert!(project.listing().iter().all(|(path, _)| !path.ends_with("index.lock")));
}

#[test]
fn diff_says_what_is_wrong_with_a_revision() {
    let project = repository();
    shown!("diff_of_a_revision_that_is_not_there", project.run_in("apps/live", &["diff", "v9", "."]).shown());
    shown!("diff_of_a_folder_that_has_no_project", project.run(&["diff", "main", "apps/live"]).shown());
    shown!("diff_outside_of_a_repository", shops().run(&["diff", "old", "main"]).shown());
    shown!("diff_without_git", project.run_alone(&["diff", "main:apps/live", "apps/live"]).shown());
}

#[test]
fn diff_tells_the_mistakes_of_both_sides_with_their_places() {
    let project = repository();
    project.replace("apps/live/channels/shop.yaml", &BEFORE.replace("scope: authenticated", "scop: authenticated"));
    git(&project.path(""), &["commit", "-qam", "wrong"]);
    project.replace("apps/live/plugins/orders/plugin.yaml", &format!("{PLUGIN}limts: {{}}\n"));
    shown!(project.run(&["diff", "main:apps/live", "apps/live"]));
}

#[test]
fn diff_leaves_no_files_behind() {
    let project = repository();
    let temporary = tempfile::tempdir().unwrap();
    let project = project.env("TMPDIR", temporary.path().to_str().unwrap());
    assert_eq!(project.run(&["diff", "v1.2:apps/live", "main:apps/live"]).exit, Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_reload_logs_what_diff_tells_before_it() {
    let project = Project::new();
    let before = project.read("channels/room.yaml");
    let after = before.replace("scope: { user: userId }", "scope: public");
    let mut server = project.spawn(&["serve", "--listen", "127.0.0.1:0"]);
    server.wait_for("server.listening");
    server.project.replace("channels/room.yaml", &after);
    let line: Value = serde_json::from_str(&server.wait_for("reload.policy")).unwrap();
    let project = std::mem::replace(&mut server.project, Project::empty());
    let project = project.write("before/config/tidegate.yaml", "{}\n").write("before/channels/room.yaml", &before);
    let bridge = project.read("config/bridge.yaml");
    let told = project.write("before/config/bridge.yaml", &bridge);
    let told = told.run(&["diff", "before", ".", "--format", "json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let change = &told["changes"][0];
    let words =
        format!("`inbox.{{userId}}`: {}; {}", change["what"].as_str().unwrap(), change["means"].as_str().unwrap());
    let text = line.to_string();
    assert!(text.contains("\"public\"") && text.contains(&words), "{words} in {text}");
    assert_eq!(change["kind"], "public");
}
