//! The Lua scripts: operations that Redis does in one step.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, RedisResult, Script};

use super::super::interest::COUNT_TTL;
use super::names::Names;
use super::{history_scripts, retained_scripts};
use tidegate_core::channels::Rate;
use tidegate_core::protocol::Topic;

/// About how many messages the stream between nodes keeps, and for how long after the last one.
const CONTROL_MESSAGES_MAX: u32 = 10_000;
const CONTROL_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the data of a test is kept.
const PROBE_TTL: Duration = Duration::from_secs(60);
/// The message on the channel of all nodes: there is something new in the stream.
pub(super) const READ: &str = "read";
/// The other message: a node has so many gaps to send that every topic may have missed something.
pub(super) const GAP_EVERYWHERE: &str = "gap";

/// Counts a publication and sends it. A missing count starts at the present time, so that it never repeats a number
/// that the topic had before. If the topic had a history, it ends here: the channel keeps none any more. KEYS: count, the
/// history's record and entries. ARGV: time in µs, TTL in s, channel, message.
static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local count = redis.call('INCR', KEYS[1])
local before = count - 1
if before == 0 then
  count = tonumber(ARGV[1])
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
if redis.call('EXISTS', KEYS[2]) == 1 then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[2], 'e', '', 'u', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
  redis.call('DEL', KEYS[3])
end
redis.call('PUBLISH', ARGV[3], string.format('%.0f %.0f ', before, count) .. ARGV[4])
return 1",
    )
});

/// Takes one message from a window (the generic cell rate algorithm,
/// <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>): 1 if one was left. KEYS: window. ARGV: time for each
/// message in µs, messages of a burst.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local each = tonumber(ARGV[1])
local at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + each
if at - now > each * tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
return 1",
    )
});

/// Sends a message to every node. KEYS: stream. ARGV: messages kept, TTL in s, message, channel of all nodes, text for
/// the channel.
static TELL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'm', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1",
    )
});

/// Does the same operations as the other scripts, without an effect for anybody. KEYS: value, stream. ARGV: TTL in s,
/// channel.
const PROBE: &str = "local time = redis.call('TIME')
redis.call('SET', KEYS[1], time[1], 'EX', ARGV[1])
redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', 1, '*', 'm', redis.call('GET', KEYS[1]))
redis.call('EXPIRE', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], '')
return 1";

/// Loads every script, so that `EVALSHA` finds it.
pub(super) async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    for script in [&PUBLISH, &TAKE, &TELL] {
        script.load_async(connection).await?;
    }
    history_scripts::load(connection).await?;
    retained_scripts::load(connection).await
}

fn call(script: &Script, key: &str) -> Cmd {
    let mut command = ::redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(1).arg(key);
    command
}

/// Counts and sends a message of a topic.
pub(super) fn publish(names: &Names, topic: &Topic, message: &str, now_us: u64) -> Cmd {
    let mut command = ::redis::cmd("EVALSHA");
    command.arg(PUBLISH.get_hash()).arg(3).arg(names.count(topic)).arg(names.record(topic)).arg(names.entries(topic));
    command.arg(now_us).arg(COUNT_TTL.as_secs()).arg(names.channel(topic)).arg(message);
    command
}

/// Tests the operations that everything else needs. Sent as text, so that it works even if the loaded scripts were
/// removed.
pub(super) fn probe(names: &Names) -> Cmd {
    let mut command = ::redis::cmd("EVAL");
    command.arg(PROBE).arg(2).arg(names.probe()).arg(names.probe_stream());
    command.arg(PROBE_TTL.as_secs()).arg(names.probe());
    command
}

/// Takes one message from a window.
pub(super) fn take(window: &str, rate: Rate) -> Cmd {
    let each = (rate.per / rate.messages.get()).as_micros().max(1);
    let mut command = call(&TAKE, window);
    command.arg(u64::try_from(each).unwrap_or(u64::MAX)).arg(rate.messages.get());
    command
}

/// Sends a message to every node.
pub(super) fn tell(names: &Names, message: &[u8]) -> Cmd {
    let mut command = call(&TELL, &names.control());
    command.arg(CONTROL_MESSAGES_MAX).arg(CONTROL_TTL.as_secs()).arg(message).arg(names.nodes()).arg(READ);
    command
}
