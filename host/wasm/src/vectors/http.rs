//! The `http` of a vector: the expected requests of the plugin, and their answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::tape::{Canned, CannedAnswer};
use tidegate_core::config::WebUrl;
use tidegate_core::flow::http_client::HttpResponse;

/// One request and its answer, as they are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeFile {
    request: RequestFile,
    answer: AnswerFile,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFile {
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    error: Option<ErrorFile>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ErrorFile {
    TooLarge,
    RateLimited,
    Timeout,
    Unreachable,
}

fn get() -> String {
    "GET".to_owned()
}

/// Reads the exchanges.
///
/// # Errors
/// The first mistake, with the number of its exchange.
pub(super) fn read(exchanges: &[ExchangeFile]) -> Result<Vec<Canned>, String> {
    let one =
        |(number, exchange): (usize, &ExchangeFile)| canned(exchange).map_err(|why| format!("`http/{number}/{why}"));
    exchanges.iter().enumerate().map(one).collect()
}

fn canned(ExchangeFile { request, answer }: &ExchangeFile) -> Result<Canned, String> {
    let url = WebUrl::parse(&request.url).map_err(|why| format!("request/url`: {why}"))?;
    Ok(Canned {
        method: request.method.clone(),
        url,
        headers: lower_case(&request.headers),
        body: request.body.clone(),
        answer: answer.read().map_err(|why| format!("answer`: {why}"))?,
    })
}

impl AnswerFile {
    fn read(&self) -> Result<CannedAnswer, &'static str> {
        match (self.status, self.error) {
            (Some(status @ 100..=599), None) => Ok(CannedAnswer::Response(self.response(status))),
            (None, Some(_)) if self.body.is_some() || !self.headers.is_empty() => {
                Err("an `error` may have no headers and no body")
            }
            (None, Some(error)) => Ok(match error {
                ErrorFile::TooLarge => CannedAnswer::TooLarge,
                ErrorFile::RateLimited => CannedAnswer::RateLimited,
                ErrorFile::Timeout => CannedAnswer::Timeout,
                ErrorFile::Unreachable => CannedAnswer::Unreachable,
            }),
            (Some(_), None) => Err("`status` must be 100 to 599"),
            _ => Err("it needs either a `status` or an `error`"),
        }
    }

    /// A body that is not a text is sent as JSON, with that content type unless the headers name another.
    fn response(&self, status: u16) -> HttpResponse {
        let mut headers = lower_case(&self.headers);
        let body = match &self.body {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => {
                if headers.iter().all(|(name, _)| name != "content-type") {
                    headers.push(("content-type".to_owned(), "application/json".to_owned()));
                }
                value.to_string()
            }
        };
        HttpResponse { status, headers, body: Bytes::from(body) }
    }
}

fn lower_case(headers: &BTreeMap<String, String>) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}
