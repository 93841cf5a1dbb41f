//! `LISTEN`: wakes the reader as soon as a transaction with new rows commits. It looks by itself, too; nothing that goes
//! wrong here is more than a delay.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::link::options;
use tidegate_core::config::PostgresSource;

/// The wait until the next try to listen.
const WAIT: Duration = Duration::from_secs(1);

/// Listens until `draining`.
pub(super) async fn run(source: Arc<PostgresSource>, woken: Arc<Notify>, draining: CancellationToken) {
    while !draining.is_cancelled() {
        if let Some(Err(error)) = draining.run_until_cancelled(listen(&source, &woken)).await {
            // The reader tells when the database is away; this one is told only to whoever looks closely.
            tracing::debug!(source = source.outbox.as_str(), error = %error, "not listening for rows of the outbox");
            draining.run_until_cancelled(tokio::time::sleep(WAIT)).await;
        }
    }
}

async fn listen(source: &PostgresSource, woken: &Notify) -> Result<(), sqlx::Error> {
    let url = source.listen_url.as_ref().unwrap_or(&source.url);
    // One connection, as long as it holds.
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let mut listener = PgListener::connect_with(&pool.connect_with(options(url)?).await?).await?;
    listener.listen(source.outbox.as_str()).await?;
    loop {
        // What was notified before, or while the connection was lost, is not told again.
        woken.notify_one();
        listener.try_recv().await?;
    }
}
