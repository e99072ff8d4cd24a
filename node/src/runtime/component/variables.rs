//! `wasi:config`: the worker's variables and secrets.
//!
//! **Owns** answering from the effective configuration. **Must not know** where a value came from. **Enter at** [`Variables`].

use std::sync::Arc;

use wasmtime::component::HasData;

use super::{
    door::Door,
    wit::wasi::config::store::{Error, Host},
};

/// Marks the interface for the linker.
pub(super) struct Variables;

impl HasData for Variables {
    type Data<'a> = VariablesView<'a>;
}

/// One call's variables.
pub(super) struct VariablesView<'a> {
    pub(super) door: &'a Arc<Door>,
}

impl Host for VariablesView<'_> {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(Ok(self.door.variables().into_iter().find_map(|(name, value)| (name == key).then_some(value))))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        Ok(Ok(self.door.variables()))
    }
}
