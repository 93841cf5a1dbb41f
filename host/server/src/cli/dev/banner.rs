//! What `tidegate dev` prints once clients can connect.

use std::net::SocketAddr;
use std::path::Path;

use super::access::{Access, url};

/// The server's address in the shipped example; `URL` overrides it.
const EXAMPLE_URL: &str = "http://127.0.0.1:3000";
/// The shipped example, if the repository's examples are here.
const EXAMPLE: &str = "examples/realtime-ping/package.json";
/// The page of the shipped example, if the repository's examples are here.
const EXAMPLE_PAGE: &str = "examples/realtime-ping/index.html";
/// The shipped manifest that the event of the last line reaches.
const EXAMPLE_FEED: &str = "channels/blog.yaml";

/// `link` is the secret of a link that signs an operator in.
pub(super) fn text(access: &Access, address: SocketAddr, link: Option<&str>) -> String {
    let reached = url(address);
    let url = format!("http://{address}");
    let elsewhere = if url == EXAMPLE_URL { String::new() } else { format!("URL={url} ") };
    let mut text = format!(
        "\nTidegate listens on {url}. It reloads every file that you save, and builds a plugin when you save its source. Ctrl-C stops it.\n"
    );
    if let Some(link) = link {
        text += &format!("\nThe dashboard; this link signs you in, once:\n\n  {reached}/dashboard/#link={link}\n");
    }
    if !access.tokens.is_empty() {
        text += "\nTokens, valid for 12 hours:\n";
    }
    for token in &access.tokens {
        let roles = if token.roles.is_empty() { String::new() } else { format!(" ({})", token.roles.join(", ")) };
        text += &format!("\n  {}{roles}\n  {}\n", token.user, token.token);
    }
    let is_there = |path: &str| Path::new(path).is_file();
    if let Some(first) = access.tokens.first().filter(|_| is_there(EXAMPLE)) {
        text += "\nTry it in another terminal:\n\n";
        text += &format!("  cd examples/realtime-ping && npm install && {elsewhere}TOKEN={} npm start\n", first.token);
    }
    if is_there(EXAMPLE_PAGE) {
        text += "\nOr in a browser, with the same token:\n\n";
        text +=
            &format!("  cd examples/realtime-ping && {elsewhere}npm run page     # then open http://127.0.0.1:8080/\n");
    }
    if let Some((_, key)) = access.api_keys.first() {
        text += &format!("\nThe API key of a backend:\n\n  {key}\n");
        if is_there(EXAMPLE_FEED) {
            text += "\nPublish an event like a backend:\n\n";
            text += &curl(address, key);
        }
    }
    text += "\n";
    text
}

fn curl(address: SocketAddr, key: &str) -> String {
    let event = r#"{"specversion":"1.0","id":"1","source":"/cms","type":"article.published","data":{"id":"a1","title":"Hello"}}"#;
    format!(
        "  curl -i http://{address}/v1/events \\\n    -H 'authorization: Bearer {key}' \\\n    \
         -H 'content-type: application/cloudevents+json' \\\n    -d '{event}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::access::Token;
    use super::*;

    #[test]
    fn nobody_is_sent_to_an_example_that_is_not_there() {
        let tokens = vec![Token { user: "alice".to_owned(), roles: Vec::new(), token: "a.b.c".to_owned() }];
        let api_keys = vec![("backend".to_owned(), "a key".to_owned())];
        let text = text(&Access { tokens, api_keys }, ([127, 0, 0, 1], 3000).into(), Some("secret"));
        assert!(text.contains("http://127.0.0.1:3000/dashboard/#link=secret\n"), "{text}");
        assert!(text.contains("a.b.c") && text.contains("a key"), "{text}");
        assert!(!text.contains("examples/") && !text.contains("curl"), "{text}");
    }
}
