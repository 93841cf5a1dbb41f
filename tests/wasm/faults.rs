//! Plugins that misbehave: the right fault, in time, and nobody else notices.

use std::time::Duration;

use tidegate_core::flow::ports::{Fault, FaultKind};
use tidegate_wasm::recorded;

use crate::kit::{BAD_MANIFEST, bad, keys, load, order, reply, send, shipped};

/// Far beyond every limit of the bad plugin; a call that takes this long was not stopped at all.
const NEVER: Duration = Duration::from_secs(30);

/// Has the bad plugin do something it must not; another plugin answers meanwhile, and the bad one the next time.
async fn fault(deed: &str) -> Fault {
    let plugin = load(bad(BAD_MANIFEST)).await;
    let ping = load(shipped("ping")).await;
    let bad_deed = tokio::time::timeout(NEVER, order(&plugin, deed));
    let (bad_deed, pong) = tokio::join!(bad_deed, send(&ping, r#"{"n":1}"#));
    assert_eq!(reply(pong), r#"{"pong":1}"#);
    let fault = bad_deed.expect("the call was not stopped").unwrap_err();
    assert_eq!(reply(order(&plugin, "count").await), "1", "the instance of the fault was used again");
    fault
}

#[tokio::test]
async fn a_panic_is_a_trap_whose_message_is_in_the_log() {
    let fault = fault("panic").await;
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.detail.contains("as it was told"), "{}", fault.detail);
}

#[tokio::test]
async fn what_a_guest_says_of_its_mistake_before_it_traps_is_the_faults_detail() {
    let fault = fault("tell").await;
    assert_eq!((fault.kind, fault.detail.as_str()), (FaultKind::Trap, "ValueError: no, at plugin.py:7"));
}

#[tokio::test]
async fn leaving_the_process_leaves_the_call_only() {
    assert_eq!(fault("exit").await.kind, FaultKind::Trap);
}

#[tokio::test]
async fn an_endless_loop_is_out_of_cpu_time() {
    // On a busy machine it waits for its turns; what stops it is what it used.
    let plugin = load(bad(&BAD_MANIFEST.replace("wall: 1s", "wall: 30s"))).await;
    let fault = order(&plugin, "loop").await.unwrap_err();
    assert_eq!(reply(order(&plugin, "count").await), "1", "the instance of the fault was used again");
    assert_eq!((fault.kind, fault.detail.as_str()), (FaultKind::Cpu, "used up `limits.cpu` (100 ms)"));
}

#[tokio::test]
async fn a_sleeper_is_out_of_wall_time() {
    let fault = fault("sleep").await;
    assert_eq!((fault.kind, fault.detail.as_str()), (FaultKind::Timeout, "no answer within `limits.wall` (1000 ms)"));
}

#[tokio::test]
async fn a_memory_hog_is_stopped_at_its_limit() {
    let fault = fault("memory").await;
    assert_eq!(fault.kind, FaultKind::Memory);
    assert!(fault.detail.starts_with("needed more than `limits.memory` (16777216 bytes)"), "{}", fault.detail);
}

#[tokio::test]
async fn endless_recursion_is_a_trap() {
    assert_eq!(fault("recursion").await.kind, FaultKind::Trap);
}

#[tokio::test]
async fn a_reply_that_exhausts_what_a_guest_may_hand_over_is_invalid_output() {
    let manifest = BAD_MANIFEST.replace("16MiB", "64MiB");
    let plugin = load(bad(&manifest)).await;
    assert_eq!(order(&plugin, "huge").await.unwrap_err().kind, FaultKind::InvalidOutput);
    assert_eq!(reply(order(&plugin, "count").await), "1");
}

#[tokio::test]
async fn a_million_effects_cost_what_a_guest_may_hand_over_and_no_more() {
    // Time enough to make them, on a busy machine too: what stops them is how much they are.
    let manifest = BAD_MANIFEST.replace("16MiB", "256MiB").replace("cpu: 100ms, wall: 1s", "cpu: 20s, wall: 30s");
    let plugin = load(bad(&manifest)).await;
    let fault = order(&plugin, "million-effects").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::InvalidOutput, "{}", fault.detail);
    assert_eq!(reply(order(&plugin, "count").await), "1");
}

#[tokio::test]
async fn a_reply_that_is_no_utf8_is_invalid_output() {
    let fault = fault("not-utf8").await;
    assert_eq!(fault.kind, FaultKind::InvalidOutput);
    assert!(fault.detail.contains("utf-8"), "{}", fault.detail);
}

/// Output the host refuses does not poison the instance: the guest itself did not fail.
async fn refused_output(deed: &str) -> Fault {
    let plugin = load(bad(BAD_MANIFEST)).await;
    let fault = order(&plugin, deed).await.unwrap_err();
    assert_eq!(reply(order(&plugin, "count").await), "2");
    fault
}

#[tokio::test]
async fn a_reply_beyond_the_output_limit_is_invalid_output() {
    let fault = refused_output("large").await;
    assert_eq!(fault.kind, FaultKind::InvalidOutput);
    assert!(fault.detail.contains("`limits.output` is 262144"), "{}", fault.detail);
}

#[tokio::test]
async fn a_reply_that_is_no_json_is_invalid_output() {
    let fault = refused_output("garbage").await;
    assert_eq!(fault.kind, FaultKind::InvalidOutput);
    assert!(fault.detail.starts_with("the reply is not JSON: "), "{}", fault.detail);
}

#[tokio::test]
async fn a_flood_of_effects_is_invalid_output() {
    let fault = refused_output("effects").await;
    assert_eq!(
        (fault.kind, fault.detail.as_str()),
        (FaultKind::InvalidOutput, "the answer has 1000 effects, `limits.effects` is 64")
    );
}

#[tokio::test]
async fn one_effect_that_is_no_json_spoils_the_answer() {
    assert_eq!(refused_output("garbage-effect").await.kind, FaultKind::InvalidOutput);
}

#[tokio::test]
async fn one_effect_that_is_not_granted_spoils_the_answer() {
    let fault = refused_output("not-granted-emit").await;
    assert_eq!(fault.kind, FaultKind::NotGranted);
    assert_eq!(fault.detail, "`grants.emit` has no channel for topic `secret`");
    let fault = refused_output("not-granted-publish").await;
    assert_eq!(fault.kind, FaultKind::NotGranted);
    assert_eq!(fault.detail, "`grants.publish` has no event type `other.event`");
}

#[tokio::test]
async fn floods_of_logs_and_prints_cost_lines_and_nothing_else() {
    let plugin = load(bad(BAD_MANIFEST)).await;
    assert_eq!(reply(order(&plugin, "log").await), "null");
    assert_eq!(reply(order(&plugin, "print").await), "null");
    assert_eq!(reply(order(&plugin, "count").await), "3");
}

#[tokio::test]
async fn a_call_beyond_the_concurrency_waits_and_is_then_overloaded() {
    let plugin = load(bad(&BAD_MANIFEST.replace("wall: 1s", "wall: 1s, concurrency: 1"))).await;
    let sleeper = tokio::spawn({
        let plugin = plugin.clone();
        async move { order(&plugin, "sleep").await }
    });
    // The sleeper holds the only place for 1 s from when it took it, the other gives up 1 s after it asked.
    let mut waits = Vec::new();
    for _ in 0..8 {
        let plugin = plugin.clone();
        waits.push(tokio::spawn(async move { order(&plugin, "sleep").await }));
    }
    let mut kinds = vec![sleeper.await.unwrap().unwrap_err().kind];
    for wait in waits {
        kinds.push(wait.await.unwrap().unwrap_err().kind);
    }
    assert!(kinds.contains(&FaultKind::Timeout) && kinds.contains(&FaultKind::Overloaded), "{kinds:?}");
    assert_eq!(reply(order(&plugin, "count").await), "1");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_the_instance_along() {
    let plugin = load(bad(BAD_MANIFEST)).await;
    assert_eq!(reply(order(&plugin, "count").await), "1");
    // Dropped while the guest sleeps: the instance that had served one call is gone.
    let gone = tokio::time::timeout(Duration::from_millis(50), order(&plugin, "sleep")).await;
    assert!(gone.is_err());
    assert_eq!(reply(order(&plugin, "count").await), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_calls_at_once_leave_every_place_free_again() {
    let plugin = load(bad(&format!("{BAD_MANIFEST}\nbreaker: {{ faults: 1000 }}"))).await;
    let deeds = ["panic", "loop", "memory", "recursion", "garbage", "count"];
    let calls: Vec<_> = deeds
        .into_iter()
        .cycle()
        .take(48)
        .map(|deed| {
            let plugin = plugin.clone();
            tokio::spawn(async move { order(&plugin, deed).await })
        })
        .collect();
    for call in calls {
        // Whatever it answers, it answers.
        let _ = tokio::time::timeout(NEVER, call).await.expect("a call hangs").unwrap();
    }
    let together: Vec<_> = (0..16)
        .map(|_| {
            let plugin = plugin.clone();
            tokio::spawn(async move { order(&plugin, "well").await })
        })
        .collect();
    for call in together {
        assert_eq!(reply(call.await.unwrap()), "\"well\"");
    }
}

/// The bad plugin with these limits, and time enough on a busy machine.
fn limited(limits: &str) -> tidegate_wasm::PluginSource {
    bad(&BAD_MANIFEST.replace("cpu: 100ms, wall: 1s", &format!("cpu: 5s, wall: 5s, {limits}")))
}

#[tokio::test]
async fn an_answer_beyond_host_bytes_is_not_even_read() {
    // 300 KiB, and `limits.output` would let it through.
    let plugin = load(limited("output: 1MiB, host_bytes: 100KiB")).await;
    let fault = order(&plugin, "large").await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.detail.as_str()),
        (FaultKind::InvalidOutput, "passed more data at once than `limits.host_bytes` (102400 bytes)")
    );
    assert_eq!(reply(order(&plugin, "count").await), "1", "the instance of the fault was used again");
    let plugin = load(limited("output: 1MiB, host_bytes: 1MiB")).await;
    assert!(reply(order(&plugin, "large").await).len() > 300 << 10);
}

#[tokio::test]
async fn what_is_handed_to_an_import_is_bounded_by_host_bytes() {
    let put = "put-of-size b k 200000";
    let limits = |host_bytes: &str| {
        let limits = format!("cpu: 5s, wall: 30s, kv_time: 10s, kv_value: 1MiB, host_bytes: {host_bytes}");
        keys("keys", &format!("grants: {{ kv: [b] }}\nlimits: {{ {limits} }}"))
    };
    let fault = order(&*load(limits("100KiB")).await, put).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::InvalidOutput, "{}", fault.detail);
    assert!(reply(order(&*load(limits("1MiB")).await, put).await).contains("Ok("));
}

#[tokio::test]
async fn an_instance_holds_no_more_handles_than_its_limit() {
    // A nap is two: its standard streams, and what it waits for.
    let plugin = load(limited("handles: 1")).await;
    let fault = order(&plugin, "nap").await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.detail.as_str()),
        (FaultKind::InvalidOutput, "needed more than `limits.handles` (1)")
    );
    assert_eq!(reply(order(&*load(limited("handles: 8")).await, "nap").await), "\"rested\"");
}

#[tokio::test]
async fn log_lines_of_all_instances_together_are_bounded_by_the_second() {
    let plugin = load(limited("log_lines: 1000, log_rate: 10")).await;
    let begun = tokio::time::Instant::now();
    let (answer, first) = recorded(order(&plugin, "log")).await;
    answer.unwrap().unwrap();
    let (_, second) = recorded(order(&plugin, "log")).await;
    let (lines, dropped) = (first.log.len() + second.log.len(), first.log_dropped + second.log_dropped);
    // A second's worth, and what a second's worth of time brings on a machine that takes it.
    let most = 10 + 10 * (begun.elapsed().as_secs() as usize + 1);
    assert!((10..=most).contains(&lines), "{lines} lines, at most {most}");
    assert_eq!(lines + dropped as usize, 2000);
}
