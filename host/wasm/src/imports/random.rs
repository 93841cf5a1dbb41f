//! `tidegate:host/random`: random bytes of the operating system.

use serde_json::{Value, json};
use wasmtime::Result;

use crate::contract::host;
use crate::run::Guest;
use crate::tape::{answered, record};

/// Most random bytes that a guest gets at once.
pub(crate) const RANDOM_BYTES_MAX: u32 = 64 << 10;

impl host::random::Host for Guest {
    fn bytes(&mut self, len: u32) -> Result<Vec<u8>> {
        record::host_call("random");
        if len > RANDOM_BYTES_MAX {
            wasmtime::bail!("asked for {len} random bytes, at most {RANDOM_BYTES_MAX} are possible at once");
        }
        let mut filled = Ok(());
        let bytes = answered(
            "random.bytes",
            || json!([len]),
            || {
                let mut bytes = vec![0; len as usize];
                filled = fill(&mut bytes);
                bytes
            },
        );
        filled.map(|()| bytes)
    }

    fn next_u64(&mut self) -> Result<u64> {
        record::host_call("random");
        let mut filled = Ok(());
        let number = answered(
            "random.next_u64",
            || Value::Null,
            || {
                let mut bytes = [0; 8];
                filled = fill(&mut bytes);
                u64::from_le_bytes(bytes)
            },
        );
        filled.map(|()| number)
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| wasmtime::format_err!("the operating system has no randomness: {error}"))
}
