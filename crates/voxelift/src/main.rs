//! The door: arguments in, exit code out.

#![forbid(unsafe_code)]

mod cli;
mod failure;
mod picture;
mod report;
mod study;
mod tensorboard;
mod terminal;
mod view;

fn main() -> std::process::ExitCode {
    cli::main()
}
