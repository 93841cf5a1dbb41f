//! `GET /dashboard/`: the page for operators, carried by the program. It is made by `npm run build -w host/dashboard`
//! before the server is built; a server that was built without it says so.
//!
//! The page is for everybody, and holds nothing secret: what it shows it asks of the resources of operators.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::State;
use super::answer::Problem;

/// A file of the page.
struct File {
    /// Its path below `/dashboard/`.
    path: &'static str,
    bytes: &'static [u8],
    /// The same, compressed, if that is shorter.
    gzip: Option<&'static [u8]>,
}

/// `host/dashboard/dist`, as it was when the server was built.
const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/dashboard_files.rs"));
const INDEX: &str = "index.html";
/// Files below it have a digest in their names.
const NAMED_BY_DIGEST: &str = "assets/";

/// In place of the page.
const WITHOUT: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Tidegate</title>
<h1>This server was built without its dashboard</h1>
<p>Build the page, then the server again, in the repository's root:</p>
<pre>npm ci
npm run build -w host/dashboard
cargo build --release</pre>
<p>Everything that the page shows is also at the resources of operators: <a href=\"/openapi.json\">/openapi.json</a>.</p>
</html>
";

/// Nothing but the page's own files and the server's own resources. Plots set styles by script, which this allows.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's routes.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/dashboard", get(async || Redirect::permanent("/dashboard/")))
        .route("/dashboard/", get(async |headers: HeaderMap| index(&headers)))
        .route("/dashboard/{*path}", get(file))
}

async fn file(path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    let Ok(Path(path)) = path else { return Problem::bad_request("the path is not UTF-8").into_response() };
    match FILES.iter().find(|file| file.path == path) {
        Some(file) => answer(file, &headers),
        None => Problem::not_found("the dashboard has no such file").into_response(),
    }
}

fn index(headers: &HeaderMap) -> Response {
    let without = File { path: INDEX, bytes: WITHOUT.as_bytes(), gzip: None };
    answer(FILES.iter().find(|file| file.path == INDEX).unwrap_or(&without), headers)
}

fn answer(file: &File, headers: &HeaderMap) -> Response {
    let zipped = file.gzip.filter(|_| takes_gzip(headers));
    let cache = if file.path.starts_with(NAMED_BY_DIGEST) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = (StatusCode::OK, Bytes::from_static(zipped.unwrap_or(file.bytes))).into_response();
    let fixed: [(HeaderName, &'static str); 8] = [
        (header::CONTENT_TYPE, media(file.path)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, cache),
        (header::VARY, "accept-encoding"),
    ];
    let zip = zipped.map(|_| (header::CONTENT_ENCODING, "gzip"));
    for (name, value) in fixed.into_iter().chain(zip) {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a client takes gzip; one that says nothing of it, or `q=0`, does not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

fn media(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(coding: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::try_from(coding).unwrap())])
    }

    #[test]
    fn whoever_takes_gzip_gets_what_was_compressed_when_the_page_was_built() {
        let file = File { path: "assets/index-a1b2.js", bytes: b"plain", gzip: Some(b"zipped") };
        for coding in ["gzip", "br, GZIP", "deflate, gzip;q=0.5"] {
            let answer = answer(&file, &asking(coding));
            assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip", "{coding}");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        }
        for coding in ["", "br", "gzip;q=0", "x-gzip2"] {
            assert!(answer(&file, &asking(coding)).headers().get(header::CONTENT_ENCODING).is_none(), "{coding}");
        }
    }

    #[test]
    fn what_is_named_by_its_digest_is_kept_and_the_page_is_asked_for_again() {
        let cache = |path| {
            answer(&File { path, bytes: b"", gzip: None }, &HeaderMap::new()).headers()[header::CACHE_CONTROL].clone()
        };
        assert_eq!(cache("assets/index-a1b2.js"), "public, max-age=31536000, immutable");
        assert_eq!(cache(INDEX), "no-cache");
        assert_eq!(cache("icon.svg"), "no-cache");
    }
}
