//! The next request after a redirect, as browsers make it (<https://fetch.spec.whatwg.org/#http-redirect-fetch>). The
//! caller judges whether the plugin may send it.

use tidegate_core::config::{NoWebUrl, WebUrl};
use tidegate_core::flow::http_client::{HttpRequest, HttpResponse};

/// Header fields that the host sends to another origin too. Any other field may be a credential, whatever its name.
const CROSSES: [&str; 5] = ["accept", "accept-language", "content-language", "content-type", "user-agent"];
/// Header fields that describe the body, and are dropped with it.
const ABOUT_BODY: [&str; 4] = ["content-encoding", "content-language", "content-location", "content-type"];

/// The request that a response asks for; `None` when it does not redirect.
///
/// # Errors
/// [`NoWebUrl`] when the redirect leads to something other than a web address.
pub(super) fn follow(request: &HttpRequest, response: &HttpResponse) -> Result<Option<HttpRequest>, NoWebUrl> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.header("location") else { return Ok(None) };
    let mut next = HttpRequest { url: request.url.join(location)?, ..request.clone() };
    if becomes_get(response.status, &request.method) {
        next.method = "GET".to_owned();
        next.body = None;
        next.headers.retain(|(name, _)| !is_one_of(name, &ABOUT_BODY));
    }
    if !same_origin(&next.url, &request.url) {
        next.headers.retain(|(name, _)| is_one_of(name, &CROSSES));
    }
    Ok(Some(next))
}

fn becomes_get(status: u16, method: &str) -> bool {
    match status {
        301 | 302 => method == "POST",
        303 => !matches!(method, "GET" | "HEAD"),
        _ => false,
    }
}

fn same_origin(one: &WebUrl, other: &WebUrl) -> bool {
    one.origin() == other.origin()
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|own| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const HEADERS: [&str; 5] = ["Accept", "Authorization", "Content-Type", "Cookie", "X-Api-Key"];

    /// The next request after one with a body and credentials: method, URL, names of header fields, whether it has the
    /// body.
    fn followed(method: &str, status: u16, location: &str) -> Option<(String, String, Vec<String>, bool)> {
        let request = HttpRequest {
            method: method.to_owned(),
            url: WebUrl::parse("https://a.example.com/x").unwrap(),
            headers: HEADERS.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect(),
            body: Some(Bytes::from_static(b"body")),
        };
        let headers = vec![("location".to_owned(), location.to_owned())];
        let response = HttpResponse { status, headers, body: Bytes::new() };
        let next = follow(&request, &response).unwrap()?;
        let names = next.headers.into_iter().map(|(name, _)| name).collect();
        Some((next.method, next.url.to_string(), names, next.body.is_some()))
    }

    fn expected(method: &str, url: &str, names: &[&str], body: bool) -> Option<(String, String, Vec<String>, bool)> {
        Some((method.to_owned(), url.to_owned(), names.iter().map(ToString::to_string).collect(), body))
    }

    #[test]
    fn within_an_origin_credentials_go_along_and_a_post_becomes_a_get_where_the_status_says_so() {
        let without_body = ["Accept", "Authorization", "Cookie", "X-Api-Key"];
        let get = expected("GET", "https://a.example.com/y", &without_body, false);
        assert_eq!(followed("POST", 301, "/y"), get);
        assert_eq!(followed("POST", 302, "/y"), get);
        assert_eq!(followed("PUT", 303, "y"), get);
        assert_eq!(followed("PUT", 302, "/y"), expected("PUT", "https://a.example.com/y", &HEADERS, true));
        assert_eq!(followed("POST", 307, "/y"), expected("POST", "https://a.example.com/y", &HEADERS, true));
        assert_eq!(followed("POST", 308, "/y"), expected("POST", "https://a.example.com/y", &HEADERS, true));
    }

    #[test]
    fn nothing_that_could_be_a_credential_crosses_to_another_origin() {
        for other in ["https://b.example.com/", "http://a.example.com/", "https://a.example.com:8443/"] {
            assert_eq!(followed("GET", 302, other), expected("GET", other, &["Accept", "Content-Type"], true));
        }
        let protocol_relative = expected("GET", "https://b.example.com/", &["Accept", "Content-Type"], true);
        assert_eq!(followed("GET", 307, "//b.example.com"), protocol_relative);
    }

    #[test]
    fn what_is_no_redirect_is_left_alone() {
        for status in [200, 300, 304, 305, 306, 404] {
            assert_eq!(followed("GET", status, "/y"), None, "{status}");
        }
    }
}
