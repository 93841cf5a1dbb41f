//! The Lua scripts of histories. Each topic has a record and a list of entries.
//!
//! The record: `e` the epoch, `o` the newest offset, `b` the bytes of the kept payloads, `d` the highest offset that made
//! room for others, `t` the time for which entries are kept, in ms, `u` when publications went without a number, in ms, `r`
//! how often retained values were taken away, `a` the offset that followed when they were taken away last.
//! An entry is `<time in ms> <heading> <payload>`; the last one has the newest offset.
//!
//! An epoch is `<run of Redis><time in ms>-<time in ms>`: a start of Redis, which may have lost something, begins every
//! history anew, and so does the loss of a key that holds the first of the two times, which goes when Redis is emptied while
//! it runs. A topic without a record is at offset 0 of the present moment; that position is good for a record that began
//! after it, as long as such a record cannot have come and gone meanwhile.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, RedisResult, Script, Value};

use tidegate_core::channels::HistoryPolicy;
use tidegate_core::flow::ports::{ENTRY_BYTES, Wanted};

/// How long the record of a topic is kept after its last publication; at least twice as long as its entries.
const RECORD_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many characters of the run of Redis are in an epoch.
const RUN_CHARS: usize = 12;

/// What the scripts begin with, whose last key is that of the life: they read the record, and remove the entries whose
/// time is over.
macro_rules! with_record {
    ($rest:expr) => {
        concat!(
            "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local life = redis.call('GET', KEYS[#KEYS])
if not life then
  life = string.format('%.0f', now)
  redis.call('SET', KEYS[#KEYS], life)
end
local run = ARGV[1] .. life
local r = redis.call('HMGET', KEYS[1], 'e', 'o', 'b', 'd', 't', 'u', 'r', 'a')
local epoch, newest, bytes, displaced = r[1], tonumber(r[2] or 0), tonumber(r[3] or 0), tonumber(r[4] or 0)
local ttl, unnumbered, removals = tonumber(r[5] or 0), tonumber(r[6] or -1), tonumber(r[7] or 0)
local removed_before = tonumber(r[8] or 0)
local is_new = not epoch or string.sub(epoch, 1, #run) ~= run
if is_new then
  -- Later than what went without a number: two lives of a history never have the same epoch.
  epoch, newest, bytes, displaced = string.format('%s-%.0f', run, math.max(now, unnumbered + 1)), 0, 0, 0
  removed_before = 0
end
local kept = is_new and 0 or redis.call('LLEN', KEYS[2])
if kept == 0 then bytes = 0 end
local function trim(messages_max, bytes_max)
  while kept > 0 do
    local oldest = redis.call('LINDEX', KEYS[2], 0)
    local is_over = kept > messages_max or bytes > bytes_max
    local is_old = tonumber(string.match(oldest, '^%d+')) + ttl <= now
    if not is_over and not is_old then return end
    if not is_old then displaced = newest - kept + 1 end
    local _, head = string.find(oldest, '^%d+ %S+ ')
    bytes = bytes - (#oldest - head)
    redis.call('LPOP', KEYS[2])
    kept = kept - 1
  end
end
",
            $rest
        )
    };
}
pub(super) use with_record;

/// Numbers a publication, keeps it and sends it to every node, unless it was published before or `$judge` returns. KEYS and
/// ARGV as below. `$then` answers.
macro_rules! number {
    ($judge:expr, $then:expr) => {
        concat!(
            "local once = tonumber(ARGV[10])
if once > 0 then
  local was = redis.call('GET', KEYS[3])
  if was then return was end
end
",
            $judge,
            "if is_new then redis.call('DEL', KEYS[1], KEYS[2]) end
ttl = tonumber(ARGV[4])
newest = newest + 1
local messages_max = tonumber(ARGV[2])
if messages_max > 0 then
  redis.call('RPUSH', KEYS[2], string.format('%.0f %s ', now, ARGV[8]) .. ARGV[9])
  kept = kept + 1
  bytes = bytes + #ARGV[9]
end
trim(messages_max, tonumber(ARGV[3]))
if messages_max == 0 then displaced = newest end
local offset = string.format('%.0f', newest)
redis.call('HSET', KEYS[1], 'e', epoch, 'o', offset, 'b', bytes, 'd', string.format('%.0f', displaced), 't', ARGV[4])
if is_new and unnumbered >= 0 then redis.call('HSET', KEYS[1], 'u', string.format('%.0f', unnumbered)) end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[6], string.format('%.0f %s %s %s %s ', newest - 1, offset, ARGV[7], ARGV[8], epoch) .. ARGV[9])
local position = epoch .. ':' .. offset
if once > 0 then redis.call('SET', KEYS[3], position, 'PX', ARGV[10]) end
",
            $then
        )
    };
}
pub(super) use number;

/// Numbers a publication, keeps it and sends it to every node. KEYS: record, entries, once, life. ARGV: run, messages
/// kept, bytes kept, time kept in ms, time of the record in ms, channel, node and kind, heading, payload, time of `once` in ms or 0.
static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(with_record!(number!("", "return position"))));

/// Reads a history. KEYS: record, entries, life. ARGV: run, epoch of `since` (empty: none), offset of `since`, most
/// entries, most bytes, bytes of an entry beside its payload, time of the record in ms.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_record!(
        "local before = kept
trim(math.huge, math.huge)
if kept ~= before then redis.call('HSET', KEYS[1], 'b', bytes) end
local since_epoch, since = ARGV[2], tonumber(ARGV[3])
local is_of_it = since_epoch == epoch
if not is_of_it and since == 0 and since_epoch ~= '' then
  local of_run, at = string.match(since_epoch, '^(.*)-(%d+)$')
  at = tonumber(at or -1)
  local began = tonumber(string.match(epoch, '%d+$'))
  is_of_it = of_run == run and at >= 0 and at <= began and at > unnumbered and now - at < tonumber(ARGV[7])
end
local entries_max, missed = tonumber(ARGV[4]), 0
if since_epoch == '' then
  missed = math.min(kept, entries_max)
elseif is_of_it and since <= newest and newest - since <= kept then
  missed = newest - since
end
local found, size, at = {}, 0, kept - missed
while #found < math.min(missed, entries_max) do
  local part = redis.call('LRANGE', KEYS[2], at, at + 99)
  for _, entry in ipairs(part) do
    local _, head = string.find(entry, '^%d+ %S+ ')
    size = size + #entry - head + tonumber(ARGV[6])
    if #found >= entries_max or (#found > 0 and size > tonumber(ARGV[5])) then
      entries_max = #found
      break
    end
    found[#found + 1] = entry
  end
  at = at + 100
  if #part < 100 then break end
end
local answer = {epoch, is_of_it and 1 or 0, newest, kept, displaced, removals, removed_before}
for _, entry in ipairs(found) do answer[#answer + 1] = entry end
return answer"
    ))
});

/// Loads the script of publishers, so that `EVALSHA` finds it.
pub(super) async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    APPEND.load_async(connection).await.map(drop)
}

/// Tells the data of a Redis from what it held before.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    /// The run of this Redis, as it is in epochs: it differs after every start.
    pub(super) run: String,
    /// The key that goes when Redis is emptied.
    pub(super) key: String,
}

impl Life {
    /// Of the Redis that the connection leads to.
    pub(super) async fn of(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<Self> {
        let info: String = ::redis::cmd("INFO").arg("server").query_async(connection).await?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim();
        let run = run.chars().filter(char::is_ascii_alphanumeric).take(RUN_CHARS).collect();
        Ok(Self { run, key: key.to_owned() })
    }
}

/// A publication for the history.
pub(super) struct Append<'a> {
    pub(super) record: &'a str,
    pub(super) entries: &'a str,
    /// The key of what must be published once only, and for how long that is remembered.
    pub(super) once: Option<(String, Duration)>,
    pub(super) life: &'a Life,
    pub(super) policy: HistoryPolicy,
    pub(super) channel: &'a str,
    /// The node and the kind of the message.
    pub(super) head: &'a str,
    pub(super) heading: Cow<'a, str>,
    pub(super) payload: &'a str,
}

impl Append<'_> {
    fn once(&self) -> (&str, Duration) {
        self.once.as_ref().map_or((self.record, Duration::ZERO), |(key, ttl)| (key.as_str(), *ttl))
    }

    /// The first keys of the scripts that number. The last one is that of the life.
    pub(super) fn add_keys(&self, command: &mut Cmd) {
        command.arg(self.record).arg(self.entries).arg(self.once().0);
    }

    /// Their arguments. The record is kept for twice as long as what has a position in it: the entries, and what is kept
    /// for `ttl` beside them.
    pub(super) fn add_arguments(&self, command: &mut Cmd, ttl: Duration) {
        let Self { life, policy, channel, head, heading, payload, .. } = self;
        command.arg(&life.run).arg(policy.messages_max).arg(policy.bytes_max).arg(ms(policy.ttl));
        command
            .arg(ms(RECORD_TTL.max(policy.ttl.max(ttl) * 2)))
            .arg(*channel)
            .arg(*head)
            .arg(heading.as_ref())
            .arg(*payload);
        command.arg(ms(self.once().1));
    }
}

/// Numbers, keeps and sends it.
pub(super) fn append(append: &Append<'_>) -> Cmd {
    let mut command = ::redis::cmd("EVALSHA");
    command.arg(APPEND.get_hash()).arg(4);
    append.add_keys(&mut command);
    command.arg(&append.life.key);
    append.add_arguments(&mut command, Duration::ZERO);
    command
}

/// Reads a history.
pub(super) async fn read(
    connection: &mut MultiplexedConnection,
    record: &str,
    entries: &str,
    life: &Life,
    wanted: &Wanted,
) -> RedisResult<Value> {
    let Wanted { since, entries_max, bytes_max } = wanted;
    let (epoch, offset) = since.as_ref().map_or(("", 0), |since| (since.epoch.as_str(), since.offset));
    let mut invocation = READ.prepare_invoke();
    invocation.key(record).key(entries).key(&life.key).arg(&life.run).arg(epoch).arg(offset);
    invocation.arg(entries_max).arg(bytes_max).arg(ENTRY_BYTES).arg(ms(RECORD_TTL));
    invocation.invoke_async(connection).await
}

/// In milliseconds.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
