//! The HTTP API on a real control plane, with stand-ins for the data plane.

mod fakes;
mod node;

mod openapi;
