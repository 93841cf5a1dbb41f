//! `tidegate plugin replay`: asks another component the questions of a recording, and compares its answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::{self, Failure};
use super::super::load::Load;
use super::super::show;
use super::super::{Answer, Format, complain, exit};
use super::choose;
use crate::reload;
use tidegate_core::config::{Diagnostic, SourceFile};
use tidegate_wasm::{DifferenceKind, Effort, Factors, Group, PluginSource, RecordedFile, Replay as Replayed, Services};

/// The file that holds the configuration, the grants and the limits of a component beside it.
const MANIFEST: &str = "plugin.yaml";

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A recording of `tidegate record`
    #[arg(value_name = "FILE")]
    recording: PathBuf,
    /// The component to ask, in any language. The plugin.yaml beside it says what it may do; without one, that of the
    /// recording
    #[arg(long, value_name = "FILE.wasm")]
    component: PathBuf,
    /// Kinds of differences that may be
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_parser = kind)]
    allow: Vec<DifferenceKind>,
    /// Compare time: how many times slower half of the calls may be. Times of another machine say little
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    slower: Option<f64>,
    /// Compare memory: how many times larger the largest instance may be
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    larger: Option<f64>,
    /// Give each call a fresh instance
    #[arg(long)]
    fresh: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

fn kind(name: &str) -> Result<DifferenceKind, String> {
    DifferenceKind::named(name).ok_or_else(|| {
        let known: Vec<&str> = DifferenceKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| "expected a number such as 2.0".to_owned())?;
    if factor.is_finite() && factor >= 1.0 { Ok(factor) } else { Err("expected 1.0 or more".to_owned()) }
}

impl Replay {
    pub(super) async fn run(self) -> Result<Answer, Failure> {
        let file = read(&self.recording)?;
        let source = self.source(&file)?;
        let host = choose::host(Services::in_memory(), choose::cache(&self.load), Effort::Full)?;
        let plugin = match (host.load(source).await, self.format) {
            (Ok(plugin), _) => plugin,
            (Err(mistakes), Format::Text) => {
                complain(&failure::render(&mistakes));
                return Ok(Answer { text: String::new(), exit: exit::PLUGIN });
            }
            (Err(mistakes), Format::Json) => {
                let answer = Answer::json(&json!({ "ok": false, "mistakes": failure::to_json(&mistakes) }));
                return Ok(Answer { exit: exit::PLUGIN, ..answer });
            }
        };
        // In the time that a golden vector has: on a busy machine, too.
        let trial = host.trial(&plugin).await.map_err(|error| Failure::Mistakes(vec![Diagnostic::new(error)]))?;
        let factors = Factors { slower: self.slower, larger: self.larger };
        let replay = file.replay(&trial, factors, self.fresh).await;
        let refused = replay.groups.iter().any(|group| !self.allow.contains(&group.kind));
        let answer = match self.format {
            Format::Text => Answer::ok(self.text(&file, &replay)),
            Format::Json => Answer::json(&self.to_json(&file, &replay, !refused, plugin.digest().as_str())),
        };
        Ok(if refused { Answer { exit: exit::NO, ..answer } } else { answer })
    }

    fn source(&self, file: &RecordedFile) -> Result<PluginSource, Failure> {
        let path = self.component.display().to_string();
        let named = self.component.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let component = reload::read_component_file(&self.component);
        let component = component.map_err(|source| Failure::File { path: path.clone(), source })?;
        let beside = self.component.parent().unwrap_or(Path::new("")).join(MANIFEST);
        let manifest = if beside.is_file() {
            let shown = beside.display().to_string();
            let text =
                std::fs::read_to_string(&beside).map_err(|source| Failure::File { path: shown.clone(), source })?;
            Arc::new(SourceFile { path: shown, text })
        } else {
            file.manifest(&named)
        };
        Ok(PluginSource { name: file.plugin(), manifest, component_path: path, component, vectors: Vec::new() })
    }

    fn text(&self, file: &RecordedFile, replay: &Replayed) -> String {
        let (calls, same) = (replay.calls, replay.same);
        let took = show::duration(replay.took);
        let mut text = format!("{calls} calls of {} replayed in {took}: {same} the same\n", file.plugin());
        for group in &replay.groups {
            let allowed = if self.allow.contains(&group.kind) { ", allowed" } else { "" };
            let first = group.first_line.map(|line| format!(", the first on line {line}")).unwrap_or_default();
            text += &format!("{:<14}  {} calls{first}{allowed}\n", group.kind.as_str(), group.calls);
            for line in &group.first {
                text += &format!("                {line}\n");
            }
        }
        if file.ended().is_none() {
            complain("warning: the recording has no last line: it was cut off\n");
        }
        text
    }

    fn to_json(&self, file: &RecordedFile, replay: &Replayed, ok: bool, component: &str) -> Value {
        let group = |Group { kind, calls, first_line, first }: &Group| {
            let allowed = self.allow.contains(kind);
            json!({ "kind": kind, "calls": calls, "first_line": first_line, "first": first, "allowed": allowed })
        };
        let ((busy, busy_now), (memory, memory_now)) = (replay.busy_us, replay.memory_bytes);
        json!({
            "ok": ok,
            "plugin": file.plugin().as_str(),
            "recorded": { "component": file.component(), "ended": file.ended(), "busy_us": busy, "memory_bytes": memory },
            "replayed": { "component": component, "busy_us": busy_now, "memory_bytes": memory_now },
            "calls": replay.calls,
            "same": replay.same,
            "call_us": replay.call_us,
            "took_us": u64::try_from(replay.took.as_micros()).unwrap_or(u64::MAX),
            "differences": replay.groups.iter().map(group).collect::<Vec<_>>(),
        })
    }
}

/// Reads a recording that has calls.
fn read(path: &Path) -> Result<RecordedFile, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Failure::File { path: shown.clone(), source })?;
    let mistake = |why: String| Failure::Mistakes(vec![Diagnostic::new(format!("`{shown}`: {why}"))]);
    let file = RecordedFile::read(&text).map_err(|bad| mistake(bad.to_string()))?;
    if file.calls() == 0 {
        return Err(mistake("the recording has no calls, so it proves nothing".to_owned()));
    }
    Ok(file)
}
