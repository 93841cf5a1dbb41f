//! What operators do with the dashboard and with API keys, for the log: each act with the name of the key.

use super::names;

/// `operator.signed_in`: an operator began a session of the dashboard. `operator` is the name of the API key, or `link`.
pub fn operator_signed_in(operator: &str) {
    tracing::info!(event = names::OPERATOR_SIGNED_IN, operator, "an operator signed in");
}

/// `operator.tail`: an operator follows publications of a channel or a topic for ten minutes.
pub fn tail_begun(operator: &str, followed: &str, payloads: bool) {
    tracing::info!(event = names::OPERATOR_TAIL, operator, followed, payloads, "an operator follows publications");
}

/// `operator.signed_out`: an operator ended a session.
pub fn operator_signed_out(operator: &str) {
    tracing::info!(event = names::OPERATOR_SIGNED_OUT, operator, "an operator signed out");
}

/// `operator.disconnect`: an operator disconnected a client. `operator` is the name of the API key, or `link`.
pub fn operator_disconnected(operator: &str, connection: &str, user: Option<&str>, why: &str) {
    tracing::info!(
        event = names::OPERATOR_DISCONNECT,
        operator,
        connection,
        user,
        why,
        "an operator disconnected a client"
    );
}

/// `operator.unsubscribe`: an operator took a topic from a client.
pub fn operator_unsubscribed(operator: &str, connection: &str, topic: &str, why: &str) {
    tracing::info!(
        event = names::OPERATOR_UNSUBSCRIBE,
        operator,
        connection,
        topic,
        why,
        "an operator took a topic from a client"
    );
}

/// `operator.revoke`: an operator, or a backend, revoked something; `id` is that of `revocation.taken`.
pub fn operator_revoked(operator: &str, id: &str) {
    tracing::info!(event = names::OPERATOR_REVOKE, operator, id, "an operator revoked credentials or subscriptions");
}

/// `operator.retry`: an operator had the rule of a dead letter applied again.
pub fn operator_retried(operator: &str, id: &str, outcome: &str) {
    tracing::info!(event = names::OPERATOR_RETRY, operator, id, outcome, "an operator retried a dead letter");
}

/// `operator.clear`: an operator admitted a plugin version that had been rolled back.
pub fn operator_cleared(operator: &str, plugin: &str, component: Option<&str>) {
    tracing::info!(
        event = names::OPERATOR_CLEAR,
        operator,
        plugin,
        component,
        "an operator admitted a plugin version again"
    );
}

/// `operator.explain`: an operator asked the gates about somebody. `about` is `user`, `anonymous` or `token`.
pub fn operator_asked(operator: &str, about: &str, user: Option<&str>, topic: &str) {
    tracing::info!(event = names::OPERATOR_EXPLAIN, operator, about, user, topic, "an operator asked the gates");
}
