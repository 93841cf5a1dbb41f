//! What the fuzz targets of the transport do with arbitrary bytes: clients of a small application, in a time that moves
//! only when nothing else does. The ordinary tests run the same over the committed corpus.

use crate::lives::{Life, Place};

/// A life of a client: requests, upgrades, frames and polls in any order.
pub(crate) fn orders(bytes: &[u8]) {
    in_stopped_time(async {
        let place = Place::start().await;
        Life::new(&place).run(bytes).await;
        place.settles().await;
    });
}

/// Bodies of POSTs: packets of both protocols, with binary attachments.
pub(crate) fn posts(bytes: &[u8]) {
    in_stopped_time(async {
        let place = Place::start().await;
        Life::new(&place).posts(bytes).await;
        place.settles().await;
    });
}

/// Requests: methods, queries and headers.
pub(crate) fn requests(bytes: &[u8]) {
    in_stopped_time(async {
        let place = Place::start().await;
        Life::new(&place).asks(bytes).await;
        place.settles().await;
    });
}

fn in_stopped_time(life: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(life);
}
