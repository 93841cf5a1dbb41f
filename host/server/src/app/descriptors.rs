//! How many file descriptors this process may have, and how many TCP connections they allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use tidegate_core::config::Limits;
use tidegate_core::telemetry;

/// The number to ask for if the system has no limit: what Linux allows a process by default.
const DESCRIPTORS_MAX: u64 = 1 << 20;
/// One in four is reserved for everything except clients – files, databases, brokers, requests to others – …
const KEPT_SHARE: u64 = 4;
/// …and at most this many.
const KEPT_MAX: u64 = 1024;

/// Raises the limit of open file descriptors to what the system allows, and returns it.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(DESCRIPTORS_MAX);
    if limit.current.is_some_and(|current| current < most) {
        // If that is refused, the earlier limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_MAX)
}

/// The limit of TCP connections: the configured one, or a lower one if there are not enough file descriptors, which is
/// reported.
pub(super) fn tcp_connections_max(limits: &Limits) -> usize {
    fitting(raise(), limits)
}

fn fitting(descriptors: u64, limits: &Limits) -> usize {
    let room = room(descriptors);
    let max = limits.tcp_connections_max.map_or(room, |asked| asked.min(room));
    if let Some(asked) = limits.tcp_connections_max.filter(|asked| *asked > room) {
        telemetry::descriptors_too_few(descriptors, "limits.tcp_connections", asked, max);
    } else if limits.tcp_connections_max.is_none() && limits.connections_max > room {
        telemetry::descriptors_too_few(descriptors, "limits.connections", limits.connections_max, max);
    }
    max
}

fn room(descriptors: u64) -> usize {
    let kept = (descriptors / KEPT_SHARE).min(KEPT_MAX);
    usize::try_from(descriptors - kept).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_descriptors_for_everything_else() {
        assert_eq!(room(200), 150);
        assert_eq!(room(1024), 768);
        assert_eq!(room(1 << 20), (1 << 20) - 1024);
        assert_eq!(room(0), 1);
    }

    #[test]
    fn the_limit_configured_counts_where_the_descriptors_are_enough() {
        let limits = |max| Limits { tcp_connections_max: max, ..Limits::default() };
        assert_eq!(fitting(1024, &limits(None)), 768);
        assert_eq!(fitting(1024, &limits(Some(100))), 100);
        assert_eq!(fitting(1024, &limits(Some(1000))), 768);
    }

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        let descriptors = raise();
        assert!(getrlimit(Resource::Nofile).maximum.is_none_or(|most| descriptors == most), "{descriptors}");
    }
}
