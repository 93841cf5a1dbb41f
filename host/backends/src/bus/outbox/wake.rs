//! `LISTEN`: wakes the reader as soon as a transaction with new rows commits. The reader also looks by itself, so an
//! error here only causes a delay.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connection::options;
use tidegate_core::config::PostgresSource;

/// The wait until the next try to listen.
const WAIT: Duration = Duration::from_secs(1);

/// Listens until `draining`.
pub(super) async fn run(source: Arc<PostgresSource>, woken: Arc<Notify>, draining: CancellationToken) {
    while !draining.is_cancelled() {
        if let Some(Err(error)) = draining.run_until_cancelled(listen(&source, &woken)).await {
            // The reader reports when the database is away; this message is only for debugging.
            tracing::debug!(source = source.outbox.as_str(), error = %error, "not listening for notifications of the outbox");
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
        // Notifications from before, or from while the connection was lost, do not come again.
        woken.notify_one();
        listener.try_recv().await?;
    }
}
