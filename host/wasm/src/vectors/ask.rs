//! Asks a plugin, and writes its answer in the words of `expect`.

use serde_json::Value;

use super::Question;
use super::words::{InWords, fault_in_words};
use crate::Plugin;
use tidegate_core::flow::ports::{AuthorizerCall, ConnectionCall, Fault, HandlerCall, IdentifyCall, TransformCall};

pub(crate) async fn ask(plugin: &Plugin, question: &Question) -> Value {
    match question {
        Question::Handler { context, payload } => said(plugin.handle(HandlerCall { context, payload }).await),
        Question::Authorizer { context, action, payload } => {
            said(plugin.authorize(AuthorizerCall { context, action: *action, payload: payload.as_ref() }).await)
        }
        Question::Identity { connection, credential } => {
            said(plugin.identify(IdentifyCall { connection, credential }).await)
        }
        Question::Snapshot { context } => said(plugin.provide(context).await),
        Question::Transform { channel, topic, event, payload } => {
            said(plugin.transform(TransformCall { channel, event, topic, payload }).await)
        }
        Question::Connection { connection, user, phase } => {
            said(plugin.changed(ConnectionCall { connection, user: user.as_ref(), phase: *phase }).await)
        }
    }
}

fn said(answer: Result<impl InWords, Fault>) -> Value {
    answer.map_or_else(|fault| fault_in_words(fault.kind.as_str(), &fault.detail), |answer| answer.in_words())
}
