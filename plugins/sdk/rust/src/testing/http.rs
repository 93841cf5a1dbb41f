//! Answers to HTTP requests, one set a thread, for unit tests off wasm. The names are those of the generated bindings.

use std::cell::RefCell;

thread_local! {
    static ANSWERS: RefCell<Vec<(String, String, Response)>> = const { RefCell::new(Vec::new()) };
    static SENT: RefCell<Vec<Request>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// As the contract has them; a test meets only the last.
#[derive(Debug)]
#[allow(dead_code, reason = "the variants of the contract")]
pub(crate) enum Error {
    Invalid(String),
    Denied(String),
    TooLarge,
    RateLimited,
    Timeout,
    Unreachable(String),
}

pub(super) fn answer(method: &str, url: &str, response: Response) {
    ANSWERS.with_borrow_mut(|answers| {
        answers.retain(|(own_method, own_url, _)| (own_method.as_str(), own_url.as_str()) != (method, url));
        answers.push((method.to_owned(), url.to_owned(), response));
    });
}

pub(super) fn sent() -> Vec<Request> {
    SENT.with_borrow(Clone::clone)
}

pub(crate) fn send(request: &Request) -> Result<Response, Error> {
    SENT.with_borrow_mut(|sent| sent.push(request.clone()));
    ANSWERS.with_borrow(|answers| {
        let asked = answers.iter().find(|(method, url, _)| (method, url) == (&request.method, &request.url));
        let nobody =
            || format!("no answer was set: `testing::answer_http(\"{}\", \"{}\", …)`", request.method, request.url);
        asked.map(|(.., response)| response.clone()).ok_or_else(|| Error::Unreachable(nobody()))
    })
}
