//! `tidegate init`: a project of its own, outside of any checkout: configuration, a channel, a first plugin.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};
use serde_json::json;

use super::failure::Failure;
use super::new::{Kind, Language, Written, complete_in_editors, plugin_of_kind};
use super::{Answer, Format, carried, schema};

/// The first plugin.
const PLUGIN: &str = "hello";
/// The language that the README goes on with where none was asked for.
const LANGUAGE: Language = Language::JavaScript;
/// What may be there before: a repository without files.
const MAY_BE_THERE: &str = ".git";
/// What the README calls a project without a name.
const NAMELESS: &str = "Realtime";

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The directory of the project; it must be new or empty
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The language of a first plugin; without it there is none, and the project needs no tools to build
    #[arg(long, value_enum)]
    lang: Option<Language>,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Init {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.must_be_empty()?;
        let files = self.files();
        let mut written = Written::default();
        for (path, text) in &files {
            written.create(&self.directory.join(path), text)?;
        }
        written.keep();
        Ok(match self.format {
            Format::Text => Answer::ok(self.next()),
            Format::Json => {
                let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
                Answer::json(&json!({ "directory": self.directory, "files": paths }))
            }
        })
    }

    fn must_be_empty(&self) -> Result<(), Failure> {
        let shown = self.directory.display();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Failure::File { path: shown.to_string(), source }),
        };
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
        let Some(first) = names.filter(|name| name != MAY_BE_THERE).min() else { return Ok(()) };
        Err(Failure::New {
            what: format!("the directory `{shown}` is not empty: it has `{first}`"),
            hint: "nothing was written; name a new directory: `tidegate init DIR`".to_owned(),
        })
    }

    /// Path and text of every file, by path.
    fn files(&self) -> Vec<(String, String)> {
        let variant = if self.lang.is_some() { "handler" } else { "relay" };
        let parts = ["any", variant].map(|part| format!("host/server/project/{part}/"));
        let carried = parts.iter().flat_map(|part| carried::below(part));
        let mut files: Vec<_> = carried.map(|(path, text)| (path.to_owned(), self.fill(text))).collect();
        let schemas = schema::for_editors().into_iter();
        files.extend(schemas.map(|(path, schema)| (path.to_owned(), format!("{schema:#}\n"))));
        if let Some(language) = self.lang {
            let mut plugin = plugin_of_kind(language, Kind::Handler, PLUGIN);
            complete_in_editors(&mut plugin);
            files.extend(plugin.into_iter().map(|(path, text)| (format!("plugins/{PLUGIN}/{path}"), text)));
        }
        files.sort();
        files
    }

    fn fill(&self, text: &str) -> String {
        let language = self.lang.unwrap_or(LANGUAGE).to_possible_value();
        let language = language.map(|value| value.get_name().to_owned()).unwrap_or_default();
        let (client, plugin) = match self.lang {
            Some(_) => (
                r#"console.log(await socket.emitWithAck("greetings", { name: "Ada" }));   // { ok: true, reply: { text: "hello, Ada" } }"#,
                "| `plugins/hello/` | the plugin that answers what clients send on `greetings`, with its tests |\n",
            ),
            None => {
                (r#"await socket.emitWithAck("greetings", { text: "hello, all" });   // goes to all subscribers"#, "")
            }
        };
        let text = text.replace("{{project}}", &self.name()).replace("{{lang}}", &language);
        text.replace("{{client}}", client).replace("{{plugin_row}}", plugin)
    }

    /// The name of the directory.
    fn name(&self) -> String {
        let path = std::path::absolute(&self.directory).unwrap_or_default();
        path.file_name().map_or_else(|| NAMELESS.to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn next(&self) -> String {
        let (plugin, needs) = match self.lang {
            Some(language) => (
                format!(" and the plugin `{PLUGIN}` in {}", language.title()),
                format!("    # needs {}", language.needs()),
            ),
            None => (String::new(), String::new()),
        };
        let is_here = self.directory.as_path() == Path::new(".");
        let enter = if is_here { String::new() } else { format!("  cd {}\n", self.directory.display()) };
        format!(
            "{}: a project with the channel `greetings`{plugin}\n\nThen:\n\n{enter}  tidegate dev{needs}\n\nIts README.md \
             says what to try.\n",
            self.directory.display(),
        )
    }
}
