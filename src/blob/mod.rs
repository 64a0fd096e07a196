//! Bytes, kept under their digest.

pub mod key;
pub mod spool;
pub mod store;
