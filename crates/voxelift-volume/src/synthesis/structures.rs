//! Lesions, gaps and vessels, wherever they happen to lie.

use super::SynthesisConfig;
use crate::random::Stream;
use crate::volume::Volume;

/// Lays the structures over the means of the tissues.
pub(super) fn add(means: &mut Volume, tissues: &Volume, config: &SynthesisConfig, stream: &mut Stream) {
    let inside: Vec<usize> = (0..tissues.data().len())
        .filter(|i| tissues.data()[*i] != 0.0)
        .collect();
    let mut count = |most: usize| if most == 0 { 0 } else { stream.below(most + 1) };
    let [lesions, gaps, vessels] = [config.lesions, config.gaps, config.vessels].map(&mut count);
    let spacing = means.geometry().spacing_mm();
    for k in 0..lesions + gaps {
        let is_gap = k >= lesions;
        let centre = somewhere(&inside, means.extent(), stream);
        // Small ones are frequent.
        let radius = 1.0 + if is_gap { 6.0 } else { 8.0 } * stream.uniform().powi(2);
        let radii = std::array::from_fn(|_| radius * stream.between(0.5, 1.5));
        let value = if is_gap { 0.0 } else { stream.between(0.0, 1.2) };
        let opacity = if is_gap { 1.0 } else { stream.between(0.3, 1.0) };
        blob(means, tissues, spacing, centre, radii, [value, opacity]);
    }
    for _ in 0..vessels {
        let value = stream.between(0.0, 1.6);
        let radius = stream.between(0.4, 1.6);
        let mut at = somewhere(&inside, means.extent(), stream);
        let mut direction = stream.direction();
        let length = 8 + stream.below(50);
        for _ in 0..length {
            blob(means, tissues, spacing, at, [radius; 3], [value, 1.0]);
            let turn = stream.direction();
            let mut norm = 0.0;
            for a in 0..3 {
                direction[a] += 0.35 * turn[a];
                norm += direction[a] * direction[a];
            }
            let norm = norm.sqrt().max(1e-6);
            for a in 0..3 {
                direction[a] /= norm;
                at[a] += 0.7 * radius.max(0.7) * direction[a] / spacing[a];
            }
        }
    }
}

/// A point (voxels) within the head.
fn somewhere(inside: &[usize], [nx, ny, _]: [usize; 3], stream: &mut Stream) -> [f64; 3] {
    let i = inside[stream.below(inside.len())];
    [i % nx, i / nx % ny, i / (nx * ny)].map(|v| v as f64 + stream.between(-0.5, 0.5))
}

/// An ellipsoid of one value, its edge half a voxel soft, where there is tissue; radii in mm.
fn blob(
    means: &mut Volume,
    tissues: &Volume,
    spacing: [f64; 3],
    centre: [f64; 3],
    radii: [f64; 3],
    [value, opacity]: [f64; 2],
) {
    let extent = means.extent();
    let reach: [f64; 3] = std::array::from_fn(|a| radii[a] / spacing[a] + 1.0);
    let range = |a: usize| {
        let low = (centre[a] - reach[a]).ceil().max(0.0) as usize;
        let high = (centre[a] + reach[a]).floor() + 1.0;
        low..high.clamp(0.0, extent[a] as f64) as usize
    };
    let least = radii.iter().copied().fold(f64::INFINITY, f64::min);
    for z in range(2) {
        for y in range(1) {
            for x in range(0) {
                let index = (z * extent[1] + y) * extent[0] + x;
                if tissues.data()[index] == 0.0 {
                    continue;
                }
                let at = [x, y, z];
                let distance: f64 = (0..3)
                    .map(|a| ((at[a] as f64 - centre[a]) * spacing[a] / radii[a]).powi(2))
                    .sum::<f64>()
                    .sqrt();
                let cover = opacity * (0.5 + (1.0 - distance) * least).clamp(0.0, 1.0);
                if cover > 0.0 {
                    let old = &mut means.data_mut()[index];
                    *old += (cover * (value - f64::from(*old))) as f32;
                }
            }
        }
    }
}
