//! `tidegate explain`: whether a user may subscribe or send, and which rule or plugin decides.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use super::failure::Failure;
use super::load::Load;
use super::{Answer, Format, exit};
use crate::app;
use tidegate_core::config::Anonymous;
use tidegate_core::flow::ports::Action;
use tidegate_core::flow::{Explanation, Question};
use tidegate_core::protocol::{Payload, User};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("who").args(["user", "anonymous"]).required(true)))]
pub(super) struct Explain {
    /// The user's id
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The user's roles
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',', requires = "user")]
    roles: Vec<String>,
    /// The user's tenant
    #[arg(long, requires = "user")]
    tenant: Option<String>,
    /// Explain for a connection without a credential
    #[arg(long)]
    anonymous: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
    #[command(subcommand)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Asked {
    /// Whether the user may subscribe
    Subscribe {
        /// The topic: a concrete name, such as `vault.v1`
        topic: String,
    },
    /// Whether the user may send
    Send {
        /// The topic: a concrete name, such as `realtime-ping`
        topic: String,
        /// The payload; it is checked against the channel's schema
        #[arg(long, value_name = "JSON")]
        payload: Option<String>,
    },
}

impl Explain {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let (action, topic, payload) = match self.asked {
            Asked::Subscribe { topic } => (Action::Subscribe, topic, None),
            Asked::Send { topic, payload } => (Action::Send, topic, payload),
        };
        let payload = payload.map(Payload::parse).transpose().map_err(Failure::Payload)?;
        let config = self.load.config_to_look_at()?;
        *plugins = Some(config.plugins.clone());
        let serving = app::check(&config).await?.serving;
        let user = self.user.map(|id| User::new(id, self.roles, self.tenant));
        let question = Question {
            user: user.map(Arc::new),
            anonymous: config.auth.anonymous == Anonymous::Allow,
            action,
            topic,
            payload,
            payload_bytes_max: config.limits.payload_bytes_max,
        };
        let explanation = serving.explain(&question).await;
        let exit = if explanation.allowed() { exit::OK } else { exit::NO };
        let answer = match self.format {
            Format::Text => Answer::ok(text(&question, &explanation)),
            Format::Json => Answer::json(&json!({ "allowed": explanation.allowed(), "steps": explanation.steps })),
        };
        Ok(Answer { exit, ..answer })
    }
}

fn text(question: &Question, explanation: &Explanation) -> String {
    let mut text = String::new();
    for step in &explanation.steps {
        let verdict = if step.refused.is_some() { "no " } else { "yes" };
        text += &format!("{verdict}  {:<10}  {}\n", step.check, step.detail);
    }
    let who = question.user.as_ref().map_or_else(|| "anonymous".to_owned(), |user| format!("`{}`", user.id));
    let what = match question.action {
        Action::Subscribe => "subscribe to",
        Action::Send => "send on",
    };
    text += &match explanation.steps.iter().find_map(|step| step.refused) {
        None => format!("\n{who} may {what} `{}`\n", question.topic),
        Some(code) => format!("\n{who} may not {what} `{}`: the client sees `{code}`\n", question.topic),
    };
    text
}
