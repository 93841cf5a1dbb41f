//! `GET /openapi.json`: this interface as an OpenAPI 3.1 document, made from the operations of the resources.
//!
//! `operation` is what a resource says of itself, `schemas` the forms of bodies and answers.

mod inspecting;
mod operation;
mod schemas;

use axum::body::Bytes;
use axum::extract;
use axum::http::{HeaderName, header};
use serde_json::{Map, Value, json};

pub(super) use operation::{Answers, Caller, Operation, Reason, Verb, by_session};

use super::paging::PAGE_LIMIT_MAX;
use super::{Resource, State};
use crate::operator::COOKIE;
use tidegate_core::config::{Anonymous, Auth};

const JSON: &str = "application/json";
/// Largest number of things that a request may name: every client of JSON can write it (RFC 8259, 6).
const COUNT_MAX: u64 = (1 << 53) - 1;

const DESCRIPTION: &str = "The resources for backends, for operators, and for clients without a socket. What the stock \
    Socket.IO client sends and receives is told by `tidegate asyncapi`.\n\nA refusal has the code, the message and \
    `retry` in its body: the same request may succeed later if `retry` is true. A path that is no resource is 404 \
    `not_found`, another method is 405 `method_not_allowed`; `HEAD` answers as `GET` does. A request that is not HTTP \
    is 400 without a body.";

/// The document of the server's interface.
pub(super) const OPERATION: Operation = Operation {
    method: Verb::Get,
    path: "/openapi.json",
    id: "document",
    summary: "This interface as an OpenAPI document",
    caller: Caller::Anybody,
    parameters: &[],
    body: &[],
    answers: Answers { status: 200, says: "The document.", contents: &[(JSON, "Document")] },
    refuses: &[],
};

/// It holds no secret and names no user: everybody may read it.
pub(super) async fn read(extract::State(state): extract::State<State>) -> ([(HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, JSON)], state.document)
}

/// The document as JSON. The configuration says which cookies may hold a credential, and whether clients need one.
#[must_use]
pub fn document(auth: &Auth) -> Bytes {
    let mut paths: Map<String, Value> = Map::new();
    for Resource { operation, .. } in super::resources() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str()] = described(operation, auth);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/", "description": "The server of this document." }],
        "paths": paths,
        "components": {
            "schemas": schemas::schemas(),
            "parameters": parameters(),
            "headers": headers(),
            "securitySchemes": security_schemes(auth),
        },
    });
    Bytes::from(format!("{document:#}\n"))
}

fn described(operation: &Operation, auth: &Auth) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "security": security(operation.caller, auth),
        "responses": responses(operation),
    });
    if let Caller::Key(permission) = operation.caller {
        described["description"] = format!("The API key must be one that may `{}`.", permission.as_str()).into();
    }
    if !operation.parameters.is_empty() {
        let parameter = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
        described["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if !operation.body.is_empty() {
        described["requestBody"] = json!({ "required": true, "content": contents(operation.body) });
    }
    described
}

fn contents(contents: &[(&str, &str)]) -> Value {
    let content = |(media, schema): &(&str, &str)| {
        ((*media).to_owned(), json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } }))
    };
    contents.iter().map(content).collect::<Map<_, _>>().into()
}

fn responses(operation: &Operation) -> Value {
    let Answers { status, says, contents: answered } = &operation.answers;
    let mut responses = Map::new();
    let mut answer = json!({ "description": says });
    if !answered.is_empty() {
        answer["content"] = contents(answered);
    }
    responses.insert(status.to_string(), answer);
    for (status, codes) in operation.refusals() {
        let names: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        let code = json!({ "properties": { "error": { "properties": { "code": { "enum": codes } } } } });
        let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }, code] });
        let mut response = json!({ "description": names.join(", "), "content": { JSON: { "schema": schema } } });
        let header = match status {
            401 => Some("WWW-Authenticate"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let Some(header) = header {
            response["headers"] = json!({ header: { "$ref": format!("#/components/headers/{header}") } });
        }
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

/// Each of the alternatives is enough.
fn security(caller: Caller, auth: &Auth) -> Value {
    let by = |scheme: &str| json!({ scheme: [] });
    match caller {
        Caller::Anybody => json!([]),
        Caller::Key(permission) if by_session(permission) => json!([by("api_key"), by("operator_session")]),
        Caller::Key(_) => json!([by("api_key")]),
        Caller::Session => json!([by("operator_session")]),
        Caller::Reader => {
            let mut ways = vec![by("api_key"), by("credential")];
            ways.extend(auth.cookies().into_iter().map(|cookie| by(&scheme_of(cookie))));
            ways.extend((auth.anonymous == Anonymous::Allow).then(|| json!({})));
            ways.into()
        }
    }
}

/// A name of a component: a cookie's name may have other characters.
fn scheme_of(cookie: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    format!("cookie_{}", cookie.chars().map(allowed).collect::<String>())
}

fn security_schemes(auth: &Auth) -> Value {
    let bearer = |says: &str| json!({ "type": "http", "scheme": "bearer", "description": says });
    let mut schemes = Map::new();
    schemes.insert("api_key".to_owned(), bearer("A key of `api_keys`, of a backend or an operator."));
    schemes.insert("credential".to_owned(), bearer("What a client shows at gate 1: a token of an identity provider."));
    let says = "The session of an operator, from `POST /v1/operator/session`. With it every method but GET and HEAD \
        needs the header `x-tidegate-operator: 1`.";
    let session = json!({ "type": "apiKey", "in": "cookie", "name": COOKIE, "description": says });
    schemes.insert("operator_session".to_owned(), session);
    for cookie in auth.cookies() {
        let says = "A client's credential. The page must be of the server's own origin, or listed in `auth.origins`.";
        let scheme = json!({ "type": "apiKey", "in": "cookie", "name": cookie, "description": says });
        schemes.insert(scheme_of(cookie), scheme);
    }
    schemes.into()
}

fn headers() -> Value {
    json!({
        "WWW-Authenticate": { "description": "`Bearer`.", "required": true, "schema": { "type": "string" } },
        "Retry-After": { "description": "In seconds.", "required": true, "schema": { "type": "integer", "minimum": 0 } },
    })
}

fn parameters() -> Value {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX });
    let query = |name: &str, says: &str, schema: Value| json!({ "name": name, "in": "query", "description": says, "schema": schema });
    let path = |name: &str, says: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "description": says, "schema": schema });
    let header = |name: &str, says: &str, schema: Value| json!({ "name": name, "in": "header", "description": says, "schema": schema });
    let position = "^[A-Za-z0-9_-]{1,64}:([0-9]{1,19}|1[0-7][0-9]{18})$";
    let key = r#"^([!#-+\--:<-\[\]-~]{1,255}|"([ !#-\[\]-~]|\\["\\]){1,255}")$"#;
    json!({
        "topic": path("topic", "The topic.", json!({ "$ref": "#/components/schemas/Topic" })),
        "connection": path("connection", "The id of the connection.", json!({ "type": "string", "minLength": 1 })),
        "id": path("id", "The id of the dead letter.", json!({ "type": "string", "minLength": 1 })),
        "tail": path("tail", "The name of the tail.", json!({ "type": "string", "minLength": 1 })),
        "plugin": path("plugin", "The plugin's name.", json!({ "type": "string", "minLength": 1 })),
        "after_calls": query(
            "after",
            "The calls that were read: `next` of the answer before.",
            json!({ "type": "integer", "minimum": 0, "maximum": COUNT_MAX }),
        ),
        "what": path(
            "what",
            "The plugin's name, or 12 or more digits of a component's or a version's digest.",
            json!({ "type": "string", "minLength": 1 }),
        ),
        "since": query(
            "since",
            "A position: what was published after it, the oldest first. Without it the newest.",
            json!({ "type": "string", "pattern": position }),
        ),
        "limit": query("limit", "The most publications. Without `since` 100; else as many as `limits.ack_bytes` allows.", number),
        "page_limit": query(
            "limit",
            "The most entries of one answer. Default 100.",
            json!({ "type": "integer", "minimum": 1, "maximum": PAGE_LIMIT_MAX }),
        ),
        "after": query(
            "after",
            "Where to go on: `next` of the answer before.",
            json!({ "type": "string" }),
        ),
        "search": query("search", "A part of the name.", json!({ "type": "string" })),
        "of_channel": query("channel", "The template of the channel.", json!({ "type": "string" })),
        "of_topic": query("topic", "The topic.", json!({ "type": "string" })),
        "of_user": query("user", "The user's id, in every tenant.", json!({ "type": "string" })),
        "of_connection": query("connection", "The id of the connection.", json!({ "type": "string" })),
        "search_letters": query(
            "search",
            "A part of the id, the rule, the reason or the event.",
            json!({ "type": "string" }),
        ),
        "why": query(
            "reason",
            "For the log. At most 1024 bytes.",
            json!({ "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "\\S" }),
        ),
        "key": query(
            "key",
            "The key of the value, as JSON or as bare text. Without it all values of the topic go.",
            json!({ "type": "string" }),
        ),
        "last_event_id": header(
            "Last-Event-ID",
            "Of a stream: the position of the last publication, as browsers bring it by themselves. What is no position is answered by `recovered: false`.",
            json!({ "type": "string" }),
        ),
        "idempotency_key": header(
            "Idempotency-Key",
            "The name of a publish that may be sent twice, in quotes or bare. The first answer is given again.",
            json!({ "type": "string", "pattern": key }),
        ),
    })
}
