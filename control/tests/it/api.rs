//! The HTTP API on a real control plane, with stand-ins for the data plane.

pub(crate) mod fakes;
pub(crate) mod node;

mod access;
mod cluster;
mod conditions;
mod deploy;
mod environments;
mod guards;
mod kv;
mod openapi;
mod tails;
mod undeployed;
mod uploads;
mod wrangler;
