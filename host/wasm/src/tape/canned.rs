//! The HTTP answers of a golden vector: while the plugin answers the vector, its requests get these answers, and
//! nothing leaves the process.
//!
//! A call runs in the task of its caller, and so do its host calls. So the answers belong to the task, like the records
//! of [`recorded`](crate::recorded).

use std::cell::RefCell;

use bytes::Bytes;
use serde_json::Value;

use super::stage;
use crate::contract::client::Error;
use tidegate_core::config::WebUrl;
use tidegate_core::flow::http_client::{HttpRequest, HttpResponse};

tokio::task_local! {
    static LEFT: RefCell<Vec<Canned>>;
}

/// An expected request, and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Canned {
    pub(crate) method: String,
    pub(crate) url: WebUrl,
    /// Header fields that the request must have, names in lower case. It may have more.
    pub(crate) headers: Vec<(String, String)>,
    /// The body that the request must have: a text exactly, any other value as JSON. `None` allows any body.
    pub(crate) body: Option<Value>,
    pub(crate) answer: CannedAnswer,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum CannedAnswer {
    Response(HttpResponse),
    TooLarge,
    RateLimited,
    Timeout,
    Unreachable,
}

/// Runs `asked`, and answers its HTTP requests with these answers, each of them once and in order.
pub(crate) async fn answering<T>(canned: Vec<Canned>, asked: impl Future<Output = T>) -> T {
    LEFT.scope(RefCell::new(canned), asked).await
}

/// The answer to a request while a vector with HTTP answers runs; `None` at any other time.
pub(super) fn answer(request: &HttpRequest, body_bytes_max: usize) -> Option<Result<HttpResponse, Error>> {
    let found = LEFT.try_with(|left| {
        let mut left = left.borrow_mut();
        let at = left.iter().position(|canned| canned.fits(request));
        at.map(|at| left.remove(at).answer)
    });
    let answer = match found.ok()? {
        None => {
            let HttpRequest { method, url, .. } = request;
            let why = format!("the vector's `http` has no (more) answers for `{method} {url}`");
            stage::missed(|| why.clone());
            Err(Error::Unreachable(why))
        }
        Some(CannedAnswer::Response(response)) if response.body.len() > body_bytes_max => Err(Error::TooLarge),
        Some(CannedAnswer::Response(response)) => Ok(response),
        Some(CannedAnswer::TooLarge) => Err(Error::TooLarge),
        Some(CannedAnswer::RateLimited) => Err(Error::RateLimited),
        Some(CannedAnswer::Timeout) => Err(Error::Timeout),
        Some(CannedAnswer::Unreachable) => Err(Error::Unreachable("as the vector's `http` says".to_owned())),
    };
    Some(answer)
}

impl Canned {
    fn fits(&self, request: &HttpRequest) -> bool {
        let has = |(name, value): &(String, String)| {
            request.headers.iter().any(|(own, is)| own.eq_ignore_ascii_case(name) && is == value)
        };
        let sent = request.body.as_ref().map_or(&[][..], Bytes::as_ref);
        let same_body = match &self.body {
            None => true,
            Some(Value::String(text)) => text.as_bytes() == sent,
            Some(value) => serde_json::from_slice::<Value>(sent).is_ok_and(|body| body == *value),
        };
        self.method == request.method && self.url == request.url && self.headers.iter().all(has) && same_body
    }
}
