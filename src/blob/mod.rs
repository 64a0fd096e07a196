//! Bytes, kept under their digest. Knows nothing about messages or rows.
//!
//! A blob is visible under its final name only when it is complete and durable:
//! stage (spool file, hashed as it grows) → fsync → link without overwriting → fsync the directory.
//!
//! No path and no handle of a file leaves this module, so that nobody else knows where bytes lie: whoever wants
//! some opens a digest and reads.

pub mod checked;
mod key;
mod partial;
pub mod reserve;
pub mod sniff;
pub mod space;
pub mod spool;
pub mod store;
pub mod thumbnails;
