//! What calibration finds of the operator and the noise that made scans, over operators and levels of noise.
//!
//!     cargo run --release -p voxelift-volume --example calibration_under_noise -- HR,HR LR,LR,LR [stripped]
//!
//! The first list is the HR pool; the scans of the second are made coarse, 2 x 2 x 2, with Rician noise, and are the LR pool. With
//! `stripped` their background is set to zero after the noise, as a brain extraction does.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::path::Path;

use voxelift_volume::calibration::calibrate;
use voxelift_volume::degrade::{Degradation, Operators};
use voxelift_volume::nifti::{ReadOptions, read};
use voxelift_volume::{Scale, Volume};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (pools, stripped) = match &arguments[..] {
        [hr, lr] => ([hr, lr], false),
        [hr, lr, word] if word == "stripped" => ([hr, lr], true),
        _ => return Err("expected the HR scans, the LR scans, and \"stripped\" or nothing".into()),
    };
    let [hr, lr] = pools.map(|list| scans(list));
    let (hr, lr) = (hr?, lr?);
    for operator in ["kspace", "box", "gaussian:0.55"] {
        for noise in [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.065] {
            let operator: Operators = operator.parse()?;
            let clean = Degradation::new(operator, Scale::isotropic(2));
            let noisy = Degradation { noise, ..clean };
            let mut pool = Vec::new();
            for (seed, scan) in (1..).zip(&lr) {
                let mut made = noisy.apply(scan, seed)?;
                if stripped {
                    strip(&mut made, &clean.apply(scan, seed)?);
                }
                pool.push(made);
            }
            let found = calibrate(&hr, &pool, Scale::isotropic(2))?;
            writeln!(stdout(), "{operator}, noise {noise}: {found}")?;
        }
    }
    Ok(())
}

fn scans(list: &str) -> Result<Vec<Volume>, Box<dyn Error>> {
    let read = |path| Ok(read(Path::new(path), &ReadOptions::default())?.into_single()?);
    list.split(',').map(read).collect()
}

/// Sets to zero what is below a twentieth of the brightest voxel without noise.
fn strip(noisy: &mut Volume, clean: &Volume) {
    let most = clean.data().iter().copied().fold(0.0, f32::max);
    let voxels = noisy.data_mut().iter_mut().zip(clean.data());
    voxels
        .filter(|(_, clean)| **clean < 0.05 * most)
        .for_each(|(noisy, _)| *noisy = 0.0);
}
