//! The HTTP API on a real control plane, with stand-ins for the data plane.

mod fakes;
mod node;

mod access;
mod deploy;
mod environments;
mod kv;
mod openapi;
mod tails;
mod uploads;
mod wrangler;
