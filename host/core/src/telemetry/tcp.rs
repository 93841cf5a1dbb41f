//! TCP connections: how many there are, why they ended, and when the system refuses one.

use super::events::Sampler;
use super::metrics::UnderWay;
use super::names;
use super::registry::{counter, gauge};

static FAILURES: Sampler = Sampler::rare();
static REFUSALS: Sampler = Sampler::rare();

/// Counts a TCP connection until this is dropped.
pub fn tcp_connection() -> UnderWay {
    UnderWay::begin(gauge(names::TCP_CONNECTIONS, &[]))
}

/// Records the limit of TCP connections.
pub fn tcp_connections_max(connections: usize) {
    gauge(names::TCP_CONNECTIONS_MAX, &[]).set(connections as f64);
}

/// Counts a TCP connection that ended because its peer was too slow; `phase` is `head`, `body`, `idle` or `write`.
pub fn tcp_timeout(phase: &'static str) {
    counter(names::TCP_TIMEOUTS, &[("phase", phase)]).increment(1);
}

/// `server.full`: counts a TCP connection beyond the limit.
pub fn tcp_connection_refused(tcp_connections: usize) {
    counter(names::TCP_REFUSED, &[]).increment(1);
    if let Some(suppressed) = REFUSALS.admit_now() {
        let event = names::SERVER_FULL;
        tracing::warn!(
            event,
            tcp_connections,
            suppressed,
            "the limit of TCP connections is reached, new ones are answered with 503"
        );
    }
}

/// `server.accept_failed`: counts a connection that the system refused; the server waits and tries again.
pub fn accept_failed(why: &str) {
    counter(names::ACCEPT_ERRORS, &[]).increment(1);
    if let Some(suppressed) = FAILURES.admit_now() {
        let event = names::ACCEPT_FAILED;
        let hint = "if the file descriptors ran out, raise the limit of open files (ulimit -n, LimitNOFILE), or lower limits.tcp_connections";
        tracing::error!(event, why, hint, suppressed, "the system refuses new connections, trying again");
    }
}

/// `server.accepting`: new connections are accepted again, after so many failures.
pub fn accepting_again(failures: u64) {
    tracing::info!(event = names::ACCEPTING, failures, "new connections are accepted again");
}

/// `server.descriptors`: the system allows this process fewer file descriptors than `limit` in the configuration needs.
pub fn descriptors_too_few(descriptors: u64, limit: &'static str, asked: usize, tcp_connections: usize) {
    let event = names::DESCRIPTORS;
    let hint = "raise the limit of open files (ulimit -Hn, LimitNOFILE)";
    let message = "the limit of file descriptors is too low for the configuration";
    tracing::warn!(event, descriptors, limit, asked, tcp_connections, hint, message);
}
