//! Layer 5 · Draws patches, reproducibly from (seed, step).
//!
//! ```
//! use voxelift_model::cache::{CachedScan, Prepared};
//! use voxelift_model::dataset::{AugmentationConfig, Dataset, PatchConfig, Scan, SourcePair, starts};
//! use voxelift_volume::{Scale, Volume, intensity::Mask, kspace::truncate, phantom};
//!
//! let hr = phantom::head(&phantom::PhantomConfig { seed: 1, extent: [24; 3], spacing_mm: [7.0; 3] })?;
//! let (lr, patch) = (truncate(&hr, [12; 3]), PatchConfig { size: 6, batch: 2, ..PatchConfig::default() });
//! let places = starts("01", lr.extent(), Mask::foreground(&lr).data(), &patch)?;
//! let scan = |volume: Volume, starts| {
//!     let foreground = Mask::foreground(&volume).data().to_vec();
//!     let prepared = Prepared { volume, foreground, starts, factor: 100.0, appearance: None };
//!     Scan { subject: "01".to_owned(), cached: CachedScan::in_memory(prepared) }
//! };
//! // Patches start where a patch of the LR scan holds enough of the head; the HR scan's follow them.
//! let pair = SourcePair { hr: scan(hr, Vec::new()), lr: scan(lr, places), noise: 0.0, unmeasured: None };
//! let dataset = Dataset::new(vec![pair], Vec::new(), Scale::isotropic(2), patch, AugmentationConfig::default(), 1);
//! // Two LR patches and their HR ones, twice as long; the same whenever this step is asked for.
//! # let (device, _) = voxelift_model::device::DeviceChoice::Cpu.open()?;
//! let batch = dataset.batch(0, &device)?;
//! assert_eq!((batch.lr_source.dims(), batch.hr_source.dims()), ([2, 1, 6, 6, 6], [2, 1, 12, 12, 12]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod augmentation;
mod starts;
mod stock;

use std::sync::Arc;

pub use augmentation::AugmentationConfig;
pub use starts::starts;
pub use stock::{Maker, Stock};

use augmentation::Turn;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use voxelift_volume::Scale;
use voxelift_volume::degrade::{Operators, rician};
use voxelift_volume::random::Stream;

use crate::batch::{TargetBatch, UnpairedBatch, images_to_tensor, patches_to_tensor};
use crate::cache::{Block, CachedScan};
use crate::error::Result;

/// What a patch is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PatchConfig {
    /// LR voxels along each side.
    pub size: usize,
    /// Patches a step, of each domain.
    pub batch: usize,
    /// Least share of foreground: near-identical background patches would be false negatives.
    pub min_foreground: f64,
    /// Axes x, y, z that are mirrored at random, the same way in an HR patch and its LR version.
    pub flip: [bool; 3],
}

impl Default for PatchConfig {
    fn default() -> Self {
        Self {
            size: 16,
            batch: 8,
            min_foreground: 0.25,
            flip: [false; 3],
        }
    }
}

impl PatchConfig {
    /// LR extent of a patch (x, y, z): `size`, but a slice along an axis where the volumes are one voxel thick.
    pub fn extent(&self) -> [usize; 3] {
        [self.size; 3]
    }
}

/// A volume that patches are cut from.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The subject that it shows.
    pub subject: String,
    /// Its voxels, its foreground, and where patches may start.
    pub cached: CachedScan,
}

/// `Y_s` and one of its known degradations.
#[derive(Clone, Debug)]
pub struct SourcePair {
    /// The HR scan, padded so that LR voxel `j` covers HR voxels `s j` to `s j + s - 1`.
    pub hr: Scan,
    /// `A_s` of it; its factor is what both are divided by.
    pub lr: Scan,
    /// Rician noise added to each LR patch: standard deviation over the factor.
    pub noise: f64,
    /// Of an LR scan that is placed on the HR grid: the share of that grid's frequencies along x, y, z that it does not hold.
    pub unmeasured: Option<[f64; 3]>,
}

/// The pools that a run draws from.
#[derive(Clone, Debug)]
pub struct Dataset {
    source: Vec<Arc<SourcePair>>,
    /// In the place of `source`.
    stock: Option<Arc<Stock>>,
    target: Vec<Scan>,
    operators: Option<Operators>,
    scale: Scale,
    patch: PatchConfig,
    augmentation: AugmentationConfig,
    seed: u64,
}

/// The voxels of a batch, before they are tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    n: usize,
    lr_channels: usize,
    lr_extent: [usize; 3],
    hr_extent: [usize; 3],
    hr_source: Vec<f32>,
    lr_source: Vec<f32>,
    hr_foreground: Vec<f32>,
    target: Option<[Vec<f32>; 2]>,
    operators: Option<Operators>,
}

impl Patches {
    /// As tensors on a device.
    pub fn into_batch(self, device: &Device) -> UnpairedBatch {
        let lr = |voxels| patches_to_tensor(voxels, self.n, self.lr_extent, device);
        let hr = |voxels| patches_to_tensor(voxels, self.n, self.hr_extent, device);
        let shape = [self.n, self.lr_channels];
        UnpairedBatch {
            hr_source: hr(self.hr_source),
            lr_source: images_to_tensor(self.lr_source, shape, self.lr_extent, device),
            hr_foreground: hr(self.hr_foreground),
            target: self.target.map(|[voxels, foreground]| TargetBatch {
                lr_target: lr(voxels),
                lr_foreground: lr(foreground),
                operators: self.operators,
            }),
        }
    }
}

/// What a draw is for; each has streams of its own.
#[derive(Clone, Copy)]
enum Role {
    Source = 0,
    Target = 1,
}

const ROLES: u64 = 8;

impl Dataset {
    /// The pools, each scan with the places at which its patches start.
    ///
    /// # Panics
    /// When an LR volume does not tile its HR volume.
    pub fn new(
        source: Vec<SourcePair>,
        target: Vec<Scan>,
        scale: Scale,
        patch: PatchConfig,
        augmentation: AugmentationConfig,
        seed: u64,
    ) -> Self {
        for pair in &source {
            let (lr, hr) = (pair.lr.cached.extent(), pair.hr.cached.extent());
            assert_eq!(
                scale.up(lr),
                hr,
                "an LR volume of {lr:?} does not tile its HR volume of {hr:?}"
            );
        }
        Self {
            source: source.into_iter().map(Arc::new).collect(),
            stock: None,
            target,
            operators: None,
            scale,
            patch,
            augmentation,
            seed,
        }
    }

    /// The same, its target scans taken to have been made by these operators.
    pub fn acquired_by(self, operators: Option<Operators>) -> Self {
        Self { operators, ..self }
    }

    /// Pairs that are made while the run goes on, their LR scans placed on the HR grid.
    pub fn stocked(stock: Stock, patch: PatchConfig, augmentation: AugmentationConfig, seed: u64) -> Self {
        let scale = Scale::isotropic(1);
        let empty = Self::new(Vec::new(), Vec::new(), scale, patch, augmentation, seed);
        Self {
            stock: Some(Arc::new(stock)),
            ..empty
        }
    }

    /// Makes what the steps from `first` to `last` draw from before they do, where it is made while the run goes on; until
    /// [`Dataset::close`].
    pub fn keep_ahead(&self, first: u64, last: u64) {
        if let Some(stock) = &self.stock {
            stock.keep_ahead(first, last);
        }
    }

    /// Ends [`Dataset::keep_ahead`].
    pub fn close(&self) {
        if let Some(stock) = &self.stock {
            stock.close();
        }
    }

    /// How many subjects stand behind the source pool.
    pub fn source_subjects(&self) -> usize {
        subjects(self.source.iter().map(|pair| pair.hr.subject.as_str())).len()
    }

    /// How many subjects stand behind the target pool.
    pub fn target_subjects(&self) -> usize {
        subjects(self.target.iter().map(|scan| scan.subject.as_str())).len()
    }

    /// At how many places a patch of the source and of the target pool may start.
    pub fn places(&self) -> [usize; 2] {
        [
            self.source.iter().map(|pair| pair.lr.cached.starts()).sum(),
            self.target.iter().map(|scan| scan.cached.starts()).sum(),
        ]
    }

    /// The batch of step `step` (from 0): the same for the same seed and step, whatever came before.
    ///
    /// # Errors
    /// When a cached scan cannot be read.
    pub fn batch(&self, step: u64, device: &Device) -> Result<UnpairedBatch> {
        Ok(self.draw(step)?.into_batch(device))
    }

    /// The voxels of [`Dataset::batch`].
    ///
    /// # Errors
    /// As [`Dataset::batch`].
    pub fn draw(&self, step: u64) -> Result<Patches> {
        let n = self.patch.batch;
        let lr_extent = self.patch.extent();
        let hr_extent = self.scale.up(lr_extent);
        let [mut hr, mut lr, mut hr_mask] = [Vec::new(), Vec::new(), Vec::new()];
        let mut stream = self.stream(step, Role::Source);
        let stocked = self.stock.as_ref().map(|stock| stock.at(step)).transpose()?;
        let source = stocked.as_ref().unwrap_or(&self.source);
        let names: Vec<String> = if stocked.is_some() {
            // Each pair is as likely as the others, whosever it is.
            (0..source.len()).map(|i| i.to_string()).collect()
        } else {
            source.iter().map(|pair| pair.hr.subject.clone()).collect()
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for which in spread(&names, n, &mut stream) {
            let pair = &source[which];
            let (start, turn) = self.place(&pair.lr.cached, &mut stream)?;
            let factor = pair.lr.cached.factor();
            let lr_block = Block {
                start,
                extent: lr_extent,
            };
            let hr_block = Block {
                start: self.scale.up(start),
                extent: hr_extent,
            };
            let mut lr_patch = Vec::with_capacity(lr_extent.iter().product());
            pair.lr.cached.voxels(lr_block, factor, &mut lr_patch)?;
            let mut lr_patch = turn.applied(lr_patch, lr_extent);
            let mut hr_patch = Vec::with_capacity(hr_extent.iter().product());
            pair.hr.cached.voxels(hr_block, factor, &mut hr_patch)?;
            let mut hr_patch = turn.applied(hr_patch, hr_extent);
            let mut inside = Vec::with_capacity(hr_patch.len());
            pair.hr.cached.foreground(hr_block, &mut inside)?;
            if pair.noise > 0.0 {
                rician(&mut lr_patch, pair.noise, &mut stream);
            }
            let look = self.augmentation.look(&mut stream);
            look.shade(&mut hr_patch, hr_extent);
            look.shade(&mut lr_patch, lr_extent);
            look.disturb(&mut lr_patch, &mut stream);
            lr.extend(lr_patch);
            if let Some(unmeasured) = pair.unmeasured {
                let voxels = lr_extent.iter().product();
                for axis in [2, 1, 0] {
                    let share = unmeasured[turn.axes[axis]] as f32;
                    lr.extend(std::iter::repeat_n(share, voxels));
                }
            }
            hr.extend(hr_patch);
            hr_mask.extend(turn.applied(inside, hr_extent));
        }
        Ok(Patches {
            n,
            lr_channels: if self.stock.is_some() { 4 } else { 1 },
            lr_extent,
            hr_extent,
            hr_source: hr,
            lr_source: lr,
            hr_foreground: hr_mask,
            operators: self.operators,
            target: if self.target.is_empty() {
                None
            } else {
                Some(self.draw_target(step)?)
            },
        })
    }

    /// Voxels and foregrounds of the target half.
    fn draw_target(&self, step: u64) -> Result<[Vec<f32>; 2]> {
        let (n, extent) = (self.patch.batch, self.patch.extent());
        let [mut lr, mut mask] = [Vec::new(), Vec::new()];
        let mut stream = self.stream(step, Role::Target);
        let names: Vec<&str> = self.target.iter().map(|scan| scan.subject.as_str()).collect();
        for which in spread(&names, n, &mut stream) {
            let cached = &self.target[which].cached;
            let (start, turn) = self.place(cached, &mut stream)?;
            let block = Block { start, extent };
            let (mut patch, mut inside) = (Vec::new(), Vec::new());
            cached.voxels(block, cached.factor(), &mut patch)?;
            cached.foreground(block, &mut inside)?;
            let mut patch = turn.applied(patch, extent);
            let look = self.augmentation.look(&mut stream);
            look.shade(&mut patch, extent);
            look.disturb(&mut patch, &mut stream);
            lr.extend(patch);
            mask.extend(turn.applied(inside, extent));
        }
        Ok([lr, mask])
    }

    fn stream(&self, step: u64, role: Role) -> Stream {
        Stream::new(self.seed, step * ROLES + role as u64)
    }

    fn place(&self, cached: &CachedScan, stream: &mut Stream) -> Result<([usize; 3], Turn)> {
        let start = cached.start(stream.below(cached.starts()))?;
        let flip = self.patch.flip.map(|may| may && stream.uniform() < 0.5);
        let axes = self.augmentation.axes(self.scale, cached.spacing_mm(), stream);
        Ok((start, Turn { axes, flip }))
    }
}

fn subjects<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Chooses `n` scans: subjects in a random order, each as often as the others give or take once, then one of the
/// subject's scans.
fn spread(names: &[&str], n: usize, stream: &mut Stream) -> Vec<usize> {
    let mut subjects = subjects(names.iter().copied());
    for i in (1..subjects.len()).rev() {
        subjects.swap(i, stream.below(i + 1));
    }
    let chosen = (0..n).map(|k| subjects[k % subjects.len()]);
    chosen
        .map(|subject| {
            let scans: Vec<usize> = (0..names.len()).filter(|&i| names[i] == subject).collect();
            scans[stream.below(scans.len())]
        })
        .collect()
}

#[cfg(test)]
mod tests;
