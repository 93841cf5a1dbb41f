//! The operators' side of a server: who may sign in, and the live data of the dashboard.

use std::sync::Arc;

use super::AppError;
use super::shutdown::{Phase, Shutdown};
use crate::dashboard::{Application, Live, TailedRooms, Tails};
use crate::http;
use crate::operator::Operators;
use tidegate_backends::bus::node_name;
use tidegate_core::config::Config;
use tidegate_core::flow::ports::{Rooms, SystemClock};
use tidegate_realtime::Realtime;

/// The operators of this configuration; `None` without a dashboard.
pub(super) fn operators(config: &Config) -> Option<Arc<Operators>> {
    let operators = || Operators::new(Arc::new(config.api_keys.clone()), Arc::new(SystemClock));
    config.has_dashboard().then(|| Arc::new(operators()))
}

/// The rooms, as the gates see them: with a dashboard, operators may follow what comes there.
pub(super) fn rooms(config: &Config, clients: &Arc<Realtime>, tails: &Arc<Tails>) -> Arc<dyn Rooms> {
    if config.has_dashboard() { Arc::new(TailedRooms::new(clients.clone(), tails.clone())) } else { clients.clone() }
}

/// The live data, before anybody can connect to them.
///
/// # Errors
/// [`AppError::Io`] if the system gives them no thread.
pub(super) fn live(
    config: &Config,
    operators: Option<&Arc<Operators>>,
    tails: &Arc<Tails>,
    shutdown: &Shutdown,
) -> Result<Option<Arc<Live>>, AppError> {
    let start =
        |operators: &Arc<Operators>| Live::start(config, operators.clone(), tails.clone(), shutdown.at(Phase::Leaving));
    Ok(operators.map(start).transpose()?)
}

/// Lets operators connect.
pub(super) fn serve(
    live: &Arc<Live>,
    state: &http::State,
    clients: &Arc<Realtime>,
    config: &Config,
    shutdown: &Shutdown,
) {
    let watched = state.clone();
    let application = Application {
        gates: state.gates.clone(),
        clients: clients.clone(),
        plugins: state.plugins.clone(),
        away: Box::new(move || http::away(&watched)),
        node: node_name(config).to_string(),
    };
    live.serve(application, shutdown.at(Phase::Closing));
    let pages = live.clone();
    state.reloads.listen(move |reload| pages.tell_reload(serde_json::to_value(reload).unwrap_or_default()));
}
