//! The program as its users see it: arguments in; files, words and exit codes out.

mod commands;
mod consistency;
mod interrupted;
mod models;
mod refusals;
mod report;
mod scans;
#[cfg(feature = "dicom")]
#[path = "../../../voxelift-volume/tests/formats/series.rs"]
mod series;
mod studies;
mod support;
mod training;
