//! The Lua scripts of retained values and versions. Each topic has, beside the record of its positions
//! (`history_scripts.rs`), three keys:
//!
//! - values, a hash: of each key `<time in ms> <position> <version or -> <payload, if it is kept>`;
//! - ages, a sorted set: the keys by the number of their last publication;
//! - a shelf, a hash: `n` the last number, `b` the bytes of keys, versions and payloads, `p` the position of the last
//!   publication that was kept.
//!
//! A shelf whose `p` is not the newest position of the record has missed publications, because the channel kept no values
//! for a while: it is dropped.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, RedisResult, Script, Value};

use super::history_scripts::{Append, Life, ms, number, with_record};
use tidegate_core::channels::Keeping;
use tidegate_core::flow::ports::ENTRY_BYTES;

/// What the scripts begin with, after the record: they read the shelf. The last argument says where keys and versions stand.
macro_rules! with_shelf {
    ($rest:expr) => {
        with_record!(concat!(
            "local values, ages, shelf = KEYS[4], KEYS[5], KEYS[6]
local s = redis.call('HMGET', shelf, 'n', 'b', 'p', 'f')
local age, size = tonumber(s[1] or 0), tonumber(s[2] or 0)
-- Also where other places in the payloads found the keys and versions.
if s[3] and (s[3] ~= (r[1] or '') .. ':' .. (r[2] or '') or (s[4] or ARGV[#ARGV]) ~= ARGV[#ARGV]) then
  redis.call('DEL', values, ages, shelf)
  age, size = 0, 0
end
local function cost(key, entry)
  local _, head = string.find(entry, '^%d+ %S+ ')
  return #key + #entry - head
end
local function drop(key)
  local entry = redis.call('HGET', values, key)
  redis.call('ZREM', ages, key)
  if not entry then return false end
  redis.call('HDEL', values, key)
  size = size - cost(key, entry)
  return true
end
local function oldest() return redis.call('ZRANGE', ages, 0, 0)[1] end
local function expire(ttl)
  while true do
    local key = oldest()
    local entry = key and redis.call('HGET', values, key)
    if not key or (entry and tonumber(string.match(entry, '^%d+')) + ttl > now) then return end
    drop(key)
  end
end
",
            $rest
        ))
    };
}

/// Judges the version of a publication; then numbers it, keeps it and sends it to every node. KEYS: record, entries, once,
/// values, ages, shelf. ARGV: 1 to 10 as in the script of histories; key, version or `-`, whether the payload is kept,
/// keys kept, bytes kept, time kept in ms. Answers with the position, or `stale`.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_shelf!(number!(
        "local key, version, keep_ttl = ARGV[11], ARGV[12], tonumber(ARGV[16])
-- Not by the operators of Lua: those may compare texts by a locale.
local function is_later(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return a > b end
  end
  return #one > #other
end
expire(keep_ttl)
local last = version ~= '-' and redis.call('HGET', values, key)
local before = last and string.match(last, '^%d+ %S+ (%S+) ')
if before and before ~= '-' and not is_later(version, before) then
  redis.call('HSET', shelf, 'b', size)
  if once > 0 then redis.call('SET', KEYS[3], 'stale', 'PX', ARGV[10]) end
  return 'stale'
end
",
        "drop(key)
age = age + 1
local entry = string.format('%.0f %s %s ', now, position, version)
if ARGV[13] == '1' then entry = entry .. ARGV[9] end
redis.call('HSET', values, key, entry)
redis.call('ZADD', ages, age, key)
size = size + cost(key, entry)
local count = redis.call('HLEN', values)
while count > 0 and (count > tonumber(ARGV[14]) or size > tonumber(ARGV[15])) do
  drop(oldest())
  count = count - 1
end
redis.call('HSET', shelf, 'n', string.format('%.0f', age), 'b', size, 'p', position, 'f', ARGV[#ARGV])
for _, name in ipairs({values, ages, shelf}) do redis.call('PEXPIRE', name, ARGV[16]) end
return position"
    )))
});

/// Reads the values of a topic. KEYS: as above. ARGV: run, time kept in ms, most bytes, bytes of a value beside its
/// payload. Answers with the position, the bytes if there are too many or else 0, then key and entry of each.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_shelf!(
        "expire(tonumber(ARGV[2]))
if redis.call('EXISTS', shelf) == 1 then redis.call('HSET', shelf, 'b', size) end
local position = epoch .. ':' .. string.format('%.0f', newest)
local bytes = size + redis.call('HLEN', values) * tonumber(ARGV[4])
if bytes > tonumber(ARGV[3]) then return {position, bytes} end
local answer, at = {position, 0}, 0
while true do
  local keys = redis.call('ZRANGE', ages, at, at + 999)
  if #keys == 0 then return answer end
  local entries = redis.call('HMGET', values, unpack(keys))
  for i, key in ipairs(keys) do
    if entries[i] then
      answer[#answer + 1] = key
      answer[#answer + 1] = entries[i]
    end
  end
  at = at + 1000
end"
    ))
});

/// Takes values away, and tells every node. KEYS: as above. ARGV: run, time kept in ms, channel, node and kind, key, `1`
/// for every key, time of `once` in ms or 0. Answers with the number of values.
static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_shelf!(
        "local once = tonumber(ARGV[7])
if once > 0 then
  local was = redis.call('GET', KEYS[3])
  if was then return tonumber(was) end
end
expire(tonumber(ARGV[2]))
local gone = {}
for _, key in ipairs(ARGV[6] == '1' and redis.call('ZRANGE', ages, 0, -1) or {ARGV[5]}) do
  if drop(key) then gone[#gone + 1] = key end
end
if redis.call('EXISTS', shelf) == 1 then redis.call('HSET', shelf, 'b', size) end
if #gone > 0 then
  local removals = redis.call('HINCRBY', KEYS[1], 'r', 1)
  redis.call('HSET', KEYS[1], 'a', string.format('%.0f', newest + 1))
  local head = string.format('%.0f %.0f %s - %s ', removals, newest, ARGV[4], epoch)
  redis.call('PUBLISH', ARGV[3], head .. '[' .. table.concat(gone, ',') .. ']')
end
if once > 0 then redis.call('SET', KEYS[3], #gone, 'PX', ARGV[7]) end
return #gone"
    ))
});

/// Loads the scripts of publishers, so that `EVALSHA` finds them.
pub(super) async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    KEEP.load_async(connection).await?;
    REMOVE.load_async(connection).await.map(drop)
}

/// The keys of a topic's values.
pub(super) struct Shelf {
    pub(super) values: String,
    pub(super) ages: String,
    pub(super) shelf: String,
}

/// Judges, numbers, keeps and sends a publication.
pub(super) fn keep(
    append: &Append<'_>,
    of: &Shelf,
    key: &str,
    version: Option<&str>,
    keeping: Keeping,
    found_by: u64,
) -> Cmd {
    let mut command = ::redis::cmd("EVALSHA");
    command.arg(KEEP.get_hash()).arg(7);
    append.add_keys(&mut command);
    command.arg(&of.values).arg(&of.ages).arg(&of.shelf).arg(&append.life.key);
    append.add_arguments(&mut command, keeping.ttl);
    command.arg(key).arg(version.unwrap_or("-")).arg(u8::from(keeping.values));
    command.arg(keeping.keys_max).arg(keeping.bytes_max).arg(ms(keeping.ttl)).arg(found_by);
    command
}

/// The keys of every script that reads a shelf: with the record and the entries of the history.
pub(super) struct Place<'a> {
    pub(super) record: &'a str,
    pub(super) entries: &'a str,
    pub(super) shelf: &'a Shelf,
    pub(super) life: &'a Life,
    /// What tells the places of keys and versions from others.
    pub(super) found_by: u64,
}

/// Takes a value away, or all of them without a key.
pub(super) fn remove(
    at: &Place<'_>,
    once: Option<(String, Duration)>,
    channel: &str,
    head: &str,
    key: Option<&str>,
    ttl: Duration,
) -> Cmd {
    let (once, once_ttl) = once.unwrap_or_else(|| (at.record.to_owned(), Duration::ZERO));
    let mut command = ::redis::cmd("EVALSHA");
    command.arg(REMOVE.get_hash()).arg(7).arg(at.record).arg(at.entries).arg(once);
    command.arg(&at.shelf.values).arg(&at.shelf.ages).arg(&at.shelf.shelf).arg(&at.life.key);
    command.arg(&at.life.run).arg(ms(ttl)).arg(channel).arg(head).arg(key.unwrap_or("")).arg(u8::from(key.is_none()));
    command.arg(ms(once_ttl)).arg(at.found_by);
    command
}

/// Reads the values of a topic.
pub(super) async fn read(
    connection: &mut MultiplexedConnection,
    at: &Place<'_>,
    ttl: Duration,
    bytes_max: usize,
) -> RedisResult<Value> {
    let mut invocation = READ.prepare_invoke();
    invocation.key(at.record).key(at.entries).key(at.record);
    invocation.key(&at.shelf.values).key(&at.shelf.ages).key(&at.shelf.shelf).key(&at.life.key);
    invocation.arg(&at.life.run).arg(ms(ttl)).arg(bytes_max).arg(ENTRY_BYTES).arg(at.found_by);
    invocation.invoke_async(connection).await
}
