//! The grid of fine slices, and how they come onto it.

use voxelift_volume::nifti::Header;
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::target::Target;
use voxelift_volume::{Geometry, Volume};

use super::error::{Result, UpscaleError};
use crate::self_learning::SliceProtocol;

/// A fine spacing this near (natural logarithm) to that in plane makes an isotropic grid.
const SAME_SPACING: f64 = 0.051;

/// Bytes that the program takes in all for each voxel of the fine slices: 1.32 GB for 29.5 million, measured.
const BYTES_PER_VOXEL: u64 = 45;

/// Refuses a scan whose fine slices take more memory than is given, in bytes.
///
/// # Errors
/// Naming the memory that it takes.
pub fn check_memory(given: Option<u64>, input: &Geometry, protocol: &SliceProtocol) -> Result<()> {
    let fine = protocol.fine_extent(input.extent);
    let needed = fine
        .into_iter()
        .fold(BYTES_PER_VOXEL, |bytes, n| bytes.saturating_mul(n as u64));
    match given {
        Some(given) if needed > given => Err(UpscaleError::MemoryOfSlices { given, needed, fine }),
        _ => Ok(()),
    }
}

/// Where fine slices go.
#[derive(Debug)]
pub struct Place {
    /// The grid of the output.
    pub grid: Geometry,
    /// What was asked for; none for voxels as long in each direction as in plane.
    target: Option<Target>,
}

impl Place {
    /// The grid asked for, or the isotropic one, for a scan of `frames` volumes.
    ///
    /// # Errors
    /// When the grid asked for is coarser than the scan, or has too many voxels.
    pub fn new(
        asked: Option<&Target>,
        input: &Geometry,
        protocol: &SliceProtocol,
        frames: usize,
        max_voxels: u64,
    ) -> Result<Self> {
        let target = asked.and_then(|asked| match asked {
            // What was learned makes slices of its own number, which then come onto the grid asked for.
            Target::Scale(scale) => {
                let (spacing, extent, fine) = (input.spacing_mm(), input.extent, scale.up(input.extent));
                Some(Target::Spacing(std::array::from_fn(|a| {
                    spacing[a] * extent[a] as f64 / fine[a] as f64
                })))
            }
            Target::Spacing(_) | Target::Like(_) => Some(asked.clone()),
            Target::Finest => None,
        });
        let grid = match &target {
            Some(target) => target.grid(input)?,
            None => isotropic(input, protocol)?,
        };
        let voxels = grid
            .extent
            .iter()
            .map(|n| *n as u64)
            .fold(frames as u64, u64::saturating_mul);
        if voxels > max_voxels {
            return Err(UpscaleError::TooManyVoxels {
                extent: grid.extent,
                frames,
                most: max_voxels,
            });
        }
        Ok(Self { grid, target })
    }

    /// The header of the output.
    pub fn header(&self, input: &Header) -> Header {
        match &self.target {
            Some(target) => target.header(input, &self.grid),
            None => Target::Spacing(self.grid.spacing_mm()).header(input, &self.grid),
        }
    }

    /// Fine slices on the grid.
    pub fn placed(&self, fine: Volume) -> Volume {
        match &self.target {
            Some(target) => target.placed(fine, &self.grid).0,
            None if *fine.geometry() == self.grid => fine,
            // Voxels that differ by a few percent: nothing aliases.
            None => resize(&fine, self.grid.extent, Interpolation::CubicBSpline),
        }
    }
}

fn isotropic(input: &Geometry, protocol: &SliceProtocol) -> Result<Geometry> {
    let [p, q] = protocol.in_plane_mm;
    let finest = p.min(q);
    if (protocol.fine_mm() / finest).ln().abs() < SAME_SPACING {
        return Ok(input.with_extent(protocol.fine_extent(input.extent)));
    }
    let mut spacing = input.spacing_mm();
    spacing[protocol.axis] = finest;
    Ok(Target::Spacing(spacing).grid(input)?)
}
