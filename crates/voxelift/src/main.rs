//! The door: arguments in, exit code out.

mod cli;
mod report;

fn main() {}
