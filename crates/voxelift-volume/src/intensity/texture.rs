//! What changes from voxel to voxel: noise, and the finest texture with it.

use super::mask::Mask;
use super::statistics::percentile;
use crate::volume::Volume;

/// The median size of the difference between a voxel and the mean of its six neighbours, as a standard deviation of
/// white noise (a factor of `sqrt(6/7)`, and 0.6745 for the median), where all seven are foreground.
pub fn texture(volume: &Volume, mask: &Mask) -> f64 {
    let [nx, ny, nz] = volume.extent();
    let strides = [1, nx, nx * ny];
    let mut differences = Vec::new();
    for z in 1..nz.saturating_sub(1) {
        for y in 1..ny.saturating_sub(1) {
            for x in 1..nx.saturating_sub(1) {
                let at = volume.index([x, y, z]);
                let near = strides.map(|s| [at - s, at + s]);
                if mask.data()[at] && near.iter().flatten().all(|&i| mask.data()[i]) {
                    let mean = near.iter().flatten().map(|&i| volume.data()[i]).sum::<f32>() / 6.0;
                    differences.push((volume.data()[at] - mean).abs());
                }
            }
        }
    }
    percentile(&mut differences, 50.0).unwrap_or(0.0) * (6.0_f64 / 7.0).sqrt() / 0.6745
}
