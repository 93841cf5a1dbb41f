//! A version that fails after a swap is taken back, and is not let in again until somebody clears it.

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use tidegate_core::flow::ports::{PluginRoster as _, PluginState};
use tidegate_core::protocol::Code;

use crate::kit::{KINDS_MANIFEST, kinds};
use crate::site::{Outcome, Restarted, Site, version_of};
use tidegate_testkit::user;

use PluginState::{Active, Quarantined, Standby};

/// Swaps the second version in and has it fail until it is taken back.
async fn swap_and_fail(site: &mut Site) {
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    site.fail(10).await;
    assert_eq!(site.outcome().await, Outcome::Applied(3));
}

#[tokio::test]
async fn a_version_that_fails_after_the_swap_is_taken_back_and_the_one_before_serves_on() {
    let mut site = Site::of_both().start().await;
    site.order("count").await.unwrap();
    let first = site.statuses("bad").remove(0);
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    assert_eq!(site.states("bad"), [Active, Standby]);
    assert_eq!(site.states("kinds"), [Active], "it did not change");

    site.fail(10).await;
    assert_eq!(site.outcome().await, Outcome::Applied(3));
    site.order("count").await.unwrap();
    let [active, quarantined] = site.statuses("bad").try_into().unwrap();
    assert_eq!((active.state, quarantined.state), (Active, Quarantined));
    assert_eq!((active.version, active.since_unix_s), (first.version, first.since_unix_s));
    assert_eq!(active.service.unwrap().calls, first.service.unwrap().calls + 1, "it is the same, not loaded anew");
    let reason = &quarantined.reasons[0];
    assert!(reason.starts_with("rolled back: 10 of 10 calls after the swap failed; the last: trap: "), "{reason}");
}

#[tokio::test]
async fn what_was_taken_back_is_kept_out_at_the_next_reload_and_after_a_restart_until_it_is_cleared() {
    let mut site = Site::of_both().start().await;
    swap_and_fail(&mut site).await;
    let serving = site.statuses("bad").remove(0).version;
    // Saved again as it was.
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(4));
    assert_eq!(site.statuses("bad")[0].version, serving, "what serves goes on");
    assert_eq!(site.states("bad"), [Active, Quarantined], "why it is kept out is said once");
    site.order("count").await.unwrap();

    let restarted = site.restart().await;
    let (plugin, reason) = &restarted.kept_out[0];
    assert!(plugin == "bad" && reason.starts_with("rolled back: 10 of 10 calls"), "{reason}");

    assert_eq!(site.inventory.clear("kinds").unwrap(), []);
    let cleared = site.inventory.clear("bad").unwrap();
    assert_eq!((cleared.len(), cleared[0].state), (1, Quarantined));
    assert_eq!(site.outcome().await, Outcome::Applied(5), "the files are read again by themselves");
    assert_eq!(site.states("bad"), [Active, Standby]);
    assert_eq!(site.restart().await.kept_out, []);
}

#[tokio::test]
async fn a_quarantined_file_holds_up_no_change_of_channels_or_of_other_plugins() {
    let mut site = Site::of_both().start().await;
    swap_and_fail(&mut site).await;
    let [before, _] = site.statuses("bad").try_into().unwrap();
    site.write("channels/more.yaml", "feature: more\nchannels:\n  news: { scope: public, payload: {} }\n");
    site.write("plugins/kinds/kinds.wasm", version_of(&kinds("kinds", KINDS_MANIFEST), "two"));
    assert_eq!(site.reload().await, Outcome::Applied(4));
    site.server.client(None).subscribe("news").await.unwrap();
    assert_eq!(site.states("kinds"), [Active, Standby]);
    let [active, quarantined] = site.statuses("bad").try_into().unwrap();
    assert_eq!((active.state, quarantined.state), (Active, Quarantined));
    assert_eq!(
        (active.version, active.since_unix_s),
        (before.version, before.since_unix_s),
        "the same, not loaded anew"
    );
    site.order("count").await.unwrap();
}

#[tokio::test]
async fn a_start_without_a_good_version_serves_everything_else_and_refuses_what_needs_the_plugin() {
    let mut site = Site::of_both().start().await;
    swap_and_fail(&mut site).await;
    site.write(
        "channels/more.yaml",
        "feature: more\nchannels:\n  news: { scope: public, payload: {}, inbound: { payload: {}, relay: all } }\n",
    );
    let Restarted { server, kept_out } = site.restart().await;
    assert_eq!(kept_out.len(), 1);
    let client = server.client(None);
    client.subscribe("news").await.unwrap();
    client.send("news", "hello".into()).await.unwrap();
    client.subscribe("room").await.unwrap();
    assert_eq!(client.send("room", "count".into()).await.unwrap_err().code, Code::Unavailable);
}

#[tokio::test]
async fn a_start_without_a_good_version_of_an_authorizer_denies() {
    let builder = Site::of_both();
    builder.write(
        "channels/more.yaml",
        "feature: more\nchannels:\n  state.{n}: { scope: public, payload: {}, snapshot: { plugin: kinds } }\n",
    );
    let mut site = builder.start().await;
    site.write("plugins/kinds/kinds.wasm", version_of(&kinds("kinds", KINDS_MANIFEST), "two"));
    assert_eq!(site.reload().await, Outcome::Applied(2));
    for _ in 0..10 {
        assert!(site.server.client(None).subscribe("state.trap").await.is_err());
    }
    assert_eq!(site.outcome().await, Outcome::Applied(3));
    let Restarted { server, kept_out } = site.restart().await;
    assert_eq!(kept_out.len(), 1);
    assert!(server.client(user("alice")).subscribe("vault.v1").await.is_err());
    assert_eq!(server.client(None).subscribe("state.1").await.unwrap_err().code, Code::Unavailable);
}

#[tokio::test]
async fn another_version_is_let_in_whatever_was_taken_back() {
    let mut site = Site::of_both().start().await;
    swap_and_fail(&mut site).await;
    site.write_version("three");
    assert_eq!(site.reload().await, Outcome::Applied(4));
    site.order("count").await.unwrap();
}

#[tokio::test]
async fn what_was_cleared_while_no_server_ran_is_let_in() {
    let mut site = Site::of_both().start().await;
    swap_and_fail(&mut site).await;
    let digest = site.statuses("bad")[1].digest.clone().unwrap();
    let offline = tidegate_wasm::Quarantine::at(site.path("quarantine.json"));
    assert_eq!(offline.clear(&digest[..12]).unwrap().len(), 1);
    assert_eq!(site.restart().await.kept_out, []);
    assert_eq!(site.reload().await, Outcome::Applied(4), "a server that ran all the same sees it at its next reload");
}

#[tokio::test]
async fn a_version_that_is_swapped_in_before_its_predecessor_stood_its_time_goes_back_to_the_last_good_one() {
    let mut site = Site::of_both().start().await;
    let first = site.statuses("bad")[0].version.clone();
    for (version, generation) in [("two", 2), ("three", 3)] {
        site.write_version(version);
        assert_eq!(site.reload().await, Outcome::Applied(generation));
    }
    site.fail(10).await;
    assert_eq!(site.outcome().await, Outcome::Applied(4));
    assert_eq!(site.statuses("bad")[0].version, first);
}

#[tokio::test]
async fn a_version_no_worse_than_the_one_before_stays() {
    let mut site = Site::of_both().start().await;
    site.fail(5).await;
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    site.fail(20).await;
    assert_eq!(site.order("count").await, Err(Code::Unavailable), "its breaker opened");
    site.write_version("three");
    assert_eq!(site.reload().await, Outcome::Applied(3), "nothing was taken back in between");
    assert_eq!(site.states("bad"), [Active, Standby]);
}

#[tokio::test]
async fn the_first_version_has_none_to_go_back_to_and_only_its_breaker() {
    let mut site = Site::of_both().start().await;
    site.fail(20).await;
    assert_eq!(site.order("count").await, Err(Code::Unavailable));
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2), "nothing was taken back in between");
    assert_eq!(site.states("bad"), [Active, Standby]);
}

#[tokio::test]
async fn a_version_that_does_not_fit_what_is_declared_now_is_not_gone_back_to() {
    let mut site = Site::of_both().start().await;
    site.write(
        "channels/site.yaml",
        "feature: site\nchannels:\n  state.{n}: { scope: public, payload: {}, snapshot: { plugin: bad } }\n",
    );
    site.write("plugins/bad/bad.wasm", kinds("bad", KINDS_MANIFEST).component);
    assert_eq!(site.reload().await, Outcome::Applied(2));
    for _ in 0..10 {
        assert!(site.server.client(None).subscribe("state.trap").await.is_err());
    }
    site.write(
        "channels/site.yaml",
        "feature: site\nchannels:\n  state.{n}: { scope: public, payload: {}, snapshot: { plugin: bad } }\n# changed\n",
    );
    assert_eq!(site.reload().await, Outcome::Applied(3), "nothing was taken back in between");
    assert_eq!(site.states("bad"), [Active], "and nothing stands by any more");
    assert_eq!(site.restart().await.kept_out, []);
}

#[tokio::test]
async fn a_changed_plugin_yaml_alone_keeps_only_itself_out() {
    let mut site = Site::of_both().start().await;
    let good = std::fs::read_to_string(site.path("plugins/bad/plugin.yaml")).unwrap();
    let bad = format!("{good}# changed\n");
    site.write("plugins/bad/plugin.yaml", &bad);
    assert_eq!(site.reload().await, Outcome::Applied(2));
    site.fail(10).await;
    assert_eq!(site.outcome().await, Outcome::Applied(3));
    assert_eq!(site.restart().await.kept_out.len(), 1);
    site.write("plugins/bad/plugin.yaml", &good);
    assert_eq!(site.restart().await.kept_out, [], "the component is the one of the good version");
}

#[tokio::test]
async fn a_call_ends_on_the_version_it_began_on_though_that_is_taken_back() {
    let mut site = Site::of_both().start().await;
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    let answer = {
        let server = &site.server;
        let mut napping = pin!(async {
            let client = server.client(None);
            client.subscribe("room").await.unwrap();
            client.send("room", "nap".into()).await
        });
        tokio::select! {
            biased;
            _ = &mut napping => panic!("it did not nap"),
            () = ready(()) => {}
        }
        let failing = async {
            for _ in 0..10 {
                let client = server.client(None);
                client.subscribe("room").await.unwrap();
                client.send("room", "panic".into()).await.unwrap_err();
            }
        };
        let (answer, ()) = tokio::join!(napping, failing);
        answer
    };
    assert_eq!(answer.unwrap(), Some("rested".into()));
    assert_eq!(site.outcome().await, Outcome::Applied(3));
}

#[tokio::test]
async fn what_fails_is_taken_back_while_the_next_version_is_still_being_made_ready() {
    let mut site = Site::of_both().start().await;
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    site.write_version("three");
    let context = r#"{ "topic": "room" }"#;
    let nap = format!(
        r#"{{ "kind": "handler", "context": {context}, "payload": "nap", "expect": {{ "reply": "rested" }} }}"#
    );
    (0..10).for_each(|index| site.write(&format!("plugins/bad/tests/{index}.json"), &nap));
    site.touch().await;
    site.fail(10).await;
    assert_eq!(site.outcome().await, Outcome::Applied(3));
    assert_eq!(site.states("bad"), [Active, Quarantined]);
    assert_eq!(site.outcome().await, Outcome::Applied(4));
    assert_eq!(site.states("bad"), [Active, Standby, Quarantined]);
}

#[tokio::test]
async fn after_a_rollback_no_answer_of_the_bad_authorizer_is_used() {
    let builder = Site::of_both();
    builder.write(
        "channels/more.yaml",
        "feature: more\nchannels:\n  state.{n}: { scope: public, payload: {}, snapshot: { plugin: kinds } }\n",
    );
    let mut site = builder.start().await;
    assert!(site.lets_in("alice").await);
    assert!(!site.lets_in("bob").await, "the one yes of the first version is spent");
    site.write("plugins/kinds/kinds.wasm", version_of(&kinds("kinds", KINDS_MANIFEST), "two"));
    assert_eq!(site.reload().await, Outcome::Applied(2));
    assert!(site.lets_in("bob").await, "the second version has one as well");
    assert!(!site.lets_in("alice").await);
    for _ in 0..10 {
        assert!(site.server.client(None).subscribe("state.trap").await.is_err());
    }
    assert_eq!(site.outcome().await, Outcome::Applied(3));
    assert!(!site.lets_in("bob").await, "what the second version granted is gone with it");
    assert!(site.lets_in("alice").await, "what the first granted holds for its time");
}

#[tokio::test]
async fn a_file_that_is_put_back_is_the_version_that_stands_by() {
    let builder = Site::of_both();
    let mut site = builder.start().await;
    site.order("count").await.unwrap();
    let first = site.statuses("bad").remove(0);
    let component = std::fs::read(site.path("plugins/bad/bad.wasm")).unwrap();
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    site.write("plugins/bad/bad.wasm", component);
    assert_eq!(site.reload().await, Outcome::Applied(3));
    let [active] = site.statuses("bad").try_into().unwrap();
    assert_eq!(active.service.unwrap().calls, first.service.unwrap().calls, "it is the same, not loaded anew");
}

#[tokio::test]
async fn without_a_probation_nothing_stands_by_and_nothing_is_taken_back() {
    let mut site = Site::of_both().probation(Duration::ZERO).start().await;
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    assert_eq!(site.states("bad"), [Active]);
    site.fail(20).await;
    site.write_version("three");
    assert_eq!(site.reload().await, Outcome::Applied(3));
}

#[tokio::test]
async fn a_version_that_stood_its_time_has_none_to_go_back_to() {
    let mut site = Site::of_both().probation(Duration::from_millis(50)).start().await;
    site.write_version("two");
    assert_eq!(site.reload().await, Outcome::Applied(2));
    while site.states("bad") != [Active] {
        tokio::task::yield_now().await;
    }
    site.fail(10).await;
    site.write_version("three");
    assert_eq!(site.reload().await, Outcome::Applied(3));
    assert_eq!(site.restart().await.kept_out, []);
}
