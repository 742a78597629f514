//! Smooth windows, so that what a Fourier transform sees has no edges of its own.

use rayon::prelude::*;

use crate::intensity::Mask;
use crate::volume::Volume;

/// Voxels over which a face fades out, or a quarter of the side where that is less.
const FACE: usize = 8;

/// Voxels over which a mask fades out, in city-block steps.
const MARGIN: usize = 4;

/// Factors between 0 and 1, one a voxel.
pub(crate) struct Taper(Vec<f32>);

impl Taper {
    /// 1 inside a volume, falling to its faces by half a cosine.
    pub fn of_faces(extent: [usize; 3]) -> Self {
        let along = extent.map(|n| {
            let width = FACE.min(n / 4);
            (0..n)
                .map(|i| falling(width.saturating_sub(i.min(n - 1 - i)), width))
                .collect::<Vec<f64>>()
        });
        let [nx, ny, nz] = extent;
        let mut factors = vec![0.0; nx * ny * nz];
        factors.par_chunks_mut(nx).enumerate().for_each(|(row, factors)| {
            let outer = along[1][row % ny] * along[2][row / ny];
            factors
                .iter_mut()
                .zip(&along[0])
                .for_each(|(factor, x)| *factor = (outer * x) as f32);
        });
        Self(factors)
    }

    /// 1 in a mask, falling around it by half a cosine.
    pub fn around(mask: &Mask) -> Self {
        let mut factors: Vec<f32> = mask.data().iter().map(|&m| f32::from(u8::from(m))).collect();
        let mut grown = mask.clone();
        for step in 1..=MARGIN {
            let wider = grown.dilated(1);
            let factor = falling(step, MARGIN) as f32;
            for (i, place) in factors.iter_mut().enumerate() {
                if wider.data()[i] && !grown.data()[i] {
                    *place = factor;
                }
            }
            grown = wider;
        }
        Self(factors)
    }

    /// The volume times the factors.
    ///
    /// # Panics
    /// When the volume has another number of voxels.
    pub fn applied_to(&self, volume: &Volume) -> Volume {
        assert_eq!(
            self.0.len(),
            volume.data().len(),
            "a taper of another size than {:?}",
            volume.extent()
        );
        let data = volume
            .data()
            .iter()
            .zip(&self.0)
            .map(|(v, factor)| v * factor)
            .collect();
        Volume::new(data, volume.geometry().clone())
    }
}

/// Half a cosine from 1 at step 0 to 0 at step `width + 1`.
fn falling(step: usize, width: usize) -> f64 {
    (1.0 + (std::f64::consts::PI * step as f64 / (width + 1) as f64).cos()) / 2.0
}
