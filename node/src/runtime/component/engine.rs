//! The wasmtime engine that components share.
//!
//! **Owns** how guest code is compiled and how many instances the pool has room for. **Must not know** any one component.
//! **Enter at** [`build`].

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::{config::ComponentConfig, memory::TABLE_ELEMENTS_MAX};

/// BOUND: core instances in one component. CPython with its shared libraries has about 30.
const CORE_INSTANCES_PER_COMPONENT: u32 = 100;
/// BOUND: linear memories in one component. Toolchains emit one; a component made of two tools' output has two.
const MEMORIES_PER_COMPONENT: u32 = 4;
/// BOUND: tables in one component: one of its own and one for each adapter.
const TABLES_PER_COMPONENT: u32 = 10;
/// BOUND: bytes of wasmtime's own records for one (core or component) instance. CPython's need about 100 KiB.
const INSTANCE_BYTES: usize = 4 << 20;
/// BOUND: stack of guest code. CPython and SpiderMonkey recurse on it; wasmtime's default of 512 KiB is what they are tested with.
const WASM_STACK_BYTES: usize = 1 << 20;
/// The guest's stack and what the host needs on top of it.
const STACK_BYTES: usize = 2 << 20;
/// Bytes of a freed memory that are cleared by hand and stay resident, as giving pages back costs more than writing them.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// Bytes of a freed stack that are cleared by hand and stay resident: most requests use no more, so that none of them pays for
/// giving pages back and faulting them in again.
const STACK_KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// Makes the engine and its pool of address space.
pub(super) fn build(settings: &ComponentConfig) -> wasmtime::Result<Engine> {
    let instances = settings.instances_max.clamp(1, 10_000);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_memories(instances * 2)
        .total_tables(instances * TABLES_PER_COMPONENT)
        .total_core_instances(instances * CORE_INSTANCES_PER_COMPONENT)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(1 << 32)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(STACK_KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(STACK_BYTES)
        // Without this a stack goes to the next tenant's instance as it was left.
        .async_stack_zeroing(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32));
    Engine::new(&config)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_stack_is_cleared_before_another_instance_gets_it() {
        let settings = ComponentConfig { instances_max: 1, ..ComponentConfig::new(PathBuf::new()) };
        let metrics = build(&settings).unwrap().pooling_allocator_metrics().unwrap();
        // The pool counts what stays resident only when it clears stacks.
        assert_eq!(metrics.unused_stack_bytes_resident(), Some(0));
    }
}
