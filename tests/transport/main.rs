//! The transport as an application has it: whatever its clients do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lives;
#[path = "../fuzz/sessions.rs"]
mod sessions;

use std::path::Path;

use lives::{Life, Place};
use proptest::prelude::*;

#[test]
fn the_corpus_of_the_fuzz_targets_does_no_harm() {
    for input in corpus("orders") {
        sessions::orders(&input);
    }
    for input in corpus("posts") {
        sessions::posts(&input);
    }
    for input in corpus("requests") {
        sessions::requests(&input);
    }
}

fn corpus(target: &str) -> impl Iterator<Item = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_clients_do_in_whatever_order_it_costs_their_own_sessions_and_those_end(
        lives in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..160), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let place = Place::start().await;
            futures_util::future::join_all(lives.iter().map(|bytes| Life::new(&place).run(bytes))).await;
            place.settles().await;
        });
    }
}
