//! The command line, one file for each command. Exit codes are in [`exit`].
//!
//! A command returns its output. This module prints it, so that a closed pipe does not look like a bug.

mod ask;
mod asyncapi;
mod carried;
mod channels;
mod check;
mod dev;
mod diff;
pub mod exit;
mod explain;
mod failure;
mod health;
mod init;
mod load;
mod new;
mod plugin;
mod record;
mod schema;
mod serve;
mod service_manager;
mod show;
mod signals;
mod token;
mod types;
mod version;

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use failure::Failure;
use tidegate_core::telemetry::{complain, say};

/// A realtime server: channels in YAML, logic in WebAssembly components, stock Socket.IO clients.
#[derive(Debug, Parser)]
#[command(name = "tidegate", propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a project: configuration, a channel, a plugin, tests, CI
    Init(init::Init),
    /// Serve until SIGTERM, then drain; reload files when they change
    Serve(serve::Serve),
    /// Build the plugins, generate missing secrets, print test tokens, and serve
    Dev(dev::Dev),
    /// Report every error in the configuration, the manifests, the bridge table and the plugins
    ///
    /// The command fails if `serve` would refuse to start. So if `store` is a PostgreSQL database, the database must be
    /// reachable; `check` prepares the queries of plugins and of `session` providers there.
    ///
    /// `check` does not contact the services that `serve` can start without: the Redis of `broker`, the sources of
    /// `bus`, and the URLs of `jwks` and `introspect`. `GET /readyz`, the metrics and the log of a running server
    /// report their state.
    Check(check::Check),
    /// List the channels
    Channels(channels::Channels),
    /// Print the JSON Schema of a YAML file for editors, or write all schemas
    Schema(schema::Schema),
    /// Tell what changes for people from one version of a project to another
    ///
    /// OLD and NEW are each a directory with a project, or a revision of git: `main`, `HEAD~1`, `v1.2`, `main:apps/live`.
    /// A revision without a path is read at the working directory's place in the repository. Nothing is checked out, and
    /// no plugin has to be built.
    ///
    /// The answer is Markdown for a review: channels that became public, who may join and send, schemas that became
    /// stricter or looser with a payload that shows it, events that cross, rights that grew.
    Diff(diff::Diff),
    /// Generate types for the payloads of the channels
    Types(types::Types),
    /// Describe the channels, their messages and their schemas as an AsyncAPI 3.0 document
    #[command(name = "asyncapi")]
    AsyncApi(asyncapi::AsyncApi),
    /// Sign a token for tests
    Token(token::Token),
    /// Explain whether a user may subscribe or send, and which rule or plugin decides
    Explain(explain::Explain),
    /// Ask whether a running server answers, or is ready
    Health(health::Health),
    /// Build, check and try plugins
    Plugin(plugin::Plugin),
    /// Record the next calls of a plugin of a running server into a file, for `plugin replay`
    Record(record::Record),
    /// Add a channel or a plugin to a project
    New(new::New),
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For scripts
    Json,
}

/// What a command prints on stdout, and its exit code.
struct Answer {
    text: String,
    exit: u8,
}

impl Answer {
    fn ok(text: impl Into<String>) -> Self {
        Self { text: text.into(), exit: exit::OK }
    }

    fn json(value: &serde_json::Value) -> Self {
        Self::ok(format!("{value:#}\n"))
    }
}

/// Runs the command of the process's arguments and returns the exit code. `checkout` is what git says of the checkout
/// that the program is built from, empty without git.
#[must_use]
pub fn run(checkout: &str) -> u8 {
    let parsed = Cli::command().version(version::text(checkout)).try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; clap writes them to stdout.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
        }
    };
    let mut plugins: Option<PathBuf> = None;
    match execute(cli.command, &mut plugins) {
        Ok(answer) => {
            say(&answer.text);
            answer.exit
        }
        Err(failure) => {
            complain(&failure.render());
            failure.exit_code(plugins.as_deref())
        }
    }
}

fn execute(command: Command, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Init(init) => init.run(),
            Command::Serve(serve) => serve.run(plugins).await,
            Command::Dev(dev) => dev.run(plugins).await,
            Command::Check(check) => check.run(plugins).await,
            Command::Channels(channels) => channels.run(plugins).await,
            Command::Schema(schema) => schema.run(),
            Command::Diff(diff) => diff.run(),
            Command::Types(types) => types.run(plugins),
            Command::AsyncApi(asyncapi) => asyncapi.run(plugins),
            Command::Token(token) => token.run(),
            Command::Explain(explain) => explain.run(plugins).await,
            Command::Health(health) => health.run(),
            Command::Record(record) => record.run().await,
            Command::Plugin(plugin) => plugin.run(plugins).await,
            Command::New(new) => new.run(plugins),
        }
    })
}
