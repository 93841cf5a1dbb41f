//! Replays a recording: another component is asked the same questions, and the host answers it as it answered then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant as Moment;

use super::differences::{self, Difference, DifferenceKind};
use super::line::{Catalogs, FORMAT, Line};
use crate::plugin::Plugin;
use crate::tape::record::micros;
use crate::tape::{Overlay, Play, heard, playing};
use crate::vectors::{Question, ask};
use tidegate_core::config::SourceFile;
use tidegate_core::protocol::PluginName;

/// A recording cannot be replayed: the number of its line, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadRecording {
    /// The line, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// A recording that was read.
pub struct RecordedFile {
    head: Value,
    calls: Vec<(usize, Line, Question)>,
    /// The last line: how the recording ended; `None` if it was cut off.
    end: Option<Value>,
}

/// How much more than then is tolerated; `None`: it is not compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Factors {
    /// Of the time that the plugin itself needs: the middle one of all calls.
    pub slower: Option<f64>,
    /// Of the linear memory after a call: the largest of all.
    pub larger: Option<f64>,
}

/// All differences of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The kind.
    pub kind: DifferenceKind,
    /// The calls with such a difference.
    pub calls: usize,
    /// The line of the first one; `None` where all calls are judged together.
    pub first_line: Option<usize>,
    /// How it differs.
    pub first: Vec<String>,
}

/// How a call went.
#[derive(Debug, Clone, Copy)]
struct Played {
    took_us: u64,
    busy_us: u64,
    memory_bytes: Option<usize>,
}

/// The replay of a recording.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The calls that were replayed.
    pub calls: usize,
    /// The calls without any difference.
    pub same: usize,
    /// The differences, by kind.
    pub groups: Vec<Group>,
    /// How long all calls took together.
    pub took: Duration,
    /// The middle time of a call, in microseconds.
    pub call_us: u64,
    /// The middle time that the plugin itself needed: then, and now, in microseconds.
    pub busy_us: (u64, u64),
    /// The largest linear memory: then, and now, in bytes.
    pub memory_bytes: (usize, usize),
}

impl RecordedFile {
    /// Reads the text of a recording.
    ///
    /// # Errors
    /// [`BadRecording`] for the first line that is none of a recording.
    pub fn read(text: &str) -> Result<Self, BadRecording> {
        let bad = |line: usize, why: String| BadRecording { line: line + 1, why };
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let head = lines.next().and_then(|(_, line)| serde_json::from_str::<Value>(line).ok());
        let head = head.filter(|head| head.get("tidegate_recording").is_some());
        let head = head.ok_or_else(|| bad(0, "this is not a recording of `tidegate record`".to_owned()))?;
        if head["tidegate_recording"] != FORMAT {
            let why = format!("the format is {}, this version reads {FORMAT}", head["tidegate_recording"]);
            return Err(bad(0, why));
        }
        let (mut calls, mut end, mut catalogs) = (Vec::new(), None, Catalogs::default());
        for (at, text) in lines {
            if let Ok(Value::Object(mut last)) = serde_json::from_str::<Value>(text)
                && let Some(told) = last.remove("end")
            {
                end = Some(told);
                continue;
            }
            let line: Line = serde_json::from_str(text).map_err(|error| bad(at, error.to_string()))?;
            let question = line.question(&mut catalogs).map_err(|why| bad(at, why))?;
            calls.push((at + 1, line, question));
        }
        Ok(Self { head, calls, end })
    }

    /// The plugin that was recorded.
    #[must_use]
    pub fn plugin(&self) -> PluginName {
        PluginName::new(self.head["plugin"].as_str().unwrap_or("recorded"))
    }

    /// The digest of the component that was recorded.
    #[must_use]
    pub fn component(&self) -> &str {
        self.head["component"].as_str().unwrap_or_default()
    }

    /// How many calls there are.
    #[must_use]
    pub const fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Why the recording ended; `None` if it was cut off.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.end.as_ref()?["reason"].as_str()
    }

    /// A `plugin.yaml` of the recorded configuration, grants and limits, for a component of this file name.
    #[must_use]
    pub fn manifest(&self, component: &str) -> Arc<SourceFile> {
        let mut keys = Map::from_iter([("component".to_owned(), component.into())]);
        keys.extend(
            self.head["plugin_yaml"].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())),
        );
        // The kinds of the other component are its own affair.
        keys.shift_remove("kinds");
        Arc::new(SourceFile { path: "the recording".to_owned(), text: format!("{:#}\n", Value::Object(keys)) })
    }

    /// Asks a component every question, and compares its answers. `isolated` gives each call a fresh instance.
    pub async fn replay(&self, plugin: &Plugin, factors: Factors, isolated: bool) -> Replay {
        let mut groups: BTreeMap<DifferenceKind, Group> = BTreeMap::new();
        let (mut played, mut same) = (Vec::with_capacity(self.calls.len()), 0);
        let began = Moment::now();
        for (number, line, question) in &self.calls {
            if isolated {
                plugin.drop_resting();
            }
            let (found, how) = play(plugin, line, question).await;
            same += usize::from(found.is_empty());
            for Difference { kind, shown } in found {
                let group = groups.entry(kind);
                let first = || Group { kind, calls: 0, first_line: Some(*number), first: shown };
                group.or_insert_with(first).calls += 1;
            }
            played.push(how);
        }
        let mut replay = Replay {
            calls: self.calls.len(),
            same,
            groups: Vec::new(),
            took: began.elapsed(),
            call_us: middle(played.iter().map(|one| one.took_us)),
            busy_us: (
                middle(self.calls.iter().map(|(_, line, _)| line.busy_us)),
                middle(played.iter().map(|one| one.busy_us)),
            ),
            memory_bytes: (
                self.calls.iter().filter_map(|(_, line, _)| line.memory_bytes).max().unwrap_or_default(),
                played.iter().filter_map(|one| one.memory_bytes).max().unwrap_or_default(),
            ),
        };
        groups.extend(replay.beyond(factors).map(|group| (group.kind, group)));
        replay.groups = DifferenceKind::ALL.into_iter().filter_map(|kind| groups.remove(&kind)).collect();
        replay
    }
}

impl Replay {
    /// What is beyond what is tolerated, of all calls together.
    fn beyond(&self, factors: Factors) -> impl Iterator<Item = Group> + use<> {
        let group = |kind, first| Group { kind, calls: self.calls, first_line: None, first: vec![first] };
        let time = factors.slower.filter(|factor| self.busy_us.1 as f64 > self.busy_us.0 as f64 * factor);
        let memory = factors.larger.filter(|factor| self.memory_bytes.1 as f64 > self.memory_bytes.0 as f64 * factor);
        let time = time.map(|factor| {
            let (then, now) = self.busy_us;
            group(
                DifferenceKind::Time,
                format!("half of the calls needed {then} µs, now {now} µs: more than {factor} times"),
            )
        });
        let memory = memory.map(|factor| {
            let (then, now) = self.memory_bytes;
            group(
                DifferenceKind::Memory,
                format!("the largest had {then} bytes, now {now} bytes: more than {factor} times"),
            )
        });
        time.into_iter().chain(memory)
    }
}

/// Asks the question of a call, and compares what comes.
async fn play(plugin: &Plugin, line: &Line, question: &Question) -> (Vec<Difference>, Played) {
    let tape = Play::new(line.imports.clone(), Overlay::default(), line.at_ms);
    let began = Moment::now();
    let ((answer, rest), heard) = heard(playing(tape, ask(plugin, question))).await;
    let how =
        Played { took_us: micros(began.elapsed()), busy_us: micros(heard.busy), memory_bytes: heard.memory_bytes };
    (differences::of(&line.answer, &answer, &rest), how)
}

fn middle(times: impl Iterator<Item = u64>) -> u64 {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
