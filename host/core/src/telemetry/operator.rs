//! What operators do with the dashboard, for the log.

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
