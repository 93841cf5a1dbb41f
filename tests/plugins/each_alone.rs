//! While somebody writes plugins each stands alone: what is good goes live, what is bad serves as it was before, golden
//! vectors hold nothing up, and nothing is taken back.

use tidegate_core::flow::ports::PluginState::{Active, Rejected};

use crate::kit::{BAD_MANIFEST, KINDS_MANIFEST, kinds};
use crate::site::{Outcome, Site, SiteBuilder, version_of};

const SAYS_OTHERWISE: &str =
    r#"{ "kind": "handler", "context": { "topic": "room" }, "payload": "well", "expect": { "reply": "ill" } }"#;

async fn started(site: SiteBuilder) -> Site {
    site.each_alone().start().await
}

#[tokio::test]
async fn an_answer_that_golden_vectors_do_not_have_is_live_and_told_with_the_command_that_writes_it_down() {
    let site = Site::of_both();
    site.write("plugins/bad/tests/one.json", SAYS_OTHERWISE);
    let mut site = started(site).await;
    let otherwise =
        || Outcome::Warned(vec![r#"is answered differently: /reply: expected "ill", found "well""#.to_owned()]);
    assert_eq!(site.outcome().await, otherwise(), "at the start");
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    assert_eq!(site.outcome().await, otherwise());
    assert_eq!(site.states("bad"), [Active]);
    site.order("count").await.unwrap();
    // Another plugin's save: what is answered otherwise was told.
    site.write("plugins/kinds/kinds.wasm", version_of(&kinds("kinds", KINDS_MANIFEST), "two"));
    assert_eq!(site.reload().await, Outcome::Applied(3));
    site.write("plugins/bad/tests/one.json", SAYS_OTHERWISE.replace("ill", "well"));
    assert_eq!(site.reload().await, Outcome::Applied(4), "and it is not told that all is well");
    site.write_version("three");
    assert_eq!(site.reload().await, Outcome::Applied(5));
}

#[tokio::test]
async fn a_plugin_that_does_not_load_keeps_no_other_from_going_live_and_is_told_once_until_it_changes() {
    let mut site = started(Site::of_both()).await;
    let first = site.statuses("bad")[0].version.clone();
    site.write("plugins/bad/bad.wasm", b"half a component");
    let Outcome::Rejected(reasons) = site.reload().await else { panic!("it was not told") };
    assert!(reasons.len() == 1 && reasons[0].contains("is not WebAssembly"), "{reasons:?}");
    assert_eq!(site.states("bad"), [Active, Rejected]);
    assert_eq!(site.statuses("bad")[0].version, first);
    site.order("count").await.unwrap();
    for (version, generation) in [("two", 2), ("three", 3)] {
        site.write("plugins/kinds/kinds.wasm", version_of(&kinds("kinds", KINDS_MANIFEST), version));
        assert_eq!(site.reload().await, Outcome::Applied(generation), "and nothing is told again");
    }
    site.order("count").await.unwrap();
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(4));
    assert_eq!(site.states("bad"), [Active]);
}

#[tokio::test]
async fn a_start_without_a_plugin_that_cannot_be_read_serves_the_others_and_takes_it_when_it_is_there() {
    let site = Site::of_both();
    site.write("plugins/bad/plugin.yaml", "component: bad.wasm\nbuilt: oops\n");
    let mut site = started(site).await;
    let Outcome::Rejected(reasons) = site.outcome().await else { panic!("it was not told") };
    assert!(reasons[0].contains("unknown key `built`"), "{reasons:?}");
    assert!(site.lets_in("alice").await);
    assert_eq!(site.order("count").await, Err(tidegate_core::protocol::Code::Unavailable));
    site.write("plugins/bad/plugin.yaml", BAD_MANIFEST);
    assert_eq!(site.reload().await, Outcome::Applied(2));
    site.order("count").await.unwrap();
}

#[tokio::test]
async fn a_mistake_in_a_manifest_leaves_what_is_declared_and_a_good_plugin_goes_live() {
    let mut site = started(Site::of_both()).await;
    site.write("channels/more.yaml", "feature: more\nchannels:\n  news: { scop: public, payload: {} }\n");
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    let Outcome::Rejected(reasons) = site.outcome().await else { panic!("it was not told") };
    assert!(reasons[0].contains("unknown key `scop`"), "{reasons:?}");
    site.order("count").await.unwrap();
    site.write("channels/more.yaml", "feature: more\nchannels:\n  news: { scope: public, payload: {} }\n");
    assert_eq!(site.reload().await, Outcome::Applied(3));
    site.server.client(None).subscribe("news").await.unwrap();
}

#[tokio::test]
async fn a_version_that_no_longer_is_what_a_channel_needs_does_not_go_live() {
    let mut site = started(Site::of_both()).await;
    site.write("plugins/bad/bad.wasm", kinds("bad", KINDS_MANIFEST).component);
    let Outcome::Rejected(reasons) = site.reload().await else { panic!("it was not told") };
    assert!(reasons[0].contains("does not export `handler`"), "{reasons:?}");
    site.order("count").await.unwrap();
}

#[tokio::test]
async fn a_version_that_fails_serves_on_and_nothing_is_quarantined() {
    let mut site = started(Site::of_both()).await;
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    site.fail(12).await;
    site.order("count").await.unwrap();
    assert_eq!(site.states("bad"), [Active], "nothing stands by and nothing was taken back");
    assert!(!site.path("quarantine.json").exists());
    site.write_version("three");
    assert_eq!(site.reload().await, Outcome::Applied(3));
    assert_eq!(site.states("bad"), [Active]);
}
