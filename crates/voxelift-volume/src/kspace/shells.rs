//! Shells of equal frequency: where each bin of a spectrum lies.

use super::spectrum::signed_frequency;

/// A frequency this close to a boundary, in units of it, is on it.
const ROUNDING: f64 = 1e-9;

/// The same for the boundary of what was measured: files keep voxel sizes in single precision.
const STORED: f64 = 1e-6;

/// The shells of a grid's spectrum around zero frequency, each as wide as the coarsest frequency step of the axes.
///
/// # Units
/// Cycles per mm.
#[derive(Clone, Debug)]
pub struct ShellGrid {
    spacing_mm: [f64; 3],
    /// Cycles per voxel of each bin, along x, y, z.
    cycles: [Vec<f64>; 3],
    width: f64,
    count: usize,
    last: usize,
}

impl ShellGrid {
    /// The shells of a volume of this extent and voxel size.
    pub fn new(extent: [usize; 3], spacing_mm: [f64; 3]) -> Self {
        let cycles = extent.map(|n| (0..n).map(|i| signed_frequency(n, i) as f64 / n as f64).collect());
        Self::of_frequencies(cycles, spacing_mm)
    }

    /// The shells of bins of given frequencies along x, y, z, in cycles per voxel.
    pub fn of_frequencies(cycles: [Vec<f64>; 3], spacing_mm: [f64; 3]) -> Self {
        let extent = [0, 1, 2].map(|a: usize| cycles[a].len());
        let axes = || (0..3).filter(|&a| extent[a] > 1);
        let width = axes()
            .map(|a| 1.0 / (extent[a] as f64 * spacing_mm[a]))
            .fold(0.0, f64::max);
        let nyquist = axes().map(|a| 0.5 / spacing_mm[a]).fold(f64::INFINITY, f64::min);
        let corner = axes().map(|a| (0.5 / spacing_mm[a]).powi(2)).sum::<f64>().sqrt();
        let count = (corner / width).round() as usize + 1;
        Self {
            spacing_mm,
            cycles,
            width,
            count,
            // The shells whose whole thickness lies below the Nyquist frequency.
            last: (((nyquist / width) + ROUNDING - 0.5).floor().max(1.0) as usize).min(count - 1),
        }
    }

    /// How many shells, from zero frequency up to the corners.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The last shell that lies below the lowest Nyquist frequency of the axes.
    pub fn last(&self) -> usize {
        self.last
    }

    /// The radius of a shell.
    pub fn radius(&self, shell: usize) -> f64 {
        shell as f64 * self.width
    }

    /// The shell that a bin lies on; halfway between two it is the outer one.
    pub fn shell(&self, bin: [usize; 3]) -> usize {
        let radius = (0..3)
            .map(|a| (self.cycles[a][bin[a]] / self.spacing_mm[a]).powi(2))
            .sum::<f64>()
            .sqrt();
        (radius / self.width + ROUNDING).round() as usize
    }

    /// Whether a bin lies outside the box of frequencies that voxels of `measured_mm` hold, and below the grid's own
    /// Nyquist frequency: `max_i |k_i| / k_i,LR > 1` and `sum_i (k_i / k_i,HR)^2 < 1`.
    pub fn is_beyond(&self, bin: [usize; 3], measured_mm: [f64; 3]) -> bool {
        let f: [f64; 3] = std::array::from_fn(|a| self.cycles[a][bin[a]]);
        let outside = (0..3).any(|a| measured_share(f[a], self.spacing_mm[a], measured_mm[a]) > 1.0 + STORED);
        outside && f.iter().map(|f| 4.0 * f * f).sum::<f64>() < 1.0 - ROUNDING
    }
}

/// `|k| / k_LR` of a frequency in cycles per voxel.
fn measured_share(cycles_per_voxel: f64, spacing_mm: f64, measured_mm: f64) -> f64 {
    2.0 * cycles_per_voxel.abs() * measured_mm / spacing_mm
}

/// Whether voxels of `measured_mm` hold a frequency, their own unpaired one left out.
///
/// # Units
/// `cycles_per_voxel` of a grid of `spacing_mm`.
pub fn is_measured(cycles_per_voxel: f64, spacing_mm: f64, measured_mm: f64) -> bool {
    measured_mm <= spacing_mm || measured_share(cycles_per_voxel, spacing_mm, measured_mm) < 1.0 - STORED
}
