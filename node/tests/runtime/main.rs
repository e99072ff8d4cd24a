//! The runtime's promises, kept by real isolates.

mod answers;
mod limits;
mod loading;
mod recursion;
mod streams;
mod support;
