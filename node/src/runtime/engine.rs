//! The wasmtime engine that every JavaScript isolate of this node shares.
//!
//! **Owns** how isolates are laid out in memory and how deep their stacks are. **Must not know** what runs in them.
//! **Enter at** [`build`].

use wasmtime::{Config, Engine, OptLevel, PoolingAllocationConfig};

use super::limits;

/// A wasmtime engine for JavaScript isolates.
#[derive(Clone)]
pub(crate) struct IsolateEngine {
    pub(crate) engine: Engine,
    /// How many isolates of workers fit into the address space that was reserved.
    pub(crate) isolates_max: u32,
}

/// Reserves memory for up to `isolates_max` isolates of workers, fewer where the machine does not allow so many, and for those
/// in which uploads are tried out.
pub(crate) fn build(isolates_max: u32) -> wasmtime::Result<IsolateEngine> {
    let mut isolates_max = isolates_max.clamp(1, mappings_max());
    loop {
        let mut config = config();
        config.allocation_strategy(pool(isolates_max + limits::VALIDATIONS_MAX));
        match Engine::new(&config) {
            Ok(engine) => return Ok(IsolateEngine { engine, isolates_max }),
            // Address space may be limited (ulimit -v, a small virtual machine): half as many is better than none.
            Err(_) if isolates_max > 16 => isolates_max /= 2,
            Err(error) => return Err(error),
        }
    }
}

/// What the engine and the pre-initialiser have in common.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(limits::WASM_STACK_BYTES)
        .async_stack_size(limits::WASM_STACK_BYTES + limits::HOST_STACK_BYTES)
        // Without this a stack goes to the next tenant's isolate as it was left, with all the memory it has touched.
        .async_stack_zeroing(true)
        // 4 GiB of address space and a guard for each memory let compiled code leave out its bounds checks.
        .memory_reservation(1 << 32)
        .memory_may_move(false)
        .memory_init_cow(true)
        .memory_guaranteed_dense_image_size(limits::IMAGE_BYTES_MAX)
        // Traps are reported by kind; positions inside the engine's machine code help nobody.
        .generate_address_map(false)
        .wasm_backtrace_max_frames(None)
        .wasm_component_model(false)
        .parallel_compilation(true);
    config
}

fn pool(isolates_max: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(isolates_max)
        .total_memories(isolates_max)
        .total_tables(isolates_max)
        // A store keeps the stack of its last call, so there is one for each isolate.
        .total_stacks(isolates_max)
        .max_memory_size(limits::MEMORY_BYTES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .max_unused_warm_slots(limits::WARM_SLOTS_MAX)
        .linear_memory_keep_resident(0)
        .table_keep_resident(limits::TABLE_ELEMENTS_MAX * size_of::<usize>())
        // An isolate has its stack as long as it lives: there is nothing to be gained by clearing any of it by hand.
        .async_stack_keep_resident(0);
    pool
}

/// The kernel allows a process this many mappings, and an isolate takes about five: image, heap and guard of its memory,
/// stack and its guard.
fn mappings_max() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let mappings: u32 = text.trim().parse().unwrap_or(65_530);
    (mappings.saturating_sub(8192) / 5).max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_cleared_before_another_isolate_gets_it() {
        let engine = build(1).unwrap().engine;
        let metrics = engine.pooling_allocator_metrics().unwrap();
        // The pool counts what stays resident only when it clears stacks.
        assert_eq!(metrics.unused_stack_bytes_resident(), Some(0));
    }
}
