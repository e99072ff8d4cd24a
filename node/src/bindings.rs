//! What a worker can reach outside its own memory.
//!
//! **Owns** the effects of tenant code. **Must not know** which engine runs the code. **Enter at**
//! [`outbound::Outbound`].

pub mod egress;
pub mod framing;
pub mod kv;
pub mod lines_only;
pub mod outbound;
