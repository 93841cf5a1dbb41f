//! `tidegate plugin call`: asks a plugin one question in the same way as the server, and shows everything it did.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::failure::Failure;
use super::super::load::Load;
use super::super::show;
use super::super::{Answer, Format, complain, exit};
use super::choose::{self, Database};
use super::network;
use crate::reload;
use tidegate_backends::store::SqliteStore;
use tidegate_core::channels::{self, PluginKind};
use tidegate_core::config::{ByteSize, Diagnostic, Origin, SourceFile};
use tidegate_core::flow::ports::{Phase, SystemClock};
use tidegate_core::protocol::Generation;
use tidegate_wasm::{ContextFile, Effort, HttpSeen, Plugin, Recorded, UserFile, Vector, differences, recorded};

/// Largest input read, in bytes.
const INPUT_BYTES_MAX: u64 = 4 << 20;
/// Most calls in one run.
const CALLS_MAX: i64 = 1_000_000;

#[derive(Debug, Args)]
pub(super) struct Call {
    /// The plugin: its name, or its directory (with a `/`)
    #[arg(value_name = "NAME|DIR")]
    plugin: String,
    /// The kind of question
    #[arg(value_enum)]
    kind: Kind,
    /// The payload (for a transform: the event), or a whole vector as in tests/*.json, which has its own context; `-`
    /// reads it from stdin. Without it an authorizer is asked about subscribing, with it about sending
    #[arg(long, value_name = "FILE|-", required_if_eq_any([("kind", "handler"), ("kind", "transform")]))]
    input: Option<String>,
    /// The topic, such as vault.v1
    #[arg(long)]
    topic: Option<String>,
    /// The channel of the topic, if no manifest of the configuration declares it: vault.{vaultId}
    #[arg(long)]
    channel: Option<String>,
    /// The user's id; without it the connection is anonymous
    #[arg(long)]
    user: Option<String>,
    /// A role of the user; repeat the option for more
    #[arg(long, requires = "user")]
    role: Vec<String>,
    /// The user's tenant
    #[arg(long, requires = "user")]
    tenant: Option<String>,
    /// What the connection did [default: connected]
    #[arg(long, value_enum)]
    phase: Option<PhaseFlag>,
    /// Call so many times, and show how long the calls took
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=CALLS_MAX))]
    repeat: Option<u32>,
    /// Call one reused instance so many times, and a fresh instance as often, and compare: a different answer comes
    /// from state that an earlier call left behind, from the time, or from chance
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=CALLS_MAX))]
    fresh_vs_reused: Option<u32>,
    #[command(flatten)]
    database: Database,
    /// The store of a server: the plugin really reads and writes its keys there if it is granted buckets; without it
    /// keys are kept in memory only
    #[arg(long, value_name = "FILE")]
    kv: Option<PathBuf>,
    /// An origin that the plugin may really send HTTP requests to, if it is granted the origin; it may be on this
    /// machine; repeat the option for more. Without it no request is sent
    #[arg(long, value_name = "ORIGIN")]
    http: Vec<Origin>,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Answers a message
    Handler,
    /// Decides about a subscription or a message
    Authorizer,
    /// Gives the state of a topic
    Snapshot,
    /// Makes the payload of a bus event for a topic
    Transform,
    /// Learns of a connection
    Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PhaseFlag {
    Connected,
    Disconnected,
}

/// One call and its result.
struct Called {
    answer: Value,
    did: Recorded,
    took: Duration,
}

/// How long the calls took, sorted.
struct Times(Vec<Duration>);

/// The result of `--fresh-vs-reused`.
struct Compared {
    calls: u32,
    /// The first call, counted from 1, with different answers, and how they differ.
    different: Option<(u32, Vec<String>)>,
}

impl Call {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let directory = choose::one(&self.load, &self.plugin, plugins)?;
        let vector = self.vector()?;
        let mut services = self.database.look(network::services(&self.http)?)?;
        let kept = self.kv.as_ref().map(|file| kept(file)).transpose()?;
        if let Some(kept) = &kept {
            services.kv = kept.clone();
        }
        // Whoever measures wants what serves.
        let effort = if self.repeat.is_some() { Effort::Full } else { Effort::Quick };
        let host = choose::host(services, choose::cache(&self.load), effort)?;
        let source = reload::read_plugin(&directory.path).map_err(Failure::Mistakes)?;
        let plugin = host.load(source.without_vectors()).await.map_err(Failure::Mistakes)?;
        let called = Called::once(&plugin, &vector).await;
        let times = match self.repeat {
            Some(calls) => Some(Times::of(&plugin, &vector, calls).await),
            None => None,
        };
        let compared = match self.fresh_vs_reused {
            Some(calls) => Some(Compared::of(&plugin, &vector, calls).await),
            None => None,
        };
        if let Some(kept) = kept {
            kept.close().await;
        }
        let is_fault = called.answer.get("fault").is_some();
        let differs = compared.as_ref().is_some_and(|compared| compared.different.is_some());
        let answer = match self.format {
            Format::Text => {
                let parts = [Some(called.text()), times.map(|times| times.text()), compared.map(|it| it.text())];
                Answer::ok(parts.into_iter().flatten().collect::<String>())
            }
            Format::Json => {
                let mut told = called.to_json(&plugin);
                told["repeat"] = times.map_or(Value::Null, |times| times.to_json());
                told["fresh_vs_reused"] = compared.map_or(Value::Null, |compared| compared.to_json());
                Answer::json(&told)
            }
        };
        Ok(if is_fault || differs { Answer { exit: exit::NO, ..answer } } else { answer })
    }

    /// The topic's channel: the named one, the one that the manifests declare, or the topic itself if it is one
    /// segment. A longer topic may belong to a channel with params, which the plugin would then miss.
    fn channel(&self) -> Result<Option<String>, Failure> {
        let named = self.channel.is_some() || self.kind == Kind::Connection;
        let Some(topic) = self.topic.as_ref().filter(|_| !named) else { return Ok(self.channel.clone()) };
        let catalog = self.load.channel_sources(&mut None).ok();
        let catalog = catalog.and_then(|(_, sources)| channels::compile(&sources, Generation(1)).ok());
        if let Some(resolved) = catalog.as_ref().and_then(|catalog| catalog.resolve(topic)) {
            return Ok(Some(resolved.channel.template.to_string()));
        }
        if !topic.contains('.') {
            return Ok(None);
        }
        let why = if catalog.is_some() { "no manifest declares" } else { "there are no manifests here that declare" };
        let hint = format!("name the channel: `--channel 'vault.{{vaultId}}'`, or `--channel {topic}` itself");
        Err(Failure::Mistakes(vec![Diagnostic::new(format!("{why} the channel of `{topic}`")).hint(hint)]))
    }

    /// The question, from the input and the flags.
    fn vector(&self) -> Result<Vector, Failure> {
        let kind = match self.kind {
            Kind::Handler => PluginKind::Handler,
            Kind::Authorizer => PluginKind::Authorizer,
            Kind::Snapshot => PluginKind::Snapshot,
            Kind::Transform => PluginKind::Transform,
            Kind::Connection => PluginKind::Connection,
        };
        if self.phase.is_some() && kind != PluginKind::Connection {
            return Err(Failure::Mistakes(vec![Diagnostic::new("`--phase` works only with `connection`")]));
        }
        let phase = match self.phase {
            Some(PhaseFlag::Disconnected) => Phase::Disconnected,
            Some(PhaseFlag::Connected) | None => Phase::Connected,
        };
        let user = |id: &String| UserFile { id: id.clone(), roles: self.role.clone(), tenant: self.tenant.clone() };
        let context = ContextFile {
            topic: self.topic.clone(),
            channel: self.channel()?,
            user: self.user.as_ref().map(user),
            ..ContextFile::default()
        };
        let vector = match &self.input {
            Some(input) => Vector::of_input(&Arc::new(read(input)?), kind, context),
            None => Vector::without_input(kind, context, phase),
        };
        let told = |mistake: Diagnostic| {
            let hint = "give it with `--topic`, like `--topic vault.v1 --channel 'vault.{vaultId}'`";
            let lacks = mistake.message.contains("`context.topic`") && !mistake.message.contains("` is for `");
            let about_topic = lacks && mistake.hint.is_none();
            Failure::Mistakes(vec![if about_topic { mistake.hint(hint) } else { mistake }])
        };
        let vector = vector.map_err(told)?;
        if vector.kind() != kind {
            let message = format!(
                "`{}` is a vector for the kind `{}`, not for `{}`",
                vector.path(),
                vector.kind().as_str(),
                kind.as_str()
            );
            return Err(Failure::Mistakes(vec![Diagnostic::new(message)]));
        }
        Ok(vector)
    }
}

/// The keys of an existing store: a mistyped path must not create a store.
fn kept(file: &Path) -> Result<Arc<SqliteStore>, Failure> {
    let there = std::fs::metadata(file);
    there.map_err(|source| Failure::File { path: file.display().to_string(), source })?;
    Ok(Arc::new(SqliteStore::new(file.to_owned(), Arc::new(SystemClock))))
}

fn read(input: &str) -> Result<SourceFile, Failure> {
    let path = if input == "-" { "stdin" } else { input }.to_owned();
    let mut text = String::new();
    // One byte more than allowed shows that there is more.
    let read = if input == "-" {
        std::io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(input).and_then(|file| file.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text))
    };
    match read {
        Ok(bytes) if bytes as u64 > INPUT_BYTES_MAX => {
            let most = ByteSize::from_bytes(INPUT_BYTES_MAX);
            Err(Failure::File { path, source: std::io::Error::other(format!("an input may have at most {most}")) })
        }
        Ok(_) => Ok(SourceFile { path, text }),
        Err(source) => Err(Failure::File { path, source }),
    }
}

impl Called {
    async fn once(plugin: &Plugin, vector: &Vector) -> Self {
        let started = Instant::now();
        let (answer, did) = recorded(vector.ask(plugin)).await;
        Self { answer, did, took: started.elapsed() }
    }

    fn text(&self) -> String {
        let mut rows: Vec<[String; 2]> = Vec::new();
        let mut row = |what: &str, said: String| rows.push([what.to_owned(), said]);
        for (key, value) in self.answer.as_object().into_iter().flatten() {
            match value {
                Value::Array(effects) => effects.iter().for_each(|effect| row("effect", effect.to_string())),
                Value::String(word) => row(key, word.clone()),
                value => row(key, value.to_string()),
            }
        }
        for (level, line) in &self.did.log {
            row("log", format!("{level} {line}"));
        }
        if self.did.log_dropped > 0 {
            row("log", format!("{} lines dropped", self.did.log_dropped));
        }
        for line in self.did.printed.lines() {
            row("printed", line.to_owned());
        }
        for (import, count) in &self.did.host_calls {
            row("called", format!("{import}, {count}×"));
        }
        for seen in &self.did.http {
            let told = seen.result.as_ref().map_or_else(Clone::clone, ToString::to_string);
            row("http", format!("{} {} → {told}, {}", seen.method, seen.url, show::duration(seen.took)));
        }
        row("time", format!("{}, a fresh instance included", show::duration(self.took)));
        if let Some(bytes) = self.did.memory_bytes {
            row("memory", show::bytes(u64::try_from(bytes).unwrap_or(u64::MAX)));
        }
        show::table(rows)
    }

    fn to_json(&self, plugin: &Plugin) -> Value {
        let log = self.did.log.iter().map(|(level, line)| json!({ "level": level, "line": line }));
        json!({
            "plugin": plugin.name().as_str(),
            "version": plugin.version(),
            "answer": self.answer,
            "log": log.collect::<Vec<_>>(),
            "log_dropped": self.did.log_dropped,
            "printed": self.did.printed,
            "host_calls": self.did.host_calls,
            "http": self.did.http.iter().map(http_json).collect::<Vec<_>>(),
            "took_us": micros(self.took),
            "memory_bytes": self.did.memory_bytes,
        })
    }
}

impl Times {
    async fn of(plugin: &Plugin, vector: &Vector, calls: u32) -> Self {
        let mut times = Vec::new();
        for _ in 0..calls {
            let started = Instant::now();
            let _ = vector.ask(plugin).await;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Self(times)
    }

    /// The time within which so many of a hundred calls ended.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    fn text(&self) -> String {
        let [p50, p99, max] = [50, 99, 100].map(|percent| show::duration(self.percentile(percent)));
        format!("repeat  {} calls: p50 {p50}, p99 {p99}, at most {max}\n", self.0.len())
    }

    fn to_json(&self) -> Value {
        let [p50, p99, max] = [50, 99, 100].map(|percent| micros(self.percentile(percent)));
        json!({ "calls": self.0.len(), "p50_us": p50, "p99_us": p99, "max_us": max })
    }
}

impl Compared {
    async fn of(plugin: &Plugin, vector: &Vector, calls: u32) -> Self {
        let mut reused = Vec::new();
        plugin.drop_resting();
        for _ in 0..calls {
            reused.push(vector.ask(plugin).await);
        }
        for (call, reused) in (1..).zip(&reused) {
            plugin.drop_resting();
            let found = differences(&vector.ask(plugin).await, reused);
            if !found.is_empty() {
                return Self { calls, different: Some((call, found)) };
            }
        }
        Self { calls, different: None }
    }

    fn text(&self) -> String {
        match &self.different {
            None => format!("fresh   {} calls: a fresh instance answers like a reused one\n", self.calls),
            Some((call, found)) => {
                // The answer of the reused instance differs from the fresh one's; that of the fresh one is the expected
                // answer.
                let found = found.iter().map(|line| format!("          {line}\n")).collect::<String>();
                let said =
                    format!("differs call {call}: a reused instance answers differently from a fresh one:\n{found}");
                complain(
                    "hint: keep no state between calls, or set `instances: { isolation: per-call }` in plugin.yaml\n",
                );
                said
            }
        }
    }

    fn to_json(&self) -> Value {
        let different = self.different.as_ref();
        json!({
            "calls": self.calls,
            "same": different.is_none(),
            "first_difference": different.map(|(call, found)| json!({ "call": call, "differences": found })),
        })
    }
}

fn http_json(seen: &HttpSeen) -> Value {
    let (status, error) = (seen.result.as_ref().ok(), seen.result.as_ref().err());
    let took_us = micros(seen.took);
    json!({ "method": seen.method, "url": seen.url, "status": status, "error": error, "took_us": took_us })
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
