//! A connection for questions whose answer is waited for, apart from the publications and their order: a slow answer
//! here holds up no publication, and no publication holds up an answer.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, FromRedisValue, ScriptInvocation};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::{RETRY_MAX, no_answer};
use super::publisher::told;
use super::{RedisBrokerSettings, client};

/// The connection; it is made when it is first needed, and again when it was lost.
pub(super) struct Questions {
    client: Client,
    timeout: Duration,
    /// As many as may wait for an answer (`limits.broker_queue`).
    room: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Which connection it is: who finds it broken must not close the next one.
    number: u64,
    /// When it could not be made, and why. Nobody waits for the next try.
    failed: Option<(Instant, String)>,
}

impl Questions {
    /// Does not connect yet.
    pub(super) fn new(settings: &RedisBrokerSettings) -> Result<Arc<Self>, ::redis::RedisError> {
        Ok(Arc::new(Self {
            client: client(&settings.url)?,
            timeout: settings.timeout,
            room: Semaphore::new(settings.queue_max.clamp(1, 1 << 20)),
            state: Mutex::default(),
        }))
    }

    /// Runs a script and waits for its answer, together with the connection for `limits.broker_timeout` at most.
    ///
    /// # Errors
    /// Why there is no answer. The script may have run nevertheless.
    pub(super) async fn ask<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, String> {
        let Ok(_permit) = self.room.try_acquire() else { return Err("too many wait (limits.broker_queue)".to_owned()) };
        match timeout(self.timeout, self.ask_patiently(script)).await {
            Ok(answer) => answer,
            Err(_) => {
                // It may be frozen: the next question finds out with a new one.
                self.state.lock().await.connection = None;
                Err(no_answer(self.timeout))
            }
        }
    }

    async fn ask_patiently<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, String> {
        let (mut connection, number) = self.connection().await?;
        let answer = script.invoke_async(&mut connection).await;
        answer.map_err(|error: ::redis::RedisError| {
            let is_lost = error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error();
            if is_lost
                && let Ok(mut state) = self.state.try_lock()
                && state.number == number
            {
                state.connection = None;
            }
            told(error)
        })
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), String> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((connection.clone(), state.number));
        }
        if let Some((at, why)) = &state.failed
            && at.elapsed() < RETRY_MAX
        {
            return Err(why.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                let number = state.number + 1;
                *state = State { connection: Some(connection.clone()), number, failed: None };
                Ok((connection, number))
            }
            Err(error) => {
                let why = told(error);
                state.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }
}
