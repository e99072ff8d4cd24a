//! Pre-initialisation: runs `sk_init` once and keeps the memory it leaves behind as the image's data.

use futures_util::FutureExt;
use wasmtime::{Engine, Instance, Linker, Module, OptLevel, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use super::ImageError;
use crate::runtime::engine;

/// The image with the engine and the prelude initialised.
pub(super) fn take(wasm: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut wizer = Wizer::new();
    wizer.init_func("sk_init");
    let (context, instrumented) = wizer.instrument(wasm).map_err(ImageError::Compile)?;

    let mut config = engine::config();
    // This code runs once, for some milliseconds: making it fast would take longer.
    config.cranelift_opt_level(OptLevel::None).epoch_interruption(false);
    let engine = Engine::new(&config).map_err(ImageError::Compile)?;
    let module = Module::new(&engine, &instrumented).map_err(ImageError::Compile)?;
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    // Nothing may leave the image while it is made.
    linker.define_unknown_imports_as_traps(&module).map_err(ImageError::Compile)?;
    let instance = linker.instantiate(&mut store, &module).map_err(ImageError::Compile)?;
    for name in ["_initialize", "sk_init"] {
        let function = instance.get_typed_func::<(), ()>(&mut store, name).map_err(ImageError::Compile)?;
        if let Err(error) = function.call(&mut store, ()) {
            return Err(ImageError::Initialise(reason(&mut store, &instance).unwrap_or_else(|| error.to_string())));
        }
    }
    wizer
        .snapshot(&context, &mut Initialised { store, instance })
        .now_or_never()
        .expect("reading a memory that is there does not wait")
        .map_err(ImageError::Compile)
}

/// What `sk_error` points at.
fn reason(store: &mut Store<()>, instance: &Instance) -> Option<String> {
    let at = instance.get_typed_func::<(), u32>(&mut *store, "sk_error").ok()?.call(&mut *store, ()).ok()?;
    let memory = instance.get_memory(&mut *store, "memory")?;
    let text = memory.data(&*store).get(at as usize..)?;
    let text = text.split(|byte| *byte == 0).next()?;
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
}

struct Initialised {
    store: Store<()>,
    instance: Instance,
}

impl InstanceState for Initialised {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut self.store, name).expect("wizer exports what it asks for");
        match global.get(&mut self.store) {
            Val::I32(value) => SnapshotVal::I32(value),
            Val::I64(value) => SnapshotVal::I64(value),
            Val::F32(value) => SnapshotVal::F32(value),
            Val::F64(value) => SnapshotVal::F64(value),
            Val::V128(value) => SnapshotVal::V128(value.as_u128()),
            _ => unreachable!("wizer refuses modules with mutable references"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut self.store, name).expect("wizer exports what it asks for");
        contents(memory.data(&self.store));
    }
}
