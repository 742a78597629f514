//! A scan of any spacing on a finer grid: placed there, then refined by a placed network.

use burn::tensor::Tensor;
use voxelift_volume::intensity::Normalization;
use voxelift_volume::kspace::{truncate, zero_fill};
use voxelift_volume::placed::{default_target, held, place, unmeasured};
use voxelift_volume::tile::TilePlan;
use voxelift_volume::{Scale, Volume};

use super::{SuperResolver, UpscaleOptions};
use crate::batch::{images_to_tensor, tensor_to_voxels};
use crate::error::Result;
use crate::networks::{PLACED_CHANNELS, PLACED_STEP};

/// A tile whose voxels are all below this share of the peak is air, and left as it is.
const AIR: f32 = 0.01;

/// Neighbouring tiles share this part of a side.
const OVERLAP: usize = 8;

impl SuperResolver {
    /// The super-resolved volume on `extent` voxels over the scan's field of view, in the scan's units.
    ///
    /// `resolved_mm` is what the scan resolves along x, y, z: its spacing, or more where the scanner interpolated. A network of
    /// a fixed scale gets the scan truncated to what it resolves, and what it makes is truncated or zero-filled to the extent.
    ///
    /// # Errors
    /// When the volume is empty or constant.
    ///
    /// # Panics
    /// When the extent is below the scan's.
    pub fn onto(
        &self,
        scan: &Volume,
        extent: [usize; 3],
        resolved_mm: [f64; 3],
        options: &UpscaleOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Volume> {
        if !self.generator.is_placed() {
            let made = self.upscale(&held(scan, resolved_mm), options, progress)?;
            return Ok(fitted(made, extent));
        }
        self.refined(scan, extent, resolved_mm, options.tile, progress, |image| {
            self.output(image, options.ensemble)
        })
    }

    /// As [`SuperResolver::member`], on a grid as [`SuperResolver::onto`] takes it.
    ///
    /// # Errors
    /// As there.
    pub fn member_onto(
        &self,
        scan: &Volume,
        extent: [usize; 3],
        resolved_mm: [f64; 3],
        tile: Option<usize>,
        mirroring: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Volume> {
        if !self.generator.is_placed() {
            let made = self.member(&held(scan, resolved_mm), tile, mirroring, progress)?;
            return Ok(fitted(made, extent));
        }
        self.refined(scan, extent, resolved_mm, tile, progress, |image| {
            self.mirrored(image, mirroring)
        })
    }

    /// As [`SuperResolver::onto`] on the grid that [`default_target`] chooses.
    pub(super) fn on_default_grid(
        &self,
        scan: &Volume,
        tile: Option<usize>,
        progress: &mut dyn FnMut(usize, usize),
        output: impl Fn(Tensor<5>) -> Tensor<5>,
    ) -> Result<Volume> {
        let resolved = scan.geometry().spacing_mm();
        let extent = default_target(scan.geometry(), resolved).extent;
        self.refined(scan, extent, resolved, tile, progress, output)
    }

    fn refined(
        &self,
        scan: &Volume,
        extent: [usize; 3],
        resolved_mm: [f64; 3],
        tile: Option<usize>,
        progress: &mut dyn FnMut(usize, usize),
        output: impl Fn(Tensor<5>) -> Tensor<5>,
    ) -> Result<Volume> {
        let normalization = Normalization::of(scan)?;
        let placed = place(&normalization.apply(scan.clone()), extent);
        let geometry = placed.geometry().clone();
        let shares = unmeasured(resolved_mm, geometry.spacing_mm());
        let placed = even(placed);
        // Tiles are laid on the grid of the features.
        let coarse = placed.extent().map(|n| n / PLACED_STEP);
        let side = (tile.unwrap_or(self.tile) / PLACED_STEP).max(1);
        let plan = TilePlan::new(coarse, [side; 3], [side / OVERLAP; 3])?;
        let mut blend = plan.blend(Scale::isotropic(PLACED_STEP));
        progress(0, plan.count());
        for tile in plan.tiles() {
            let block = placed.crop(
                tile.start.map(|s| PLACED_STEP * s),
                tile.extent.map(|n| PLACED_STEP * n),
            );
            if block.data().iter().all(|v| v.abs() < AIR) {
                blend.add(&tile, block.data());
            } else {
                let extent = block.extent();
                let voxels = block.data().len();
                let mut image = block.into_data();
                for axis in [2, 1, 0] {
                    image.extend(std::iter::repeat_n(shares[axis] as f32, voxels));
                }
                let image = images_to_tensor(image, [1, PLACED_CHANNELS], extent, &self.device);
                blend.add(&tile, &tensor_to_voxels(output(image)));
            }
            progress(tile.index + 1, plan.count());
        }
        let fine = blend.finish(placed.geometry().clone());
        Ok(normalization.invert(fine.crop([0; 3], geometry.extent)))
    }
}

/// The volume on so many voxels: what they cannot hold is cut off in k-space, and what they could hold besides is zero.
fn fitted(volume: Volume, extent: [usize; 3]) -> Volume {
    let made = volume.extent();
    if made == extent {
        return volume;
    }
    zero_fill(
        &truncate(&volume, std::array::from_fn(|a| made[a].min(extent[a]))),
        extent,
    )
}

/// The volume with its last plane repeated along each axis of an odd extent.
fn even(volume: Volume) -> Volume {
    let extent = volume.extent();
    let wanted = extent.map(|n| n.next_multiple_of(PLACED_STEP));
    if wanted == extent {
        return volume;
    }
    let mut padded = volume.padded(wanted);
    for z in 0..wanted[2] {
        for y in 0..wanted[1] {
            for x in 0..wanted[0] {
                let inside = [x.min(extent[0] - 1), y.min(extent[1] - 1), z.min(extent[2] - 1)];
                if inside != [x, y, z] {
                    let index = padded.index([x, y, z]);
                    padded.data_mut()[index] = volume.at(inside);
                }
            }
        }
    }
    padded
}
