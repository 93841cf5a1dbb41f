//! What happens to the server itself, faked: everything that is seen is kept, wanted or not.

use parking_lot::Mutex;
use serde_json::Value;
use tidegate_core::flow::OwnEvent;
use tidegate_core::flow::ports::Watch;
use tidegate_core::protocol::{OwnType, OwnTypes};

/// A record of what was seen and of what was wanted.
#[derive(Default)]
pub struct FakeWatch {
    seen: Mutex<Vec<(&'static str, Value)>>,
    wanted: Mutex<OwnTypes>,
}

impl FakeWatch {
    /// Every event so far, as `(type, data)`.
    pub fn seen(&self) -> Vec<(&'static str, Value)> {
        self.seen.lock().clone()
    }

    /// The types that are wanted now.
    pub fn wanted(&self) -> Vec<&'static str> {
        let wanted = *self.wanted.lock();
        OwnType::ALL.into_iter().filter(|own| wanted.has(*own)).map(OwnType::as_str).collect()
    }
}

impl Watch for FakeWatch {
    fn want(&self, types: OwnTypes) {
        *self.wanted.lock() = types;
    }

    fn saw(&self, event: OwnEvent<'_>) {
        self.seen.lock().push((event.own_type().as_str(), event.data().into()));
    }
}
