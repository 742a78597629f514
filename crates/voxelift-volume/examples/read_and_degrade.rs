//! Reads a scan and simulates a low-resolution acquisition of it: `read_and_degrade SCAN OUT`.

use std::error::Error;
use std::path::Path;

use voxelift_volume::degrade::{Degradation, Operator};
use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::{Scale, scan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = &arguments[..] else {
        return Err("read_and_degrade SCAN OUT".into());
    };
    // NIfTI, MGH or a folder with a DICOM series; voxels are f32, x fastest, with their place in the world.
    let volume = scan::read(Path::new(input), &ReadOptions::default())?
        .frames
        .remove(0);
    // Half the resolution along each axis, as a scanner would measure it, with noise of 2 % of the signal.
    let degradation = Degradation {
        noise: 0.02,
        ..Degradation::new(Operator::KSpace, Scale::isotropic(2))
    };
    let image = NiftiImage::from_volume(degradation.apply(&volume, 1)?);
    nifti::write(Path::new(output), &image, &WriteOptions::default())?;
    Ok(())
}
