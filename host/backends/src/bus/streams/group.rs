//! The consumer group of a stream: creating it, holding it, removing old ones. Operations that must be one step are
//! scripts.

use std::time::Duration;

use redis::{Script, Value as Reply, from_redis_value};

use super::connection::{Connection, ReadError};
use crate::bus::health::Contested;
use tidegate_core::config::BusMode;

/// How long a process holds a node's name without renewing its claim.
const HOLD: Duration = Duration::from_secs(5);
/// The holder of a name that was released properly.
const NOBODY: &str = "-";

/// The group with which a node reads.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) consumer: String,
    pub(super) mode: BusMode,
    /// The hash of nodes next to the stream.
    nodes: String,
    /// Identifies this process among those with the same name.
    token: String,
    forget_after: Duration,
    scripts: Scripts,
}

struct Scripts {
    ensure: Script,
    hold: Script,
    give_up: Script,
    forget_nodes: Script,
    forget_consumers: Script,
    missed: Script,
}

/// What [`Group::ensure`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The group, at its position.
    There,
    /// No group, and this process has read nothing yet: it begins with the entries from now on.
    New,
    /// No group, but the stream continues: the group was created again at the position of this process.
    Again,
    /// No group, and none of the entries that this process had read: the old data is lost, and all entries are new.
    Lost,
}

impl Group {
    pub(super) fn new(prefix: &str, node: &str, stream: &str, mode: BusMode, forget_after: Duration) -> Self {
        let name = match mode {
            BusMode::FanOut => format!("{prefix}:{node}"),
            BusMode::Shared => prefix.to_owned(),
        };
        Self {
            name,
            consumer: node.to_owned(),
            mode,
            nodes: format!("tidegate:nodes:{prefix}:{stream}"),
            token: uuid::Uuid::new_v4().to_string(),
            forget_after,
            scripts: Scripts::new(),
        }
    }

    /// Creates the group if it does not exist. `position` is the last entry that this process knows to be read; it is
    /// set to the group's position.
    pub(super) async fn ensure(
        &self,
        connection: &mut Connection,
        position: &mut Option<String>,
    ) -> Result<Found, ReadError> {
        let args = [self.name.as_str(), self.consumer.as_str(), position.as_deref().unwrap_or_default()];
        let answer = connection.run(&self.scripts.ensure, &[], &args).await?;
        let (found, at): (i64, String) = from_redis_value(answer).unwrap_or((0, "0-0".to_owned()));
        *position = Some(at);
        Ok(match found {
            0 => Found::There,
            1 => Found::New,
            2 => Found::Again,
            _ => Found::Lost,
        })
    }

    /// Takes or keeps the right to read with the node's name: two processes with one group would each miss what the
    /// other one has. Repeat it every [`Group::HOLD_AGAIN`].
    pub(super) async fn hold(&self, connection: &mut Connection) -> Result<(), ReadError> {
        if self.mode == BusMode::Shared {
            return Ok(());
        }
        let hold_ms = HOLD.as_millis().to_string();
        match number(connection.run(&self.scripts.hold, &[&self.nodes], &[&self.name, &self.token, &hold_ms]).await?) {
            1 => Ok(()),
            _ => Err(Contested { node: self.consumer.clone() }.into()),
        }
    }

    /// After this time the claim on the name must be renewed. A process that was stopped longer may have lost it.
    pub(super) const HOLD_AGAIN: Duration = Duration::from_secs(2);

    /// Releases the name for the next process with the same name. The group stays: the next process continues where
    /// this one stopped.
    pub(super) async fn give_up(&self, connection: &mut Connection) -> Result<(), ReadError> {
        if self.mode == BusMode::Shared {
            return Ok(());
        }
        connection.run(&self.scripts.give_up, &[&self.nodes], &[&self.name, &self.token]).await.map(drop)
    }

    /// Removes the state of nodes that were not seen for `forget_after`: groups, or consumers without entries. Checking
    /// and removing are one step, so that a node that comes back meanwhile keeps its state. Returns their names.
    pub(super) async fn forget(&self, connection: &mut Connection) -> Result<Vec<String>, ReadError> {
        let forget_ms = self.forget_after.as_millis().to_string();
        let gone = match self.mode {
            BusMode::FanOut => {
                connection.run(&self.scripts.forget_nodes, &[&self.nodes], &[&self.name, &forget_ms]).await?
            }
            BusMode::Shared => {
                let args = [self.name.as_str(), self.consumer.as_str(), forget_ms.as_str()];
                connection.run(&self.scripts.forget_consumers, &[], &args).await?
            }
        };
        Ok(from_redis_value(gone).unwrap_or_default())
    }

    /// How many entries were trimmed before the group read them, reported once, when it has read all entries. `None` if
    /// it has not, or if this Redis does not count them (before 7.0).
    pub(super) async fn missed(&self, connection: &mut Connection) -> Result<Option<u64>, ReadError> {
        Ok(u64::try_from(number(connection.run(&self.scripts.missed, &[], &[&self.name]).await?)).ok())
    }
}

fn number(reply: Reply) -> i64 {
    from_redis_value(reply).unwrap_or(-1)
}

const NOW: &str = "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

impl Scripts {
    fn new() -> Self {
        Self {
            ensure: Script::new(ENSURE),
            hold: Script::new(&format!("{NOW}{HOLD_SCRIPT}")),
            give_up: Script::new(&format!("{NOW}{}", GIVE_UP.replace("NOBODY", NOBODY))),
            forget_nodes: Script::new(&format!("{NOW}{FORGET_NODES}")),
            forget_consumers: Script::new(FORGET_CONSUMERS),
            missed: Script::new(MISSED),
        }
    }
}

/// Arguments: group, consumer, position. Returns what it found, and the group's position. A group always has a
/// consumer.
const ENSURE: &str = "
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '$', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[2])
local found = 1
if made.err then
  found = 0
elseif ARGV[3] ~= '' then
  -- The last that was read is still there: the stream is the one that was read. Another one is read from its beginning,
  -- and so is this one when all that was read was trimmed, which is the same place.
  local is_same = #redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3]) > 0
  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], is_same and ARGV[3] or '0')
  found = is_same and 2 or 3
end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group.name == ARGV[1] then return {found, group['last-delivered-id']} end
end
";

/// Arguments: group, token, how long a hold lasts in ms. For each group the hash says who holds it and since when.
const HOLD_SCRIPT: &str = "
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held then
  local token, at = string.match(held, '^(%S+) (%d+)$')
  if token ~= ARGV[2] and token ~= '-' and now - tonumber(at) < tonumber(ARGV[3]) then return 0 end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. string.format(' %.0f', now))
return 1
";

/// Arguments: group, token.
const GIVE_UP: &str = "
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held and string.find(held, ARGV[2], 1, true) == 1 then
  redis.call('HSET', KEYS[2], ARGV[1], string.format('NOBODY %.0f', now))
end
return 1
";

/// Arguments: the caller's group, how long others may be away in ms.
const FORGET_NODES: &str = "
local gone = {}
local nodes = redis.call('HGETALL', KEYS[2])
for i = 1, #nodes, 2 do
  local at = tonumber(string.match(nodes[i + 1], ' (%d+)$')) or 0
  if nodes[i] ~= ARGV[1] and now - at > tonumber(ARGV[2]) then
    redis.pcall('XGROUP', 'DESTROY', KEYS[1], nodes[i])
    redis.call('HDEL', KEYS[2], nodes[i])
    gone[#gone + 1] = nodes[i]
  end
end
return gone
";

/// Arguments: group, the calling consumer, how long others may be idle in ms. A consumer with entries stays: its
/// entries are claimed, and would be lost with the consumer.
const FORGET_CONSUMERS: &str = "
local gone = {}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
  if consumer.name ~= ARGV[2] and consumer.pending == 0 and consumer.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    gone[#gone + 1] = consumer.name
  end
end
return gone
";

/// Argument: group. Redis counts the entries that were ever added, and those that the group has read. Once the group
/// has read all entries, the difference is the trimmed entries that nobody read. Then the count is corrected, so that
/// they are reported once.
const MISSED: &str = "
local stream = redis.call('XINFO', 'STREAM', KEYS[1])
local added
for i = 1, #stream, 2 do if stream[i] == 'entries-added' then added = stream[i + 1] end end
if not added then return -1 end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group.name == ARGV[1] then
    local last = group['last-delivered-id']
    if #redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1) > 0 then return -1 end
    local read = group['entries-read'] or added
    if read ~= added or not group['entries-read'] then
      redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], last, 'ENTRIESREAD', added)
    end
    return math.max(added - read, 0)
  end
end
return -1
";
