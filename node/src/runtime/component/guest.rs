//! What the host keeps for one instance.
//!
//! **Owns** the instance's WASI state: no files, no sockets, its variables as environment. **Must not know** requests.
//! **Enter at** [`Guest`].

use std::sync::Arc;

use wasmtime::{
    Engine,
    component::{Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    door::Door,
    keyvalue::{KeyValue, KeyValueView},
    memory::MemoryLimit,
    outgoing::Outgoing,
    stdio::LogStream,
    variables::{Variables, VariablesView},
    wit::wasi,
};
use crate::bindings::outbound::LogLevel;

/// BOUND: host resources (streams, headers, handles) that one instance may hold at once.
const RESOURCES_MAX: usize = 10_000;

/// BOUND: random bytes of one call, as in a JavaScript worker. The host makes them and nothing interrupts it; who asks for more
/// is trapped.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The state of one instance.
pub(super) struct Guest {
    pub(super) memory: MemoryLimit,
    pub(super) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    door: Arc<Door>,
}

impl Guest {
    pub(super) fn new(door: Arc<Door>, environment: &[(String, String)], memory_bytes: usize) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let wasi = sandbox()
            .envs(environment)
            .stdout(LogStream::new(door.clone(), LogLevel::Log))
            .stderr(LogStream::new(door.clone(), LogLevel::Error))
            .build();
        Self {
            memory: MemoryLimit::new(memory_bytes),
            table,
            wasi,
            http: WasiHttpCtx::new(),
            outgoing: Outgoing::new(door.clone()),
            door,
        }
    }

    fn variables(&mut self) -> VariablesView<'_> {
        VariablesView { door: &self.door }
    }

    fn key_value(&mut self) -> KeyValueView<'_> {
        KeyValueView { table: &mut self.table, door: &self.door }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

/// What every instance has of WASI.
fn sandbox() -> WasiCtxBuilder {
    let mut builder = WasiCtx::builder();
    builder.allow_tcp(false).allow_udp(false).max_random_size(RANDOM_BYTES_MAX);
    builder
}

/// Everything that a component may import; [`super::inspect`] lists the same names.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasi::config::store::add_to_linker::<_, Variables>(&mut linker, Guest::variables)?;
    wasi::keyvalue::store::add_to_linker::<_, KeyValue>(&mut linker, Guest::key_value)?;
    wasi::keyvalue::atomics::add_to_linker::<_, KeyValue>(&mut linker, Guest::key_value)?;
    wasi::keyvalue::batch::add_to_linker::<_, KeyValue>(&mut linker, Guest::key_value)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi::p2::bindings::random::{insecure::Host as _, random::Host as _};

    use super::*;

    #[test]
    fn one_call_gets_no_more_random_bytes_than_are_made_at_once() {
        let mut wasi = sandbox().build();
        let random = wasi.random();
        assert_eq!(random.get_random_bytes(RANDOM_BYTES_MAX).unwrap().len() as u64, RANDOM_BYTES_MAX);
        assert!(random.get_random_bytes(RANDOM_BYTES_MAX + 1).is_err());
        assert!(random.get_insecure_random_bytes(RANDOM_BYTES_MAX + 1).is_err());
    }
}
