//! NIfTI files: against nibabel, round and round, and broken in every way.

mod builder;
mod malformed;
mod outputs;
mod reference;
mod round_trip;
mod torture;
