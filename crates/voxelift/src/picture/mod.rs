//! Layer 11 · Pictures of volumes: planes with their sides, window and scale, side by side or as stacks, as PNG bytes.

mod canvas;
mod font;
mod montage;
mod palette;
mod section;
mod stacks;
mod window;

pub use montage::comparison;
pub use palette::Palette;
pub use stacks::{Frame, Stacks};
use voxelift_volume::Volume;
pub use window::{Window, bar_mm, short};

/// `|image - reference|`, voxel by voxel, on the reference's grid.
///
/// # Panics
/// When the two have different numbers of voxels.
pub fn absolute_error(image: &Volume, reference: &Volume) -> Volume {
    assert_eq!(image.extent(), reference.extent(), "the error on another grid");
    let pairs = image.data().iter().zip(reference.data());
    Volume::new(
        pairs.map(|(a, b)| (a - b).abs()).collect(),
        reference.geometry().clone(),
    )
}

/// The mean voxel position, weighted by intensity.
fn brightest_place(volume: &Volume) -> [f64; 3] {
    let [nx, ny, _] = volume.extent();
    let (mut total, mut moment) = (0.0, [0.0; 3]);
    for (i, value) in volume.data().iter().enumerate() {
        let weight = f64::from(if value.is_finite() { value.max(0.0) } else { 0.0 });
        let place = [i % nx, i / nx % ny, i / (nx * ny)];
        total += weight;
        (0..3).for_each(|a| moment[a] += weight * place[a] as f64);
    }
    if total > 0.0 {
        moment.map(|m| m / total)
    } else {
        volume.extent().map(|n| (n as f64 - 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests;
