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
