//! `GET /openapi.json`: the document of the interface. Every answer that a test of this binary sees must be one that the
//! document tells: the status, the type of its body, and the body itself.

use std::sync::LazyLock;

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tidegate::http::document;
use tidegate_core::config::{Anonymous, Auth};
use tidegate_core::protocol::Code;

use crate::{delete, get, post, server};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document_of(&Auth::default()));

fn document_of(auth: &Auth) -> Value {
    serde_json::from_slice(&document(auth)).unwrap()
}

/// The operation of a request; `Err` with the status that it is answered with if there is none.
fn operation(method: &Method, path: &str) -> Result<&'static Value, u16> {
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        let same = |(wanted, found): (&&str, &&str)| wanted == found || (wanted.starts_with('{') && !found.is_empty());
        wanted.len() == segments.len() && wanted.iter().zip(&segments).all(same)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let (_, methods) = paths.iter().find(|(template, _)| fits(template)).ok_or(404u16)?;
    // A page asks first whether it may ask.
    let is_preflight = *method == Method::OPTIONS;
    let name = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    methods.get(&name).ok_or(if is_preflight { 200 } else { 405 })
}

/// The answer has a status and a type of body that the document tells.
pub(crate) fn tells(method: &Method, path: &str, answer: &Response) {
    let status = answer.status().as_u16();
    let operation = match operation(method, path) {
        Ok(operation) => operation,
        Err(expected) => return assert_eq!(status, expected, "{method} {path} is not in the document"),
    };
    let told = &operation["responses"][status.to_string()];
    assert!(told.is_object(), "{method} {path}: the document does not tell {status}");
    let media = answer.headers().get(header::CONTENT_TYPE).map_or("", |media| media.to_str().unwrap());
    let media = media.split(';').next().unwrap_or_default();
    let is_told = told["content"].get(media).is_some() || (media.is_empty() && told.get("content").is_none());
    assert!(is_told, "{method} {path}: the document does not tell {status} {media}");
    for (name, _) in told["headers"].as_object().into_iter().flatten() {
        assert!(answer.headers().contains_key(name.as_str()), "{method} {path}: {status} has no `{name}`");
    }
}

/// The body has the form that the document tells.
pub(crate) fn tells_body(method: &Method, path: &str, status: StatusCode, text: &str) {
    let Ok(operation) = operation(method, path) else { return };
    if *method == Method::HEAD {
        return;
    }
    let schema = &operation["responses"][status.as_u16().to_string()]["content"]["application/json"]["schema"];
    let Ok(body) = serde_json::from_str::<Value>(text) else { return };
    let schema = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:?} in {body:#}");
}

#[tokio::test]
async fn everybody_may_read_the_document_of_the_interface() {
    let answer = get("/openapi.json").to(&server().start()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), *DOCUMENT);
}

#[tokio::test]
async fn every_operation_of_the_document_is_served() {
    let server = server().start();
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        for (name, operation) in methods.as_object().unwrap() {
            let path = path
                .replace("{topic}", "none")
                .replace("{id}", "none")
                .replace("{connection}", "none")
                .replace("{what}", "none")
                .replace("{tail}", "none");
            let call = match name.as_str() {
                "get" => get(&path),
                "post" => post(&path),
                _ => delete(&path),
            };
            let answer = call.to(&server).await;
            let ways = operation["security"].as_array().unwrap();
            let needs_key = !ways.is_empty() && !ways.contains(&json!({}));
            assert_eq!(answer.status == 401, needs_key, "{name} {path}: {}", answer.status);
            assert!(![405, 500].contains(&answer.status.as_u16()), "{name} {path}: {}", answer.text);
        }
    }
}

#[test]
fn the_document_has_every_code() {
    let codes = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["error"]["properties"]["code"]["enum"]
        .as_array()
        .unwrap();
    for code in Code::ALL {
        assert!(codes.contains(&json!(code.as_str())), "{}", code.as_str());
    }
    assert_eq!(codes.len(), Code::ALL.len() + 5, "and those that exist only in HTTP");
}

#[test]
fn the_document_names_the_cookies_of_the_configuration_and_says_whether_a_client_needs_a_credential() {
    let history = |document: &Value| document["paths"]["/v1/channels/{topic}/history"]["get"]["security"].clone();
    let open = json!([{ "api_key": [] }, { "credential": [] }, { "cookie_tidegate_token": [] }, {}]);
    assert_eq!(history(&DOCUMENT), open);
    let auth = Auth { cookie: "a!b".to_owned(), anonymous: Anonymous::Deny, ..Auth::default() };
    let document = document_of(&auth);
    assert_eq!(history(&document), json!([{ "api_key": [] }, { "credential": [] }, { "cookie_a_b": [] }]));
    assert_eq!(document["components"]["securitySchemes"]["cookie_a_b"]["name"], "a!b");
}
