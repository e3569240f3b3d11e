//! Generates the slim discovery messages of `proto/`.

fn main() {}
