//! The `serin` binary: a table of contents over [`serin::cli`].

fn main() {}
