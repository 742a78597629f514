//! What the interpolating upsamplers reach on a real head after 2 x 2 x 2 k-space truncation: the baselines that any
//! network has to beat, and the surest sign of a lost half voxel (5 dB).

use std::io::Write;
use std::path::Path;

use voxelift_volume::intensity::foreground_peak;
use voxelift_volume::nifti::{self, ReadOptions};
use voxelift_volume::resample::{Interpolation, pad_to_scale, resize};
use voxelift_volume::{Scale, Volume, kspace};

const HEAD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/data/val/hr/oasis-malf1003_T1w_1mm_brain.nii.gz"
);

/// PSNR in dB for a data range of `peak`, over the voxels where the reference is above a twentieth of it.
fn psnr_db(image: &Volume, reference: &Volume, peak: f64) -> f64 {
    let pairs = image
        .data()
        .iter()
        .zip(reference.data())
        .map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let inside = pairs.filter(|(_, b)| *b > 0.05 * peak);
    let (sum, count) = inside.fold((0.0, 0.0), |(sum, count), (a, b)| {
        (sum + (a - b).powi(2), count + 1.0)
    });
    10.0 * (peak * peak * count / sum).log10()
}

#[test]
fn the_baselines_on_a_head_are_where_they_should_be() {
    if !Path::new(HEAD).exists() {
        return writeln!(std::io::stderr(), "skipped: no shared data").expect("a standard error");
    }
    let image = nifti::read(Path::new(HEAD), &ReadOptions::default()).expect("a head");
    let hr = pad_to_scale(image.volume().expect("one volume"), Scale::isotropic(2));
    let lr = kspace::truncate(&hr, Scale::isotropic(2).down(hr.extent()));
    let peak = f64::from(foreground_peak(&lr).expect("a head has contrast"));
    let up = |method| resize(&lr, hr.extent(), method);
    // The figures of numpy and scipy on the same head.
    for (name, sr, expected) in [
        ("zero-fill", kspace::zero_fill(&lr, hr.extent()), 29.739),
        ("Lanczos-4", up(Interpolation::Lanczos4), 29.308),
        ("cubic B-spline", up(Interpolation::CubicBSpline), 29.123),
        ("trilinear", up(Interpolation::Trilinear), 26.475),
    ] {
        let got = psnr_db(&sr, &hr, peak);
        assert!(
            (got - expected).abs() < 0.01,
            "{name}: {got:.3} dB, expected {expected} dB"
        );
    }
}
