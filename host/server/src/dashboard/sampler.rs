//! Reads the metrics at intervals, and publishes what they say.
//!
//! A reading costs what `/metrics` costs. Somebody who opens the page wants the last 15 minutes at once, so `overview` is
//! sampled always: every second while an operator looks, else every five. Everything else is read only for an operator
//! who looks at it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::change::{Change, Reading};
use super::overview::Away;
use super::{Live, overview, rates};
use tidegate_core::flow::Gates;
use tidegate_core::flow::ports::{Clock as _, PluginRoster, SystemClock};
use tidegate_realtime::Realtime;

/// How often an operator who looks sees something new.
const TICK: Duration = Duration::from_secs(1);
/// In which tick `overview` is sampled while nobody looks.
const UNSEEN_EVERY: u64 = 5;
/// In which tick the other topics are published.
const RATES_EVERY: u64 = 2;
/// The topics that are read only for an operator who looks.
const ON_DEMAND: [&str; 3] = ["channels", "plugins", "bridge"];

/// The application, as its operators see it.
pub struct Application {
    /// Its gates.
    pub gates: Arc<Gates>,
    /// Its clients.
    pub clients: Arc<Realtime>,
    /// Its plugins.
    pub plugins: Arc<dyn PluginRoster>,
    /// What is away now.
    pub away: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The name of this node.
    pub node: String,
}

/// Samples until it is dropped.
pub(super) async fn run(live: Arc<Live>, application: Application) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut away, mut before, mut for_rates) = (Away::default(), Reading::now(), None);
    for tick in 1_u64.. {
        ticks.tick().await;
        let now_unix_s = SystemClock.now_unix_s();
        live.tails.sweep(now_unix_s);
        live.tails.drop_unwatched(now_unix_s, |id| live.is_followed(&format!("tail.{id}")));
        let wanted: Vec<&str> = ON_DEMAND.into_iter().filter(|topic| live.is_followed(topic)).collect();
        let are_due = !wanted.is_empty() && tick.is_multiple_of(RATES_EVERY);
        if !(are_due || live.is_followed("overview") || tick.is_multiple_of(UNSEEN_EVERY)) {
            continue;
        }
        let now = Reading::now();
        let now_ms = SystemClock.now_unix_ms();
        let sample = overview::sample(&Change { before: &before, now: &now }, &application, &mut away, now_ms);
        *live.newest.lock() = Some(sample.clone());
        live.publish("overview", sample).await;
        if are_due {
            let change = Change { before: for_rates.as_ref().unwrap_or(&before), now: &now };
            for topic in &wanted {
                let rates = match *topic {
                    "channels" => rates::channels(&change, &application, now_ms),
                    "plugins" => rates::plugins(&change, &application, now_ms),
                    _ => rates::bridge(&change, &application, now_ms),
                };
                live.publish(topic, rates).await;
            }
            for_rates = None;
        } else if !wanted.is_empty() && for_rates.is_none() {
            // Rates of two seconds begin at the last reading before them.
            for_rates = Some(before);
        }
        before = now;
    }
}
