//! `tidegate health`: whether a running server answers. For the health check of a container, whose image has no other
//! program that could ask.

use clap::Args;

use super::Answer;
use super::ask::At;
use super::failure::Failure;
use super::load::Load;

#[derive(Debug, Args)]
pub(super) struct Health {
    /// Ask whether the server takes new connections, as `GET /readyz` does
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    load: Load,
}

impl Health {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (path, name) = if self.ready { ("/readyz", "ready") } else { ("/healthz", "live") };
        self.at.server(&self.load).is(path, name)?;
        Ok(Answer::ok(format!("{name}\n")))
    }
}
