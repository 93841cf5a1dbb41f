//! `tidegate:host/random`: random bytes of the operating system.

use wasmtime::Result;

use crate::contract::host;
use crate::run::Guest;
use crate::run::recording;

/// Most random bytes that a guest gets at once.
pub(crate) const RANDOM_BYTES_MAX: u32 = 64 << 10;

impl host::random::Host for Guest {
    fn bytes(&mut self, len: u32) -> Result<Vec<u8>> {
        recording::host_call("random");
        if len > RANDOM_BYTES_MAX {
            wasmtime::bail!("asked for {len} random bytes, at most {RANDOM_BYTES_MAX} are possible at once");
        }
        let mut bytes = vec![0; len as usize];
        fill(&mut bytes)?;
        Ok(bytes)
    }

    fn next_u64(&mut self) -> Result<u64> {
        recording::host_call("random");
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| wasmtime::format_err!("the operating system has no randomness: {error}"))
}
