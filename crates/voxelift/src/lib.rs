//! The voxelift program as a library: its command line, so that the tests of the documents and other programs call what `main` calls.
//! Volumes are in `voxelift-volume`, networks and use cases in `voxelift-model`.

#![forbid(unsafe_code)]

mod cli;
mod failure;
mod picture;
mod report;
mod study;
mod tensorboard;
mod terminal;
mod view;

pub use cli::{command, main};
