//! The program as its users see it: arguments in; files, words and exit codes out.

mod batches;
mod commands;
mod consistency;
mod faults;
mod interrupted;
mod killed;
mod library;
mod models;
mod refusals;
mod report;
mod resumed;
mod scans;
mod self_learning;
#[cfg(feature = "dicom")]
#[path = "../../../voxelift-volume/tests/formats/series.rs"]
mod series;
mod studies;
mod support;
mod training;
mod work;
