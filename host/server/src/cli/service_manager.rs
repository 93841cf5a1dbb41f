//! What the service manager (systemd) hears from the server: when clients can connect, and when it stops. Without a
//! service manager nobody listens, and nothing is sent.

use std::net::SocketAddr;

use sd_notify::NotifyState;
use tokio::sync::oneshot;

use tidegate_core::telemetry::complain;

/// Tells it once clients can connect.
pub(super) async fn tell_ready(listening: oneshot::Receiver<SocketAddr>) {
    let Ok(address) = listening.await else { return };
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("listens on {address}"))]);
}

/// Tells it that the drain begins.
pub(super) fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("drains")]);
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        complain(&format!("warning: failed to tell the service manager of `NOTIFY_SOCKET`: {error}\n"));
    }
}
