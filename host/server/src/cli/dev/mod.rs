//! `tidegate dev`: everything for a quick start in one command.

mod access;
mod banner;
mod ready;
mod rebuild;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::load::{Load, made_up_secrets};
use super::serve::start_logging;
use super::signals::serve_until_signal_or;
use super::{Answer, complain, failure, say};
use crate::app::{self, Options, Prepared, Server};
use crate::reload::{Terms, Triggers};
use access::Access;
use ready::ReadyFile;
use rebuild::Rebuilder;
use tidegate_core::config::{Config, Dashboard, Diagnostic};

#[derive(Debug, Args)]
pub(super) struct Dev {
    /// The address and port that clients connect to; overrides the configuration
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Write a JSON file once clients can connect: pid, address, url, tokens by user, api_keys by name
    ///
    /// Only this user may read the file. It appears in one step, and goes when the server ends. With this option every
    /// plugin must build and load at the start. If the server does not start, the file has `error` and `exit_code`.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    load: Load,
}

impl Dev {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let ready_file = self.ready_file.as_deref().map(ReadyFile::claim).transpose()?;
        let served = self.serve(ready_file.clone(), plugins).await;
        match (&ready_file, &served) {
            (Some(file), Ok(_)) => file.remove(),
            (Some(file), Err(failure)) => file.tell_failure(failure, failure.exit_code(plugins.as_deref())),
            (None, _) => {}
        }
        served
    }

    async fn serve(self, ready_file: Option<ReadyFile>, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let config = self.config()?;
        let directory = plugins.insert(config.plugins.clone()).clone();
        start_logging(&config)?;
        // What can be known first: builds take long.
        let access = Access::new(&config)?;
        let prepared = app::prepare(config, Terms::EachAlone).await?;
        let is_whole = ready_file.is_some();
        let rebuilder = built(directory, is_whole)?;
        let server = loaded(prepared, is_whole).await?;
        let link = server.operator_link();
        let triggers = Triggers::default();
        rebuilder.spawn(triggers.sender.clone())?;
        let (ready, listening) = oneshot::channel();
        let (gives_up, given_up) = oneshot::channel();
        let greeting = tokio::spawn(async move {
            let Ok(address) = listening.await else { return };
            match greet(&access, address, link.as_deref(), ready_file.as_ref()) {
                Ok(()) => std::future::pending().await,
                // Whoever waits for the file would wait for ever.
                Err(failure) => drop(gives_up.send(failure)),
            }
        });
        let options = Options {
            ready: Some(ready),
            on_rejected: Some(Box::new(show_held_up)),
            on_warned: Some(Box::new(show_warned)),
            triggers,
        };
        let gave_up = serve_until_signal_or(server, options, given_up).await;
        greeting.abort();
        match gave_up? {
            Some(Ok(failure)) => Err(failure),
            _ => Ok(Answer::ok("")),
        }
    }

    fn config(&self) -> Result<Config, Failure> {
        let mut config = self.load.config(self.listen.as_ref(), &made_up_secrets())?;
        if config.auth.origins.is_empty() {
            // The page one tries things with is rarely served by this server.
            config.auth.origins.push("*".to_owned());
        }
        config.dashboard.get_or_insert(Dashboard::On);
        Ok(config)
    }
}

/// Builds the plugins. A plugin that does not build stops only itself, or, where the start is good as a whole, the
/// start.
fn built(directory: PathBuf, is_whole: bool) -> Result<Rebuilder, Failure> {
    let failed = Mutex::new(Vec::new());
    let rebuilder = Rebuilder::start(directory, &|failure| {
        if is_whole { failed.lock().push(failure) } else { rebuild::complain_of(&failure) }
    })?;
    let failed = failed.into_inner();
    if failed.is_empty() { Ok(rebuilder) } else { Err(Failure::Builds(failed)) }
}

/// Loads the plugins, on the same terms.
async fn loaded(prepared: Prepared, is_whole: bool) -> Result<Server, Failure> {
    let server = prepared.build().await?;
    let held_up = server.held_up();
    if is_whole && !held_up.is_empty() { Err(Failure::Mistakes(held_up.to_vec())) } else { Ok(server) }
}

fn greet(
    access: &Access,
    address: SocketAddr,
    link: Option<&str>,
    ready_file: Option<&ReadyFile>,
) -> Result<(), Failure> {
    if let Some(file) = ready_file {
        file.tell(access, address)?;
    }
    say(&banner::text(access, address, link));
    Ok(())
}

/// An error stops only the part that it is in.
fn show_held_up(mistakes: &[Diagnostic]) {
    complain(&format!(
        "{}the parts without errors are live; for the others the server continues with the version before\n",
        failure::render(mistakes)
    ));
}

/// Golden vectors with a different answer: the author may have intended the change.
fn show_warned(differences: &[Diagnostic]) {
    complain(&differences.iter().map(|difference| difference.render_as("warning")).collect::<String>());
}
