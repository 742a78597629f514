//! The grid of the output, and how fine slices come onto it.

use voxelift_model::self_learning::SliceProtocol;
use voxelift_volume::nifti::Header;
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Geometry, Volume};

use super::super::memory::{Bytes, told};
use super::super::target::Target;

/// A fine spacing this near (natural logarithm) to that in plane makes an isotropic grid.
const SAME_SPACING: f64 = 0.051;

/// Bytes that the program takes in all for each voxel of the fine slices: 1.32 GB for 29.5 million, measured.
const BYTES_PER_VOXEL: u64 = 45;

/// Refuses a scan whose fine slices take more memory than is given.
///
/// # Errors
/// With what it takes.
pub fn check_memory(given: Option<Bytes>, input: &Geometry, protocol: &SliceProtocol) -> anyhow::Result<()> {
    let Some(Bytes(given)) = given else {
        return Ok(());
    };
    let fine = protocol.fine_extent(input.extent).map(|n| n as u64);
    let needed = fine.into_iter().fold(BYTES_PER_VOXEL, u64::saturating_mul);
    anyhow::ensure!(
        needed <= given,
        "--memory {}: learning from a scan whose fine slices are {} x {} x {} voxels takes about {}; give that, or bring the scan to \
         coarser voxels in plane with `voxelift degrade` first",
        told(given),
        fine[0],
        fine[1],
        fine[2],
        told(needed)
    );
    Ok(())
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
    ) -> anyhow::Result<Self> {
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
        anyhow::ensure!(
            voxels <= max_voxels,
            "the finer grid {:?} in {frames} volume(s) has more than {max_voxels} voxels; see --max-voxels",
            grid.extent
        );
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

fn isotropic(input: &Geometry, protocol: &SliceProtocol) -> anyhow::Result<Geometry> {
    let [p, q] = protocol.in_plane_mm;
    let finest = p.min(q);
    if (protocol.fine_mm() / finest).ln().abs() < SAME_SPACING {
        return Ok(input.with_extent(protocol.fine_extent(input.extent)));
    }
    let mut spacing = input.spacing_mm();
    spacing[protocol.axis] = finest;
    Ok(Target::Spacing(spacing).grid(input)?)
}
