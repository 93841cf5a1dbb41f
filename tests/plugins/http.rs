//! `tidegate:http`: what a plugin reaches over the network, and what it does not, against a real server.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tidegate::egress::{Egress, EgressSettings, Resolve};
use tidegate_core::config::WebUrl;
use tidegate_core::flow::http_client::{HttpClient, HttpRequest};
use tidegate_wasm::{HostSettings, Plugin, PluginHost, Services, recorded};
use tokio::time::timeout;

use crate::kit::{context, fetching, order, reply, typed};
use tidegate_testkit::{FakeHttp, Web};

/// Host names of the tests and what they stand for; every other name does not resolve.
const NAMES: [(&str, &str); 4] = [
    ("api.test", "127.0.0.1"),
    ("other.test", "127.0.0.1"),
    ("inside.test", "127.0.0.1"),
    ("cloud.test", "169.254.169.254"),
];

struct Names(BTreeMap<&'static str, IpAddr>);

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.0.get(host).map(|address| vec![*address]).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The real client, in a network of these names, whose operator lists the server under three of them.
fn egress(web: &Web, requests_max: usize) -> Egress {
    let listed = ["api.test", "other.test", "nobody.test"].map(|host| web.origin(host));
    let private_origins: BTreeSet<_> = listed.iter().map(|origin| origin.parse().unwrap()).collect();
    let names = Names(NAMES.into_iter().map(|(name, address)| (name, address.parse().unwrap())).collect());
    Egress::new(EgressSettings { private_origins, requests_max, ..EgressSettings::default() }, Arc::new(names)).unwrap()
}

/// A server, and a plugin that may reach it as `api.test` and `other.test`; it is granted `inside.test` and `cloud.test`
/// too, which the operator does not list.
struct Story {
    web: Web,
    plugin: Arc<Plugin>,
    // It owns the engine that the plugin's instances live in.
    _host: PluginHost,
}

impl Story {
    async fn with(limits: &str, requests_max: usize) -> Self {
        let web = Web::start().await;
        let services = Services { http: Arc::new(egress(&web, requests_max)), ..Services::in_memory() };
        let host =
            PluginHost::with_services(HostSettings { instances_max: 16, ..HostSettings::default() }, services).unwrap();
        let hosts = ["api.test", "other.test", "inside.test", "cloud.test", "nobody.test", "127.0.0.1", "[::1]"];
        let granted: Vec<String> = hosts.iter().map(|host| format!("'{}'", web.origin(host))).collect();
        let lines = format!("grants: {{ http: [{}] }}\nlimits: {{ {limits} }}", granted.join(", "));
        let plugin = host.load(fetching(&lines)).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        Self { web, plugin, _host: host }
    }

    async fn begin() -> Self {
        Self::with("wall: 20s", 8).await
    }

    /// What the guest was answered: `STATUS`, the header, an empty line and the body, or the error.
    async fn told(&self, what: &str) -> String {
        serde_json::from_str(&reply(order(&self.plugin, what).await)).unwrap()
    }

    async fn get(&self, host: &str, path: &str) -> String {
        self.told(&format!("GET {}", self.web.url(host, path))).await
    }
}

#[tokio::test]
async fn a_granted_origin_is_reached_with_header_and_body() {
    let story = Story::begin().await;
    let url = story.web.url("api.test", "/echo");
    let answer = story.told(&format!("POST@3 {url} authorization:Bearer x-y:z")).await;
    assert!(answer.starts_with("200\n"), "{answer}");
    let [request] = &story.web.seen()[..] else { panic!("{:?}", story.web.seen()) };
    let port = story.web.origin("api.test");
    let host = port.trim_start_matches("http://");
    for line in ["POST /echo HTTP/1.1\r\n", "authorization: Bearer\r\n", "x-y: z\r\n", "content-length: 3\r\n", "xxx"] {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert!(request.contains(&format!("host: {host}\r\n")) && request.contains("user-agent: tidegate/"), "{request}");
    assert!(!request.contains("accept-encoding"), "{request}");
    assert!(story.get("api.test", "/status?=503").await.starts_with("503\n"), "a status is no error");
}

#[tokio::test]
async fn what_is_not_granted_is_denied_before_anything_is_sent() {
    let story = Story::begin().await;
    let granted = story.web.url("api.test", "/echo");
    let elsewhere = [
        granted.replace("http:", "https:"),
        granted.replace("api.test", "sub.api.test"),
        granted.replace("api.test", "api.test."),
        granted.replace("api.test", "localhost"),
        "http://api.test/echo".to_owned(),
    ];
    for url in elsewhere {
        let answer = story.told(&format!("GET {url}")).await;
        assert!(answer.starts_with("Error::Denied(") && answer.contains("is not in `grants.http`"), "{url}: {answer}");
    }
    let disguised = granted.replace("http://", "http://granted.example.com@");
    for wrong in [disguised, "file:///etc/passwd".to_owned(), "/echo".to_owned()] {
        let answer = story.told(&format!("GET {wrong}")).await;
        assert!(answer.starts_with("Error::Invalid("), "{wrong}: {answer}");
    }
    let smuggled = story.told(&format!("GET {granted} transfer-encoding:chunked")).await;
    assert!(smuggled.starts_with("Error::Invalid("), "{smuggled}");
    assert_eq!(story.web.seen(), [""; 0]);
}

#[tokio::test]
async fn a_private_address_is_not_reached_by_name_or_number_unless_the_operator_lists_the_origin() {
    let story = Story::begin().await;
    for host in ["inside.test", "cloud.test", "127.0.0.1", "[::1]"] {
        let answer = story.get(host, "/echo").await;
        assert!(answer.starts_with("Error::Denied(") && answer.contains("private_origins"), "{host}: {answer}");
        let address = NAMES.iter().find(|(name, _)| *name == host).map_or("no address", |(_, address)| address);
        assert!(!answer.contains(address), "tells the plugin what is behind the name: {answer}");
    }
    assert_eq!(story.web.seen(), [""; 0]);
    assert!(story.get("api.test", "/echo").await.starts_with("200\n"));
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_the_grants_and_the_addresses_go() {
    let story = Story::begin().await;
    let to = |host, path: &str| format!("/to?={}", story.web.url(host, path));
    assert!(story.get("api.test", "/to?=/echo").await.starts_with("200\n"));
    assert!(story.get("api.test", &to("other.test", "/echo")).await.starts_with("200\n"));
    let five = "/to?=".repeat(5) + "/echo";
    assert!(story.get("api.test", &five).await.starts_with("200\n"));
    assert!(story.get("api.test", &format!("/to?={five}")).await.contains("more than 5 redirects"));
    assert!(story.get("api.test", &to("inside.test", "/echo")).await.contains("private_origins"));
    assert!(story.get("api.test", &to("other.test", &to("cloud.test", "/"))).await.contains("private_origins"));
    for away in ["http://evil.test/", "http://169.254.169.254/latest/meta-data/", "//evil.test/", "file:///etc/passwd"]
    {
        let answer = story.get("api.test", &format!("/to?={away}")).await;
        assert!(answer.starts_with("Error::Denied("), "{away}: {answer}");
    }
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_origin() {
    let story = Story::begin().await;
    let away = story.web.url("api.test", &format!("/found?={}", story.web.url("other.test", "/echo")));
    story.told(&format!("POST@3 {away} authorization:s3cret cookie:s3cret x-api-key:s3cret accept:text/plain")).await;
    let near = story.web.url("api.test", "/to?=/echo");
    story.told(&format!("POST@3 {near} authorization:s3cret")).await;
    let [_, other, _, same] = &story.web.seen()[..] else { panic!("{:?}", story.web.seen()) };
    assert!(other.starts_with("GET /echo ") && other.contains("accept: text/plain"), "{other}");
    assert!(!other.contains("s3cret") && !other.contains("xxx"), "{other}");
    assert!(
        same.starts_with("POST /echo ") && same.contains("authorization: s3cret") && same.ends_with("xxx"),
        "{same}"
    );
}

#[tokio::test]
async fn bodies_are_bounded_and_nothing_is_unpacked() {
    let story = Story::with("wall: 20s, http_body: 64KiB", 8).await;
    for path in ["/announced", "/endless"] {
        assert_eq!(story.get("api.test", path).await, "Error::TooLarge", "{path}");
    }
    let url = story.web.url("api.test", "/echo");
    assert_eq!(story.told(&format!("POST@65537 {url}")).await, "Error::TooLarge");
    let packed = story.get("api.test", "/packed").await;
    assert!(packed.contains("content-encoding: gzip") && packed.ends_with("\\u{1f}\\u{8}"), "{packed}");
}

#[tokio::test]
async fn a_server_that_takes_its_time_ends_in_a_timeout_that_the_plugin_can_still_answer() {
    // Beyond `wall` there would be no answer at all.
    let story = Story::with("wall: 3s", 8).await;
    let paths = ["/silent", "/drip", "/informing", "/after?=60000"];
    let answers = join_all(paths.map(|path| story.get("api.test", path))).await;
    assert_eq!(answers, ["Error::Timeout"; 4]);
}

#[tokio::test]
async fn waiting_for_a_server_costs_no_processor_time() {
    let story = Story::with("wall: 20s, cpu: 20ms, http: 1000", 8).await;
    let answer = story.told(&format!("GET*80 {}", story.web.url("api.test", "/after?=5"))).await;
    assert!(answer.ends_with("at last"), "{answer}");
}

#[tokio::test]
async fn requests_beyond_the_rate_are_refused_and_redirects_count() {
    let story = Story::with("wall: 20s, http: 3", 8).await;
    assert!(story.get("api.test", "/to?=/echo").await.starts_with("200\n"));
    assert!(story.get("api.test", "/echo").await.starts_with("200\n"));
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(story.get("api.test", "/to?=/echo").await);
    }
    assert!(answers.contains(&"Error::RateLimited".to_owned()), "{answers:?}");
}

#[tokio::test]
async fn a_request_that_finds_no_place_among_those_under_way_waits_for_one() {
    let web = Web::start().await;
    let client = Arc::new(egress(&web, 1));
    let get = |path| {
        let (method, url) = ("GET".to_owned(), WebUrl::parse(&web.url("api.test", path)).unwrap());
        let (client, request) = (client.clone(), HttpRequest { method, url, headers: Vec::new(), body: None });
        async move { client.exchange(&request, 1024).await.map(|response| response.status) }
    };
    let first = tokio::spawn(get("/silent"));
    while web.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut second = pin!(get("/echo"));
    assert!(timeout(Duration::from_millis(50), &mut second).await.is_err());
    assert_eq!(web.seen().len(), 1);
    // A request that is given up leaves its place.
    first.abort();
    assert_eq!(second.await, Ok(200));
}

#[tokio::test]
async fn a_server_that_is_away_or_speaks_nonsense_is_unreachable() {
    let story = Story::begin().await;
    let no_host = story.get("nobody.test", "/").await;
    assert_eq!(no_host, "Error::Unreachable(\"the host `nobody.test` does not exist\")");
    for path in ["/nonsense", "/endless-head"] {
        let answer = story.get("api.test", path).await;
        assert!(answer.starts_with("Error::Unreachable(\"the answer is not HTTP"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn what_is_sent_while_a_call_is_recorded_is_told_with_what_came_of_it() {
    let story = Story::begin().await;
    let (_, record) = recorded(story.get("api.test", "/to?=/echo")).await;
    let [seen] = &record.http[..] else { panic!("{record:?}") };
    assert_eq!((seen.method.as_str(), &seen.result), ("GET", &Ok(200)));
    let (_, record) = recorded(story.get("inside.test", "/echo")).await;
    let denied = record.http[0].result.as_ref().unwrap_err();
    assert!(denied.starts_with("denied: the address of `inside.test` is private"), "{denied}");
    assert_eq!(record.host_calls["http"], 1);
}

#[tokio::test]
async fn a_plugin_written_with_the_rust_sdk_sends_and_reads_json() {
    let http = FakeHttp::serving("http://api.test/count", r#"[{"n":1}]"#);
    let services = Services { http: http.clone(), ..Services::in_memory() };
    let host =
        PluginHost::with_services(HostSettings { instances_max: 4, ..HostSettings::default() }, services).unwrap();
    let plugin = host.load(typed()).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let payloads = plugin.provide(&context("count.{what}", "count.http", None)).await.unwrap();
    assert_eq!(payloads.iter().map(|payload| payload.as_str()).collect::<Vec<_>>(), [r#"{"n":1}"#]);
    let [request] = &http.seen()[..] else { panic!("{} requests", http.count()) };
    let headers: Vec<&str> = request.headers.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!((request.method.as_str(), headers), ("POST", vec!["Bearer t", "application/json"]));
    assert_eq!(request.body.as_deref(), Some(r#"{"n":1}"#.as_bytes()));
}

#[tokio::test]
async fn where_nothing_is_served_nothing_is_sent() {
    let host = PluginHost::new(HostSettings { instances_max: 4, ..HostSettings::default() }).unwrap();
    let plugin = host.load(fetching("grants: { http: ['http://api.test'] }")).await.unwrap();
    let answer = reply(order(&plugin, "GET http://api.test/").await);
    assert!(answer.contains("this command sends no requests"), "{answer}");
}
