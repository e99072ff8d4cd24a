//! What a component may count on, and what it can not do to others.

mod behaviour;
mod guest;
mod toolchains;
mod world;
