//! The files of a new plugin: the template of its language and kind, and a copy of the SDK and the contract, so that it
//! builds wherever it lies.

use clap::ValueEnum;

/// Every file that goes into projects, by its path in the repository; listed by `build.rs`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/new_plugin_files.rs"));
/// Where the SDKs find the contract in the repository, and in a project.
const CONTRACT: (&str, &str) = ("../../../wit", "wit");

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Rust,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    #[value(name = "typescript", alias = "ts")]
    TypeScript,
}

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Answers the messages of a channel
    Handler,
    /// Decides who may join a topic and send on it
    Authorizer,
}

impl Language {
    /// Its name in a sentence.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::TypeScript => "TypeScript",
        }
    }

    /// The file that the author writes.
    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::JavaScript => "plugin.js",
            Self::TypeScript => "plugin.ts",
        }
    }

    /// What the build finds on the machine.
    pub(super) const fn needs(self) -> &'static str {
        match self {
            Self::Rust => "Rust by rustup",
            Self::JavaScript | Self::TypeScript => "Node 20 or later",
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "javascript",
            Self::TypeScript => "typescript",
        }
    }

    const fn sdk(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript | Self::TypeScript => "javascript",
        }
    }
}

impl Kind {
    const fn template(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Authorizer => "authorizer",
        }
    }
}

/// Path and text of every file, by path.
pub(super) fn files(language: Language, kind: Kind, name: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let (lang, kind) = (language.template(), kind.template());
    for template in [format!("{lang}/any/"), format!("{lang}/{kind}/"), format!("any/{kind}/")] {
        files.extend(below(&format!("plugins/templates/{template}")).map(|(path, text)| {
            let text = text.replace("{{workspace}}", &workspace());
            (path.to_owned(), text.replace("{{name}}", name).replace("{{module}}", &name.replace('-', "_")))
        }));
    }
    let sdk = below(match language.sdk() {
        "rust" => "plugins/sdk/rust/",
        _ => "plugins/sdk/javascript/",
    });
    files.extend(sdk.map(|(path, text)| (format!("sdk/{path}"), text.replace(CONTRACT.0, CONTRACT.1))));
    let contract = below("wit/").filter(|(path, _)| path.ends_with(".wit"));
    files.extend(contract.map(|(path, text)| (format!("sdk/wit/{path}"), text.to_owned())));
    if language == Language::Rust {
        // The versions that the SDK is tested with; cargo leaves out what the project does not need.
        files.push(("Cargo.lock".to_owned(), repository_file("plugins/Cargo.lock").to_owned()));
    }
    files.sort();
    files
}

/// The workspace of the shipped plugins as a project has it, with the SDK as its one member.
fn workspace() -> String {
    let lines = repository_file("plugins/Cargo.toml").lines().map(|line| {
        let line = if line.starts_with("members = ") { r#"members = ["sdk"]"# } else { line };
        line.replace("sdk/rust", "sdk") + "\n"
    });
    lines.collect()
}

fn below(directory: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().filter_map(move |(path, text)| Some((path.strip_prefix(directory)?, *text)))
}

fn repository_file(path: &str) -> &'static str {
    FILES.iter().find(|(listed, _)| *listed == path).map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_in_a_project() {
        for language in Language::value_variants() {
            for kind in Kind::value_variants() {
                let files = files(*language, *kind, "my-plugin");
                let left: Vec<_> = files.iter().filter(|(_, text)| text.contains("{{")).collect();
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
