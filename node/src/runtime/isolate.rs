//! One isolate: a store, an instance of the engine image, and the worker that was loaded into it.
//!
//! **Owns** the crossing into the guest. **Must not know** which events exist, or who else has isolates. **Enter at**
//! [`Isolate::deliver`].

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    Caller, Engine, InstancePre, Linker, Memory, Module, ResourceLimiter, Store, Trap, TypedFunc, UpdateDeadline,
};

use super::{
    census::Resident,
    frame::{Reader, Writer},
    limits,
    meter::{Meter, Place, Verdict},
    ops::{self, Ops, code},
    thread, ticker,
};

/// Makes isolates.
#[derive(Clone)]
pub(crate) struct Mould {
    engine: Engine,
    instance: Arc<InstancePre<Host>>,
}

impl Mould {
    pub(crate) fn new(engine: &Engine, image: &Module) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        linker.func_wrap("skerry", "op", op)?;
        linker.func_wrap("skerry", "take", take)?;
        Ok(Self { engine: engine.clone(), instance: Arc::new(linker.instantiate_pre(image)?) })
    }

    /// An isolate without a worker, about 50 us.
    pub(crate) fn isolate(&self, ops: Ops, memory_bytes: usize, held: Held) -> wasmtime::Result<Isolate> {
        let host = Host {
            ops,
            meter: Meter::new(),
            limiter: Limiter { limit_bytes: memory_bytes.min(limits::MEMORY_BYTES_MAX), refused: false },
            memory: None,
            reply: Vec::new(),
        };
        let mut store = Store::new(&self.engine, host);
        store.limiter(|host| &mut host.limiter);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().tick()));
        store.set_epoch_deadline(1);
        let instance = self.instance.instantiate(&mut store)?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| missing("memory"))?;
        store.data_mut().memory = Some(memory);
        let alloc = instance.get_typed_func(&mut store, "sk_alloc")?;
        let load = instance.get_typed_func(&mut store, "sk_load")?;
        let deliver = instance.get_typed_func(&mut store, "sk_deliver")?;
        Ok(Isolate {
            store,
            memory,
            alloc,
            load,
            deliver,
            input: 0,
            input_bytes: 0,
            scratch: Writer::new(),
            _held: held,
        })
    }
}

fn missing(export: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the engine image does not export {export}"))
}

/// The right to a slot of the engine's pool.
#[derive(Debug)]
#[allow(dead_code, reason = "nobody looks at it: it is held for what its drop gives back")]
pub(crate) enum Held {
    /// One of those for workers.
    Resident(Resident),
    /// One of those for uploads that are tried out.
    Validation(OwnedSemaphorePermit),
}

/// Why an isolate must be discarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The event ran longer than its budget.
    Cpu,
    /// The guest's memory is used up.
    Memory,
    /// The guest trapped, or broke the protocol.
    Crash(String),
}

/// An isolate.
pub(crate) struct Isolate {
    store: Store<Host>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    load: TypedFunc<(u32, f64), i32>,
    deliver: TypedFunc<(u32, f64), i32>,
    // The guest's input buffer, valid until the next `sk_alloc` or `sk_load`, or the delivery of a long frame.
    input: u32,
    input_bytes: u32,
    scratch: Writer,
    // After the store: the isolate counts until its memory is free.
    _held: Held,
}

/// BOUND: the frame buffer that an isolate keeps between events, on either side of the crossing (`engine.c` has the same
/// number): a piece of a body with what is around it.
const FRAME_KEPT_BYTES_MAX: usize = 68 * 1024;

impl Isolate {
    /// An empty frame whose memory comes from [`Isolate::recycle`].
    pub(crate) fn scratch(&mut self) -> Writer {
        std::mem::take(&mut self.scratch)
    }

    /// Takes a frame's memory back.
    pub(crate) fn recycle(&mut self, mut frame: Writer) {
        if frame.as_bytes().len() <= FRAME_KEPT_BYTES_MAX {
            frame.clear();
            self.scratch = frame;
        }
    }

    /// What the guest's operations act on.
    pub(crate) fn ops(&mut self) -> &mut Ops {
        &mut self.store.data_mut().ops
    }

    /// CPU time of the event in hand.
    pub(crate) fn meter(&mut self) -> &mut Meter {
        &mut self.store.data_mut().meter
    }

    /// Bytes of linear memory that the guest has grown to.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Loads a worker. `Ok` means that the guest has reported success or failure through its operations.
    pub(crate) async fn load(&mut self, frame: &[u8], now_ms: f64, budget: Duration) -> Result<(), Fault> {
        self.begin(frame, budget).await?;
        let Self { store, load, .. } = self;
        let loaded = load.call_async(store, (frame.len() as u32, now_ms)).await;
        // `sk_load` frees the buffer: a worker's code may be large.
        self.input_bytes = 0;
        self.end(loaded).map(|_reported| ())
    }

    /// Runs one frame of events until nothing is left to do without the host. The isolate may be used again only after `Ok`.
    pub(crate) async fn deliver(&mut self, frame: &[u8], now_ms: f64, budget: Duration) -> Result<(), Fault> {
        self.begin(frame, budget).await?;
        let Self { store, deliver, .. } = self;
        let delivered = deliver.call_async(store, (frame.len() as u32, now_ms)).await;
        if self.input_bytes as usize > FRAME_KEPT_BYTES_MAX {
            // `sk_deliver` has freed it.
            self.input_bytes = 0;
        }
        match self.end(delivered)? {
            0 => Ok(()),
            _ => Err(Fault::Crash("the engine could not read an event".to_owned())),
        }
    }

    async fn begin(&mut self, frame: &[u8], budget: Duration) -> Result<(), Fault> {
        self.store.data_mut().meter.begin(budget);
        self.store.set_epoch_deadline(1);
        let length = u32::try_from(frame.len()).map_err(|_ignored| Fault::Memory)?;
        if length > self.input_bytes {
            let wanted = length.max(4096);
            let Self { store, alloc, .. } = self;
            let input = alloc.call_async(store, wanted).await;
            self.input = self.end(input)?;
            if self.input == 0 {
                return Err(Fault::Memory);
            }
            self.input_bytes = wanted;
        }
        self.memory.write(&mut self.store, self.input as usize, frame).map_err(|error| Fault::Crash(error.to_string()))
    }

    fn end<T>(&mut self, result: wasmtime::Result<T>) -> Result<T, Fault> {
        let host = self.store.data_mut();
        match result {
            _ if host.limiter.refused => Err(Fault::Memory),
            Ok(value) => Ok(value),
            Err(_) if host.meter.exceeded() => Err(Fault::Cpu),
            Err(error) => Err(Fault::Crash(crash(&error))),
        }
    }
}

/// A crash in words; a worker's author can not do anything about wasm frames.
fn crash(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(trap) => format!("the isolate crashed: {trap}"),
        None => format!("the isolate crashed: {:#}", error.root_cause()),
    }
}

/// What the store of an isolate holds.
pub(crate) struct Host {
    ops: Ops,
    meter: Meter,
    limiter: Limiter,
    memory: Option<Memory>,
    reply: Vec<u8>,
}

impl Host {
    fn tick(&mut self) -> UpdateDeadline {
        self.take_turn();
        match self.meter.tick(thread::cpu_time(), ticker::TICK) {
            Verdict::Continue => UpdateDeadline::Continue(1),
            Verdict::Yield => UpdateDeadline::Yield(1),
            Verdict::Stop => UpdateDeadline::Interrupt,
        }
    }

    /// The meter learns of a turn that the heavy lane has given since it was last told.
    fn take_turn(&mut self) {
        if let Some(began) = thread::take_turn() {
            self.meter.turn(Place::Heavy, began);
        }
    }

    /// An operation begins that may take longer than a tick.
    fn works(&mut self) {
        self.take_turn();
        if self.meter.is_unknown() {
            self.meter.works(thread::cpu_time());
        }
    }
}

/// Linear memory has a limit of its own for each service.
struct Limiter {
    limit_bytes: usize,
    refused: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.limit_bytes;
        // The guest sees that an allocation failed and may go on; the isolate is discarded after the event.
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS_MAX)
    }
}

/// Import `op`: runs one operation; returns the length of its reply, which is in guest memory if it fits there.
fn op(
    mut caller: Caller<'_, Host>,
    code: i32,
    arguments: u32,
    length: u32,
    reply: u32,
    capacity: u32,
) -> wasmtime::Result<i64> {
    let memory = caller.data().memory.ok_or_else(|| missing("memory"))?;
    let (bytes, host) = memory.data_and_store_mut(&mut caller);
    if host.limiter.refused && matches!(code, code::FAIL | code::DONE) {
        // The event failed for want of memory: its caller is told so when the isolate is discarded.
        return Ok(-1);
    }
    let frame = span(bytes, arguments, length)?;
    if ops::may_be_long(code, frame.len()) {
        host.works();
    }
    let mut out = std::mem::take(&mut host.reply);
    out.clear();
    let replied = host.ops.call(code, Reader::new(frame), &mut out)?;
    if !host.ops.spared.is_zero() {
        host.take_turn();
        host.meter.spare(std::mem::take(&mut host.ops.spared));
    }
    let out_length = out.len();
    if replied && out_length <= capacity as usize {
        span_mut(bytes, reply, out_length as u32)?.copy_from_slice(&out);
    }
    host.reply = out;
    Ok(if replied { out_length as i64 } else { -1 })
}

/// Import `take`: copies a reply that did not fit.
fn take(mut caller: Caller<'_, Host>, to: u32) -> wasmtime::Result<()> {
    let memory = caller.data().memory.ok_or_else(|| missing("memory"))?;
    let (bytes, host) = memory.data_and_store_mut(&mut caller);
    let reply = std::mem::take(&mut host.reply);
    span_mut(bytes, to, reply.len() as u32)?.copy_from_slice(&reply);
    Ok(())
}

fn span(bytes: &[u8], at: u32, length: u32) -> wasmtime::Result<&[u8]> {
    let at = at as usize;
    bytes.get(at..at.saturating_add(length as usize)).ok_or_else(out_of_bounds)
}

fn span_mut(bytes: &mut [u8], at: u32, length: u32) -> wasmtime::Result<&mut [u8]> {
    let at = at as usize;
    bytes.get_mut(at..at.saturating_add(length as usize)).ok_or_else(out_of_bounds)
}

fn out_of_bounds() -> wasmtime::Error {
    wasmtime::Error::msg("an operation names memory that is not there")
}
