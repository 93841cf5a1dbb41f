//! Plugins faked by constructor: what they answer, and how they fail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{
    Answer, AuthorizerCall, ConnectionCall, Decision, Fault, FaultKind, HandlerCall, IdentifyCall, Outcome,
    PluginEffect, PluginRefusal, PluginVersion, Plugins, Recognition, TransformCall,
};
use tidegate_core::protocol::{Payload, PluginName};
use tokio::sync::Semaphore;

/// Every plugin of a test's server, whatever its name: one answer to handlers, one to authorizers.
pub struct FakePlugins {
    handler: Handler,
    authorizer: Authorizer,
    recognition: Result<Recognition, FaultKind>,
    snapshot: Result<Vec<Payload>, FaultKind>,
    transform: Transform,
    /// What whoever hears of connections wants; `None` is that nobody does.
    listener: Option<Result<Vec<PluginEffect>, FaultKind>>,
    latch: Option<Latch>,
    /// `None` is that there are none.
    version: Option<u8>,
    calls: Mutex<Vec<Call>>,
}

enum Handler {
    Answers(Answer),
    Faults(FaultKind),
    Hangs,
}

enum Authorizer {
    Allows(Duration),
    Denies,
    CannotTell,
    Faults(FaultKind),
    Hangs,
}

enum Transform {
    Keeps,
    Makes(Option<Payload>),
    Faults(FaultKind),
}

/// One call a plugin got: its name, what it was asked, on which topic, by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The plugin.
    pub plugin: String,
    /// `connect`, `subscribe`, `send`, `handle`, `snapshot`, `transform`, `connected` or `disconnected`.
    pub asked: &'static str,
    /// The topic; empty for a connection.
    pub topic: String,
    /// The user's id.
    pub user: Option<String>,
    /// The message, where the call carries one.
    pub payload: Option<String>,
}

/// Holds plugin calls until the test lets them go, and tells when one has arrived.
#[derive(Clone)]
pub struct Latch {
    arrived: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Latch {
    fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), released: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until a call is inside the plugin.
    pub async fn call_arrived(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets one call go on.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    async fn hold(&self) {
        self.arrived.add_permits(1);
        self.released.acquire().await.unwrap().forget();
    }
}

impl FakePlugins {
    fn new(handler: Handler, authorizer: Authorizer) -> Self {
        Self {
            handler,
            authorizer,
            recognition: Ok(Recognition::Refused { reason: "secret detail of the inside".to_owned() }),
            snapshot: Ok(Vec::new()),
            transform: Transform::Keeps,
            listener: None,
            latch: None,
            version: Some(1),
            calls: Mutex::default(),
        }
    }

    fn answering(reply: Option<Value>, effects: Vec<PluginEffect>) -> Self {
        let reply = reply.as_ref().map(Payload::from);
        Self::new(Handler::Answers(Ok(Outcome { reply, effects })), Authorizer::Allows(Duration::ZERO))
    }

    /// Handlers take every message without a word; authorizers allow.
    pub fn silent() -> Self {
        Self::answering(None, Vec::new())
    }

    /// Handlers reply this; authorizers allow.
    pub fn replying(reply: Value) -> Self {
        Self::answering(Some(reply), Vec::new())
    }

    /// Handlers ask for these effects; authorizers allow.
    pub fn emitting(effects: Vec<PluginEffect>) -> Self {
        Self::answering(None, effects)
    }

    /// Handlers refuse; authorizers allow.
    pub fn refusing(refusal: PluginRefusal) -> Self {
        Self::new(Handler::Answers(Err(refusal)), Authorizer::Allows(Duration::ZERO))
    }

    /// Handlers fault; authorizers allow.
    pub fn faulting(kind: FaultKind) -> Self {
        Self::new(Handler::Faults(kind), Authorizer::Allows(Duration::ZERO))
    }

    /// Handlers never answer; authorizers allow.
    pub fn hanging() -> Self {
        Self::new(Handler::Hangs, Authorizer::Allows(Duration::ZERO))
    }

    /// Authorizers allow, and the server may answer the same question by itself for so long.
    pub fn granting(ttl: Duration) -> Self {
        Self { authorizer: Authorizer::Allows(ttl), ..Self::silent() }
    }

    /// The same, of another version.
    pub fn of_version(self, version: u8) -> Self {
        Self { version: Some(version), ..self }
    }

    /// There are no plugins.
    pub fn missing() -> Self {
        let missing = Self { authorizer: Authorizer::Faults(FaultKind::Missing), ..Self::faulting(FaultKind::Missing) };
        Self { version: None, snapshot: Err(FaultKind::Missing), recognition: Err(FaultKind::Missing), ..missing }
    }

    /// Authorizers deny; handlers take every message.
    pub fn denying() -> Self {
        Self { authorizer: Authorizer::Denies, ..Self::silent() }
    }

    /// Authorizers cannot tell; handlers take every message.
    pub fn doubting() -> Self {
        Self { authorizer: Authorizer::CannotTell, ..Self::silent() }
    }

    /// Authorizers fault; handlers take every message.
    pub fn authorizer_faulting(kind: FaultKind) -> Self {
        Self { authorizer: Authorizer::Faults(kind), ..Self::silent() }
    }

    /// Authorizers never answer; handlers take every message.
    pub fn authorizer_hanging() -> Self {
        Self { authorizer: Authorizer::Hangs, ..Self::silent() }
    }

    /// Authorizers answer this about every credential.
    pub fn recognising(recognition: Result<Recognition, FaultKind>) -> Self {
        Self { recognition, ..Self::silent() }
    }

    /// Snapshots hold these payloads.
    pub fn providing(payloads: &[Value]) -> Self {
        Self { snapshot: Ok(payloads.iter().map(Payload::from).collect()), ..Self::silent() }
    }

    /// Snapshot providers fault.
    pub fn snapshot_faulting(kind: FaultKind) -> Self {
        Self { snapshot: Err(kind), ..Self::silent() }
    }

    /// Transforms make this of every event; `None` is that it should not cross.
    pub fn shaping(payload: Option<Value>) -> Self {
        Self { transform: Transform::Makes(payload.as_ref().map(Payload::from)), ..Self::silent() }
    }

    /// Transforms fault.
    pub fn transform_faulting(kind: FaultKind) -> Self {
        Self { transform: Transform::Faults(kind), ..Self::silent() }
    }

    /// A plugin hears of connections and wants this of each.
    pub fn listening(effects: Result<Vec<PluginEffect>, FaultKind>) -> Self {
        Self { listener: Some(effects), ..Self::silent() }
    }

    /// The same plugins, each call held until the latch is released.
    pub fn held(self) -> (Self, Latch) {
        let latch = Latch::new();
        (Self { latch: Some(latch.clone()), ..self }, latch)
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// What was asked so far, in order: `["subscribe", "send", "handle"]`.
    pub fn asked(&self) -> Vec<&'static str> {
        self.calls.lock().iter().map(|call| call.asked).collect()
    }

    async fn pass_latch(&self) {
        if let Some(latch) = &self.latch {
            latch.hold().await;
        }
    }
}

/// An effect: a payload on a topic, for everyone.
pub fn emit(topic: &str, payload: &Value) -> PluginEffect {
    PluginEffect::Emit { topic: topic.to_owned(), payload: payload.into(), others_only: false }
}

/// An effect: an event on the bus.
pub fn publish(kind: &str, data: &Value) -> PluginEffect {
    PluginEffect::Publish { kind: kind.to_owned(), subject: None, data: data.into() }
}

fn fault(plugin: &PluginName, kind: FaultKind) -> Fault {
    Fault { plugin: plugin.clone(), kind, detail: "secret detail of the inside".to_owned() }
}

#[async_trait]
impl Plugins for FakePlugins {
    fn version(&self, _: &PluginName) -> Option<PluginVersion> {
        self.version.map(|version| PluginVersion([version; 32]))
    }

    async fn authorize(&self, plugin: &PluginName, call: AuthorizerCall<'_>) -> Result<Decision, Fault> {
        self.calls.lock().push(Call {
            plugin: plugin.as_str().to_owned(),
            asked: call.action.as_str(),
            topic: call.context.topic().as_str().to_owned(),
            user: call.context.user.as_ref().map(|user| user.id.clone()),
            payload: call.payload.map(|payload| payload.as_str().to_owned()),
        });
        self.pass_latch().await;
        match &self.authorizer {
            Authorizer::Allows(ttl) => Ok(Decision::allow_for(*ttl)),
            Authorizer::Denies => Ok(Decision::Deny { reason: "secret detail of the inside".to_owned() }),
            Authorizer::CannotTell => Ok(Decision::CannotTell { reason: "secret detail of the inside".to_owned() }),
            Authorizer::Faults(kind) => Err(fault(plugin, *kind)),
            Authorizer::Hangs => std::future::pending().await,
        }
    }

    async fn identify(&self, plugin: &PluginName, call: IdentifyCall<'_>) -> Result<Recognition, Fault> {
        self.calls.lock().push(Call {
            plugin: plugin.as_str().to_owned(),
            asked: "connect",
            topic: String::new(),
            user: None,
            payload: Some(call.credential.as_str().to_owned()),
        });
        self.pass_latch().await;
        self.recognition.clone().map_err(|kind| fault(plugin, kind))
    }

    async fn handle(&self, plugin: &PluginName, call: HandlerCall<'_>) -> Result<Answer, Fault> {
        self.calls.lock().push(Call {
            plugin: plugin.as_str().to_owned(),
            asked: "handle",
            topic: call.context.topic().as_str().to_owned(),
            user: call.context.user.as_ref().map(|user| user.id.clone()),
            payload: Some(call.payload.as_str().to_owned()),
        });
        self.pass_latch().await;
        match &self.handler {
            Handler::Answers(answer) => Ok(answer.clone()),
            Handler::Faults(kind) => Err(fault(plugin, *kind)),
            Handler::Hangs => std::future::pending().await,
        }
    }

    async fn provide(&self, plugin: &PluginName, context: &CallContext) -> Result<Vec<Payload>, Fault> {
        self.calls.lock().push(Call {
            plugin: plugin.as_str().to_owned(),
            asked: "snapshot",
            topic: context.topic().as_str().to_owned(),
            user: context.user.as_ref().map(|user| user.id.clone()),
            payload: None,
        });
        self.pass_latch().await;
        self.snapshot.clone().map_err(|kind| fault(plugin, kind))
    }

    async fn transform(&self, plugin: &PluginName, call: TransformCall<'_>) -> Result<Option<Payload>, Fault> {
        self.calls.lock().push(Call {
            plugin: plugin.as_str().to_owned(),
            asked: "transform",
            topic: call.topic.to_owned(),
            user: None,
            payload: Some(call.payload.as_str().to_owned()),
        });
        self.pass_latch().await;
        match &self.transform {
            Transform::Keeps => Ok(Some(call.payload.clone())),
            Transform::Makes(payload) => Ok(payload.clone()),
            Transform::Faults(kind) => Err(fault(plugin, *kind)),
        }
    }

    fn listeners(&self) -> Vec<PluginName> {
        self.listener.iter().map(|_| PluginName::new("listener")).collect()
    }

    async fn changed(&self, plugin: &PluginName, call: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Fault> {
        self.calls.lock().push(Call {
            plugin: plugin.as_str().to_owned(),
            asked: call.phase.as_str(),
            topic: String::new(),
            user: call.user.map(|user| user.id.clone()),
            payload: None,
        });
        self.pass_latch().await;
        self.listener.clone().unwrap_or_else(|| Ok(Vec::new())).map_err(|kind| fault(plugin, kind))
    }
}
