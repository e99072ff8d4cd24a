//! Rust traits for the interfaces in `node/wit`.
//!
//! **Owns** what the binding generator makes. **Must not know** what an interface does. **Enter at** [`wasi`].

#[allow(missing_docs, unreachable_pub, private_interfaces, reason = "generated from WIT, where the documentation is")]
mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "skerry:worker/imports",
        imports: { default: async | trappable },
        require_store_data_send: true,
        with: { "wasi:keyvalue/store.bucket": crate::runtime::component::keyvalue::Bucket },
        trappable_error_type: { "wasi:keyvalue/store.error" => crate::runtime::component::keyvalue::Failure },
    });
}

pub(super) use generated::wasi;
