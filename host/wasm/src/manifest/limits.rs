//! `limits:` of `plugin.yaml`: how much of the machine, of the host and of the services behind it a plugin may use.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::grants::Grants;
use super::mistakes::Mistakes;
use crate::compile::engine::{MEMORY_BYTES_MAX, TICK};
use tidegate_core::config::{ByteSize, Diagnostic, HumanDuration, Node};

/// `limits.wall` of a plugin without queries and HTTP.
const WALL: Duration = Duration::from_millis(100);
/// `limits.wall` of a plugin with queries or HTTP: a database or another server takes its time.
const WALL_ASKING: Duration = Duration::from_secs(3);
/// Longest `limits.wall`.
const WALL_MAX: Duration = Duration::from_secs(30);
/// Most concurrent calls of one plugin.
const CONCURRENCY_MAX: u32 = 1024;
/// Most `limits.queue`.
const QUEUE_MAX: u32 = 10_000;
/// Largest `limits.output`, in bytes.
const OUTPUT_BYTES_MAX: usize = 2 << 20;
/// Largest `limits.snapshot`, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 8 << 20;
/// Most `limits.effects`.
const EFFECTS_MAX: u32 = 10_000;
/// Most `limits.log_lines`.
const LOG_LINES_MAX: u32 = 10_000;
/// Highest `limits.log_rate`, `kv`, `queries` and `http`, a second.
const RATE_MAX: u32 = 1_000_000;
/// Most `limits.query_rows`.
const QUERY_ROWS_MAX: u32 = 100_000;
/// Largest `limits.query_bytes`, in bytes.
const QUERY_BYTES_MAX: usize = 16 << 20;
/// Longest `limits.kv_time` and `limits.query_time`.
const HOST_TIME_MAX: Duration = Duration::from_secs(10);
/// Largest `limits.kv_value`, in bytes.
const KV_VALUE_BYTES_MAX: usize = 1 << 20;
/// Largest `limits.http_body`, in bytes.
const HTTP_BODY_BYTES_MAX: usize = 16 << 20;
/// Largest `limits.host_bytes`.
const HOST_BYTES_MAX: usize = 64 << 20;
/// Most `limits.handles`.
const HANDLES_MAX: u32 = 100_000;

/// What a plugin may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PluginLimits {
    pub(crate) memory_bytes_max: usize,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) concurrency_max: u32,
    pub(crate) queue_max: u32,
    pub(crate) output_bytes_max: usize,
    pub(crate) snapshot_bytes_max: usize,
    pub(crate) effects_max: usize,
    pub(crate) log_lines_max: u32,
    pub(crate) log_lines_per_second: u32,
    pub(crate) kv_per_second: u32,
    pub(crate) kv_value_bytes_max: usize,
    pub(crate) kv_time_max: Duration,
    pub(crate) queries_per_second: u32,
    pub(crate) query_time_max: Duration,
    pub(crate) query_rows_max: usize,
    pub(crate) query_bytes_max: usize,
    pub(crate) http_per_second: u32,
    pub(crate) http_body_bytes_max: usize,
    pub(crate) host_bytes_max: usize,
    pub(crate) handles_max: usize,
}

/// The `limits:` section of `plugin.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsSection {
    /// Memory of one instance, all its linear memories together; at most 256 MiB.
    memory: ByteSize,
    /// CPU time of one call, in steps of 1 ms. Waiting for the host does not count.
    cpu: HumanDuration,
    /// Wall-clock time of one call, waiting included; at most 30 s. Default 100 ms; 3 s for a plugin that is granted
    /// queries or HTTP.
    wall: Option<HumanDuration>,
    /// Concurrent calls, at most 1,024. Calls of authorizers count separately. More calls wait, at most `wall`.
    concurrency: NonZeroU32,
    /// Calls that may wait for their turn, at most 10,000. Calls of authorizers count separately. The server refuses
    /// more calls at once (`overloaded`).
    queue: u32,
    /// Size of one answer: the reply and the effects together; at most 2 MiB.
    output: ByteSize,
    /// Size of all payloads of one snapshot together; at most 8 MiB. A larger snapshot refuses the subscription with
    /// `payload_too_large`.
    snapshot: ByteSize,
    /// Effects of one call, at most 10,000. An answer with more effects is a fault.
    effects: u32,
    /// Log lines of one call. The server drops further lines and counts them.
    log_lines: u32,
    /// Log lines a second of all instances together. The server drops further lines and counts them.
    log_rate: NonZeroU32,
    /// Calls of the key-value store a second, all instances together. Further calls fail with `rate-limited`.
    kv: NonZeroU32,
    /// Size of one value in the key-value store, at most 1 MiB. A larger value fails with `too-large`.
    kv_value: ByteSize,
    /// How long one call of the key-value store may take, at most 10 s. A longer call fails with `unavailable`.
    kv_time: HumanDuration,
    /// Named queries a second, all instances together. Further queries fail with `rate-limited`.
    queries: NonZeroU32,
    /// How long one query may take, including the wait for a connection; at most 10 s. The server ends a longer query,
    /// which fails with `timeout`.
    query_time: HumanDuration,
    /// Rows of one query's answer, at most 100,000. A larger answer fails with `too-large`.
    query_rows: NonZeroU32,
    /// Size of one query's answer as JSON, at most 16 MiB. A larger answer fails with `too-large`.
    query_bytes: ByteSize,
    /// HTTP requests a second, all instances together, including the requests that follow a redirect. Further requests
    /// fail with `rate-limited`.
    http: NonZeroU32,
    /// Size of the body of one HTTP request, and of the body of one response; at most 16 MiB.
    http_body: ByteSize,
    /// How much data a plugin may pass to the host at once, at most 64 MiB: the arguments of one host call, or one
    /// answer.
    host_bytes: ByteSize,
    /// Component handles that one instance may hold.
    handles: NonZeroU32,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_bytes(64 << 20),
            cpu: HumanDuration::new(Duration::from_millis(25)),
            wall: None,
            concurrency: number(16),
            queue: 1024,
            output: ByteSize::from_bytes(256 << 10),
            snapshot: ByteSize::from_bytes(1 << 20),
            effects: 64,
            log_lines: 64,
            log_rate: number(500),
            kv: number(1000),
            kv_value: ByteSize::from_bytes(64 << 10),
            kv_time: HumanDuration::new(Duration::from_millis(50)),
            queries: number(500),
            query_time: HumanDuration::new(Duration::from_secs(2)),
            query_rows: number(10_000),
            query_bytes: ByteSize::from_bytes(1 << 20),
            http: number(50),
            http_body: ByteSize::from_bytes(1 << 20),
            host_bytes: ByteSize::from_bytes(4 << 20),
            handles: number(1000),
        }
    }
}

/// A number that is not 0.
const fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(number - 1)
}

/// Checks the section and reports each error at its place.
pub(crate) fn check(
    file: &LimitsSection,
    grants: &Grants,
    node: &Node,
    diagnostics: &mut Vec<Diagnostic>,
) -> PluginLimits {
    let mut mistakes = Mistakes { section: "limits", file: node, diagnostics };
    let asks = !grants.queries.is_empty() || !grants.http.is_empty();
    let wall = file.wall.unwrap_or(HumanDuration::new(if asks { WALL_ASKING } else { WALL }));
    mistakes.check_size("memory", file.memory, MEMORY_BYTES_MAX);
    mistakes.check_time("wall", wall, WALL_MAX);
    let (cpu, wall) = (file.cpu.get(), wall.get());
    if cpu < TICK || cpu > wall {
        let most = HumanDuration::new(wall);
        mistakes.add("cpu", &format!("expected 1ms to `limits.wall` ({most}), found {}", file.cpu));
    }
    mistakes.check_count("concurrency", file.concurrency.get(), CONCURRENCY_MAX);
    mistakes.check_count("queue", file.queue, QUEUE_MAX);
    mistakes.check_size("output", file.output, OUTPUT_BYTES_MAX);
    mistakes.check_size("snapshot", file.snapshot, SNAPSHOT_BYTES_MAX);
    mistakes.check_count("effects", file.effects, EFFECTS_MAX);
    mistakes.check_count("log_lines", file.log_lines, LOG_LINES_MAX);
    mistakes.check_count("log_rate", file.log_rate.get(), RATE_MAX);
    mistakes.check_count("kv", file.kv.get(), RATE_MAX);
    mistakes.check_size("kv_value", file.kv_value, KV_VALUE_BYTES_MAX);
    mistakes.check_time("kv_time", file.kv_time, HOST_TIME_MAX);
    mistakes.check_count("queries", file.queries.get(), RATE_MAX);
    mistakes.check_time("query_time", file.query_time, HOST_TIME_MAX);
    mistakes.check_count("query_rows", file.query_rows.get(), QUERY_ROWS_MAX);
    mistakes.check_size("query_bytes", file.query_bytes, QUERY_BYTES_MAX);
    mistakes.check_count("http", file.http.get(), RATE_MAX);
    mistakes.check_size("http_body", file.http_body, HTTP_BODY_BYTES_MAX);
    mistakes.check_size("host_bytes", file.host_bytes, HOST_BYTES_MAX);
    mistakes.check_count("handles", file.handles.get(), HANDLES_MAX);
    PluginLimits {
        memory_bytes_max: file.memory.as_usize(),
        cpu,
        wall,
        concurrency_max: file.concurrency.get(),
        queue_max: file.queue,
        output_bytes_max: file.output.as_usize(),
        snapshot_bytes_max: file.snapshot.as_usize(),
        effects_max: file.effects as usize,
        log_lines_max: file.log_lines,
        log_lines_per_second: file.log_rate.get(),
        kv_per_second: file.kv.get(),
        kv_value_bytes_max: file.kv_value.as_usize(),
        kv_time_max: file.kv_time.get(),
        queries_per_second: file.queries.get(),
        query_time_max: file.query_time.get(),
        query_rows_max: file.query_rows.get() as usize,
        query_bytes_max: file.query_bytes.as_usize(),
        http_per_second: file.http.get(),
        http_body_bytes_max: file.http_body.as_usize(),
        host_bytes_max: file.host_bytes.as_usize(),
        handles_max: file.handles.get() as usize,
    }
}
