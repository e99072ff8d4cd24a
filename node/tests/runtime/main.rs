//! The runtime's promises, kept by real isolates.

mod answers;
mod support;
