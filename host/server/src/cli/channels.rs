//! `tidegate channels`: the declared channels as a table.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::failure::Failure;
use super::load::Load;
use super::{Answer, Format, show};
use crate::app;
use tidegate_core::channels::{Channel, HistoryPolicy, InboundAction, Keeping, Scope};
use tidegate_core::config::{ByteSize, HumanDuration};

#[derive(Debug, Args)]
pub(super) struct Channels {
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

impl Channels {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let config = self.load.config_to_look_at()?;
        *plugins = Some(config.plugins.clone());
        let serving = app::check(&config).await?.serving;
        let channels = serving.catalog.channels();
        Ok(match self.format {
            Format::Json => Answer::json(&channels.map(|channel| to_json(channel)).collect()),
            Format::Text => {
                let header =
                    ["CHANNEL", "SCOPE", "AUTHORIZER", "INBOUND", "HISTORY", "RETAINED", "FEATURE"].map(str::to_owned);
                Answer::ok(show::table([header].into_iter().chain(channels.map(|channel| row(channel))).collect()))
            }
        })
    }
}

fn row(channel: &Channel) -> [String; 7] {
    let nothing = || "-".to_owned();
    let inbound = channel.inbound.as_ref().map(|inbound| {
        let rate = inbound.rate.map(|rate| format!(", {}/{}", rate.messages, period(rate.per)));
        format!("{}{}", action(&inbound.action), rate.unwrap_or_default())
    });
    let history = channel.history.map(|HistoryPolicy { messages_max, bytes_max, ttl }| {
        let (bytes, ttl) = (ByteSize::from_bytes(bytes_max as u64), HumanDuration::new(ttl));
        format!("{messages_max}, {bytes}, {ttl}")
    });
    let retained = channel.retain.map(|Keeping { keys_max, bytes_max, ttl, .. }| {
        let (bytes, ttl) = (ByteSize::from_bytes(bytes_max as u64), HumanDuration::new(ttl));
        format!("{keys_max}, {bytes}, {ttl}")
    });
    [
        channel.template.to_string(),
        scope(&channel.scope),
        channel.authorizer.as_ref().map_or_else(nothing, ToString::to_string),
        inbound.unwrap_or_else(nothing),
        history.unwrap_or_else(nothing),
        retained.unwrap_or_else(nothing),
        channel.feature.clone(),
    ]
}

fn to_json(channel: &Channel) -> Value {
    let inbound = channel.inbound.as_ref().map(|inbound| {
        let (handler, relay) = match &inbound.action {
            InboundAction::Handler(plugin) => (Some(plugin.as_str()), None),
            InboundAction::Relay { others_only: true } => (None, Some("others")),
            InboundAction::Relay { others_only: false } => (None, Some("all")),
        };
        let rate = inbound.rate.map(|rate| json!({ "messages": rate.messages, "per_s": rate.per.as_secs_f64() }));
        json!({ "handler": handler, "relay": relay, "rate": rate })
    });
    let history = channel.history.map(|HistoryPolicy { messages_max, bytes_max, ttl }| {
        json!({ "messages": messages_max, "bytes": bytes_max, "ttl_s": ttl.as_secs_f64() })
    });
    let retained = channel.retain.map(|Keeping { keys_max, bytes_max, ttl, .. }| {
        json!({ "keys": keys_max, "bytes": bytes_max, "ttl_s": ttl.as_secs_f64() })
    });
    json!({
        "channel": channel.template.as_str(),
        "description": channel.description,
        "scope": channel.scope.written(),
        "authorizer": channel.authorizer.as_ref().map(|plugin| plugin.as_str()),
        "inbound": inbound,
        "history": history,
        "retained": retained,
        "feature": channel.feature,
    })
}

fn scope(scope: &Scope) -> String {
    match scope {
        Scope::Public => "public".to_owned(),
        Scope::Authenticated => "authenticated".to_owned(),
        Scope::AnyRole(roles) => format!("role: {}", roles.join(" or ")),
        Scope::User { param } => format!("user: {param}"),
    }
}

fn action(action: &InboundAction) -> String {
    match action {
        InboundAction::Handler(plugin) => format!("handler {plugin}"),
        InboundAction::Relay { others_only: true } => "relay to others".to_owned(),
        InboundAction::Relay { others_only: false } => "relay to all".to_owned(),
    }
}

fn period(per: std::time::Duration) -> String {
    match per.as_secs() {
        1 => "s".to_owned(),
        60 => "min".to_owned(),
        _ => format!("{}s", per.as_secs_f64()),
    }
}
