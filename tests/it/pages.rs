//! The administrators' pages over real HTTP: who gets in, what a page may do, what is shown, and
//! that what strangers sent stays harmless.

pub mod browser;
mod export;
mod frame;
mod gallery;
mod resource;
mod sign_in;
