//! The files of a new plugin: the template of its language and kind, and a copy of the SDK and the contract. With those
//! the plugin builds in any directory.

use clap::ValueEnum;

use super::super::carried;
use super::typed::Typed;

/// The file that makes a directory a plugin.
pub(super) const MANIFEST: &str = "plugin.yaml";
/// The comment with which editors complete it, by the schema beside the plugins.
const EDITORS: &str = "# yaml-language-server: $schema=../plugin.schema.json\n";
/// Where the SDKs find the contract in the repository, and in a project.
const CONTRACT: (&str, &str) = ("../../../wit", "wit");

/// The language of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Language {
    Rust,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    #[value(name = "typescript", alias = "ts")]
    TypeScript,
    #[value(alias = "py")]
    Python,
    Go,
    C,
}

/// The kind of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Kind {
    /// Answers the messages of a channel
    Handler,
    /// Decides who may join a topic and send on it
    Authorizer,
    /// Gives the state of a topic to a new subscriber
    Snapshot,
    /// Makes the payload of bus events for a topic
    Transform,
    /// Learns of opened and closed connections
    Connection,
}

/// The parts of a project in a language.
struct Recipe {
    title: &'static str,
    /// The file that the author writes.
    source: &'static str,
    /// The tools that the build needs on the machine.
    needs: &'static str,
    /// The directory of its templates.
    template: &'static str,
    /// The files that are copied from the repository, and their target paths.
    sdk: &'static [(&'static str, &'static str)],
}

impl Language {
    const fn recipe(self) -> Recipe {
        const fn flat(
            title: &'static str,
            source: &'static str,
            needs: &'static str,
            template: &'static str,
            sdk: &'static [(&'static str, &'static str)],
        ) -> Recipe {
            Recipe { title, source, needs, template, sdk }
        }
        const JAVASCRIPT: &[(&str, &str)] = &[
            ("plugins/sdk/javascript/", "sdk/"),
            ("plugins/sdk/componentize/toolchain.mjs", "sdk/componentize/toolchain.mjs"),
        ];
        match self {
            Self::Rust => flat("Rust", "src/lib.rs", "Rust by rustup", "rust", &[("plugins/sdk/rust/", "sdk/")]),
            Self::JavaScript => flat("JavaScript", "plugin.js", "Node 20 or later", "javascript", JAVASCRIPT),
            Self::TypeScript => flat("TypeScript", "plugin.ts", "Node 20 or later", "typescript", JAVASCRIPT),
            Self::Python => flat(
                "Python",
                "plugin.py",
                "Python 3.11 with its venv module",
                "python",
                &[("plugins/sdk/python/", "sdk/")],
            ),
            Self::Go => flat(
                "Go",
                "plugin.go",
                "Node 20 and Python 3 with pip",
                "go",
                &[("plugins/sdk/go/", "sdk/go/"), ("plugins/sdk/componentize/", "sdk/componentize/")],
            ),
            Self::C => flat(
                "C",
                "plugin.c",
                "Node 20 and Python 3 with pip",
                "c",
                &[("plugins/sdk/c/", "sdk/c/"), ("plugins/sdk/componentize/", "sdk/componentize/")],
            ),
        }
    }

    /// The name for a sentence.
    pub(in crate::cli) const fn title(self) -> &'static str {
        self.recipe().title
    }

    /// The file that the author writes.
    pub(super) const fn source(self) -> &'static str {
        self.recipe().source
    }

    /// The tools that the build needs on the machine.
    pub(in crate::cli) const fn needs(self) -> &'static str {
        self.recipe().needs
    }
}

impl Kind {
    /// The name on the command line and in `plugin.yaml`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Authorizer => "authorizer",
            Self::Snapshot => "snapshot",
            Self::Transform => "transform",
            Self::Connection => "connection",
        }
    }
}

/// Path and text of every file of a plugin that belongs to no channel, by path.
pub(in crate::cli) fn of_kind(language: Language, kind: Kind, name: &str) -> Vec<(String, String)> {
    files(language, kind, name, None)
}

/// Path and text of every file, by path.
pub(super) fn files(language: Language, kind: Kind, name: &str, typed: Option<&Typed>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let (Recipe { template, sdk, .. }, kind) = (language.recipe(), kind.as_str());
    let of_kind = match typed {
        Some(_) => vec![format!("{template}/channel/")],
        None => vec![format!("{template}/{kind}/"), format!("any/{kind}/")],
    };
    for template in std::iter::once(format!("{template}/any/")).chain(of_kind) {
        files.extend(carried::below(&format!("plugins/templates/{template}")).map(|(path, text)| {
            let text = text.replace("{{workspace}}", &workspace());
            let text = text.replace("{{name}}", name).replace("{{module}}", &name.replace('-', "_"));
            (path.to_owned(), typed.map_or_else(|| text.clone(), |typed| typed.fill(&text)))
        }));
    }
    files.extend(typed.into_iter().flat_map(|typed| typed.files.clone()));
    for (from, to) in sdk {
        // The rest of the path to the contract leads into the project's own copy of it.
        files.extend(
            carried::below(from).map(|(path, text)| (format!("{to}{path}"), text.replace(CONTRACT.0, CONTRACT.1))),
        );
    }
    let contract = carried::below("wit/").filter(|(path, _)| path.ends_with(".wit"));
    files.extend(contract.map(|(path, text)| (format!("sdk/wit/{path}"), text.to_owned())));
    if language == Language::Rust {
        // The versions that the SDK is tested with; cargo ignores what the project does not need.
        files.push(("Cargo.lock".to_owned(), carried::file("plugins/Cargo.lock").to_owned()));
    }
    files.sort();
    files
}

/// Lets editors complete and check `plugin.yaml`, where the plugins' directory has the schema for it.
pub(in crate::cli) fn complete_in_editors(files: &mut [(String, String)]) {
    for (_, text) in files.iter_mut().filter(|(path, _)| path == MANIFEST) {
        text.insert_str(0, EDITORS);
    }
}

/// The workspace of the shipped plugins, changed for a project: the SDK is its only member.
fn workspace() -> String {
    let lines = carried::file("plugins/Cargo.toml").lines().map(|line| {
        let line = if line.starts_with("members = ") { r#"members = ["sdk"]"# } else { line };
        line.replace("sdk/rust", "sdk") + "\n"
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_in_a_project() {
        for language in Language::value_variants() {
            for kind in Kind::value_variants() {
                let files = files(*language, *kind, "my-plugin", None);
                // `{{name}}`; in Go, `{{` also begins a list of structs.
                let is_name =
                    |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                let holds_one = |text: &str| {
                    text.split("{{").skip(1).any(|rest| rest.split_once("}}").is_some_and(|(name, _)| is_name(name)))
                };
                let left: Vec<_> = files.iter().filter(|(_, text)| holds_one(text)).collect();
                let of_template = |path: &str| !path.starts_with("sdk/");
                assert!(!left.iter().any(|(path, _)| of_template(path)), "{left:?}");
                let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
                for path in
                    ["plugin.yaml", "README.md", "sdk/wit/plugin.wit", "sdk/wit/deps/host/host.wit", language.source()]
                {
                    assert!(paths.contains(&path), "{path} is missing in {paths:?}");
                }
            }
        }
    }
}
