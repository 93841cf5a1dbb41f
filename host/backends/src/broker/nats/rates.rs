//! Rate windows that all nodes share, by the clocks of the nodes: the time at which a window is empty again is a message.

use std::time::Duration;

use super::super::Lost;
use super::State;
use super::stream::{Stored, Terms};
use super::writer::now_ms;
use tidegate_core::channels::Rate;
use tidegate_core::telemetry;

/// How often a window is tried while other nodes are first. Then only the window of this node counts.
const TRIES_MAX: u32 = 3;

impl State {
    /// Takes one message from a window: whether one was left.
    pub(super) async fn take_from(&self, window: &str, rate: Rate) -> bool {
        let left = self.try_take(window, rate).await;
        telemetry::broker_rate(match left {
            Ok(Some(true)) => "ok",
            Ok(Some(false)) => "limited",
            Ok(None) | Err(_) => "unasked",
        });
        left.ok().flatten().unwrap_or(true)
    }

    /// The generic cell rate algorithm, <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>. `None`: other nodes
    /// were first too often.
    async fn try_take(&self, window: &str, rate: Rate) -> Result<Option<bool>, Lost> {
        let each_us = u64::try_from((rate.per / rate.messages.get()).as_micros().max(1)).unwrap_or(u64::MAX);
        for _ in 0..TRIES_MAX {
            let last = self.stream.last(window).await?;
            let now_us = now_ms() * 1000;
            let before_us = last.as_ref().and_then(|last| last.text.parse().ok()).unwrap_or(0).max(now_us);
            let at_us = before_us.saturating_add(each_us);
            if at_us - now_us > each_us.saturating_mul(rate.messages.get().into()) {
                return Ok(Some(false));
            }
            let terms = Terms {
                after: Some((window.to_owned(), last.map_or(0, |last| last.seq))),
                ttl: Some(Duration::from_micros(at_us - now_us) + Duration::from_secs(1)),
                is_alone: true,
                once: None,
            };
            if let Stored::At(seq) = self.stream.store(window.to_owned(), at_us.to_string(), &terms).await? {
                self.saw(seq);
                return Ok(Some(true));
            }
        }
        Ok(None)
    }
}
