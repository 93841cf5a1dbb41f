//! What the manual says of keys, codes, events and files is what there is.
//!
//! The tables of keys are made from the schemas for editors. A page marks the place of a table:
//! `<!-- generated: config/tidegate.schema.json#Limits -->` up to `<!-- end -->`. Without `#Name` the table is about the
//! whole file. `without a b.c` leaves out keys that have a table of their own.
//!
//! After a wanted change: `TIDEGATE_UPDATE=1 cargo test --workspace --test cli`, and read the difference.

use std::path::Path;

use serde_json::Value;
use tidegate_core::channels::ChangeKind;
use tidegate_core::protocol::Code;

use crate::project::{Project, committed, root};

const PAGES: [&str; 3] = ["channels/README.md", "config/README.md", "plugins/README.md"];
const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

#[test]
fn the_tables_of_keys_in_the_manual_are_those_of_the_types() {
    let project = Project::empty();
    let written = project.run(&["schema", "--write"]);
    assert_eq!(written.exit, Some(0), "{}", written.stderr);
    for page in PAGES {
        let kept = committed(page);
        let made = with_tables(&kept, |file| serde_json::from_str(&project.read(file)).unwrap());
        if std::env::var_os("TIDEGATE_UPDATE").is_some() {
            std::fs::write(root().join(page), &made).unwrap();
        } else {
            assert!(
                made == kept,
                "{page}: `TIDEGATE_UPDATE=1 cargo test --workspace --test cli` writes its tables:\n{made}"
            );
        }
    }
}

#[test]
fn the_table_of_codes_in_the_manual_has_every_code_and_says_whether_to_retry() {
    let rows = table(&committed("README.md"), "| code | means | retry |");
    let said: Vec<(String, bool)> = rows.iter().map(|row| (row[0].replace('`', ""), row[2] == "yes")).collect();
    let codes: Vec<(String, bool)> = Code::ALL.iter().map(|code| (code.as_str().to_owned(), code.retry())).collect();
    assert_eq!(said, codes);
}

#[test]
fn the_table_of_kinds_of_changes_in_the_manual_has_every_kind_and_what_it_counts_as() {
    let said = table(&committed("channels/README.md"), "| kind | | counts as, too |");
    let name = |kind: &ChangeKind| format!("`{kind}`");
    let kinds = ChangeKind::ALL.iter().map(|kind| {
        let also = kind.also().iter().map(name).collect::<Vec<_>>().join(", ");
        vec![name(kind), kind.explained().to_owned(), also]
    });
    let kinds: Vec<Vec<String>> = kinds.collect();
    assert_eq!(said.iter().map(|row| row[..3].to_vec()).collect::<Vec<_>>(), kinds);
}

#[test]
fn the_table_of_log_events_in_the_manual_has_every_event_and_no_other() {
    let rows = table(&committed("host/OPERATING.md"), "| event | level | fields | |");
    let mut said: Vec<String> = rows.iter().map(|row| row[0].replace('`', "")).collect();
    let names = host_files().into_iter().find(|file| file.ends_with("telemetry/event_names.rs")).unwrap();
    let constants = committed(&format!("host/{names}"));
    let is_name = |line: &&str| line.contains("const ") && line.contains(": &str = \"");
    let mut events: Vec<String> =
        constants.lines().filter(is_name).map(|line| line.split('"').nth(1).unwrap().to_owned()).collect();
    said.sort();
    events.sort();
    assert_eq!(said, events);
}

#[test]
fn the_files_of_the_host_that_the_manual_names_are_there() {
    let files = host_files();
    for page in ["host/README.md", "wit/README.md"] {
        let text = committed(page);
        let is_path = |code: &&str| !code.starts_with('/') && (code.ends_with(".rs") || code.ends_with('/'));
        for named in text.split('`').skip(1).step_by(2).filter(is_path) {
            let path = format!("/{}", named.strip_prefix("host/").unwrap_or(named));
            let is_it = |file: &String| match format!("/{file}") {
                file if path.ends_with('/') => file.contains(&path),
                file => file.ends_with(&path),
            };
            let is_below =
                [root().join(named), root().join(page).with_file_name(named)].iter().any(|path| path.exists());
            assert!(is_below || files.iter().any(is_it), "{page}: there is no `{named}`");
        }
    }
}

/// The cells of a table's rows.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let rows = page.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no table has the head {head}");
    rows
}

/// The source files below `host/`, relative to it.
fn host_files() -> Vec<String> {
    let host = root().join("host");
    let mut files = Vec::new();
    let mut folders = vec![host.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some("rs".as_ref()) {
                files.push(below(&host, &path));
            }
        }
    }
    files
}

fn below(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/")
}

/// The page with each of its tables made from its schema.
fn with_tables(page: &str, schema: impl Fn(&str) -> Value) -> String {
    let mut parts = page.split(BEGIN);
    let mut made = parts.next().unwrap().to_owned();
    for part in parts {
        let (marker, rest) = part.split_once(" -->").unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let (place, without) = marker.split_once(" without ").unwrap_or((marker, ""));
        let (file, definition) = place.split_once('#').unwrap_or((place, ""));
        let table = Table { schema: schema(file), without: without.split(' ').map(str::to_owned).collect() };
        made += &format!("{BEGIN}{marker} -->\n{}{END}{after}", table.of(definition));
    }
    made
}

struct Table {
    schema: Value,
    /// Keys that the table leaves out.
    without: Vec<String>,
}

impl Table {
    fn of(&self, definition: &str) -> String {
        let object = if definition.is_empty() { &self.schema } else { &self.schema["$defs"][definition] };
        let mut table = "| key | value | default | |\n|---|---|---|---|\n".to_owned();
        self.rows(object, "", &mut table);
        table
    }

    fn rows(&self, object: &Value, prefix: &str, table: &mut String) {
        let required = object["required"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        for (name, schema) in object["properties"].as_object().unwrap() {
            let key = format!("{prefix}{name}");
            let type_ = self.resolve(schema);
            if self.without.contains(&key) {
                continue;
            }
            let (default, text) = default_and_text(schema, type_);
            let default =
                if required.iter().any(|required| required == name) { "required".to_owned() } else { default };
            *table += &format!("| `{key}` | {} | {default} | {} |\n", self.value(schema), text.replace('|', "\\|"));
            let item = self.resolve(&type_["items"]);
            if type_["properties"].is_object() {
                self.rows(type_, &format!("{key}."), table);
            } else if item["properties"].is_object() {
                self.rows(item, &format!("{key}[]."), table);
            }
        }
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        name(schema).map_or(schema, |name| &self.schema["$defs"][name])
    }

    /// What a key takes, in a few words.
    fn value(&self, schema: &Value) -> String {
        match name(schema) {
            Some("ByteSize") => return "size".to_owned(),
            Some("Duration") => return "time".to_owned(),
            _ => {}
        }
        let schema = self.resolve(schema);
        if schema["properties"].is_object() {
            return "map".to_owned();
        }
        let choices = schema.get("enum").or_else(|| schema.get("oneOf")).or_else(|| schema.get("anyOf"));
        if let Some(choices) = choices.and_then(Value::as_array) {
            let constant =
                |choice: &Value| choice.get("const").unwrap_or(choice).as_str().map(|text| format!("`{text}`"));
            if let Some(constants) = choices.iter().map(constant).collect::<Option<Vec<_>>>() {
                return constants.join(" ");
            }
            return match choices.as_slice() {
                [one, many] if self.resolve(many)["items"] == *one => format!("{}, or a list", self.value(one)),
                _ => {
                    let mut values: Vec<String> = choices.iter().map(|choice| self.value(choice)).collect();
                    values.dedup();
                    values.join(" or ")
                }
            };
        }
        match &schema["type"] {
            Value::Array(types) => types.iter().map(|type_| self.typed(type_, schema)).collect::<Vec<_>>().join(" or "),
            type_ => self.typed(type_, schema),
        }
    }

    fn typed(&self, type_: &Value, schema: &Value) -> String {
        match (type_.as_str().unwrap_or_default(), schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            ("array", ..) => match self.value(&schema["items"]).as_str() {
                choices if choices.starts_with('`') => format!("list of {choices}"),
                item => format!("list of {item}s"),
            },
            ("boolean", ..) => "`true` `false`".to_owned(),
            ("integer", Some(from), Some(to)) => format!("{from} to {to}"),
            ("integer", Some(from), None) if from > 0 => format!("number from {from}"),
            ("number", Some(from), Some(to)) => format!("{from} to {to}, `0.5` is a half"),
            ("integer", ..) => "number".to_owned(),
            ("object", ..) => "map".to_owned(),
            ("string", ..) => "text".to_owned(),
            (other, ..) => panic!("`{other}` has no word in the tables: {schema}"),
        }
    }
}

/// The name of the definition that a schema refers to.
fn name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// The default of a key, and its description without the sentence that says only the default.
fn default_and_text(schema: &Value, type_: &Value) -> (String, String) {
    let description = [schema, type_].into_iter().find_map(|schema| schema["description"].as_str()).unwrap_or_default();
    let text = description.split_whitespace().collect::<Vec<_>>().join(" ");
    let (said, text) = match text.split_once("Default ") {
        Some((before, after)) => match default_alone(after) {
            Some((default, rest)) => {
                (Some(default.to_owned()), format!("{before}{}", capitalised(rest)).trim().to_owned())
            }
            None => (
                after.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(code, _)| format!("`{code}`")),
                text,
            ),
        },
        None => (None, text),
    };
    let declared = schema.get("default").or_else(|| type_.get("default")).map(|default| match default {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    });
    (declared.or(said).unwrap_or_else(|| "–".to_owned()), text)
}

/// Splits what follows `Default `: a value that ends its sentence or stands before a semicolon, and the rest.
fn default_alone(text: &str) -> Option<(&str, &str)> {
    let mut in_code = false;
    for (at, character) in text.char_indices() {
        let rest = &text[at + character.len_utf8()..];
        match character {
            '`' => in_code = !in_code,
            _ if in_code => {}
            ';' => return Some((&text[..at], rest.trim_start())),
            '.' if rest.is_empty() || rest.starts_with(' ') => return Some((&text[..at], rest.trim_start())),
            ':' => return None,
            ',' if rest.starts_with(' ') => return None,
            _ => {}
        }
    }
    None
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
