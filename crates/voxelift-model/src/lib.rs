//! Tensors that learn: the networks, the losses, training and inference.
//!
//! No terminal, no HTML. Modules are listed layer by layer; each imports only from the layers below it
//! (`tests/floors.rs`). All tensors are `[N, C, Z, Y, X]`: a volume's voxels in file order are the memory.
//!
//! ```
//! use voxelift_model::upscale::{Methods, Upscaler, Wishes};
//! use voxelift_volume::baseline::Baseline;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::target::Target;
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! // A baseline, which takes no time; `upscale::BuiltIn` holds the models in the program, `upscale::Model` is one of yours.
//! let methods = Methods::Named(Baseline::ZeroFill.into());
//! let wishes = Wishes { target: Some(Target::Spacing([5.0; 3])), ..Wishes::default() };
//! let finer = Upscaler::new(methods, wishes)?.run(&scan, &mut |event| println!("{event:?}"))?;
//! assert_eq!(finer.image.geometry(), &scan.geometry().with_extent([32; 3]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each module shows an example in its own documentation; whole programs are in the folder `examples/`.

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
