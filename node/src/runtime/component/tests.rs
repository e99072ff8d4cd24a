//! What a component may count on, and what it can not do to others.
//!
//! **Owns** the promises of [`super`], on hand-written components and on those of two toolchains. **Must not know** how they
//! are kept. **Enter at** [`behaviour`].

mod behaviour;
mod guest;
mod nested;
mod time;
mod toolchains;
mod world;
