//! `tidegate init`: a project of its own.

use crate::project::Project;

const LANGUAGES: [&str; 6] = ["rust", "typescript", "javascript", "python", "go", "c"];

#[test]
fn init_makes_a_project_that_check_has_nothing_against() {
    let project = Project::empty();
    shown!(project.run(&["init", "app"]));
    shown!("init_readme", project.read("app/README.md"));
    let config = ["--config", "app/config/tidegate.yaml"];
    shown!("init_checked", project.run(&[&["check"], &config[..]].concat()).shown());
    // Which needs no environment, and nothing beside it.
    assert!(project.path("app/tests/README.md").exists() && project.path("app/.gitignore").exists());
    assert!(project.path("app/.github/workflows/tidegate.yaml").exists());
}

#[test]
fn init_makes_a_plugin_in_the_language_that_is_asked_for() {
    for language in LANGUAGES {
        let project = Project::empty();
        let output = project.run(&["init", "--lang", language, "--format", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let mut paths: Vec<String> =
            answer["files"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect();
        paths.sort();
        let root = project.path("").display().to_string();
        let listed: Vec<String> = project
            .listing()
            .into_iter()
            .map(|(path, _)| path[root.len()..].trim_start_matches('/').to_owned())
            .collect();
        assert_eq!(paths, listed);
        assert!(project.read("plugins/hello/plugin.yaml").starts_with("# yaml-language-server: $schema=../plugin"));
        assert!(project.read("README.md").contains(&format!("--lang {language} ")));
        let left: Vec<String> =
            project.listing().into_iter().filter(|(_, text)| text.contains("{{l")).map(|(path, _)| path).collect();
        assert!(left.iter().all(|path| path.contains("/sdk/")), "{left:?}");
        // Only the component is missing.
        let checked = project.run(&["check"]);
        assert!(
            checked.exit == Some(65) && checked.stderr.contains("tidegate plugin build hello"),
            "{}",
            checked.shown()
        );
        assert!(checked.stderr.ends_with("\n1 error\n"), "{}", checked.shown());
    }
}

#[test]
fn init_touches_nothing_where_something_is() {
    let project = Project::empty().write("app/notes.txt", "mine").write("new/.git/HEAD", "ref: refs/heads/main\n");
    let before = project.listing();
    let into = ["app", "app/notes.txt"].map(|directory| project.run(&["init", directory, "--lang", "c"]).shown());
    shown!("init_where_something_is", into.join("\n"));
    assert_eq!(project.listing(), before);
    assert_eq!(project.run(&["init", "new"]).exit, Some(0), "a repository without files is no obstacle");
    let made = project.listing();
    assert_eq!(project.run(&["init", "new"]).exit, Some(2));
    assert_eq!(project.listing(), made);
}
