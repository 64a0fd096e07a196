//! The `larkive` program.

fn main() {}
