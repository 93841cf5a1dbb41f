//! The transport as an application has it: whatever its clients do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lives;

use lives::{Life, Place};
use proptest::prelude::*;

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
