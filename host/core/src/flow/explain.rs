//! Explains why a user may or may not subscribe or send: the checks of the gates one by one, as data. Nothing else
//! happens.
//!
//! The checks are those of the gates, in the same order. Facts that only a live connection has (its subscriptions, its
//! rate) are reported, not checked. Authorizers are really asked; handlers are not called.

use std::sync::Arc;

use serde::Serialize;

use super::decisions::TTL_MAX;
use super::ports::{Action, AuthorizerCall, Decision};
use super::subscribe::denied;
use super::{CallContext, Serving};
use crate::channels::{Inbound, InboundAction, Resolved, Schema, Scope};
use crate::protocol::{Code, ConnectionId, Payload, User};

/// The question to explain.
#[derive(Debug, Clone)]
pub struct Question {
    /// The user; `None` is anonymous.
    pub user: Option<Arc<User>>,
    /// Whether gate 1 accepts connections without a credential.
    pub anonymous: bool,
    /// To subscribe or to send. A sender must subscribe first.
    pub action: Action,
    /// The topic.
    pub topic: String,
    /// The payload, if it is to be checked.
    pub payload: Option<Payload>,
    /// `limits.payload`.
    pub payload_bytes_max: usize,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was checked: `connect`, `topic`, `scope`, `authorizer`, `inbound`, `payload`, `rate`, `handler`, `relay`.
    pub check: &'static str,
    /// The code that a client would see if the answer is no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'static str>,
    /// The reason, for an operator: it may contain what a client must not learn.
    pub detail: String,
}

/// All checks that were made, in order. Only the last one can be a no.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The checks.
    pub steps: Vec<Step>,
}

/// A no ends the explanation.
struct Stop;

impl Explanation {
    /// Whether every check said yes.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.steps.iter().all(|step| step.refused.is_none())
    }

    fn yes(&mut self, check: &'static str, detail: impl Into<String>) {
        self.steps.push(Step { check, refused: None, detail: detail.into() });
    }

    fn no(&mut self, check: &'static str, code: Code, detail: impl Into<String>) -> Stop {
        self.steps.push(Step { check, refused: Some(code.as_str()), detail: detail.into() });
        Stop
    }
}

impl Serving {
    /// Makes the checks of the gates without any effect.
    pub async fn explain(&self, question: &Question) -> Explanation {
        let mut told = Explanation::default();
        // The steps contain a no already.
        let _: Result<(), Stop> = self.walk(question, &mut told).await;
        told
    }

    async fn walk(&self, question: &Question, told: &mut Explanation) -> Result<(), Stop> {
        match &question.user {
            Some(user) => told.yes("connect", format!("as user `{}`{}", user.id, with_roles(&user.roles))),
            None if question.anonymous => told.yes("connect", "anonymous connections are allowed"),
            None => return Err(told.no("connect", Code::Unauthenticated, "anonymous connections are refused")),
        }
        let Some(resolved) = self.catalog.resolve(&question.topic) else {
            let detail = match self.nearest_channel(&question.topic) {
                _ if question.topic.contains('{') => {
                    format!("`{}` is not a topic: write a value in place of each `{{…}}`", question.topic)
                }
                Some(nearest) => format!("no channel declares `{}`; the nearest is `{nearest}`", question.topic),
                None => format!("no channel declares `{}`", question.topic),
            };
            return Err(told.no("topic", Code::UnknownChannel, detail));
        };
        told.yes("topic", format!("channel `{}`{}", resolved.channel.template, with_params(&resolved)));
        let user = question.user.clone();
        let context = CallContext { resolved, user, connection: ConnectionId::new("explain") };
        let channel = &context.resolved.channel;
        match channel.scope.admit(context.user.as_deref(), context.params()) {
            Ok(()) => told.yes("scope", describe(&channel.scope)),
            Err(code) => return Err(told.no("scope", code, describe(&channel.scope))),
        }
        self.explain_authorizer(&context, Action::Subscribe, None, told).await?;
        if question.action == Action::Send {
            self.explain_send(&context, question, told).await?;
        }
        Ok(())
    }

    async fn explain_send(
        &self,
        context: &CallContext,
        question: &Question,
        told: &mut Explanation,
    ) -> Result<(), Stop> {
        let channel = &context.resolved.channel;
        let Some(inbound) = &channel.inbound else {
            return Err(told.no("inbound", Code::NoHandler, "the channel accepts no messages from clients"));
        };
        told.yes("inbound", "the channel accepts messages from its subscribers");
        if let Some(payload) = &question.payload
            && payload.as_str().len() > question.payload_bytes_max
        {
            let bytes = payload.as_str().len();
            let detail = format!("{bytes} bytes, `limits.payload` is {}", question.payload_bytes_max);
            return Err(told.no("payload", Code::PayloadTooLarge, detail));
        }
        self.explain_authorizer(context, Action::Send, question.payload.as_ref(), told).await?;
        match inbound.rate {
            Some(rate) => {
                told.yes("rate", format!("each user may send at most {} messages in {:?}", rate.messages, rate.per))
            }
            None => told.yes("rate", "no limit"),
        }
        let own = inbound.payload.as_ref();
        judge(own.unwrap_or(&channel.payload), question.payload.as_ref(), told)?;
        explain_action(inbound, &channel.payload, question.payload.as_ref(), told)
    }

    async fn explain_authorizer(
        &self,
        context: &CallContext,
        action: Action,
        payload: Option<&Payload>,
        told: &mut Explanation,
    ) -> Result<(), Stop> {
        let Some(plugin) = &context.resolved.channel.authorizer else { return Ok(()) };
        let asked = format!("plugin `{plugin}`, asked about {}", action.as_str());
        let denied = denied(context).code;
        match self.plugins.authorize(plugin, AuthorizerCall { context, action, payload }).await {
            // Really asked, whatever answers the server has cached.
            Ok(Decision::Allow(grant)) if grant.ttl.is_zero() => told.yes("authorizer", format!("{asked}, allows")),
            Ok(Decision::Allow(grant)) => {
                let for_s = grant.ttl.min(TTL_MAX).as_secs_f64();
                told.yes("authorizer", format!("{asked}, allows; the server keeps that answer for {for_s} s"));
            }
            Ok(Decision::Deny { reason }) => {
                return Err(told.no("authorizer", denied, format!("{asked}, denies: {reason}")));
            }
            Ok(Decision::CannotTell { reason }) => {
                return Err(told.no("authorizer", Code::Unavailable, format!("{asked}, cannot decide: {reason}")));
            }
            Err(fault) => {
                let code = if fault.kind.is_its_own() { denied } else { Code::Unavailable };
                return Err(told.no("authorizer", code, format!("no decision: {fault}")));
            }
        }
        Ok(())
    }

    /// The template that the topic was probably meant to match: it has as many segments, and differs in few letters.
    fn nearest_channel(&self, topic: &str) -> Option<String> {
        let segments: Vec<&str> = topic.split('.').collect();
        let channels = self.catalog.channels().map(|channel| channel.template.as_str());
        let near = channels.filter_map(|template| {
            let names: Vec<&str> = template.split('.').collect();
            let pairs = || names.iter().zip(&segments).filter(|(name, _)| !name.starts_with('{'));
            let letters: usize = pairs().map(|(name, _)| name.chars().count()).sum();
            let apart: usize = pairs().map(|(name, segment)| strsim::damerau_levenshtein(name, segment)).sum();
            (names.len() == segments.len() && apart <= (letters / 3).max(1)).then_some((apart, template))
        });
        near.min_by_key(|(apart, _)| *apart).map(|(_, template)| template.to_owned())
    }
}

fn explain_action(
    inbound: &Inbound,
    channel: &Schema,
    payload: Option<&Payload>,
    told: &mut Explanation,
) -> Result<(), Stop> {
    match &inbound.action {
        InboundAction::Handler(plugin) => {
            told.yes("handler", format!("plugin `{plugin}` would handle it (not called)"))
        }
        InboundAction::Relay { others_only } => {
            if inbound.payload.is_some() {
                judge(channel, payload, told)?;
            }
            let to = if *others_only { "every other subscriber" } else { "every subscriber" };
            told.yes("relay", format!("it would go to {to}"));
        }
    }
    Ok(())
}

fn judge(schema: &Schema, payload: Option<&Payload>, told: &mut Explanation) -> Result<(), Stop> {
    let Some(payload) = payload else {
        told.yes("payload", "not checked: there is no payload");
        return Ok(());
    };
    let Ok(value) = payload.value() else {
        return Err(told.no("payload", Code::InvalidPayload, "it is nested too deep"));
    };
    match schema.check(value) {
        Ok(()) => told.yes("payload", "it matches the schema"),
        Err(violations) => {
            let each = violations.iter().map(|violation| {
                let path = if violation.path.is_empty() { "payload" } else { &violation.path };
                format!("`{path}`: {}", violation.message)
            });
            return Err(told.no("payload", Code::InvalidPayload, each.collect::<Vec<_>>().join("; ")));
        }
    }
    Ok(())
}

fn describe(scope: &Scope) -> String {
    match scope {
        Scope::Public => "public: anyone may join".to_owned(),
        Scope::Authenticated => "authenticated: any user may join".to_owned(),
        Scope::AnyRole(roles) => format!("only a user with role `{}` may join", roles.join("` or `")),
        Scope::User { param } => format!("only the user whose id is the topic's `{param}` may join"),
    }
}

fn with_roles(roles: &[String]) -> String {
    if roles.is_empty() { ", without roles".to_owned() } else { format!(", roles `{}`", roles.join("`, `")) }
}

fn with_params(resolved: &Resolved) -> String {
    resolved.params.iter().map(|(name, value)| format!(", {name} = `{value}`")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::channels::{self, PluginKinds, Sources};
    use crate::config::SourceFile;
    use crate::flow::ports::{
        Answer, ConnectionCall, Fault, FaultKind, HandlerCall, IdentifyCall, PluginEffect, PluginVersion, Plugins,
        Recognition, TransformCall,
    };
    use crate::protocol::{Generation, PluginName};

    const MANIFEST: &str = "\
feature: vault
channels:
  vault.{vaultId}:
    scope: authenticated
    authorizer: members
    payload: { type: object }
    inbound: { payload: { type: object }, handler: keeper }
";

    /// Lets `alice` in, knows nothing of `mallory`, fails on everybody else. Handling is a mistake.
    struct Members;

    #[async_trait]
    impl Plugins for Members {
        fn version(&self, _: &PluginName) -> Option<PluginVersion> {
            Some(PluginVersion([0; 32]))
        }

        async fn authorize(&self, plugin: &PluginName, call: AuthorizerCall<'_>) -> Result<Decision, Fault> {
            match call.context.user.as_ref().map(|user| user.id.as_str()) {
                Some("alice") => Ok(Decision::allow()),
                Some("carol") => Ok(Decision::allow_for(Duration::from_secs(30))),
                Some("mallory") => Ok(Decision::Deny { reason: "no member".to_owned() }),
                _ => Err(Fault { plugin: plugin.clone(), kind: FaultKind::Trap, detail: "unreachable".to_owned() }),
            }
        }

        async fn identify(&self, _: &PluginName, _: IdentifyCall<'_>) -> Result<Recognition, Fault> {
            panic!("explain has no credential")
        }

        async fn handle(&self, _: &PluginName, _: HandlerCall<'_>) -> Result<Answer, Fault> {
            panic!("explain calls no handler")
        }

        async fn provide(&self, _: &PluginName, _: &CallContext) -> Result<Vec<Payload>, Fault> {
            panic!("explain asks for no snapshot")
        }

        async fn transform(&self, _: &PluginName, _: TransformCall<'_>) -> Result<Option<Payload>, Fault> {
            panic!("explain bridges nothing")
        }

        fn listeners(&self) -> Vec<PluginName> {
            Vec::new()
        }

        async fn changed(&self, _: &PluginName, _: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Fault> {
            panic!("explain is no connection")
        }
    }

    async fn explain(user: &str, action: Action) -> Explanation {
        let source = SourceFile { path: "vault.yaml".to_owned(), text: MANIFEST.to_owned() };
        let plugins = ["members", "keeper"].map(|name| (PluginName::new(name), PluginKinds::ALL)).into();
        let sources = Sources { manifests: vec![Arc::new(source)], plugins, ..Sources::default() };
        let catalog = Arc::new(channels::compile(&sources, Generation(1)).unwrap());
        let user = User::new(user, Vec::new(), None);
        let question = Question {
            user: Some(Arc::new(user)),
            anonymous: false,
            action,
            topic: "vault.v1".to_owned(),
            payload: None,
            payload_bytes_max: 100,
        };
        Serving { catalog, plugins: Arc::new(Members) }.explain(&question).await
    }

    #[tokio::test]
    async fn an_authorizer_is_asked_at_both_gates_and_no_handler_is_called() {
        let explanation = explain("alice", Action::Send).await;
        assert!(explanation.allowed(), "{explanation:?}");
        let checks: Vec<_> = explanation.steps.iter().map(|step| step.check).collect();
        let expected =
            ["connect", "topic", "scope", "authorizer", "inbound", "authorizer", "rate", "payload", "handler"];
        assert_eq!(checks, expected);
    }

    #[tokio::test]
    async fn an_operator_sees_the_reason_that_a_client_is_not_told() {
        let explanation = explain("mallory", Action::Subscribe).await;
        let last = explanation.steps.last().unwrap();
        assert_eq!((last.check, last.refused), ("authorizer", Some("forbidden")));
        assert_eq!(last.detail, "plugin `members`, asked about subscribe, denies: no member");
    }

    #[tokio::test]
    async fn an_answer_that_the_server_may_keep_is_told_with_its_time() {
        let explanation = explain("carol", Action::Subscribe).await;
        let last = explanation.steps.last().unwrap();
        assert_eq!(
            last.detail,
            "plugin `members`, asked about subscribe, allows; the server keeps that answer for 30 s"
        );
    }

    #[tokio::test]
    async fn an_authorizer_that_faults_is_a_no() {
        let explanation = explain("bob", Action::Subscribe).await;
        let last = explanation.steps.last().unwrap();
        assert_eq!(last.refused, Some("forbidden"));
        assert_eq!(last.detail, "no decision: plugin `members` trap: unreachable");
    }
}
