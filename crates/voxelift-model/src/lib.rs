//! Tensors that learn: the networks, the losses, training and inference.
//!
//! No terminal, no HTML. Rooms are listed layer by layer; each imports only from the layers below it
//! (`tests/floors.rs`). All tensors are `[N, C, Z, Y, X]`: a volume's voxels in file order are the memory.

#![forbid(unsafe_code)]

pub mod error;
pub mod memory;

pub mod acquisition;
pub mod batch;
pub mod cache;
pub mod device;

pub mod dataset;
pub mod layers;
pub mod parameters;

pub mod losses;
pub mod networks;
pub mod optimizer;
pub mod tensor_file;

pub mod config;
pub mod run;

pub mod model_file;

pub mod infer;
pub mod onnx;
pub mod self_learning;

pub mod scoring;
pub mod upscale;

pub mod train;
