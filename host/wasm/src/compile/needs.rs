//! What one instance of a component takes of the pool. Only this file reads it off a component.

use wasmtime::component::Component;

use super::engine::{MEMORIES_PER_INSTANCE, TABLES_PER_INSTANCE};

/// What one instance of a component takes of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// The initial size of the largest memory, in bytes.
    pub memory_bytes_initial: u64,
    /// The initial elements of the largest table.
    pub table_elements_initial: u64,
}

/// The size of a page of linear memory, in bytes.
const PAGE_BYTES: u64 = 64 << 10;

impl Needs {
    /// The places of the pool that one instance takes, so that all instances together always fit into the pool.
    pub(crate) fn places(&self) -> u32 {
        let memories = self.memories.div_ceil(MEMORIES_PER_INSTANCE);
        memories.max(self.tables.div_ceil(TABLES_PER_INSTANCE)).max(1)
    }

    /// What an instance of this component takes; `None` when that depends on imported modules.
    pub(crate) fn of(component: &Component) -> Option<Self> {
        let required = component.resources_required()?;
        Some(Self {
            memories: required.num_memories,
            tables: required.num_tables,
            memory_bytes_initial: required.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES),
            table_elements_initial: required.max_initial_table_size.unwrap_or(0),
        })
    }
}
