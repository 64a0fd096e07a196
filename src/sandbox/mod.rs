//! The stand-in platform: everything Larkive needs of Feishu, on one machine, without an account.
//!
//! [`Sandbox`] plays the API side: tokens, resources with real bytes, scripted faults, a journal
//! of what was asked and served. [`sender::Sender`] plays the other side: it builds, encrypts and
//! signs events. It serves `demo`, `sandbox`, `trigger`, the tests and the benches; the product
//! itself never uses it.

mod answer;
mod api;
mod call;
mod control;
mod delivery;
mod desk;
pub mod dictionary;
pub mod directory;
pub mod event;
pub mod faults;
mod journal;
pub mod kind;
pub mod listing;
pub mod noise;
mod platform;
mod png;
pub mod samples;
pub mod sender;
mod shelf;
#[cfg(test)]
mod tests;
pub mod ticket;
mod tokens;
mod wire;

pub use call::Route;
pub use faults::{Action, Rule};
pub use journal::Entry;
pub use platform::{Hashing, Sandbox, SandboxOptions};
