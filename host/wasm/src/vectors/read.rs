//! From the file of a vector to its question. Unknown keys are mistakes, and every mistake has its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Error, Value};

use super::http::{self, ExchangeFile};
use super::stage::{self, KvFile, QueryFile};
use super::{Question, Vector, compare};
use crate::tape::Stage;
use tidegate_core::channels::{Catalog, PluginKind, PluginKinds, Sources, compile};
use tidegate_core::config::{Diagnostic, Place, SourceFile};
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{Action, Phase};
use tidegate_core::protocol::{BusEvent, ConnectionId, Generation, Payload, User};

/// The connection of every vector.
const CONNECTION: &str = "test";
/// The keys of a vector. An input with other keys is a payload.
const KEYS: [&str; 11] =
    ["kind", "context", "payload", "action", "event", "phase", "http", "queries", "kv", "secrets", "expect"];
/// The keys of an event that a vector may leave out, and their values.
const EVENT: [(&str, &str); 3] = [("specversion", "1.0"), ("id", "test"), ("source", "/test")];

/// The fields of an event in the file.
type EventFile = BTreeMap<String, Box<RawValue>>;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: PluginKind,
    #[serde(default)]
    context: ContextFile,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Box<RawValue>>,
    action: Option<ActionFile>,
    event: Option<EventFile>,
    phase: Option<PhaseFile>,
    http: Option<Vec<ExchangeFile>>,
    queries: Option<Vec<QueryFile>>,
    kv: Option<KvFile>,
    secrets: Option<BTreeMap<String, String>>,
    expect: Option<compare::Expect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActionFile {
    Connect,
    Subscribe,
    Send,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PhaseFile {
    Connected,
    Disconnected,
}

/// Who asks, and where: the `context` of a vector.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContextFile {
    /// The topic: `vault.v1`.
    pub topic: Option<String>,
    /// The channel: `vault.{vaultId}`. Default: the topic.
    pub channel: Option<String>,
    /// The params of the topic. They are only checked.
    pub params: BTreeMap<String, String>,
    /// The user; without one the connection is anonymous.
    pub user: Option<UserFile>,
}

/// The `user` of a vector's context.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserFile {
    /// The id.
    pub id: String,
    /// The roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The tenant.
    #[serde(default)]
    pub tenant: Option<String>,
}

/// A value that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

pub(super) fn read(source: &Arc<SourceFile>) -> Result<Vector, Diagnostic> {
    let file: File = serde_json::from_str(&source.text).map_err(|error| mistake(source, &error))?;
    let question = question(&file).map_err(|message| of_file(source, &message))?;
    let http = file.http.as_deref().map(http::read).transpose().map_err(|message| of_file(source, &message))?;
    let stage = stage::read(file.queries.as_deref(), file.kv.as_ref(), file.secrets.as_ref());
    let stage = stage.map_err(|message| of_file(source, &message))?;
    if let Some(wrong) = file.expect.as_ref().and_then(|expect| expect.misfit(file.kind)) {
        return Err(of_file(source, &wrong));
    }
    let raw: Value = serde_json::from_str(&source.text).map_err(|error| mistake(source, &error))?;
    let expect = raw.get("expect").filter(|it| !it.is_null()).cloned();
    Ok(Vector { source: source.clone(), question, http, stage, expect })
}

pub(super) fn of_input(source: &Arc<SourceFile>, kind: PluginKind, context: ContextFile) -> Result<Vector, Diagnostic> {
    let value: Value = serde_json::from_str(&source.text).map_err(|error| mistake(source, &error))?;
    if is_vector(&value) {
        return read(source);
    }
    let mut file = File::asking(kind, context);
    match (kind, value) {
        (PluginKind::Transform, Value::Object(_)) => {
            file.event = Some(serde_json::from_str(&source.text).map_err(|error| mistake(source, &error))?);
        }
        (PluginKind::Transform, _) => return Err(of_file(source, "a transform needs an event, which is an object")),
        (PluginKind::Snapshot | PluginKind::Connection, _) => {
            let message = format!("a {} takes no payload: its input must be a whole vector, or nothing", kind.as_str());
            return Err(of_file(source, &message));
        }
        (PluginKind::Handler | PluginKind::Authorizer, _) => {
            let payload = RawValue::from_string(source.text.trim().to_owned());
            file.payload = Some(payload.map_err(|error| mistake(source, &error))?);
            file.action = (kind == PluginKind::Authorizer).then_some(ActionFile::Send);
        }
    }
    let question = question(&file).map_err(|message| of_file(source, &message))?;
    Ok(Vector { source: source.clone(), question, http: None, stage: Stage::default(), expect: None })
}

pub(super) fn without_input(kind: PluginKind, context: ContextFile, phase: Phase) -> Result<Vector, Diagnostic> {
    let source = Arc::new(SourceFile { path: "the question".to_owned(), text: String::new() });
    let mut file = File::asking(kind, context);
    match kind {
        PluginKind::Authorizer => file.action = Some(ActionFile::Subscribe),
        PluginKind::Connection => file.phase = Some(phase.into()),
        _ => {}
    }
    let question = question(&file).map_err(Diagnostic::new)?;
    Ok(Vector { source, question, http: None, stage: Stage::default(), expect: None })
}

impl File {
    const fn asking(kind: PluginKind, context: ContextFile) -> Self {
        Self {
            kind,
            context,
            payload: None,
            action: None,
            event: None,
            phase: None,
            http: None,
            queries: None,
            kv: None,
            secrets: None,
            expect: None,
        }
    }

    /// Refuses keys that belong to other kinds.
    fn refuse_others(&self) -> Result<(), String> {
        use PluginKind::{Authorizer, Connection, Handler, Snapshot, Transform};
        let context = &self.context;
        let parts: [(&str, bool, &[PluginKind]); 6] = [
            ("payload", self.payload.is_some(), &[Handler, Authorizer, Transform]),
            ("action", self.action.is_some(), &[Authorizer]),
            ("event", self.event.is_some(), &[Transform]),
            ("phase", self.phase.is_some(), &[Connection]),
            ("context.user", context.user.is_some(), &[Handler, Authorizer, Snapshot, Connection]),
            (
                "context.topic",
                context.topic.is_some() || context.channel.is_some(),
                &[Handler, Authorizer, Snapshot, Transform],
            ),
        ];
        let other = parts.into_iter().find(|(_, stands, kinds)| *stands && !kinds.contains(&self.kind));
        other.map_or(Ok(()), |(key, _, kinds)| {
            let kinds = kinds.iter().copied().collect::<PluginKinds>().in_words();
            Err(format!("`{key}` is for {kinds}, not for `{}`", self.kind.as_str()))
        })
    }
}

/// Whether an input is a whole vector: it has a known `kind`, and only known keys.
fn is_vector(value: &Value) -> bool {
    let Value::Object(keys) = value else { return false };
    let is_kind = keys.get("kind").is_some_and(|kind| serde_json::from_value::<PluginKind>(kind.clone()).is_ok());
    is_kind && keys.keys().all(|key| KEYS.contains(&key.as_str()))
}

fn question(file: &File) -> Result<Question, String> {
    file.refuse_others()?;
    let payload = file.payload.clone().map(Payload::from);
    match file.kind {
        PluginKind::Handler => {
            let payload = payload.ok_or("a handler needs a `payload`")?;
            Ok(Question::Handler { context: context(&file.context)?, payload })
        }
        PluginKind::Authorizer => {
            let action = match file.action.ok_or("an authorizer needs an `action`: connect, subscribe or send")? {
                ActionFile::Connect => return identity(file, payload),
                ActionFile::Subscribe => Action::Subscribe,
                ActionFile::Send => Action::Send,
            };
            if (action == Action::Send) != payload.is_some() {
                return Err("the action `send` needs a `payload`, and no other action may have one".to_owned());
            }
            Ok(Question::Authorizer { context: context(&file.context)?, action, payload })
        }
        PluginKind::Snapshot => Ok(Question::Snapshot { context: context(&file.context)? }),
        PluginKind::Transform => {
            let event = Box::new(event(file.event.clone().ok_or("a transform needs an `event`")?)?);
            let payload = payload.unwrap_or_else(|| event.data.clone());
            let context = context(&file.context)?;
            let (channel, topic) = (context.channel().to_owned(), context.topic().as_str().to_owned());
            Ok(Question::Transform { channel, topic, event, payload })
        }
        PluginKind::Connection => {
            let phase = match file.phase.ok_or("a connection needs a `phase`: connected or disconnected")? {
                PhaseFile::Connected => Phase::Connected,
                PhaseFile::Disconnected => Phase::Disconnected,
            };
            let user = file.context.user.clone().map(User::from);
            Ok(Question::Connection { connection: ConnectionId::new(CONNECTION), user, phase })
        }
    }
}

/// The question whose a credential is.
fn identity(file: &File, payload: Option<Payload>) -> Result<Question, String> {
    if file.context.topic.is_some() || file.context.channel.is_some() || file.context.user.is_some() {
        return Err("the action `connect` has no `context`: there is no topic and no user yet".to_owned());
    }
    let credential = payload.ok_or("the action `connect` needs a `payload`: `{ \"token\": \"…\" }`")?;
    Ok(Question::Identity { connection: ConnectionId::new(CONNECTION), credential })
}

/// A CloudEvent, with the default keys added.
fn event(mut fields: EventFile) -> Result<BusEvent, String> {
    let mistake = |error: &dyn std::fmt::Display| format!("`event`: {error}");
    for (key, value) in EVENT {
        let value = serde_json::value::to_raw_value(value).map_err(|error| mistake(&error))?;
        fields.entry(key.to_owned()).or_insert(value);
    }
    let text = serde_json::to_string(&fields).map_err(|error| mistake(&error))?;
    BusEvent::parse(&text).map_err(|error| mistake(&error))
}

/// The context of a call as the host makes it: from a catalog with that one channel.
fn context(file: &ContextFile) -> Result<CallContext, String> {
    let topic = file.topic.as_deref().ok_or("`context.topic` is missing")?;
    let channel = file.channel.as_deref().unwrap_or(topic);
    let catalog = catalog_of(channel).map_err(|why| format!("`context.channel` `{channel}` is not valid: {why}"))?;
    let resolved = catalog.resolve(topic).ok_or_else(|| {
        format!("`context.topic` `{topic}` does not belong to the channel `{channel}`; name its channel in `context.channel`")
    })?;
    let wrong = file.params.iter().find(|(name, value)| resolved.params.get(name) != Some(value.as_str()));
    if let Some((name, value)) = wrong {
        let has = resolved.params.get(name).map_or_else(|| "none".to_owned(), |has| format!("`{has}`"));
        return Err(format!("`context.params.{name}` is `{value}`, but the topic has {has}"));
    }
    let user = file.user.clone().map(User::from);
    Ok(CallContext { resolved, user: user.map(Arc::new), connection: ConnectionId::new(CONNECTION) })
}

/// A catalog with one channel.
///
/// # Errors
/// Why it is no template of a channel.
pub(crate) fn catalog_of(channel: &str) -> Result<Catalog, String> {
    let text = Value::from(channel).to_string();
    let text = format!("feature: vector\nchannels: {{ {text}: {{ scope: public, payload: true }} }}\n");
    let manifest = Arc::new(SourceFile { path: "the context".to_owned(), text });
    let catalog = compile(&Sources { manifests: vec![manifest], ..Sources::default() }, Generation(1));
    catalog.map_err(|mistakes| mistakes.first().map(|mistake| mistake.message.clone()).unwrap_or_default())
}

impl From<UserFile> for User {
    fn from(UserFile { id, roles, tenant }: UserFile) -> Self {
        Self::new(id, roles, tenant)
    }
}

impl From<Phase> for PhaseFile {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Connected => Self::Connected,
            Phase::Disconnected => Self::Disconnected,
        }
    }
}

fn mistake(source: &Arc<SourceFile>, error: &Error) -> Diagnostic {
    let said = error.to_string();
    let message = said.split(" at line ").next().unwrap_or(&said).to_owned();
    let (line, column) = (error.line().max(1), error.column().max(1));
    Diagnostic::at(Place { source: source.clone(), line, column, width: 1 }, message)
}

fn of_file(source: &Arc<SourceFile>, message: &str) -> Diagnostic {
    Diagnostic::at(Place { source: source.clone(), line: 1, column: 1, width: 1 }, message)
}
