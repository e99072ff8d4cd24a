//! The `skerry` command line.
mod bundle;
mod project;
fn main() {}
