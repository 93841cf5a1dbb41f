//! A connection to Redis with the commands for reading a stream. An answer that does not come in time ends the
//! connection.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Script, ScriptInvocation, Value as Reply, cmd};

use super::entry::Entry;
use crate::bus::health::{Contested, SessionError};
use tidegate_core::config::RedisUrl;

/// Longest wait for entries. A drain waits for its end, and so does the periodic work.
const BLOCK_MAX: Duration = Duration::from_millis(500);

/// Why a stream cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// Redis is away, or refuses.
    #[error("{place}: {cause}")]
    Redis {
        /// Where, without the password.
        place: String,
        /// The message of Redis.
        cause: RedisError,
    },
    /// The group is gone: Redis lost its data, or somebody removed it.
    #[error("the consumer group is gone")]
    NoGroup,
    /// A key of another kind has the stream's name.
    #[error("`{stream}` is not a stream: a key of another kind has this name")]
    NoStream {
        /// The name.
        stream: String,
    },
    /// Another process reads under this node's name.
    #[error(transparent)]
    Contested(#[from] Contested),
}

impl SessionError for ReadError {
    fn is_contested(&self) -> bool {
        matches!(self, Self::Contested(_))
    }
}

/// What [`Connection::claim`] took over.
#[derive(Default)]
pub(super) struct Claimed {
    /// The id to continue with; `None` at the end.
    pub(super) next: Option<String>,
    /// The entries.
    pub(super) entries: Vec<Entry>,
    /// Entries that were deleted from the stream before anybody acknowledged them. Redis 7 removes them from the
    /// pending entries and reports them here, once; an older version returns them as entries without fields.
    pub(super) deleted: u64,
}

/// The connection.
pub(super) struct Connection {
    redis: MultiplexedConnection,
    place: String,
    stream: String,
    block: Duration,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(url: &RedisUrl, stream: &str, timeout: Duration) -> Result<Self, ReadError> {
        let place = url.to_string();
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        let connected =
            async { Client::open(url.expose())?.get_multiplexed_async_connection_with_config(&settings).await };
        let redis = connected.await.map_err(|cause| ReadError::Redis { place: place.clone(), cause })?;
        Ok(Self { redis, place, stream: stream.to_owned(), block: BLOCK_MAX.min(timeout / 2) })
    }

    /// Entries that no consumer of the group has, as soon as there is one; none if none comes for a while.
    pub(super) async fn read_new(
        &mut self,
        group: &str,
        consumer: &str,
        batch: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(group).arg(consumer).arg("COUNT").arg(batch);
        read.arg("BLOCK").arg(self.block.as_millis() as u64).arg("STREAMS").arg(&self.stream).arg(">");
        self.read(&read).await
    }

    /// Entries after an id that this consumer has and did not acknowledge.
    pub(super) async fn read_own(
        &mut self,
        group: &str,
        consumer: &str,
        batch: usize,
        after: &str,
    ) -> Result<Vec<Entry>, ReadError> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(group).arg(consumer).arg("COUNT").arg(batch).arg("STREAMS").arg(&self.stream).arg(after);
        self.read(&read).await
    }

    async fn read(&mut self, read: &Cmd) -> Result<Vec<Entry>, ReadError> {
        // A list of streams, here only one, each with its entries; null if there are none.
        let Reply::Array(streams) = self.ask(read).await? else { return Ok(Vec::new()) };
        let Some(Reply::Array(mut stream)) = streams.into_iter().next() else { return Ok(Vec::new()) };
        Ok(stream.pop().map(Entry::list).unwrap_or_default())
    }

    /// Takes over entries that other consumers of the group have not acknowledged for `idle`, starting at an id.
    pub(super) async fn claim(
        &mut self,
        group: &str,
        consumer: &str,
        batch: usize,
        idle: Duration,
        from: &str,
    ) -> Result<Claimed, ReadError> {
        let mut claim = cmd("XAUTOCLAIM");
        claim.arg(&self.stream).arg(group).arg(consumer).arg(idle.as_millis() as u64).arg(from).arg("COUNT").arg(batch);
        let Reply::Array(parts) = self.ask(&claim).await? else { return Ok(Claimed::default()) };
        let mut parts = parts.into_iter();
        let next = parts.next().and_then(|id| redis::from_redis_value(id).ok());
        let entries = parts.next().map(Entry::list).unwrap_or_default();
        let deleted = parts.next().and_then(|ids| redis::from_redis_value::<Vec<String>>(ids).ok());
        Ok(Claimed {
            next: next.filter(|id: &String| id != "0-0"),
            entries,
            deleted: deleted.unwrap_or_default().len() as u64,
        })
    }

    /// The server and its run, which changes with every restart. `None` if the user may not ask.
    pub(super) async fn server(&mut self) -> Result<Option<String>, ReadError> {
        let told = match self.ask(cmd("INFO").arg("server")).await {
            Ok(told) => redis::from_redis_value::<String>(told).unwrap_or_default(),
            Err(ReadError::Redis { cause, .. }) if cause.code() == Some("NOPERM") => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(told.lines().find_map(|line| line.strip_prefix("run_id:")).map(|id| id.trim().to_owned()))
    }

    /// Acknowledges entries.
    pub(super) async fn acknowledge(&mut self, group: &str, ids: &[String]) -> Result<(), ReadError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.ask(cmd("XACK").arg(&self.stream).arg(group).arg(ids)).await.map(drop)
    }

    /// Runs a script with the stream's key and others.
    pub(super) async fn run(&mut self, script: &Script, more_keys: &[&str], args: &[&str]) -> Result<Reply, ReadError> {
        let mut invocation: ScriptInvocation<'_> = script.key(&self.stream);
        more_keys.iter().for_each(|key| {
            invocation.key(*key);
        });
        args.iter().for_each(|arg| {
            invocation.arg(*arg);
        });
        let answer = invocation.invoke_async(&mut self.redis).await;
        answer.map_err(|cause| self.told(cause))
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Reply, ReadError> {
        command.query_async(&mut self.redis).await.map_err(|cause| self.told(cause))
    }

    fn told(&self, cause: RedisError) -> ReadError {
        match cause.code() {
            // A client that waits for entries gets `UNBLOCKED` when the stream is deleted.
            Some("NOGROUP" | "UNBLOCKED") => ReadError::NoGroup,
            Some("WRONGTYPE") => ReadError::NoStream { stream: self.stream.clone() },
            _ => ReadError::Redis { place: self.place.clone(), cause },
        }
    }
}
