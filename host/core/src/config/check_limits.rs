//! The rules for the `limits:` section beyond its types: times that can be met, and limits that fit together.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::Told;
use super::{ByteSize, HumanDuration, Limits};

/// The range of times in which something must happen: less is never enough, and nobody waits for more.
const PATIENCE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60 * 60);
/// The range of times that may also be zero.
const WHILE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 60 * 60);
/// The head of a request, in bytes: a token of 8 KiB plus a browser's other headers must fit, and the HTTP server must
/// have room for it.
const HEADERS_BYTES: RangeInclusive<usize> = 16 << 10..=256 << 10;

/// Reports errors in values that were decoded.
pub(super) fn check(limits: &Limits, told: &mut Told<'_>) {
    let times = [
        ("head_timeout", limits.head_timeout, PATIENCE),
        ("idle_timeout", limits.idle_timeout, PATIENCE),
        ("write_timeout", limits.write_timeout, PATIENCE),
        ("handshake_timeout", limits.handshake_timeout, PATIENCE),
        ("broker_timeout", limits.broker_timeout, PATIENCE),
        ("store_timeout", limits.store_timeout, PATIENCE),
        ("body_timeout", limits.body_timeout, PATIENCE),
        ("drain_timeout", limits.drain_timeout, PATIENCE),
        ("plugin_compile_time", limits.plugin_compile_time_max, PATIENCE),
        ("plugin_self_test", limits.plugin_self_test_max, PATIENCE),
        ("idempotency_window", limits.idempotency_window, PATIENCE),
        ("recording_time", limits.recording_time_max, PATIENCE),
        ("plugin_drain", limits.plugin_drain_max, WHILE),
        ("duplicates_window", limits.duplicates_window, WHILE),
        ("broker_linger", limits.broker_linger, WHILE),
    ];
    for (name, time, range) in times {
        if !range.contains(&time) {
            let [time, least, most] = [time, *range.start(), *range.end()].map(HumanDuration::new);
            told.add(&format!("/limits/{name}"), &format!("`{name}` is {time}: expected {least} to {most}"), None);
        }
    }
    if !HEADERS_BYTES.contains(&limits.headers_bytes_max) {
        let [bytes, least, most] = [limits.headers_bytes_max, *HEADERS_BYTES.start(), *HEADERS_BYTES.end()]
            .map(|bytes| ByteSize::from_bytes(bytes as u64));
        told.add("/limits/headers", &format!("`headers` is {bytes}: expected {least} to {most}"), None);
    }
    check_room(limits, told);
}

/// Checks the limits that must fit into other limits.
fn check_room(limits: &Limits, told: &mut Told<'_>) {
    let payload = limits.payload_bytes_max;
    let shown = ByteSize::from_bytes(payload as u64);
    let mut by_default = Vec::new();
    for (name, bytes, could) in [
        ("frame", limits.frame_bytes_max, "arrive"),
        ("outbound_bytes", limits.outbound_bytes_max, "wait behind another message"),
        ("ack_bytes", limits.ack_bytes_max, "be recovered"),
        ("history_bytes", limits.history_bytes_max, "be kept"),
        ("thinning_bytes", limits.thinning_bytes_max, "wait for its time"),
        ("retained_bytes", limits.retained_bytes_max, "be kept"),
        ("broker_queue_bytes", limits.broker_queue_bytes_max, "go out to other nodes"),
    ] {
        if bytes >= payload || told.mistaken("/limits/payload") {
            continue;
        }
        if told.is_given("limits", name) {
            let message = format!("`{name}` is smaller than `payload`: a payload of that size could never {could}");
            let hint = format!("write at least `{name}: {shown}`, or a smaller `payload`");
            told.add(&format!("/limits/{name}"), &message, Some(&hint));
        } else {
            by_default.push((name, ByteSize::from_bytes(bytes as u64)));
        }
    }
    if !by_default.is_empty() {
        let smaller: Vec<String> = by_default.iter().map(|(name, bytes)| format!("`{name}` ({bytes})")).collect();
        let message = format!("`payload` is {shown}, more than the default of {}", smaller.join(", "));
        let larger: Vec<String> = by_default.iter().map(|(name, _)| format!("`{name}: {shown}`")).collect();
        let hint = format!("add {}, or write a smaller `payload`", larger.join(", "));
        told.add("/limits/payload", &message, Some(&hint));
    }
    let (instances, reserved) = (limits.plugin_instances_max, limits.plugin_authorizer_instances);
    if reserved.is_some_and(|reserved| reserved >= instances) && !told.mistaken("/limits/plugin_instances") {
        let message = "`plugin_authorizer_instances` leaves no instance for other plugins";
        let hint = format!("`plugin_instances` is {instances}: reserve fewer, or leave it out to reserve one in eight");
        told.add("/limits/plugin_authorizer_instances", message, Some(&hint));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn mistakes(limits: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("limits: {{ {limits} }}\n")).unwrap();
        let told = Config::load(Some(file.path()), [], &[]).err().unwrap_or_default();
        told.iter().map(|one| format!("1:{} {}", one.place.as_ref().unwrap().column, one.message)).collect()
    }

    #[test]
    fn a_time_in_which_nothing_could_happen_is_refused_with_the_range() {
        for (name, time) in [
            ("store_timeout", "0s"),
            ("store_timeout", "1ms"),
            ("broker_timeout", "99ms"),
            ("handshake_timeout", "0s"),
            ("body_timeout", "0s"),
            ("drain_timeout", "0s"),
            ("plugin_compile_time", "0s"),
            ("plugin_self_test", "0s"),
        ] {
            let expected = [format!("1:{} `{name}` is {time}: expected 100ms to 1h", name.len() + 13)];
            assert_eq!(mistakes(&format!("{name}: {time}")), expected);
        }
    }

    #[test]
    fn a_time_beyond_any_is_refused_and_one_that_may_be_none_may() {
        assert_eq!(mistakes("store_timeout: 2h"), ["1:26 `store_timeout` is 2h: expected 100ms to 1h"]);
        for name in ["broker_linger", "duplicates_window", "plugin_drain"] {
            assert_eq!(mistakes(&format!("{name}: 0s")), [""; 0]);
            assert_eq!(mistakes(&format!("{name}: 99999y")).len(), 1);
        }
        assert_eq!(mistakes("store_timeout: 100ms, drain_timeout: 1h"), [""; 0]);
    }

    #[test]
    fn a_payload_fits_wherever_it_has_to_and_so_does_a_token_among_the_headers() {
        assert_eq!(
            mistakes("payload: 1MiB, frame: 1KiB, broker_queue_bytes: 1KiB"),
            [
                "1:33 `frame` is smaller than `payload`: a payload of that size could never arrive",
                "1:59 `broker_queue_bytes` is smaller than `payload`: a payload of that size could never go out to other nodes",
            ]
        );
        assert_eq!(
            mistakes("payload: 4MiB"),
            ["1:20 `payload` is 4MiB, more than the default of `frame` (2MiB), `outbound_bytes` (1MiB)"]
        );
        assert_eq!(mistakes("headers: 8KiB"), ["1:20 `headers` is 8KiB: expected 16KiB to 256KiB"]);
        assert_eq!(mistakes("headers: 1MiB"), ["1:20 `headers` is 1MiB: expected 16KiB to 256KiB"]);
    }
}
