//! The signals of the operating system: SIGTERM and SIGINT stop a server, SIGHUP reloads its files.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::service_manager;
use crate::app::{AppError, Options, Server};
use crate::reload::Trigger;

/// Serves until SIGTERM or SIGINT.
pub(super) async fn serve_until_signal(server: Server, options: Options) -> Result<(), AppError> {
    serve_until_signal_or(server, options, std::future::pending::<()>()).await.map(drop)
}

/// Serves until SIGTERM or SIGINT, or until `other` ends; what that came to.
pub(super) async fn serve_until_signal_or<T>(
    server: Server,
    options: Options,
    other: impl Future<Output = T>,
) -> Result<Option<T>, AppError> {
    let Signals { terminate, interrupt, hangup } = Signals::catch()?;
    tokio::spawn(reload_at(hangup, options.triggers.sender.clone()));
    let mut ended = None;
    let stop = async {
        tokio::select! {
            () = either(terminate, interrupt) => {}
            value = other => ended = Some(value),
        }
        service_manager::tell_stopping();
    };
    server.serve(stop, options).await?;
    Ok(ended)
}

/// The signals, caught from the moment this exists. Before that they end the process, however long a build takes.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

async fn either(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Asks for a reload at each signal, until the server reloads no more.
async fn reload_at(mut hangup: Signal, triggers: mpsc::Sender<Trigger>) {
    while hangup.recv().await.is_some() && triggers.send(Trigger::Asked).await.is_ok() {}
}
