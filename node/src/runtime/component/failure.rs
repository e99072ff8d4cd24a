//! Pure. Why a guest stopped, in the words of [`WorkerError`].
//!
//! **Owns** reading wasmtime's errors. **Must not know** what the guest was doing. **Enter at** [`Failure`].

use std::{fmt::Write, time::Duration};

use wasmtime::{PoolConcurrencyLimitError, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::{memory::MemoryLimit, meter::Meter};
use crate::worker::{Limits, WorkerError};

/// Why a guest stopped before its time.
#[derive(Debug, Clone)]
pub(super) struct Failure(WorkerError);

impl Failure {
    /// It did not answer in time.
    pub(super) fn wall(limit: Duration) -> Self {
        Self(WorkerError::WallLimit { limit_ms: milliseconds(limit) })
    }

    /// It did not end after its answer had.
    pub(super) fn lingering(limit: Duration) -> Self {
        let message = format!("the component went on for {} ms after its answer and was stopped", milliseconds(limit));
        Self(WorkerError::Exception { message, stack: String::new() })
    }

    /// It trapped, or could not be started. `None` when it left in peace, by `exit(0)`.
    pub(super) fn of(error: &wasmtime::Error, limits: &Limits, meter: &Meter, memory: &MemoryLimit) -> Option<Self> {
        if meter.is_exceeded() {
            return Some(Self(WorkerError::CpuLimit { limit_ms: milliseconds(limits.cpu) }));
        }
        if let Some(I32Exit(status)) = error.downcast_ref() {
            let message = format!("the component exited with status {status}");
            return (*status != 0).then(|| Self(WorkerError::Exception { message, stack: String::new() }));
        }
        // A guest whose allocation was refused aborts in ways of its own.
        if memory.was_refused() {
            return Some(Self(WorkerError::MemoryLimit { limit_bytes: limits.memory_bytes }));
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Some(Self(WorkerError::Overloaded));
        }
        Some(Self(WorkerError::Exception { message: error.root_cause().to_string(), stack: stack(error) }))
    }

    /// As the caller sees it.
    pub(super) fn error(&self) -> WorkerError {
        self.0.clone()
    }

    /// As the worker's log has it: message and stack.
    pub(super) fn record(&self) -> (String, Option<String>) {
        match &self.0 {
            WorkerError::Exception { message, stack } => (message.clone(), (!stack.is_empty()).then(|| stack.clone())),
            other => (other.to_string(), None),
        }
    }
}

fn stack(error: &wasmtime::Error) -> String {
    let mut text = String::new();
    for frame in error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default() {
        let module = frame.module().name().unwrap_or("<module>");
        let function = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), str::to_owned);
        let _infallible = writeln!(text, "    at {module}!{function}");
    }
    text
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
