//! Who listens to the calls of a version. A version to which nobody listens pays one read of a flag for each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;

use super::recording::Recording;
use crate::tape::Heard;
use crate::vectors::Question;

/// The listeners of one version.
#[derive(Default)]
pub(crate) struct Proof {
    is_heard: AtomicBool,
    recording: Mutex<Option<Arc<Recording>>>,
}

/// A call that ended.
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
}

impl Proof {
    /// The listeners of a call that begins; `None` if there are none.
    pub(crate) fn listen(&self) -> Option<Listener> {
        if !self.is_heard.load(Ordering::Relaxed) {
            return None;
        }
        let recording = self.recording.lock().clone().filter(|recording| recording.wants_more());
        recording.is_some().then_some(Listener { recording })
    }

    /// Records the calls that begin from now on.
    pub(super) fn record(&self, recording: Arc<Recording>) {
        *self.recording.lock() = Some(recording);
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Ends what a recording hears, unless another one began meanwhile.
    pub(super) fn forget(&self, recording: &Arc<Recording>) {
        let mut now = self.recording.lock();
        if now.as_ref().is_some_and(|now| Arc::ptr_eq(now, recording)) {
            *now = None;
            self.is_heard.store(false, Ordering::Relaxed);
        }
    }
}

impl Listener {
    /// Hears how the call went.
    pub(crate) fn hear(self, ended: Ended) {
        if let Some(recording) = self.recording {
            recording.take(ended);
        }
    }
}
