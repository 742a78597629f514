//! Floor 5 · Draws patches, reproducibly from (seed, step).

mod augmentation;

pub use augmentation::AugmentationConfig;

use augmentation::Turn;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use voxelift_volume::Scale;
use voxelift_volume::degrade::rician;
use voxelift_volume::random::Stream;

use crate::batch::{TargetBatch, UnpairedBatch, patches_to_tensor};
use crate::cache::{Block, Kept};
use crate::error::{ModelError, Result};

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
    /// Whose head it is.
    pub person: String,
    /// Its voxels, its foreground, and where patches may start.
    pub kept: Kept,
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
}

/// The pools that a run draws from.
#[derive(Clone, Debug)]
pub struct Dataset {
    source: Vec<SourcePair>,
    target: Vec<Scan>,
    scale: Scale,
    patch: PatchConfig,
    augmentation: AugmentationConfig,
    seed: u64,
}

/// The voxels of a batch, before they are tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    n: usize,
    lr_extent: [usize; 3],
    hr_extent: [usize; 3],
    hr_source: Vec<f32>,
    lr_source: Vec<f32>,
    hr_foreground: Vec<f32>,
    target: Option<[Vec<f32>; 2]>,
}

impl Patches {
    /// As tensors on a device.
    pub fn into_batch(self, device: &Device) -> UnpairedBatch {
        let lr = |voxels| patches_to_tensor(voxels, self.n, self.lr_extent, device);
        let hr = |voxels| patches_to_tensor(voxels, self.n, self.hr_extent, device);
        UnpairedBatch {
            hr_source: hr(self.hr_source),
            lr_source: lr(self.lr_source),
            hr_foreground: hr(self.hr_foreground),
            target: self.target.map(|[voxels, foreground]| TargetBatch {
                lr_target: lr(voxels),
                lr_foreground: lr(foreground),
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
            let (lr, hr) = (pair.lr.kept.extent(), pair.hr.kept.extent());
            assert_eq!(
                scale.up(lr),
                hr,
                "an LR volume of {lr:?} does not tile its HR volume of {hr:?}"
            );
        }
        Self {
            source,
            target,
            scale,
            patch,
            augmentation,
            seed,
        }
    }

    /// How many people stand behind the source pool.
    pub fn source_people(&self) -> usize {
        people(self.source.iter().map(|pair| pair.hr.person.as_str())).len()
    }

    /// How many people stand behind the target pool.
    pub fn target_people(&self) -> usize {
        people(self.target.iter().map(|scan| scan.person.as_str())).len()
    }

    /// At how many places a patch of the source and of the target pool may start.
    pub fn places(&self) -> [usize; 2] {
        [
            self.source.iter().map(|pair| pair.lr.kept.starts()).sum(),
            self.target.iter().map(|scan| scan.kept.starts()).sum(),
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
        let names: Vec<&str> = self.source.iter().map(|pair| pair.hr.person.as_str()).collect();
        for which in spread(&names, n, &mut stream) {
            let pair = &self.source[which];
            let (start, turn) = self.place(&pair.lr.kept, &mut stream)?;
            let factor = pair.lr.kept.factor();
            let lr_block = Block {
                start,
                extent: lr_extent,
            };
            let hr_block = Block {
                start: self.scale.up(start),
                extent: hr_extent,
            };
            let mut lr_patch = Vec::with_capacity(lr_extent.iter().product());
            pair.lr.kept.voxels(lr_block, factor, &mut lr_patch)?;
            let mut lr_patch = turn.applied(lr_patch, lr_extent);
            let mut hr_patch = Vec::with_capacity(hr_extent.iter().product());
            pair.hr.kept.voxels(hr_block, factor, &mut hr_patch)?;
            let mut hr_patch = turn.applied(hr_patch, hr_extent);
            let mut inside = Vec::with_capacity(hr_patch.len());
            pair.hr.kept.foreground(hr_block, &mut inside)?;
            if pair.noise > 0.0 {
                rician(&mut lr_patch, pair.noise, &mut stream);
            }
            let look = self.augmentation.look(&mut stream);
            look.shade(&mut hr_patch, hr_extent);
            look.shade(&mut lr_patch, lr_extent);
            look.disturb(&mut lr_patch, &mut stream);
            lr.extend(lr_patch);
            hr.extend(hr_patch);
            hr_mask.extend(turn.applied(inside, hr_extent));
        }
        Ok(Patches {
            n,
            lr_extent,
            hr_extent,
            hr_source: hr,
            lr_source: lr,
            hr_foreground: hr_mask,
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
        let names: Vec<&str> = self.target.iter().map(|scan| scan.person.as_str()).collect();
        for which in spread(&names, n, &mut stream) {
            let kept = &self.target[which].kept;
            let (start, turn) = self.place(kept, &mut stream)?;
            let block = Block { start, extent };
            let (mut patch, mut inside) = (Vec::new(), Vec::new());
            kept.voxels(block, kept.factor(), &mut patch)?;
            kept.foreground(block, &mut inside)?;
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

    fn place(&self, kept: &Kept, stream: &mut Stream) -> Result<([usize; 3], Turn)> {
        let start = kept.start(stream.below(kept.starts()))?;
        let flip = self.patch.flip.map(|may| may && stream.uniform() < 0.5);
        let axes = self.augmentation.axes(self.scale, kept.spacing_mm(), stream);
        Ok((start, Turn { axes, flip }))
    }
}

fn people<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Chooses `n` scans: people in a random order, each as often as the others give or take once, then one of the
/// person's scans.
fn spread(persons: &[&str], n: usize, stream: &mut Stream) -> Vec<usize> {
    let mut people = people(persons.iter().copied());
    for i in (1..people.len()).rev() {
        people.swap(i, stream.below(i + 1));
    }
    let chosen = (0..n).map(|k| people[k % people.len()]);
    chosen
        .map(|person| {
            let scans: Vec<usize> = (0..persons.len()).filter(|&i| persons[i] == person).collect();
            scans[stream.below(scans.len())]
        })
        .collect()
}

/// Every LR voxel index at which a patch with enough foreground may start, in a scan of `person`.
///
/// # Errors
/// When the volume is smaller than a patch, or has no patch with enough foreground.
pub fn starts(person: &str, whole: [usize; 3], foreground: &[bool], patch: &PatchConfig) -> Result<Vec<u32>> {
    let side = patch.extent();
    if (0..3).any(|a| whole[a] < side[a]) {
        let expected =
            format!("at least {side:?} LR voxels, one patch; use larger scans or a smaller patch.size");
        return Err(ModelError::data(
            format!("scan of {person}"),
            format!("{whole:?} LR voxels"),
            expected,
        ));
    }
    let sums = summed(foreground, whole);
    let [nx, ny, nz] = whole;
    let least = (patch.min_foreground * side.iter().product::<usize>() as f64).ceil() as u32;
    let corner = |x: usize, y: usize, z: usize| sums[(z * (ny + 1) + y) * (nx + 1) + x];
    let mut found = Vec::new();
    for z in 0..=nz - side[2] {
        for y in 0..=ny - side[1] {
            for x in 0..=nx - side[0] {
                let (x1, y1, z1) = (x + side[0], y + side[1], z + side[2]);
                let upper = corner(x1, y1, z1) + corner(x, y, z1) - corner(x, y1, z1) - corner(x1, y, z1);
                let lower = corner(x1, y1, z) + corner(x, y, z) - corner(x, y1, z) - corner(x1, y, z);
                if upper - lower >= least {
                    found.push(((z * ny + y) * nx + x) as u32);
                }
            }
        }
    }
    if found.is_empty() {
        let value = format!(
            "no patch of {side:?} LR voxels with {} % foreground",
            patch.min_foreground * 100.0
        );
        let expected = "a head larger than a patch, or a smaller patch.min_foreground";
        return Err(ModelError::data(format!("scan of {person}"), value, expected));
    }
    Ok(found)
}

/// The summed-area table: entry (x, y, z) counts the foreground below it on every axis.
fn summed(foreground: &[bool], [nx, ny, nz]: [usize; 3]) -> Vec<u32> {
    let (sx, sy) = (nx + 1, ny + 1);
    let mut sums = vec![0u32; sx * sy * (nz + 1)];
    for z in 0..nz {
        for y in 0..ny {
            let mut row = 0;
            for x in 0..nx {
                row += u32::from(foreground[(z * ny + y) * nx + x]);
                let at = |x: usize, y: usize, z: usize| (z * sy + y) * sx + x;
                sums[at(x + 1, y + 1, z + 1)] =
                    row + sums[at(x + 1, y, z + 1)] + sums[at(x + 1, y + 1, z)] - sums[at(x + 1, y, z)];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Prepared;
    use burn::tensor::Tensor;
    use voxelift_volume::{Geometry, Volume};

    fn ramp(person: &str, extent: [usize; 3]) -> Scan {
        let geometry = Geometry::axis_aligned(extent, [1.0; 3]);
        let voxels = geometry.voxels();
        let foreground = vec![true; voxels];
        Scan {
            person: person.into(),
            kept: Kept::in_memory(Prepared {
                volume: Volume::new((0..voxels).map(|i| i as f32).collect(), geometry),
                starts: starts(person, extent, &foreground, &config(false)).expect("room for a patch"),
                foreground,
                factor: 1.0,
            }),
        }
    }

    fn pair(person: &str) -> SourcePair {
        SourcePair {
            hr: ramp(person, [16, 12, 10]),
            lr: ramp(person, [8, 6, 5]),
            noise: 0.0,
        }
    }

    fn dataset(people: &[&str], patch: PatchConfig, augmentation: AugmentationConfig, seed: u64) -> Dataset {
        let pairs = people.iter().map(|person| pair(person)).collect();
        Dataset::new(pairs, vec![], Scale::isotropic(2), patch, augmentation, seed)
    }

    fn config(flip: bool) -> PatchConfig {
        PatchConfig {
            size: 4,
            batch: 3,
            min_foreground: 0.25,
            flip: [flip; 3],
        }
    }

    #[test]
    fn an_hr_patch_starts_at_the_scaled_index_of_its_lr_patch() {
        let data = dataset(&["a"], config(false), AugmentationConfig::default(), 3);
        let batch = data.batch(0, &Device::flex()).expect("in memory");
        let first = |t: Tensor<5>| -> Vec<f32> {
            (0..3)
                .map(|n| t.clone().slice([n..n + 1, 0..1, 0..1, 0..1, 0..1]).into_scalar())
                .collect()
        };
        for (lr, hr) in first(batch.lr_source).into_iter().zip(first(batch.hr_source)) {
            let (lr, hr) = (lr as usize, hr as usize);
            let (x, y, z) = (lr % 8, lr / 8 % 6, lr / 48);
            assert_eq!(hr, (2 * z * 12 + 2 * y) * 16 + 2 * x);
        }
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let make = |seed| dataset(&["a", "b"], config(true), AugmentationConfig::default(), seed);
        let voxels = |d: &Dataset, step| d.draw(step).expect("in memory").hr_source;
        assert_eq!(voxels(&make(1), 7), voxels(&make(1), 7));
        assert_ne!(voxels(&make(1), 7), voxels(&make(1), 8));
        assert_ne!(voxels(&make(1), 7), voxels(&make(2), 7));
    }

    #[test]
    fn people_are_spread_over_a_batch() {
        let mut stream = Stream::new(5, 0);
        for _ in 0..20 {
            let chosen = spread(&["a", "a", "a", "b", "c"], 3, &mut stream);
            let mut people: Vec<bool> = chosen.iter().map(|&i| i < 3).collect();
            people.sort_unstable();
            assert_eq!(people, [false, false, true], "one draw a person: {chosen:?}");
        }
    }

    #[test]
    fn augmentation_turns_and_shades_both_sides_alike() {
        let all = AugmentationConfig {
            rotate: true,
            gamma: 0.2,
            bias_field: 0.2,
            noise: 0.0,
            ..AugmentationConfig::default()
        };
        let plain = dataset(&["a"], config(false), AugmentationConfig::default(), 3);
        let turned = AugmentationConfig {
            gamma: 0.0,
            bias_field: 0.0,
            ..all.clone()
        };
        let turned = dataset(&["a"], config(false), turned, 3);
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..20 {
            let drawn = turned.draw(step).expect("in memory");
            // Whatever way the axes turned, LR voxels still name the HR voxels they cover.
            for (patch, lr) in drawn.lr_source.chunks(64).enumerate() {
                let hr = &drawn.hr_source[patch * 512..][..512];
                for (i, value) in lr.iter().enumerate() {
                    let at = *value as usize;
                    let (x, y, z) = (at % 8, at / 8 % 6, at / 48);
                    let corner = ((i / 16) * 2 * 8 + (i / 4 % 4) * 2) * 8 + (i % 4) * 2;
                    assert_eq!(hr[corner] as usize, (2 * z * 12 + 2 * y) * 16 + 2 * x);
                }
                seen.insert((lr[1] - lr[0]) as i64);
            }
        }
        assert_eq!(seen, [1, 8, 48].into(), "x ran along each axis of the file");
        let (a, b) = (
            plain.draw(0).unwrap(),
            dataset(&["a"], config(false), all, 3).draw(0).unwrap(),
        );
        assert_ne!(a.lr_source, b.lr_source);
        assert_eq!(a.lr_source.len(), b.lr_source.len());
    }

    #[test]
    fn background_patches_are_not_drawn() {
        let mut inside = vec![false; 8 * 6 * 5];
        inside[0] = true;
        let few = PatchConfig {
            min_foreground: 1.0 / 64.0,
            ..config(false)
        };
        assert_eq!(starts("a", [8, 6, 5], &inside, &few).unwrap(), [0]);
        let message = starts("a", [8, 6, 5], &inside, &config(false))
            .unwrap_err()
            .to_string();
        assert!(message.contains("min_foreground"), "{message}");
    }

    #[test]
    fn a_volume_smaller_than_a_patch_is_refused() {
        let large = PatchConfig {
            size: 7,
            ..config(false)
        };
        let message = starts("a", [8, 6, 5], &[true; 240], &large)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("[8, 6, 5]") && message.contains("patch.size"),
            "{message}"
        );
    }
}
