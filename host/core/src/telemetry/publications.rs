//! The metric of publications.

use super::metrics::count_by_channel;
use super::names;

/// Counts a publication that came to the rooms of this node. `channel` is the template.
pub fn published(channel: &str) {
    count_by_channel(names::PUBLICATIONS, channel, 1);
}
