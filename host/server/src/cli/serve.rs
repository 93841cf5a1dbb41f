//! `tidegate serve`.

use std::path::PathBuf;

use clap::Args;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::load::Load;
use super::signals::serve_until_signal;
use super::{Answer, failure, service_manager};
use crate::app::{self, Options, Show};
use crate::reload::{self, Terms};
use tidegate_core::config::{Config, Diagnostic};
use tidegate_core::telemetry::{self, complain};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The address and port that clients connect to; overrides the configuration
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    load: Load,
}

impl Serve {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let config = self.load.config(self.listen.as_ref(), &[])?;
        *plugins = Some(config.plugins.clone());
        start_logging(&config)?;
        let server = app::prepare(config, Terms::Whole).await?.build().await?;
        let (ready, listening) = oneshot::channel();
        tokio::spawn(service_manager::tell_ready(listening));
        let on_rejected: Show = Box::new(show_rejected);
        let options = Options { ready: Some(ready), on_rejected: Some(on_rejected), ..Options::default() };
        serve_until_signal(server, options).await?;
        Ok(Answer::ok(""))
    }
}

/// `RUST_LOG` overrides the configuration.
pub(super) fn start_logging(config: &Config) -> Result<(), Failure> {
    let asked = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    Ok(telemetry::init_logging(
        asked.as_deref().unwrap_or(&config.log.filter),
        config.log.format,
        config.limits.log_queue_max,
    )?)
}

/// Shows every error on the terminal, and which files the others wait for.
fn show_rejected(mistakes: &[Diagnostic]) {
    let files = reload::by_file(mistakes);
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).filter(|path| !path.is_empty()).collect();
    let waits =
        if names.is_empty() { String::new() } else { format!("all saved changes wait for {}; ", names.join(", ")) };
    complain(&format!("{}{waits}the server continues with what it served before\n", failure::render(mistakes)));
}
