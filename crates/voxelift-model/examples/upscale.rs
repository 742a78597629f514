//! Makes a scan finer, by the built-in model that does best on it or by a model of yours: `upscale SCAN OUT [MODEL]`.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use voxelift_model::device::{Computing, DeviceChoice, Precision};
use voxelift_model::infer::UpscaleOptions;
use voxelift_model::model_file::ModelFile;
use voxelift_model::upscale::{BuiltIn, Event, Method, Methods, Model, Upscaler, Wishes};
use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::scan;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (input, output, model) = match &arguments[..] {
        [input, output] => (input, output, None),
        [input, output, model] => (input, output, Some(model)),
        _ => return Err("upscale SCAN OUT [MODEL]".into()),
    };
    let computing = Computing {
        device: DeviceChoice::Auto,
        precision: Precision::F32,
    };
    let options = UpscaleOptions::default();
    let methods = match model {
        Some(path) => {
            let model = Model::of(&ModelFile::open(Path::new(path))?, computing, options)?;
            Methods::Named(Method::Model(Box::new(model)))
        }
        None => Methods::BuiltIn(Box::new(BuiltIn::load(computing, options)?)),
    };
    let upscaler = Upscaler::new(methods, Wishes::default())?;
    let volume = scan::read(Path::new(input), &ReadOptions::default())?
        .frames
        .remove(0);
    let mut errors = std::io::stderr();
    let finer = upscaler.run(&volume, &mut |event| {
        if let Event::Warning(warning) = event {
            // Nobody to tell is no reason to stop.
            let _ = writeln!(errors, "warning: {warning}");
        }
    })?;
    if let Some(agreement) = &finer.consistency {
        writeln!(std::io::stdout(), "{agreement}")?;
    }
    let image = NiftiImage::from_volume(finer.image);
    nifti::write(Path::new(output), &image, &WriteOptions::default())?;
    Ok(())
}
