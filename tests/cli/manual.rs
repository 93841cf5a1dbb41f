//! The tables of keys in the manual say what the schemas for editors say, so neither drifts from the types.
//!
//! A page marks the place of a table: `<!-- generated: config/tidegate.schema.json#Limits -->` up to `<!-- end -->`. Without
//! `#Name` the table is about the whole file. `without a b.c` leaves out keys that have a table of their own.
//!
//! After a wanted change: `TIDEGATE_UPDATE=1 cargo test --test cli`, and read the difference.

use serde_json::Value;

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
            assert!(made == kept, "{page}: `TIDEGATE_UPDATE=1 cargo test --test cli` writes its tables:\n{made}");
        }
    }
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
