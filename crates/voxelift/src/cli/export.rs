//! `voxelift export`: a model for other programs.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use voxelift_model::model_file::ModelFile;
use voxelift_model::{onnx, parameters, tensor_file};
use voxelift_volume::files::write_atomically;

use super::files;
use crate::failure::{Outcome, usage};
use crate::terminal;

/// Defines the networks in PyTorch and loads a file of `--torch`.
const LOADER: &str = include_str!("../../assets/voxelift_torch.py");

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("target").args(["onnx", "torch"]).required(true).multiple(true),
    after_help = "Examples:\n  voxelift export runs/first/model.safetensors --onnx model.onnx\n  \
                  voxelift export --torch model_f32.safetensors      (writes voxelift_torch.py beside it)"
)]
pub struct ExportArguments {
    /// The model file [default: the built-in model]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Write the network as an ONNX file, for onnxruntime, OpenVINO and others; scans of any size
    #[arg(long, value_name = "OUT.onnx")]
    onnx: Option<PathBuf>,
    /// Write the weights in float32 as a state dict of PyTorch (safetensors), and voxelift_torch.py, which loads it, beside it
    #[arg(long, value_name = "OUT.safetensors")]
    torch: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

/// # Errors
/// When the model is refused, or a file cannot be written.
pub fn run(arguments: &ExportArguments) -> anyhow::Result<Outcome> {
    let loader = arguments
        .torch
        .as_ref()
        .map(|path| path.with_file_name("voxelift_torch.py"));
    let outputs = [&arguments.onnx, &arguments.torch, &loader];
    for output in outputs.into_iter().flatten() {
        if arguments
            .model
            .as_ref()
            .is_some_and(|model| files::same_file(model, output))
        {
            return Err(usage(format!("output {}: is the model", output.display())));
        }
        files::refuse_existing(output, arguments.force)?;
    }
    let file = match &arguments.model {
        Some(path) => ModelFile::open(path)?,
        None => ModelFile::built_in(),
    };
    if let Some(path) = &arguments.onnx {
        let bytes = onnx::export(&file)?;
        files::make_parent(path)?;
        write_atomically(path, arguments.force, |out| out.write_all(&bytes))?;
        terminal::print(format!("{}\n", path.display()))?;
    }
    if let (Some(path), Some(loader)) = (&arguments.torch, &loader) {
        files::make_parent(path)?;
        let (generator, card) = file.for_others()?;
        tensor_file::write(
            path,
            &parameters::values(&generator),
            tensor_file::Format::F32,
            &card,
        )?;
        write_atomically(loader, arguments.force, |out| out.write_all(LOADER.as_bytes()))?;
        terminal::print(format!("{}\n{}\n", path.display(), loader.display()))?;
    }
    Ok(Outcome::Done)
}
