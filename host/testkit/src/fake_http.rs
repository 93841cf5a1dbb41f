//! Other servers, faked: each URL answers as it was told to, and every request is remembered.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tidegate_core::flow::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse};
use tokio::sync::Notify;

/// What a URL answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status and a body.
    Status(u16, String),
    /// No connection.
    Unreachable,
    /// Nothing, for ever.
    Silent,
    /// The same as the one within, once [`FakeHttp::release`] was called.
    Held(Box<Self>),
}

/// A network of servers that do as they were told.
#[derive(Default)]
pub struct FakeHttp {
    replies: Mutex<HashMap<String, Reply>>,
    seen: Mutex<Vec<HttpRequest>>,
    arrived: Notify,
    released: Notify,
}

impl FakeHttp {
    /// One server that answers 200 with this body at one URL.
    pub fn serving(url: &str, body: &str) -> Arc<Self> {
        let http = Arc::new(Self::default());
        http.answer(url, Reply::Status(200, body.to_owned()));
        http
    }

    /// From now on this URL answers so.
    pub fn answer(&self, url: &str, reply: Reply) {
        self.replies.lock().insert(url.to_owned(), reply);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<HttpRequest> {
        self.seen.lock().clone()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.seen.lock().len()
    }

    /// Waits until there were so many requests.
    pub async fn until(&self, count: usize) {
        while self.count() < count {
            self.arrived.notified().await;
        }
    }

    /// Lets every reply that is held go out.
    pub fn release(&self) {
        self.released.notify_waiters();
    }
}

#[async_trait]
impl HttpClient for FakeHttp {
    async fn exchange(&self, request: &HttpRequest, body_bytes_max: usize) -> Result<HttpResponse, HttpError> {
        let mut reply = self.replies.lock().get(request.url.as_str()).cloned().unwrap_or(Reply::Unreachable);
        let released = self.released.notified();
        self.seen.lock().push(request.clone());
        self.arrived.notify_one();
        if let Reply::Held(held) = reply {
            released.await;
            reply = *held;
        }
        match reply {
            Reply::Status(_, body) if body.len() > body_bytes_max => Err(HttpError::TooLarge),
            Reply::Status(status, body) => {
                Ok(HttpResponse { status, headers: Vec::new(), body: Bytes::from(body.into_bytes()) })
            }
            Reply::Unreachable | Reply::Held(_) => Err(HttpError::Unreachable("there is nobody".to_owned())),
            Reply::Silent => std::future::pending().await,
        }
    }
}
