//! The recordings of a server: the calls of one version of a plugin as it saw them, for the operator who asked for them.
//! A recording ends by its number of calls, its bytes, its time, or when its version is replaced; it is kept for a while
//! then, because somebody still reads it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant as Moment;

use super::line::{self, Line};
use super::listener::Ended;
use super::redact::{POINTER_BYTES_MAX, POINTERS_MAX, Redaction};
use crate::plugin::Plugin;
use tidegate_core::flow::ports::{
    Clock as _, NoRecording, RecordingEnd, RecordingPage, RecordingState, RecordingWish, SystemClock,
};
use tidegate_core::protocol::Payload;
use tidegate_core::telemetry;

/// How long a recording is kept after its end.
const KEPT_AFTER_END: Duration = Duration::from_secs(10 * 60);
/// Most bytes of calls on one page. A longer call has a page of its own.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// The recordings of a server, one for each plugin at most.
#[derive(Default)]
pub(crate) struct Recordings(Mutex<BTreeMap<String, Of>>);

/// A recording and its version.
struct Of {
    plugin: Weak<Plugin>,
    recording: Arc<Recording>,
}

/// One recording.
pub(crate) struct Recording {
    head: Payload,
    plugin: String,
    version: String,
    by: String,
    redaction: Redaction,
    calls_max: usize,
    bytes_max: usize,
    until: Moment,
    is_over: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    calls: Vec<Payload>,
    bytes: usize,
    skipped: usize,
    ended: Option<(&'static str, Moment)>,
}

impl std::fmt::Debug for Recordings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.lock().keys()).finish()
    }
}

impl Recordings {
    /// Begins a recording of this version. Gives the first line of the file.
    ///
    /// # Errors
    /// [`NoRecording`].
    pub(crate) fn begin(&self, plugin: &Arc<Plugin>, wish: RecordingWish<'_>) -> Result<Payload, NoRecording> {
        check(&wish.pointers)?;
        let mut all = self.0.lock();
        if let Some(Of { recording, .. }) = all.get(wish.plugin).filter(|of| !of.recording.is_over()) {
            return Err(NoRecording::Running { by: recording.by.clone() });
        }
        if all.values().filter(|of| !of.recording.is_over()).count() >= wish.recordings_max {
            return Err(NoRecording::Full);
        }
        let secrets = plugin.blueprint.capabilities.secret_values();
        let redaction = Redaction::new(secrets, wish.pointers);
        let at_ms = SystemClock.now_unix_ms();
        let head = Payload::from(line::head(plugin, wish.by, wish.calls_max, at_ms, &redaction));
        let recording = Arc::new(Recording {
            head: head.clone(),
            plugin: wish.plugin.to_owned(),
            version: plugin.version().to_owned(),
            by: wish.by.to_owned(),
            redaction,
            calls_max: wish.calls_max,
            bytes_max: wish.bytes_max,
            until: Moment::now() + wish.time_max,
            is_over: AtomicBool::new(false),
            kept: Mutex::default(),
        });
        plugin.proof.record(recording.clone());
        all.insert(wish.plugin.to_owned(), Of { plugin: Arc::downgrade(plugin), recording });
        telemetry::plugin_recording_begun(wish.plugin, plugin.version(), wish.by, wish.calls_max);
        Ok(head)
    }

    /// The calls after the first `after`. `None` if there is no recording of this plugin.
    pub(crate) fn page(&self, plugin: &str, after: usize) -> Option<RecordingPage> {
        let recording = self.0.lock().get(plugin).map(|of| of.recording.clone())?;
        recording.end_in_time();
        Some(recording.page(after))
    }

    /// The lines of the file, as far as there are calls. `None` if there is no recording of this plugin.
    pub(crate) fn file(&self, plugin: &str) -> Option<Vec<Payload>> {
        let recording = self.0.lock().get(plugin).map(|of| of.recording.clone())?;
        recording.end_in_time();
        let kept = recording.kept.lock();
        let end = kept.end().map(|end| json!({ "end": end }).into());
        Some([recording.head.clone()].into_iter().chain(kept.calls.iter().cloned()).chain(end).collect())
    }

    /// Ends a recording and forgets it.
    pub(crate) fn end(&self, plugin: &str) -> Option<RecordingEnd> {
        let of = self.0.lock().remove(plugin)?;
        of.recording.end("stopped");
        of.detach();
        of.recording.kept.lock().end()
    }

    /// Ends the recordings whose version serves no more, or whose time is over, and forgets old ones.
    pub(crate) fn sweep(&self, active: &[Arc<Plugin>]) {
        self.0.lock().retain(|_, of| {
            let serves = |plugin: &Arc<Plugin>| std::ptr::eq(Arc::as_ptr(plugin), of.plugin.as_ptr());
            if !active.iter().any(serves) {
                of.recording.end("replaced");
            }
            of.recording.end_in_time();
            let ended = of.recording.kept.lock().ended;
            let is_kept = ended.is_none_or(|(_, since)| since.elapsed() < KEPT_AFTER_END);
            match of.plugin.upgrade() {
                Some(plugin) if is_kept => plugin.proof.look(),
                Some(plugin) => plugin.proof.forget(&of.recording),
                None => {}
            }
            is_kept
        });
    }
}

/// Every pointer is a JSON Pointer, and there are not too many.
fn check(pointers: &[String]) -> Result<(), NoRecording> {
    if pointers.len() > POINTERS_MAX {
        return Err(NoRecording::Pointers(format!("at most {POINTERS_MAX} JSON Pointers can be redacted")));
    }
    let is_pointer = |text: &str| text.starts_with('/') && text.len() <= POINTER_BYTES_MAX;
    match pointers.iter().find(|pointer| !is_pointer(pointer)) {
        Some(wrong) => Err(NoRecording::Pointers(format!("`{wrong}` is not a JSON Pointer such as `/payload/email`"))),
        None => Ok(()),
    }
}

impl Of {
    /// The version is heard no more.
    fn detach(&self) {
        if let Some(plugin) = self.plugin.upgrade() {
            plugin.proof.forget(&self.recording);
        }
    }
}

impl Recording {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether a call that begins now is recorded.
    pub(super) fn wants_more(&self) -> bool {
        !self.is_over()
    }

    /// For the list of plugins.
    pub(super) fn state(&self) -> RecordingState {
        let kept = self.kept.lock();
        let ended = kept.ended.map(|(reason, _)| reason);
        RecordingState { by: self.by.clone(), calls: kept.calls.len(), ended }
    }

    fn end_in_time(&self) {
        if Moment::now() >= self.until {
            self.end("time");
        }
    }

    fn end(&self, reason: &'static str) {
        let mut kept = self.kept.lock();
        self.close(&mut kept, reason);
    }

    fn close(&self, kept: &mut Kept, reason: &'static str) {
        if kept.ended.is_some() {
            return;
        }
        self.is_over.store(true, Ordering::Relaxed);
        kept.ended = Some((reason, Moment::now()));
        telemetry::plugin_recording_ended(&self.plugin, &self.version, &self.by, reason, kept.calls.len(), kept.bytes);
    }

    /// Takes a call that ended.
    pub(super) fn take(&self, ended: Ended) {
        let line = if ended.heard.is_cut { None } else { Line::from(ended).redacted(&self.redaction) };
        let mut kept = self.kept.lock();
        if kept.ended.is_some() {
            return;
        }
        if Moment::now() >= self.until {
            return self.close(&mut kept, "time");
        }
        let Some(line) = line else {
            kept.skipped += 1;
            return;
        };
        if kept.bytes + line.as_str().len() > self.bytes_max {
            return self.close(&mut kept, "bytes");
        }
        kept.bytes += line.as_str().len();
        kept.calls.push(line);
        telemetry::plugin_call_recorded(&self.plugin);
        if kept.calls.len() >= self.calls_max {
            self.close(&mut kept, "calls");
        }
    }

    fn page(&self, after: usize) -> RecordingPage {
        let kept = self.kept.lock();
        let (mut calls, mut bytes) = (Vec::new(), 0);
        for call in kept.calls.iter().skip(after) {
            bytes += call.as_str().len();
            if bytes > PAGE_BYTES_MAX && !calls.is_empty() {
                break;
            }
            calls.push(call.clone());
        }
        let next = after.min(kept.calls.len()) + calls.len();
        RecordingPage { calls, next, ended: kept.end().filter(|_| next == kept.calls.len()) }
    }
}

impl Kept {
    fn end(&self) -> Option<RecordingEnd> {
        let (reason, _) = self.ended?;
        Some(RecordingEnd { reason, calls: self.calls.len(), skipped: self.skipped, bytes: self.bytes })
    }
}
