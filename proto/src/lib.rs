//! Every byte that Skerry puts on a wire or a disk.
//!
//! **Owns** identifiers, message shapes and their versions. **Must not know** who sends or stores them. **Enter at**
//! [`id`].

pub mod id;
