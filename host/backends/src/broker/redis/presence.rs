//! The members of all nodes that share a Redis, by leases.
//!
//! For each topic there is a hash of everybody on every node, a hash that counts the nodes of each user, and a version
//! that grows with each change. A sorted set has the end of each node's lease. One script changes a topic and says what
//! became of it, so that of all nodes exactly one tells that a user came or left.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use ::redis::Script;
use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::lease::{LEASE, Lease, name_of};
use super::super::member_text::{ANONYMOUS, read_name, read_there, write_name, write_there};
use super::RedisBrokerSettings;
use super::names::Names;
use super::questions::Questions;
use tidegate_core::flow::ports::{
    Elsewhere, MemberThere, MembersAway, MembersNews, MembersUpdate, SharedMembers, TopicUpdate,
};
use tidegate_core::protocol::{MemberId, PresenceTurn, Topic};

/// Members in one call of the script, and topics in one look at versions.
const MEMBERS_PER_CALL: usize = 500;
const TOPICS_PER_LOOK: usize = 1000;
/// Topics of a node whose lease is over that one exchange takes away, so that it stays short.
const TOPICS_PER_CLEAR: usize = 20_000;
/// Questions that wait for their answer at once.
const AT_ONCE: usize = 64;
/// Renews the lease of a node. KEYS: leases. ARGV: node, lease in ms. Answers with whether it held one, then the nodes
/// whose lease is over.
static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
local answer = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10)
table.insert(answer, 1, held and tonumber(held) > now and '1' or '0')
return answer",
    )
});

/// Changes the members of a topic on one node. KEYS: members, nodes of each user, version, topics of the node with the
/// members on each, leases.
/// ARGV: node, topic, `whole` (who is not named goes), `over` (the same, for a node whose lease is over) or `changes`,
/// then name and value of each, with an empty value for who goes. A version starts at the present time, so that it never
/// repeats one that the topic had before. Answers with what became of the topic: a letter and
/// a name each.
static CHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local node, kind = ARGV[1] .. ' ', ARGV[3]
local turned = {}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if kind == 'over' then
  local held = redis.call('ZSCORE', KEYS[5], ARGV[1])
  if held and tonumber(held) > now then return turned end
end
local was = redis.call('HLEN', KEYS[1])
local changed = false
local function go(name)
  if redis.call('HDEL', KEYS[1], node .. name) == 0 then return end
  changed = true
  if redis.call('HINCRBY', KEYS[4], ARGV[2], -1) <= 0 then redis.call('HDEL', KEYS[4], ARGV[2]) end
  if name ~= '-' and redis.call('HINCRBY', KEYS[2], name, -1) <= 0 then
    redis.call('HDEL', KEYS[2], name)
    table.insert(turned, 'l' .. name)
  end
end
local named = {}
for i = 4, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  named[name] = true
  if value == '' then
    go(name)
  elseif redis.call('HGET', KEYS[1], node .. name) ~= value then
    changed = true
    if redis.call('HSET', KEYS[1], node .. name, value) == 1 then
      redis.call('HINCRBY', KEYS[4], ARGV[2], 1)
      if name ~= '-' and redis.call('HINCRBY', KEYS[2], name, 1) == 1 then table.insert(turned, 'j' .. name) end
    end
  end
end
if kind ~= 'changes' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, #node) == node then
      local name = string.sub(field, #node + 1)
      if not named[name] then go(name) end
    end
  end
end
local is = redis.call('HLEN', KEYS[1])
if was == 0 and is > 0 then table.insert(turned, 1, 'o') end
if was > 0 and is == 0 then table.insert(turned, 'v') end
if kind ~= 'changes' and #ARGV == 3 then redis.call('HDEL', KEYS[4], ARGV[2]) end
if changed then
  if redis.call('INCR', KEYS[3]) == 1 then redis.call('SET', KEYS[3], string.format('%.0f', now)) end
  redis.call('EXPIRE', KEYS[3], 3600)
end
return turned",
    )
});

/// The topics of a node. KEYS: topics of the node. ARGV: how many at most.
static TOPICS: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('HRANDFIELD', KEYS[1], ARGV[1])"));

/// Forgets a node whose lease is over and that has no topic. KEYS: leases, topics of the node. ARGV: node. Answers 1 to
/// whoever forgot it.
static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if held and tonumber(held) <= now and redis.call('EXISTS', KEYS[2]) == 0 then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0",
    )
});

/// The versions of topics. KEYS: versions.
static VERSIONS: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('MGET', unpack(KEYS))"));

/// Everybody on a topic. KEYS: members.
static EVERYBODY: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('HGETALL', KEYS[1])"));

/// The members, in Redis.
pub struct RedisSharedMembers {
    questions: Arc<Questions>,
    names: Names,
    /// The node's name, and what tells this process from one of that name before it.
    node: String,
    /// The versions of the watched topics that were read last.
    read: Mutex<HashMap<Topic, Option<String>>>,
    lease: Mutex<Lease>,
}

type Turned = Vec<(Topic, PresenceTurn, Option<MemberId>)>;

impl RedisSharedMembers {
    /// Does not connect yet.
    ///
    /// # Errors
    /// The driver's error, if it does not accept the URL.
    pub fn new(settings: &RedisBrokerSettings) -> Result<Self, ::redis::RedisError> {
        Ok(Self {
            questions: Questions::new(settings)?,
            names: Names::new(&settings.prefix, settings.url.database()),
            node: format!("{}/{}", settings.node, uuid::Uuid::new_v4().simple()),
            read: Mutex::default(),
            lease: Mutex::default(),
        })
    }

    /// Renews this node's lease. Returns whether it held one, and the nodes whose lease is over.
    async fn renew(&self) -> Result<(bool, Vec<String>), String> {
        let mut script = RENEW.key(self.names.leases());
        script.arg(&self.node).arg(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX));
        let mut answer: Vec<String> = self.questions.ask(&script).await?;
        let held = !answer.is_empty() && answer.remove(0) == "1";
        Ok((held, answer))
    }

    async fn change(
        &self,
        node: &str,
        topic: &str,
        kind: &str,
        members: &[(String, String)],
    ) -> Result<Turned, String> {
        let names = &self.names;
        let mut script = CHANGE.key(names.members(topic));
        script.key(names.member_nodes(topic)).key(names.members_version(topic));
        script.key(names.member_topics(node)).key(names.leases()).arg(node).arg(topic).arg(kind);
        for (name, value) in members {
            script.arg(name).arg(value);
        }
        let answer: Vec<String> = self.questions.ask(&script).await?;
        let topic = Topic::parse(topic).map_err(|error| format!("`{topic}` {error}"))?;
        Ok(answer.iter().filter_map(|text| read_turn(&topic, text)).collect())
    }

    /// Sends what changed on a topic of this node.
    async fn send(&self, update: TopicUpdate, is_whole: bool) -> Result<Turned, String> {
        let TopicUpdate { topic, users, anonymous } = update;
        let value = |there: Option<MemberThere>| there.as_ref().map(write_there).unwrap_or_default();
        let mut members: Vec<_> = users.into_iter().map(|(who, there)| (write_name(&who), value(there))).collect();
        let anonymous = if anonymous == 0 { String::new() } else { anonymous.to_string() };
        members.push((ANONYMOUS.to_owned(), anonymous));
        if is_whole {
            // In one call: whoever it does not name goes.
            return self.change(&self.node, topic.as_str(), "whole", &members).await;
        }
        let mut turned = Vec::new();
        for members in members.chunks(MEMBERS_PER_CALL) {
            turned.extend(self.change(&self.node, topic.as_str(), "changes", members).await?);
        }
        Ok(turned)
    }

    /// Takes a node's topics away, all but those named.
    async fn clear(&self, node: &str, kind: &str, but: &[Topic]) -> Result<Turned, String> {
        let mut script = TOPICS.key(self.names.member_topics(node));
        script.arg(TOPICS_PER_CLEAR);
        let kept: HashSet<&str> = but.iter().map(Topic::as_str).collect();
        let topics: Vec<String> = self.questions.ask(&script).await?;
        let cleared = topics.into_iter().filter(|topic| !kept.contains(topic.as_str()));
        let clear = |topic: String| async move { self.change(node, &topic, kind, &[]).await };
        all(cleared.map(clear)).await
    }

    /// Forgets a node that is gone. Returns whether it was this call that forgot it.
    async fn forget(&self, node: &str) -> Result<bool, String> {
        let mut script = FORGET.key(self.names.leases());
        script.key(self.names.member_topics(node)).arg(node);
        Ok(self.questions.ask::<i64>(&script).await? == 1)
    }

    /// Reads the watched topics that changed since they were read last.
    async fn news(&self, watched: &[Topic]) -> Result<Vec<(Topic, Elsewhere)>, String> {
        let mut read = self.read.lock().await;
        let mut before = std::mem::take(&mut *read);
        let mut news = Vec::new();
        for topics in watched.chunks(TOPICS_PER_LOOK) {
            let mut script = VERSIONS.prepare_invoke();
            topics.iter().for_each(|topic| {
                script.key(self.names.members_version(topic.as_str()));
            });
            let versions: Vec<Option<String>> = self.questions.ask(&script).await?;
            for (topic, version) in topics.iter().zip(versions) {
                if before.remove(topic).as_ref() != Some(&version) {
                    news.push((topic.clone(), self.everybody_elsewhere(topic).await?));
                }
                read.insert(topic.clone(), version);
            }
        }
        Ok(news)
    }

    async fn everybody_elsewhere(&self, topic: &Topic) -> Result<Elsewhere, String> {
        let script = EVERYBODY.key(self.names.members(topic.as_str()));
        let everybody: HashMap<String, String> = self.questions.ask(&script).await?;
        let mut elsewhere = Elsewhere::default();
        for (field, value) in everybody {
            let Some((node, name)) = field.split_once(' ') else { continue };
            if node == self.node {
                continue;
            }
            if name == ANONYMOUS {
                elsewhere.anonymous += value.parse::<usize>().unwrap_or_default();
            } else if let (Some(who), Some(there)) = (read_name(name), read_there(&value)) {
                let newest = elsewhere.users.entry(who).or_insert_with(|| there.clone());
                if there.at_unix_ms > newest.at_unix_ms {
                    *newest = there;
                }
            }
        }
        Ok(elsewhere)
    }

    async fn exchange_or(&self, update: MembersUpdate) -> Result<MembersNews, String> {
        let MembersUpdate { topics, is_whole, watched } = update;
        let (held, over) = self.renew().await?;
        let others_are_back = self.lease.lock().await.renewed(held, Instant::now());
        if !held && !is_whole {
            return Err("the lease of this node was over".to_owned());
        }
        let is_back = held && self.lease.lock().await.told_back();
        let mut turned = Vec::new();
        if is_whole {
            turned.extend(self.clear(&self.node, "whole", &watched).await?);
        }
        turned.extend(all(topics.into_iter().map(|update| self.send(update, is_whole))).await?);
        if !others_are_back {
            return Ok(MembersNews { turned, is_back, ..MembersNews::default() });
        }
        let mut left = Vec::new();
        for node in over {
            turned.extend(self.clear(&node, "over", &[]).await?);
            if self.forget(&node).await? {
                left.push(name_of(&node).to_owned());
            }
        }
        let elsewhere = self.news(&watched).await?;
        Ok(MembersNews { turned, elsewhere, left, is_back })
    }
}

#[async_trait]
impl SharedMembers for RedisSharedMembers {
    fn has_nodes(&self) -> bool {
        true
    }

    async fn exchange(&self, update: MembersUpdate) -> Result<MembersNews, MembersAway> {
        self.exchange_or(update).await.map_err(MembersAway)
    }

    async fn read(&self, topic: &Topic) -> Result<Elsewhere, MembersAway> {
        self.everybody_elsewhere(topic).await.map_err(MembersAway)
    }
}

/// Asks several questions at once, and joins what became of topics.
async fn all<F>(questions: impl Iterator<Item = F>) -> Result<Turned, String>
where
    F: Future<Output = Result<Turned, String>>,
{
    stream::iter(questions).buffer_unordered(AT_ONCE).try_concat().await
}

fn read_turn(topic: &Topic, text: &str) -> Option<(Topic, PresenceTurn, Option<MemberId>)> {
    let (turn, who) = match (text.as_bytes().first()?, text.get(1..)?) {
        (b'o', _) => (PresenceTurn::Occupied, None),
        (b'v', _) => (PresenceTurn::Vacated, None),
        (b'j', name) => (PresenceTurn::Joined, Some(read_name(name)?)),
        (b'l', name) => (PresenceTurn::Left, Some(read_name(name)?)),
        _ => return None,
    };
    Some((topic.clone(), turn, who))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_topic_is_read() {
        let who = MemberId { user: "a \"b\" c".into(), tenant: Some("t".into()) };
        let topic = Topic::parse("hall").unwrap();
        let joined = read_turn(&topic, &format!("j{}", write_name(&who)));
        assert_eq!(joined, Some((topic.clone(), PresenceTurn::Joined, Some(who))));
        assert_eq!(read_turn(&topic, "o"), Some((topic.clone(), PresenceTurn::Occupied, None)));
        assert_eq!(read_turn(&topic, "?"), None);
    }
}
