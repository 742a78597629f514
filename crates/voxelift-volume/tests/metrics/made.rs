//! Volumes by formula, the same as the golden script's.

use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{DataRange, IntensityMatch, Pair, Regions};
use voxelift_volume::{Geometry, Volume};

pub const UNMATCHED: Regions<IntensityMatch> = Regions {
    whole: IntensityMatch::IDENTITY,
    masked: IntensityMatch::IDENTITY,
};

/// The formula of the script's `volumes`: reference, image and mask.
pub fn volumes(extent: [usize; 3], spacing_mm: [f64; 3]) -> (Volume, Volume, Mask) {
    let [nx, ny, nz] = extent;
    let (mut reference, mut image, mut mask) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..nx * ny * nz {
        let (i, j, k) = (index % nx, index / nx % ny, index / (nx * ny));
        let square = |i: usize, n: usize| ((2 * i + 1) as f64 / n as f64 - 1.0).powi(2);
        let radius = square(i, nx) + square(j, ny) + square(k, nz);
        let noise = f64::from((index as u32).wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24) - 0.5;
        let (x, y, z) = (i as f64, j as f64, k as f64);
        let texture = (0.9 * x + 0.3 * z).sin() * (0.7 * y - 0.2 * x).cos() + 0.5 * (1.7 * z + 0.4 * y).sin();
        let tissue = if radius < 0.25 {
            160.0
        } else if radius < 0.5 {
            110.0
        } else {
            60.0
        };
        let head = radius < 0.8;
        reference.push(if head { tissue + 20.0 * texture } else { 0.0 } as f32);
        let blurred = if head {
            0.93 * tissue + 12.0 * texture + 5.0
        } else {
            1.0
        };
        image.push((blurred + 9.0 * noise) as f32);
        mask.push(radius < 0.7);
    }
    let grid = Geometry::axis_aligned(extent, spacing_mm);
    (
        Volume::new(reference, grid.clone()),
        Volume::new(image, grid),
        Mask::new(mask, extent),
    )
}

/// The small volumes at 1 mm.
pub fn small() -> Pair {
    let (reference, image, mask) = volumes([47, 52, 45], [1.0; 3]);
    Pair::new(&reference, &image, &mask).unwrap()
}

/// The reference's maximum less its minimum, for both ranges.
pub fn range_of(pair: &Pair) -> DataRange {
    let values = pair.reference().data().iter().map(|&v| f64::from(v));
    let full = values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min);
    DataRange {
        full,
        p995: Some(full),
    }
}
