//! The one wasmtime engine of the process: the WebAssembly features of guests, the allocation of instances, and the
//! clock that stops endless loops.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, EngineWeak, ModuleVersionStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

/// The length of an epoch. At the end of each epoch a running guest lets others run, and the engine checks its CPU
/// budget.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// The full version of wasmtime. By default wasmtime only tells the native code of different major versions apart.
pub const WASMTIME_VERSION: &str = locked_version(include_str!("../../../../Cargo.lock"));
/// Largest `limits.memory`, in bytes: the pool's slots are this large.
pub(crate) const MEMORY_BYTES_MAX: usize = 256 << 20;
/// Most elements of one table. CPython needs 5,672.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Most memories or tables of one component, for the engine. The places in the pool limit them much more.
pub(crate) const PARTS_MAX: u32 = u16::MAX as u32;
/// Most core instances of one component. A stubbed CPython component needs 38.
pub(crate) const CORE_INSTANCES_MAX: u32 = 64;

/// What the pool holds for each instance. A stubbed QuickJS component needs 3 memories; a component that needs more
/// takes the places of several instances. Core instances cost nothing until they exist, so the pool allows the maximum
/// of every component.
pub(crate) const MEMORIES_PER_INSTANCE: u32 = 3;
pub(crate) const TABLES_PER_INSTANCE: u32 = 4;
/// The stack of a guest. The rest of the fiber's stack is for host functions: an overflow there would abort the
/// process.
const WASM_STACK_BYTES: usize = 512 << 10;
const FIBER_STACK_BYTES: usize = 2 << 20;
const BACKTRACE_FRAMES_MAX: usize = 16;

/// Builds the engine. If the machine cannot reserve the address space of a pool (`RLIMIT_AS`, 39-bit machines), the
/// engine allocates instances on demand: slower, with the same maximum of instances.
///
/// # Errors
/// The error of wasmtime, when it refuses the configuration without a pool too.
pub(crate) fn build(instances_max: u32) -> wasmtime::Result<Engine> {
    let mut pooled = config();
    pooled.allocation_strategy(pool(instances_max));
    let engine = match Engine::new(&pooled) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::warn!(%error, "no instance pool, plugins allocate on demand");
            Engine::new(&config())?
        }
    };
    tick(engine.weak())?;
    Ok(engine)
}

/// The configuration that native code is compiled for. The server and its child both use it. It reserves no memory.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    // Never an error: the version is shorter than the 255 bytes it may have.
    let _ = config.module_version(ModuleVersionStrategy::Custom(WASMTIME_VERSION.to_owned()));
    config.strategy(Strategy::Cranelift).cranelift_opt_level(OptLevel::Speed);
    config.epoch_interruption(true).consume_fuel(false);
    // Features that no guest toolchain needs, and that security advisories were about, are off. Multi-memory stays on:
    // without it the compiler panics on components of several modules.
    config.wasm_memory64(false).wasm_tail_call(false).wasm_relaxed_simd(false).wasm_wide_arithmetic(false);
    config.shared_memory(false).concurrency_support(false);
    config.max_wasm_stack(WASM_STACK_BYTES).async_stack_size(FIBER_STACK_BYTES);
    config.memory_init_cow(true).memory_guaranteed_dense_image_size(64 << 20);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX));
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// The same, for a quick compilation: the native code is slower, and the same engine loads it.
pub(crate) fn quick_config() -> Config {
    let mut quick = config();
    quick.cranelift_opt_level(OptLevel::None);
    quick
}

fn pool(instances_max: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances_max)
        .total_stacks(instances_max)
        .total_core_instances(instances_max.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(instances_max.saturating_mul(MEMORIES_PER_INSTANCE))
        .total_tables(instances_max.saturating_mul(TABLES_PER_INSTANCE))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(PARTS_MAX)
        .max_tables_per_component(PARTS_MAX)
        .max_memories_per_module(4)
        .max_tables_per_module(4)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        // The default returns pages to the kernel after each call, and that gets slower with every thread.
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(64 << 10)
        .decommit_batch_size(1)
        .max_unused_warm_slots(instances_max / 4)
        // When on, the next instance may see pages that were swapped out (wasmtime pull request 14357).
        .pagemap_scan(Enabled::No);
    pool
}

/// Ticks on its own thread as long as the engine exists. On the async runtime a guest that never yields would stop the
/// clock that must stop the guest.
fn tick(engine: EngineWeak) -> std::io::Result<()> {
    thread::Builder::new().name("plugin-epochs".to_owned()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    })?;
    Ok(())
}

/// The version of wasmtime in a `Cargo.lock`.
const fn locked_version(lock: &'static str) -> &'static str {
    let (lock, name) = (lock.as_bytes(), b"name = \"wasmtime\"\nversion = \"");
    let mut start = 0;
    while !begins_with(lock, start, name) {
        start += 1;
    }
    start += name.len();
    let mut end = start;
    while lock[end] != b'"' {
        end += 1;
    }
    match std::str::from_utf8(lock.split_at(end).0.split_at(start).1) {
        Ok(version) => version,
        Err(_) => "",
    }
}

const fn begins_with(text: &[u8], start: usize, what: &[u8]) -> bool {
    let mut at = 0;
    while at < what.len() {
        if text[start + at] != what[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_code_is_told_apart_by_the_whole_version_of_the_engine() {
        let version: semver::Version = WASMTIME_VERSION.parse().unwrap();
        assert!(version.major >= 48, "{version}");
    }
}
