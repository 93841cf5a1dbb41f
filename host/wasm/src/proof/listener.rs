//! Who listens to the calls of a version. A version to which nobody listens pays one read of a flag for each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;

use super::recording::Recording;
use super::shadow::{Shadow, ShadowState};
use crate::tape::Heard;
use crate::vectors::Question;
use tidegate_core::flow::ports::{RecordingState, ShadowStatus};

/// The listeners of one version.
#[derive(Default)]
pub(crate) struct Proof {
    is_heard: AtomicBool,
    recording: Mutex<Option<Arc<Recording>>>,
    shadow: Mutex<Option<ShadowState>>,
}

/// A call that ended.
#[derive(Clone)]
pub(crate) struct Ended {
    pub(crate) question: Question,
    /// In the words of `expect`.
    pub(crate) answer: Value,
    pub(crate) heard: Heard,
    /// From the question to the answer.
    pub(crate) took: Duration,
}

/// The listeners of one call.
pub(crate) struct Listener {
    recording: Option<Arc<Recording>>,
    shadow: Option<Arc<Shadow>>,
}

impl Proof {
    /// The listeners of a call that begins; `None` if there are none.
    pub(crate) fn listen(&self) -> Option<Listener> {
        if !self.is_heard.load(Ordering::Relaxed) {
            return None;
        }
        let recording = self.recording.lock().clone().filter(|recording| recording.wants_more());
        let shadow = self.running().filter(|shadow| shadow.samples());
        (recording.is_some() || shadow.is_some()).then_some(Listener { recording, shadow })
    }

    fn running(&self) -> Option<Arc<Shadow>> {
        match &*self.shadow.lock() {
            Some(ShadowState::Running(shadow)) => Some(shadow.clone()),
            Some(ShadowState::Broken { .. }) | None => None,
        }
    }

    /// Puts a shadow in the place of the one before.
    pub(super) fn shadow(&self, state: ShadowState) {
        *self.shadow.lock() = Some(state);
        self.look();
    }

    /// Whether there is a shadow, and it is one of these.
    pub(super) fn shadow_is(&self, wanted: impl FnOnce(&ShadowState) -> bool) -> bool {
        self.shadow.lock().as_ref().is_some_and(wanted)
    }

    /// The shadow for operators; `None` without one.
    pub(crate) fn shadow_status(&self) -> Option<ShadowStatus> {
        self.shadow.lock().as_ref().map(ShadowState::status)
    }

    /// The recording for operators; `None` without one.
    pub(crate) fn recording_state(&self) -> Option<RecordingState> {
        self.recording.lock().as_ref().map(|recording| recording.state())
    }

    /// Looks again who listens.
    pub(super) fn look(&self) {
        let is_heard =
            self.recording.lock().as_ref().is_some_and(|recording| recording.wants_more()) || self.running().is_some();
        self.is_heard.store(is_heard, Ordering::Relaxed);
    }

    /// Records the calls that begin from now on.
    pub(super) fn record(&self, recording: Arc<Recording>) {
        *self.recording.lock() = Some(recording);
        self.look();
    }

    /// Ends what a recording hears, unless another one began meanwhile.
    pub(super) fn forget(&self, recording: &Arc<Recording>) {
        self.recording.lock().take_if(|now| Arc::ptr_eq(now, recording));
        self.look();
    }
}

impl Listener {
    /// Hears how the call went.
    pub(crate) fn hear(self, ended: Ended) {
        if let Some(shadow) = self.shadow {
            shadow.take(&ended);
        }
        if let Some(recording) = self.recording {
            recording.take(ended);
        }
    }
}
