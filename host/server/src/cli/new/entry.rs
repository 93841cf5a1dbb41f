//! The texts of a new channel: its entry, its schema, its examples.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use serde_json::{Value, json};

use super::super::failure::Failure;
use tidegate_core::channels::Template;

/// How much of a channel's name goes into a file's name, in bytes: file systems allow 255, and editors add to them.
const FILE_NAME_BYTES_MAX: usize = 180;
/// The comment with which editors complete a manifest.
pub(super) const EDITORS: &str = "# yaml-language-server: $schema=channel.schema.json\n";
/// The user of the examples, and another user.
const USERS: [&str; 2] = ["alice", "mallory"];

/// Who may join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    Public,
    Authenticated,
    Roles(Vec<String>),
    User(String),
}

impl Scope {
    /// Reads `public`, `authenticated`, `role:editor`, `roles:editor,admin`, `user:userId`.
    ///
    /// # Errors
    /// [`Failure::New`] naming the possible scopes, or the existing params.
    pub(super) fn parse(text: &str, template: &Template) -> Result<Self, Failure> {
        let wrong = |hint: &str| Failure::New { what: format!("`{text}` is not a valid scope"), hint: hint.to_owned() };
        let is_role =
            |role: &&str| !role.is_empty() && !role.contains(|c: char| c.is_control() || "{}[]:\"".contains(c));
        match text.split_once(':') {
            None if text == "public" => Ok(Self::Public),
            None if text == "authenticated" => Ok(Self::Authenticated),
            Some(("role", role)) if is_role(&role) => Ok(Self::Roles(vec![role.to_owned()])),
            Some(("roles", roles)) if roles.split(',').all(|role| is_role(&role)) => {
                Ok(Self::Roles(roles.split(',').map(str::to_owned).collect()))
            }
            Some(("user", param)) if template.params().any(|known| known == param) => Ok(Self::User(param.to_owned())),
            Some(("user", _)) => {
                let params: Vec<&str> = template.params().collect();
                Err(wrong(&match &params[..] {
                    [] => "`user:` needs a param of the channel's name, and this name has none; like `inbox.{userId}`"
                        .to_owned(),
                    params => format!("`user:` needs a param of the channel's name: {}", params.join(", ")),
                }))
            }
            _ => Err(wrong("use `public`, `authenticated`, `role:editor`, `roles:editor,admin` or `user:userId`")),
        }
    }

    /// The scope as a manifest writes it.
    fn in_yaml(&self) -> String {
        let quoted = |role: &String| Value::from(role.as_str()).to_string();
        match self {
            Self::Public => "public".to_owned(),
            Self::Authenticated => "authenticated".to_owned(),
            Self::Roles(roles) => match &roles[..] {
                [role] => format!("{{ role: {} }}", quoted(role)),
                roles => format!("{{ roles: [{}] }}", roles.iter().map(quoted).collect::<Vec<_>>().join(", ")),
            },
            Self::User(param) => format!("{{ user: {param} }}"),
        }
    }

    /// Users that it admits and refuses.
    fn examples(&self) -> Value {
        let [alice, mallory] = USERS.map(|id| json!({ "id": id }));
        match self {
            Self::Public => json!({ "admits": [null, alice] }),
            Self::Authenticated => json!({ "admits": [alice], "refuses": [null] }),
            Self::User(_) => json!({ "admits": [alice], "refuses": [mallory, null] }),
            Self::Roles(roles) => {
                let admitted = roles.iter().map(|role| json!({ "id": USERS[0], "roles": [role] }));
                json!({ "admits": admitted.collect::<Vec<_>>(), "refuses": [mallory, null] })
            }
        }
    }
}

/// `vault.{vaultId}` as `vault-vaultId`: the name of a channel's files. A name that is too long is cut, and a hash
/// distinguishes it from others with the same beginning.
pub(super) fn file_name(template: &Template) -> String {
    let name = template.as_str().replace('.', "-").replace(['{', '}'], "");
    // A template is ASCII.
    match name.get(..FILE_NAME_BYTES_MAX) {
        Some(begins) if name.len() > FILE_NAME_BYTES_MAX => {
            let mut hasher = DefaultHasher::new();
            template.as_str().hash(&mut hasher);
            format!("{begins}-{:016x}", hasher.finish())
        }
        _ => name,
    }
}

/// The lines of a manifest.
pub(super) fn manifest_entry(template: &Template, scope: &Scope, schema: &str) -> String {
    let name = template.as_str();
    // Other beginnings may have a meaning in YAML.
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let key = if is_plain { name.to_owned() } else { format!("'{name}'") };
    format!("  {key}:\n    scope: {}\n    payload: {{ $ref: {schema} }}\n", scope.in_yaml())
}

/// A first schema of what subscribers receive.
pub(super) fn schema(template: &Template) -> String {
    one_text(&format!("What subscribers of {template} receive."))
}

/// A first schema of what clients send.
pub(super) fn inbound_schema(template: &Template) -> String {
    one_text(&format!("What clients send on {template}."))
}

/// An object with one text.
fn one_text(description: &str) -> String {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": description,
        "type": "object",
        "required": ["text"],
        "properties": { "text": { "type": "string", "maxLength": 1000 } },
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

/// First examples: of the scope, and of that schema.
pub(super) fn examples(template: &Template, scope: &Scope) -> String {
    let user = match scope {
        Scope::User(param) => Some(param.as_str()),
        _ => None,
    };
    let topic = topic(template, user);
    let examples = json!({ "topic": topic, "scope": scope.examples(), "payload": of_one_text() });
    format!("{examples:#}\n")
}

/// First examples of what clients send.
pub(super) fn inbound_examples(template: &Template) -> String {
    let examples = json!({ "topic": topic(template, None), "inbound": of_one_text() });
    format!("{examples:#}\n")
}

fn of_one_text() -> Value {
    json!({ "accepts": [{ "text": "hello" }], "refuses": [{}, { "text": 1 }] })
}

/// A topic of the channel, on which the param `user` is the user of the examples.
fn topic(template: &Template, user: Option<&str>) -> String {
    let segments = template.as_str().split('.').map(|segment| match segment.strip_prefix('{') {
        Some(param) if Some(param.trim_end_matches('}')) == user => USERS[0],
        Some(_) => "1",
        None => segment,
    });
    segments.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_written_as_a_manifest_has_it() {
        let template = Template::parse("inbox.{userId}").unwrap();
        let scope = |text: &str| Scope::parse(text, &template).map(|scope| scope.in_yaml()).ok();
        assert_eq!(scope("public").as_deref(), Some("public"));
        assert_eq!(scope("role:editor").as_deref(), Some(r#"{ role: "editor" }"#));
        assert_eq!(scope("roles:a,b").as_deref(), Some(r#"{ roles: ["a", "b"] }"#));
        assert_eq!(scope("user:userId").as_deref(), Some("{ user: userId }"));
        for wrong in ["", "nobody", "role:", "roles:a,,b", "user:", "user:other", "public:x", "role:a:b"] {
            assert_eq!(scope(wrong), None, "{wrong}");
        }
    }
}
