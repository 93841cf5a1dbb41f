//! Reads what a node did not hear from the history, and delivers it before anything that was heard after it.

use std::sync::Arc;

use tokio::time::sleep;

use super::RETRY_MAX;
use super::delivery::{Delivery, Followed};
use super::follower::{Follower, Found};
use tidegate_core::flow::ports::{Entry, Page, Wanted};
use tidegate_core::protocol::Topic;

/// Most publications of one read, and most bytes.
const ENTRIES_PER_READ: usize = 1000;
const BYTES_PER_READ: usize = 1 << 20;

/// Reads until everything that was heard meanwhile is delivered, or nobody wants the topic any more. While the history
/// cannot be reached it tries again.
pub(super) async fn catch_up<S: Followed>(to: Delivery<S>, topic: Topic, follower: Arc<Follower>) {
    let Delivery { state, node } = &to;
    let is_wanted = || {
        let present = state.interest().follower(topic.as_str());
        present.is_some_and(|(_, present)| Arc::ptr_eq(&present, &follower))
    };
    while is_wanted() {
        let wanted = Wanted { since: follower.begin(), entries_max: ENTRIES_PER_READ, bytes_max: BYTES_PER_READ };
        let Ok((Page { entries, more, newest, .. }, removals)) = state.read_missed(&topic, &wanted).await else {
            sleep(RETRY_MAX).await;
            continue;
        };
        let tell = |found: Found| match found {
            Found::Entry(Entry { position, payload, except, trace }) => {
                node.hear_publication(&topic, payload, except, Some(position), trace);
            }
            Found::Removed(removed) => node.hear_removed(&topic, &removed),
        };
        match entries {
            Ok(entries) => {
                follower.deliver(entries, tell);
                if follower.missed_removals(removals) {
                    to.tell_gap(&topic);
                }
            }
            // The history does not have it any more.
            Err(_) => {
                follower.missed_removals(removals);
                follower.skip_to(newest, tell);
                to.tell_gap(&topic);
            }
        }
        if !more && follower.caught_up() {
            return;
        }
    }
}
