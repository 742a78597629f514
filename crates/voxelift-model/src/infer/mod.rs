//! Layer 9 · SuperResolver: Volume -> Volume by tiles.
//!
//! ```
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::infer::{SuperResolver, UpscaleOptions};
//! use voxelift_model::model_file::ModelFile;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [12; 3], spacing_mm: [12.0; 3] })?;
//! let (resolver, _) = SuperResolver::of(&ModelFile::built_in(), DeviceChoice::Cpu.open()?.0)?;
//! let finer = resolver.upscale(&scan, &UpscaleOptions::default(), &mut |done, of| println!("{done} of {of}"))?;
//! // On a grid of twice as many voxels over the same field of view, in the scan's own units.
//! assert_eq!(finer.geometry(), &scan.geometry().with_extent([24; 3]));
//! let mean = |v: &voxelift_volume::Volume| v.data().iter().sum::<f32>() / v.data().len() as f32;
//! assert!((mean(&finer) / mean(&scan) - 1.0).abs() < 0.1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod expected;
mod placed;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use voxelift_conv::{ProductFormat, computing_in};
use voxelift_volume::intensity::Normalization;
use voxelift_volume::tile::TilePlan;
use voxelift_volume::{Scale, Volume};

use crate::batch::{tensor_to_voxels, volume_to_tensor};
use crate::error::Result;
use crate::model_file::{ModelCard, ModelFile};
use crate::networks::Generator;

/// The mirrorings of a volume, none among them, over which an ensemble averages (RCAN's self-ensemble).
pub const MIRRORINGS: usize = 8;

/// How a volume is super-resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpscaleOptions {
    /// LR voxels along a tile; none for the model's own.
    pub tile: Option<usize>,
    /// Average over the [`MIRRORINGS`] of the input.
    pub ensemble: bool,
}

/// A trained generator, ready to be applied.
#[derive(Clone, Debug)]
pub struct SuperResolver {
    generator: Generator,
    scale: Scale,
    tile: usize,
    device: Device,
    products: ProductFormat,
}

impl SuperResolver {
    /// Wraps a generator; `tile` is the default tile in LR voxels.
    pub fn new(generator: Generator, scale: Scale, tile: usize, device: Device) -> Self {
        Self {
            generator: generator.valid(),
            scale,
            tile,
            device,
            products: ProductFormat::F32,
        }
    }

    /// The same network with the products of its convolutions in another number format.
    pub fn computing_in(self, products: ProductFormat) -> Self {
        Self { products, ..self }
    }

    fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        computing_in(self.products, || self.generator.forward(image))
    }

    /// Reads a model file: the resolver and the card of what it is.
    ///
    /// # Errors
    /// As [`ModelFile::open`] and [`SuperResolver::of`].
    pub fn load(path: &Path, device: Device) -> Result<(Self, ModelCard)> {
        Self::of(&ModelFile::open(path)?, device)
    }

    /// As [`SuperResolver::load`], of a file that has been read.
    ///
    /// # Errors
    /// As [`ModelFile::generator`].
    pub fn of(file: &ModelFile, device: Device) -> Result<(Self, ModelCard)> {
        let (generator, card) = file.generator(&device)?;
        Ok((Self::new(generator, card.scale(), card.tile, device), card))
    }

    /// Whether it takes scans of any spacing, see [`SuperResolver::onto`]; its scale is then 1.
    pub fn is_placed(&self) -> bool {
        self.generator.is_placed()
    }

    /// HR voxels per LR voxel.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The default tile in LR voxels.
    pub fn tile(&self) -> usize {
        self.tile
    }

    /// The super-resolved volume over the same field of view, in the units of the input; of a placed network on the grid that
    /// `voxelift_volume::placed::default_target` chooses.
    ///
    /// Channel attention averages over a tile, so the tile's size is part of the output. `progress` is told how many
    /// tiles of how many are done.
    ///
    /// # Errors
    /// When the volume is empty or constant.
    pub fn upscale(
        &self,
        lr: &Volume,
        options: &UpscaleOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Volume> {
        self.by_tiles(lr, options.tile, progress, |image| {
            self.output(image, options.ensemble)
        })
    }

    fn output(&self, image: Tensor<5>, ensemble: bool) -> Tensor<5> {
        if ensemble {
            self.ensemble(image)
        } else {
            self.forward(image)
        }
    }

    /// One of the [`MIRRORINGS`] outputs whose mean is the ensemble's: to the input mirrored along the axes x, y, z whose
    /// bits 0, 1, 2 are set in `mirroring`, and mirrored back. The first is the output without an ensemble.
    ///
    /// # Errors
    /// As [`SuperResolver::upscale`].
    pub fn member(
        &self,
        lr: &Volume,
        tile: Option<usize>,
        mirroring: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Volume> {
        self.by_tiles(lr, tile, progress, |image| self.mirrored(image, mirroring))
    }

    fn by_tiles(
        &self,
        lr: &Volume,
        tile: Option<usize>,
        progress: &mut dyn FnMut(usize, usize),
        output: impl Fn(Tensor<5>) -> Tensor<5>,
    ) -> Result<Volume> {
        if self.is_placed() {
            return self.on_default_grid(lr, tile, progress, output);
        }
        let normalization = Normalization::of(lr)?;
        let normalised = normalization.apply(lr.clone());
        let side = tile.unwrap_or(self.tile);
        let plan = TilePlan::new(lr.extent(), [side; 3], [side / 4; 3])?;
        let mut blend = plan.blend(self.scale);
        progress(0, plan.count());
        for tile in plan.tiles() {
            let image = volume_to_tensor(&normalised.crop(tile.start, tile.extent), &self.device);
            blend.add(&tile, &tensor_to_voxels(output(image)));
            progress(tile.index + 1, plan.count());
        }
        let geometry = lr.geometry().with_extent(self.scale.up(lr.extent()));
        Ok(normalization.invert(blend.finish(geometry)))
    }

    fn mirrored(&self, image: Tensor<5>, mirroring: usize) -> Tensor<5> {
        // Bit 0 is x, the last of [N, C, Z, Y, X].
        let axes: Vec<isize> = (0..3)
            .filter(|axis| mirroring >> axis & 1 == 1)
            .map(|axis| 4 - axis)
            .collect();
        let flipped = |t: Tensor<5>| axes.iter().fold(t, |t, axis| t.flip([*axis]));
        flipped(self.forward(flipped(image)))
    }

    fn ensemble(&self, image: Tensor<5>) -> Tensor<5> {
        let outputs = (0..MIRRORINGS).map(|mirroring| self.mirrored(image.clone(), mirroring));
        let sum = outputs
            .reduce(|sum, output| sum + output)
            .expect("eight mirrorings");
        sum / MIRRORINGS as f32
    }
}
