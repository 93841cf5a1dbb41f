//! The channels as an AsyncAPI 3.0 document: what the server sends, what it takes, and how it answers.
//!
//! `schemas` makes the channels' schemas components, `draft07` translates one, `session` tells what clients and server
//! say about the session itself.

mod draft07;
mod schemas;
mod session;

use serde_json::{Map, Value, json};

use super::written::{Written, named, written};
use super::{Sources, Template};
use crate::config::{Anonymous, Auth, Transport};

use super::types::names::pascal;
use schemas::Schemas;
use session::OWN;

const JSON: &str = "application/json";

/// How clients reach the server.
#[derive(Debug, Clone)]
pub struct Addressed<'a> {
    /// Host and port.
    pub host: &'a str,
    /// Whether there is TLS in front of it.
    pub is_secure: bool,
    /// How they connect.
    pub transport: &'a Transport,
    /// What they show.
    pub auth: &'a Auth,
}

/// The document for the channels of `sources`, which must compile; only for those named in `channels`, if any.
///
/// # Errors
/// The name of the first of `channels` that no manifest declares, and the existing channels.
pub fn asyncapi(
    sources: &Sources,
    channels: &[String],
    server: &Addressed<'_>,
    version: &str,
) -> Result<Value, (String, Vec<String>)> {
    let written = written(sources);
    let chosen = named(&written, channels)?;
    let mut document = Document {
        schemas: Schemas::new(&sources.schemas),
        channels: Map::new(),
        operations: Map::new(),
        security: security(server.auth),
    };
    session::describe(&mut document);
    // All channels get their names, whichever are printed, so that a name means the same everywhere.
    let names: Vec<Named> = written.iter().map(|written| Named::of(written, &mut document.schemas)).collect();
    for (written, named) in written.iter().zip(&names) {
        if chosen.iter().any(|chosen| chosen.channel == written.channel) {
            document.describe(written, named);
        }
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidegate",
            "version": version,
            "description": DESCRIPTION,
        },
        "defaultContentType": JSON,
        "servers": { "tidegate": described(server) },
        "channels": document.channels,
        "operations": document.operations,
        "components": { "schemas": document.schemas.components, "securitySchemes": security_schemes(server.auth) },
    }))
}

const DESCRIPTION: &str = "The channels, as the manifests declare them. The document describes the server: it sends \
    publications and receives what clients send. A channel's address is the name of the Socket.IO event; the payload is \
    the first argument, and the headers of a publication are the second one, `meta`. A client receives what it has \
    subscribed to.\n\nSchemas are JSON Schema 2020-12 in the manifests. Here they say the same in draft-07; a schema \
    that draft-07 cannot say has a `schemaFormat` and an `x-reason`. The server checks every `format`.";

/// The names of a channel in the document.
struct Named {
    id: String,
    payload: String,
    inbound: Option<String>,
}

impl Named {
    fn of(written: &Written, schemas: &mut Schemas<'_>) -> Self {
        let stem = pascal(&written.channel);
        let payload = schemas.names.claim(&format!("{stem}Payload"));
        let inbound = written.inbound.as_ref().map(|_| schemas.names.claim(&format!("{stem}Inbound")));
        let (before, after) = payload.rsplit_once("Payload").unwrap_or((&payload, ""));
        let id = format!("{before}{after}");
        Self { id, payload, inbound }
    }
}

/// What is described so far.
struct Document<'a> {
    schemas: Schemas<'a>,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    /// What a client may show: one of them is enough.
    security: Value,
}

impl Document<'_> {
    fn describe(&mut self, written: &Written, named: &Named) {
        let payload = self.schemas.payload(&written.payload, &named.payload);
        let mut messages = json!({ "publication": {
            "name": "publication",
            "title": format!("A publication on {}", written.channel),
            "contentType": JSON,
            "payload": payload,
            "headers": { "$ref": format!("#/components/schemas/{OWN}Meta") },
            "bindings": { "x-socketio": { "arguments": ["payload", "headers"] } },
        } });
        if let (Some(name), Some(schema)) = (&named.inbound, &written.inbound) {
            let payload = match schema {
                Some(schema) => self.schemas.payload(schema, name),
                None => messages["publication"]["payload"].clone(),
            };
            messages["message"] = json!({
                "name": "message",
                "title": format!("A message of a client on {}", written.channel),
                "contentType": JSON,
                "payload": payload,
                "bindings": { "x-socketio": { "arguments": ["payload"], "ack": "ack" } },
            });
            messages["ack"] = session::ack("The answer to a message", &format!("{OWN}Ack"));
        }
        let mut channel = json!({
            "address": written.channel,
            "messages": messages,
            "bindings": { "x-socketio": { "event": written.channel, "namespace": "/" } },
            "x-tidegate": declared(&written.declaration),
        });
        if let Some(description) = &written.description {
            channel["description"] = description.trim_end().into();
        }
        if let Ok(template) = Template::parse(&written.channel)
            && !template.is_static()
        {
            let param =
                |name: &str| (name.to_owned(), json!({ "description": "One segment of the name, without a dot." }));
            channel["parameters"] = template.params().map(param).collect::<Map<_, _>>().into();
        }
        self.channels.insert(named.id.clone(), channel);
        self.operate(written, named);
    }

    fn operate(&mut self, written: &Written, named: &Named) {
        let is_public = written.declaration.get("scope").and_then(Value::as_str) == Some("public");
        let security = (!is_public).then(|| self.security.clone());
        let mut add = |id: String, mut operation: Value| {
            if let Some(security) = &security {
                operation["security"] = security.clone();
            }
            self.operations.insert(id, operation);
        };
        let summary = format!("Subscribers of {} receive its publications", written.channel);
        add(format!("publish{}", named.id), operation("send", &named.id, "publication", &summary));
        if named.inbound.is_some() {
            let summary = format!("Clients send messages on {}", written.channel);
            add(format!("receive{}", named.id), answered(&named.id, "message", &summary));
        }
    }
}

/// An operation of the server with a message of a channel.
fn operation(action: &str, channel: &str, message: &str, summary: &str) -> Value {
    json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "summary": summary,
        "messages": [{ "$ref": format!("#/channels/{channel}/messages/{message}") }],
    })
}

/// The server receives a message and answers it by its ack.
fn answered(channel: &str, message: &str, summary: &str) -> Value {
    let mut operation = operation("receive", channel, message, summary);
    operation["reply"] = json!({
        "channel": { "$ref": format!("#/channels/{channel}") },
        "messages": [{ "$ref": format!("#/channels/{channel}/messages/ack") }],
    });
    operation
}

/// What a declaration says beside its schemas. Plugins are private to the host: that there is one is told.
fn declared(declaration: &Value) -> Value {
    let mut told = Map::new();
    for key in ["scope", "history", "delivery", "presence"] {
        told.extend(declaration.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    told.extend(declaration.get("authorizer").map(|_| ("authorizer".to_owned(), true.into())));
    told.extend(declaration.get("snapshot").map(|_| ("snapshot".to_owned(), true.into())));
    told.extend(declaration.pointer("/inbound/rate").map(|rate| ("rate".to_owned(), rate.clone())));
    told.into()
}

fn described(server: &Addressed<'_>) -> Value {
    let Addressed { host, is_secure, transport, auth } = server;
    let mut token =
        json!({ "token": { "type": "string", "description": "The credential, where no cookie holds it." } });
    token["recover"] = json!({ "type": "boolean", "description": "The client recovers its session by itself." });
    let whoever = match auth.anonymous {
        Anonymous::Allow => "Who shows no credential is let in, and may subscribe to public channels.",
        Anonymous::Deny => "Who shows no credential is refused.",
    };
    json!({
        "host": host,
        "pathname": transport.path,
        "protocol": if *is_secure { "socketio-secure" } else { "socketio" },
        "protocolVersion": "5",
        "description": format!("Socket.IO 5 over Engine.IO 4, for stock clients. {whoever}"),
        "security": security(auth),
        "bindings": { "x-socketio": {
            "engineio": 4,
            "namespace": "/",
            "transports": transport.transports.iter().map(|carrier| carrier.as_str()).collect::<Vec<_>>(),
            "auth": { "type": "object", "properties": token },
        } },
    })
}

/// The name of the scheme of each cookie.
fn cookies(auth: &Auth) -> impl Iterator<Item = (String, &str)> {
    auth.cookies().into_iter().map(|cookie| (format!("cookie{}", pascal(cookie)), cookie))
}

fn security(auth: &Auth) -> Value {
    let names = std::iter::once("token".to_owned()).chain(cookies(auth).map(|(name, _)| name));
    names.map(|name| json!({ "$ref": format!("#/components/securitySchemes/{name}") })).collect()
}

fn security_schemes(auth: &Auth) -> Value {
    let says = "In `auth: { token }` of the Socket.IO handshake, or in the `Authorization` header.";
    let mut schemes = Map::new();
    schemes.insert("token".to_owned(), json!({ "type": "http", "scheme": "bearer", "description": says }));
    for (name, cookie) in cookies(auth) {
        let says = "In the handshake, by a page of the server's own origin or of one in `auth.origins`.";
        schemes.insert(name, json!({ "type": "httpApiKey", "in": "cookie", "name": cookie, "description": says }));
    }
    schemes.into()
}
