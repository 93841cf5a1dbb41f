//! Randomness of the operating system: fit for keys, never the same for two instances.

/// Most bytes the host gives at once.
#[cfg(target_arch = "wasm32")]
const BYTES_MAX: usize = 65_536;

/// A random number.
#[must_use]
pub fn next_u64() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::handler_world::tidegate::host::random::next_u64();
    #[cfg(not(target_arch = "wasm32"))]
    {
        // Off wasm, in unit tests: what seeds the hash maps of this machine.
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(())
    }
}

/// So many random bytes.
#[must_use]
pub fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        bytes.extend(some_bytes(len - bytes.len()));
    }
    bytes
}

#[cfg(target_arch = "wasm32")]
fn some_bytes(wanted: usize) -> Vec<u8> {
    let len = u32::try_from(wanted.min(BYTES_MAX)).unwrap_or(u32::MAX);
    crate::bindings::handler_world::tidegate::host::random::bytes(len)
}

#[cfg(not(target_arch = "wasm32"))]
fn some_bytes(wanted: usize) -> Vec<u8> {
    next_u64().to_le_bytes().into_iter().take(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_bytes_as_were_asked_for_and_others_each_time() {
        for len in [0, 1, 8, 100] {
            assert_eq!(bytes(len).len(), len);
        }
        assert_ne!(bytes(32), bytes(32));
    }
}
