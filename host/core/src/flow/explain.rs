//! Explains why a user may or may not subscribe or send: the checks of the gates one by one, as data.
//!
//! The checks are those of the gates, by the same walk. Facts that only a live connection has (its subscriptions, its
//! rate) are reported, not checked. Authorizers are really asked; handlers are not called.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::budgets::{Budget, Budgets};
use super::credential::Handshake;
use super::decisions::TTL_MAX;
use super::explain_words::{about_budget, about_topic, describe, rule, violations, with_roles};
use super::ports::{Action, AuthorizerCall, Decision, PluginVersion};
use super::subscribe::refused_by;
use super::walk::{self, Look, Walker};
use super::{CallContext, Gates, Serving};
use crate::channels::{Channel, InboundAction, Rate};
use crate::protocol::{Code, ConnectionId, Payload, PluginName, Refusal, TOPIC_BYTES_MAX, User};
use crate::telemetry::Gate;

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

/// Whose question a server explains.
#[derive(Debug, Clone)]
pub enum Asker {
    /// This user's, as if gate 1 had found it.
    User(User),
    /// That of a connection without a credential.
    Anonymous,
    /// That of whoever brings this token, which goes through gate 1.
    Token(String),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The gate: `connect`, `subscribe`, `inbound`, `broadcast`.
    pub gate: &'static str,
    /// What was checked: `connect`, `topic`, `scope`, `budget`, `authorizer`, `inbound`, `payload`, `rate`, `version`,
    /// `handler`, `relay`.
    pub check: &'static str,
    /// The code that a client would see if the answer is no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'static str>,
    /// The reason, for an operator: it may contain what a client must not learn.
    pub detail: String,
    /// What is declared that decides: the key, and where its channel is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The plugin that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The first digits of the plugin's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How long the check took, in microseconds.
    pub took_us: u64,
}

/// All checks that were made, in order. Only the last one can be a no.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The checks.
    pub steps: Vec<Step>,
}

impl Explanation {
    /// Whether every check said yes.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.code().is_none()
    }

    /// The code that a client would see.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        self.steps.iter().find_map(|step| step.refused)
    }
}

impl Step {
    fn of(gate: Gate, check: &'static str, refused: Option<Code>, detail: impl Into<String>, took: Duration) -> Self {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (gate, refused) = (gate.as_str(), refused.map(Code::as_str));
        Self { gate, check, refused, detail: detail.into(), rule: None, plugin: None, version: None, took_us }
    }
}

impl Gates {
    /// Makes the checks of the gates without any effect: no session begins, and a token is not kept.
    pub async fn explain(&self, asker: Asker, action: Action, topic: String, payload: Option<Payload>) -> Explanation {
        let started = Instant::now();
        let (user, anonymous, credential) = match asker {
            Asker::User(user) => (Some(Arc::new(user)), self.auth.anonymous, None),
            Asker::Anonymous => (None, self.auth.anonymous, None),
            Asker::Token(token) => {
                let handshake = Handshake { token: Some(token), is_question: true, ..Handshake::default() };
                match self.admit(&ConnectionId::new(EXPLAINED), &handshake).await {
                    Ok(admission) => (admission.user, true, Some(started.elapsed())),
                    Err(refusal) => {
                        let detail = format!("the token is refused: {}", refusal.message);
                        let step = Step::of(Gate::Connect, "connect", Some(refusal.code), detail, started.elapsed());
                        return Explanation { steps: vec![step] };
                    }
                }
            }
        };
        let payload_bytes_max = self.limits.payload_bytes_max;
        let question = Question { user, anonymous, action, topic, payload, payload_bytes_max };
        self.serving().explain_after(&question, credential, Some(&self.ports.budgets)).await
    }
}

/// The connection in calls of plugins.
const EXPLAINED: &str = "explain";

impl Serving {
    /// Makes the checks of the gates without any effect.
    pub async fn explain(&self, question: &Question) -> Explanation {
        self.explain_after(question, None, None).await
    }

    /// The same; gate 1 took so long for a credential.
    async fn explain_after(
        &self,
        question: &Question,
        credential: Option<Duration>,
        budgets: Option<&Budgets>,
    ) -> Explanation {
        let mut explainer = Explainer { question, budgets, steps: Vec::new() };
        // The steps contain a no already.
        let _: Result<(), Refusal> = explainer.walk(self, credential).await;
        Explanation { steps: explainer.steps }
    }

    /// The template that the topic was probably meant to match: it has as many segments, and differs in few letters.
    pub(super) fn nearest_channel(&self, topic: &str) -> Option<String> {
        let segments: Vec<&str> = (topic.len() <= TOPIC_BYTES_MAX).then(|| topic.split('.').collect())?;
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

/// Walks through the checks for a person.
struct Explainer<'q> {
    question: &'q Question,
    /// Of the server; `None` if nobody serves.
    budgets: Option<&'q Budgets>,
    steps: Vec<Step>,
}

impl Explainer<'_> {
    async fn walk(&mut self, serving: &Serving, credential: Option<Duration>) -> Result<(), Refusal> {
        let Question { user, anonymous, action, topic, payload, .. } = self.question;
        let (refused, detail) = match user {
            Some(user) => (None, format!("as user `{}`{}", user.id, with_roles(&user.roles))),
            None if *anonymous => (None, "anonymous connections are allowed".to_owned()),
            None => (Some(Code::Unauthenticated), "anonymous connections are refused".to_owned()),
        };
        self.steps.push(Step::of(Gate::Connect, "connect", refused, detail, credential.unwrap_or_default()));
        if let Some(code) = refused {
            return Err(code.into());
        }
        let resolved = || serving.catalog.resolve(topic);
        walk::subscribe(self, serving, topic, resolved()).await?;
        if *action == Action::Send {
            let context = walk::send(self, serving, topic, resolved(), payload.as_ref()).await?;
            self.tell_action(serving, &context.resolved.channel);
        }
        Ok(())
    }

    /// What would happen with the message.
    fn tell_action(&mut self, serving: &Serving, channel: &Channel) {
        let Some(inbound) = &channel.inbound else { return };
        let step = match &inbound.action {
            InboundAction::Handler(plugin) => {
                let detail = format!("plugin `{plugin}` would handle it (not called)");
                by_plugin(Step::of(Gate::Inbound, "handler", None, detail, Duration::ZERO), serving, plugin)
            }
            InboundAction::Relay { others_only } => {
                let to = if *others_only { "every other subscriber" } else { "every subscriber" };
                Step::of(Gate::Broadcast, "relay", None, format!("it would go to {to}"), Duration::ZERO)
            }
        };
        self.steps.push(Step { rule: Some(rule("inbound", channel)), ..step });
    }
}

impl Walker for Explainer<'_> {
    type Granted = ();

    fn look<T>(&mut self, gate: Gate, at: Look<'_>, check: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        let started = Instant::now();
        let answer = check();
        let took = started.elapsed();
        let refusal = answer.as_ref().err();
        let code = refusal.map(|refusal| refusal.code);
        let (check, detail, rule) = match at {
            // Gate 3 asks again what gate 2 has answered.
            Look::Topic(..) | Look::Scope(_) if gate == Gate::Inbound && refusal.is_none() => return answer,
            Look::Topic(serving, topic) => ("topic", about_topic(serving, topic), None),
            Look::Scope(channel) => ("scope", describe(&channel.scope), Some(rule("scope", channel))),
            Look::Inbound(channel) => {
                let says = if refusal.is_some() { "no messages from clients" } else { "messages from its subscribers" };
                ("inbound", format!("the channel accepts {says}"), Some(rule("inbound", channel)))
            }
            // Told together with its schema.
            Look::Size(_) if refusal.is_none() => return answer,
            Look::Size(channel) => ("payload", self.about_size(refusal), Some(rule("payload", channel))),
            Look::Payload(channel) => ("payload", self.about_payload(refusal), Some(rule("payload", channel))),
            Look::Version(channel) => {
                let detail = refusal.map_or_else(|| "it has a version".to_owned(), violations);
                ("version", detail, Some(rule("delivery", channel)))
            }
        };
        self.steps.push(Step { rule, ..Step::of(gate, check, code, detail, took) });
        answer
    }

    fn user(&mut self) -> Result<Option<Arc<User>>, Refusal> {
        Ok(self.question.user.clone())
    }

    fn connection(&self) -> ConnectionId {
        ConnectionId::new(EXPLAINED)
    }

    fn is_exempt(&self) -> bool {
        false
    }

    fn has_room(&mut self, _: &CallContext) -> Result<(), Refusal> {
        Ok(())
    }

    fn has_budget(&mut self, serving: &Serving, context: &CallContext) -> Result<(), Refusal> {
        self.about_budget(Gate::Subscribe, serving, context, Budget::Subscriptions)
    }

    fn takes_info(&mut self, _: &Channel) -> Result<(), Refusal> {
        Ok(())
    }

    /// Really asked, whatever answers the server has cached.
    async fn authorize(
        &mut self,
        serving: &Serving,
        context: &CallContext,
        action: Action,
        payload: Option<&Payload>,
    ) -> Result<(), Refusal> {
        let Some(plugin) = &context.resolved.channel.authorizer else { return Ok(()) };
        let started = Instant::now();
        let answer = serving.plugins.authorize(plugin, AuthorizerCall { context, action, payload }).await;
        let refusal = refused_by(context, &answer);
        let asked = format!("plugin `{plugin}`, asked about {}", action.as_str());
        let detail = match &answer {
            Ok(Decision::Allow(grant)) if grant.ttl.is_zero() => format!("{asked}, allows"),
            Ok(Decision::Allow(grant)) => {
                let for_s = grant.ttl.min(TTL_MAX).as_secs_f64();
                format!("{asked}, allows; the server keeps that answer for {for_s} s")
            }
            Ok(Decision::Deny { reason }) => format!("{asked}, denies: {reason}"),
            Ok(Decision::CannotTell { reason }) => format!("{asked}, cannot decide: {reason}"),
            Err(fault) => format!("no decision: {fault}"),
        };
        let gate = if action == Action::Send { Gate::Inbound } else { Gate::Subscribe };
        let code = refusal.as_ref().map(|refusal| refusal.code);
        let step = by_plugin(Step::of(gate, "authorizer", code, detail, started.elapsed()), serving, plugin);
        self.steps.push(Step { rule: Some(rule("authorizer", &context.resolved.channel)), ..step });
        refusal.map_or(Ok(()), Err)
    }

    fn holds(&mut self, _: &CallContext) -> Result<(), Refusal> {
        Ok(())
    }

    fn payload_bytes_max(&self) -> usize {
        self.question.payload_bytes_max
    }

    async fn take_rate(&mut self, context: &CallContext, rate: Option<Rate>) -> Result<(), Refusal> {
        let detail = match rate {
            Some(rate) => format!("each user may send at most {} messages in {:?}", rate.messages, rate.per),
            None => "no limit".to_owned(),
        };
        let step = Step::of(Gate::Inbound, "rate", None, detail, Duration::ZERO);
        self.steps.push(Step { rule: Some(rule("inbound", &context.resolved.channel)), ..step });
        Ok(())
    }

    fn take_budget(&mut self, serving: &Serving, context: &CallContext) -> Result<(), Refusal> {
        self.about_budget(Gate::Broadcast, serving, context, Budget::Publications)
    }
}

impl Explainer<'_> {
    /// Tells of a budget, if there is one. Nothing is taken from it.
    fn about_budget(
        &mut self,
        gate: Gate,
        serving: &Serving,
        context: &CallContext,
        budget: Budget,
    ) -> Result<(), Refusal> {
        let channel = &context.resolved.channel;
        let Some((detail, has_any)) = about_budget(serving, channel, self.budgets, budget) else { return Ok(()) };
        let refused = (!has_any).then_some(Code::OverBudget);
        let step = Step::of(gate, "budget", refused, detail, Duration::ZERO);
        let team =
            channel.team.map(|team| format!("`teams.{}.{}`", serving.catalog.teams().name(team), budget.as_str()));
        self.steps.push(Step { rule: team, ..step });
        refused.map_or(Ok(()), |code| Err(code.into()))
    }

    fn about_size(&self, refusal: Option<&Refusal>) -> String {
        match (refusal, &self.question.payload) {
            (Some(Refusal { code: Code::PayloadTooLarge, .. }), Some(payload)) => {
                let (bytes, max) = (payload.as_str().len(), self.question.payload_bytes_max);
                format!("{bytes} bytes, `limits.payload` is {max}")
            }
            (refusal, _) => refusal.map(violations).unwrap_or_default(),
        }
    }

    fn about_payload(&self, refusal: Option<&Refusal>) -> String {
        match refusal {
            _ if self.question.payload.is_none() => "not checked: there is no payload".to_owned(),
            None => "it matches the schema".to_owned(),
            Some(refusal) => violations(refusal),
        }
    }
}

fn by_plugin(step: Step, serving: &Serving, plugin: &PluginName) -> Step {
    let version = serving.plugins.version(plugin).map(PluginVersion::short);
    Step { plugin: Some(plugin.as_str().to_owned()), version, ..step }
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
