//! What becomes of files that are not, or not yet, what they should be.

use tidegate_core::flow::ports::PluginState;

use crate::kit::{BAD_MANIFEST, bad};
use crate::site::{Outcome, Site};

use PluginState::{Active, Rejected, Standby};

/// The reason why the version on the disk was rejected.
fn reason(site: &Site) -> String {
    let rejected = site.statuses("bad").pop().unwrap();
    assert_eq!(rejected.state, Rejected);
    rejected.reasons[0].clone()
}

#[tokio::test]
async fn a_half_written_component_is_rejected_and_the_whole_one_is_swapped_in() {
    let mut site = Site::of_both().start().await;
    let whole = crate::site::version_of(&bad(BAD_MANIFEST), "two");
    for bytes in [&whole[..0], &whole[..whole.len() / 2]] {
        site.write("plugins/bad/bad.wasm", bytes);
        site.rejected().await;
        assert_eq!(site.states("bad"), [Active, Rejected]);
        site.order("count").await.unwrap();
    }
    assert!(reason(&site).contains("does not compile"), "{}", reason(&site));
    site.write("plugins/bad/bad.wasm", &whole);
    assert_eq!(site.reload().await, Outcome::Applied(2));
    assert_eq!(site.states("bad"), [Active, Standby], "nothing is rejected any more");
}

#[tokio::test]
async fn a_component_that_is_not_the_one_pinned_is_rejected() {
    let mut site = Site::of_both().start().await;
    site.write("plugins/bad/plugin.yaml", format!("{BAD_MANIFEST}sha256: {}\n", "a".repeat(64)));
    site.rejected().await;
    assert!(reason(&site).contains("the component's SHA-256 is "), "{}", reason(&site));
    assert_eq!(site.states("bad"), [Active, Rejected]);
    assert_eq!(site.states("kinds"), [Active], "it is not at fault");
    let pinned = site.statuses("bad")[0].digest.clone().unwrap();
    site.write("plugins/bad/plugin.yaml", format!("{BAD_MANIFEST}sha256: {pinned}\n"));
    assert_eq!(site.reload().await, Outcome::Applied(2));
}

#[tokio::test]
async fn a_component_that_does_not_answer_its_vectors_is_rejected() {
    let mut site = Site::of_both().start().await;
    let vector =
        r#"{ "kind": "handler", "context": { "topic": "room" }, "payload": "well", "expect": { "reply": "ill" } }"#;
    site.write("plugins/bad/tests/well.json", vector);
    site.write_version("two");
    site.rejected().await;
    assert!(reason(&site).contains("expected \"ill\", found \"well\""), "{}", reason(&site));
    site.order("count").await.unwrap();
}

#[tokio::test]
async fn a_file_that_keeps_changing_is_taken_up_once_when_it_is_still() {
    let mut site = Site::of_both().start().await;
    for version in ["two", "three", "four"] {
        site.write_version(version);
        site.touch().await;
    }
    assert_eq!(site.outcome().await, Outcome::Applied(2));
    site.write_version("five");
    assert_eq!(site.reload().await, Outcome::Applied(3), "there was no swap in between");
}

#[tokio::test]
async fn the_same_bytes_saved_again_are_no_swap() {
    let mut site = Site::of_both().start().await;
    site.order("count").await.unwrap();
    site.write("plugins/bad/bad.wasm", bad(BAD_MANIFEST).component);
    site.touch().await;
    site.write("plugins/kinds/plugin.yaml", format!("{}# changed\n", crate::kit::KINDS_MANIFEST));
    assert_eq!(site.reload().await, Outcome::Applied(2), "only the other plugin's file was a change");
    assert_eq!(site.states("bad"), [Active]);
    assert_eq!(site.statuses("bad")[0].service.as_ref().unwrap().calls, 1, "it goes on with its instances");
}

#[tokio::test]
async fn what_was_rejected_is_forgotten_when_the_files_are_again_what_is_served() {
    let mut site = Site::of_both().start().await;
    let good = std::fs::read(site.path("plugins/bad/bad.wasm")).unwrap();
    site.write("plugins/bad/bad.wasm", "no component");
    site.rejected().await;
    site.write("plugins/bad/bad.wasm", good);
    site.touch().await;
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    assert_eq!(site.states("bad"), [Active, Standby]);
}
