//! NIfTI files: against nibabel, round and round, and broken in every way.

mod builder;
mod malformed;
mod outputs;
#[path = "../python/mod.rs"]
mod python;
mod reference;
mod round_trip;
mod torture;
