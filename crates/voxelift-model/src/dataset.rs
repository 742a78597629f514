//! Floor 5 · Draws patches, reproducibly from (seed, step).

use std::sync::Arc;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use voxelift_volume::degrade::rician;
use voxelift_volume::random::Stream;
use voxelift_volume::{Scale, Volume};

use crate::batch::{TargetBatch, UnpairedBatch, patches_to_tensor};
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

/// A volume that patches are cut from, with its foreground and the factor that normalises it.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Whose head it is.
    pub person: String,
    /// Voxels in the file's own units.
    pub volume: Arc<Volume>,
    /// Where the head is, one entry a voxel.
    pub foreground: Arc<Vec<bool>>,
}

/// `Y_s` and one of its known degradations.
#[derive(Clone, Debug)]
pub struct SourcePair {
    /// The HR scan, padded so that LR voxel `j` covers HR voxels `s j` to `s j + s - 1`.
    pub hr: Scan,
    /// `A_s` of it.
    pub lr: Scan,
    /// What both are divided by.
    pub factor: f32,
    /// Rician noise added to each LR patch: standard deviation over the factor.
    pub noise: f64,
}

/// An LR scan of another person.
#[derive(Clone, Debug)]
pub struct TargetScan {
    /// The scan.
    pub lr: Scan,
    /// What it is divided by.
    pub factor: f32,
}

/// The pools that a run draws from.
#[derive(Clone, Debug)]
pub struct Dataset {
    source: Vec<(SourcePair, Vec<u32>)>,
    target: Vec<(TargetScan, Vec<u32>)>,
    scale: Scale,
    patch: PatchConfig,
    seed: u64,
}

/// What a draw is for; each has streams of its own.
#[derive(Clone, Copy)]
enum Role {
    Source = 0,
    Target = 1,
}

const ROLES: u64 = 8;

impl Dataset {
    /// Finds every place a patch may start.
    ///
    /// # Errors
    /// When a volume is smaller than a patch, or has no patch with enough foreground.
    pub fn new(
        source: Vec<SourcePair>,
        target: Vec<TargetScan>,
        scale: Scale,
        patch: PatchConfig,
        seed: u64,
    ) -> Result<Self> {
        let source = source
            .into_iter()
            .map(|pair| {
                let (lr, hr) = (pair.lr.volume.extent(), pair.hr.volume.extent());
                assert_eq!(
                    scale.up(lr),
                    hr,
                    "an LR volume of {lr:?} does not tile its HR volume of {hr:?}"
                );
                let starts = starts(&pair.lr, &patch)?;
                Ok((pair, starts))
            })
            .collect::<Result<Vec<_>>>()?;
        let target = target
            .into_iter()
            .map(|scan| Ok((starts(&scan.lr, &patch)?, scan)));
        let target = target
            .map(|found| found.map(|(starts, scan)| (scan, starts)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            source,
            target,
            scale,
            patch,
            seed,
        })
    }

    /// How many people stand behind the source pool.
    pub fn source_people(&self) -> usize {
        people(self.source.iter().map(|(pair, _)| pair.hr.person.as_str())).len()
    }

    /// How many people stand behind the target pool.
    pub fn target_people(&self) -> usize {
        people(self.target.iter().map(|(scan, _)| scan.lr.person.as_str())).len()
    }

    /// The batch of step `step` (from 0): the same for the same seed and step, whatever came before.
    pub fn batch(&self, step: u64, device: &Device) -> UnpairedBatch {
        let n = self.patch.batch;
        let lr_extent = self.patch.extent();
        let hr_extent = self.scale.up(lr_extent);
        let [mut hr, mut lr, mut hr_mask] = [Vec::new(), Vec::new(), Vec::new()];
        let mut stream = self.stream(step, Role::Source);
        let names: Vec<&str> = self
            .source
            .iter()
            .map(|(pair, _)| pair.hr.person.as_str())
            .collect();
        for which in spread(&names, n, &mut stream) {
            let (pair, starts) = &self.source[which];
            let (start, flip) = self.place(&pair.lr, starts, &mut stream);
            let hr_start = self.scale.up(start);
            let scaled = |v: f32| v / pair.factor;
            let first = lr.len();
            cut(
                pair.lr.volume.data(),
                pair.lr.volume.extent(),
                start,
                lr_extent,
                flip,
                scaled,
                &mut lr,
            );
            if pair.noise > 0.0 {
                rician(&mut lr[first..], pair.noise, &mut stream);
            }
            cut(
                pair.hr.volume.data(),
                pair.hr.volume.extent(),
                hr_start,
                hr_extent,
                flip,
                scaled,
                &mut hr,
            );
            let one = |inside: bool| f32::from(u8::from(inside));
            cut(
                &pair.hr.foreground,
                pair.hr.volume.extent(),
                hr_start,
                hr_extent,
                flip,
                one,
                &mut hr_mask,
            );
        }
        UnpairedBatch {
            hr_source: patches_to_tensor(hr, n, hr_extent, device),
            lr_source: patches_to_tensor(lr, n, lr_extent, device),
            hr_foreground: patches_to_tensor(hr_mask, n, hr_extent, device),
            target: (!self.target.is_empty()).then(|| self.target_batch(step, device)),
        }
    }

    fn target_batch(&self, step: u64, device: &Device) -> TargetBatch {
        let (n, extent) = (self.patch.batch, self.patch.extent());
        let [mut lr, mut mask] = [Vec::new(), Vec::new()];
        let mut stream = self.stream(step, Role::Target);
        let names: Vec<&str> = self
            .target
            .iter()
            .map(|(scan, _)| scan.lr.person.as_str())
            .collect();
        for which in spread(&names, n, &mut stream) {
            let (scan, starts) = &self.target[which];
            let (start, flip) = self.place(&scan.lr, starts, &mut stream);
            let whole = scan.lr.volume.extent();
            cut(
                scan.lr.volume.data(),
                whole,
                start,
                extent,
                flip,
                |v| v / scan.factor,
                &mut lr,
            );
            let one = |inside: bool| f32::from(u8::from(inside));
            cut(&scan.lr.foreground, whole, start, extent, flip, one, &mut mask);
        }
        TargetBatch {
            lr_target: patches_to_tensor(lr, n, extent, device),
            lr_foreground: patches_to_tensor(mask, n, extent, device),
        }
    }

    fn stream(&self, step: u64, role: Role) -> Stream {
        Stream::new(self.seed, step * ROLES + role as u64)
    }

    fn place(&self, scan: &Scan, starts: &[u32], stream: &mut Stream) -> ([usize; 3], [bool; 3]) {
        let [nx, ny, _] = scan.volume.extent();
        let start = starts[stream.below(starts.len())] as usize;
        let flip = self.patch.flip.map(|may| may && stream.uniform() < 0.5);
        ([start % nx, start / nx % ny, start / (nx * ny)], flip)
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

/// Every LR voxel index at which a patch with enough foreground may start.
fn starts(scan: &Scan, patch: &PatchConfig) -> Result<Vec<u32>> {
    let whole = scan.volume.extent();
    let side = patch.extent();
    if (0..3).any(|a| whole[a] < side[a]) {
        let expected =
            format!("at least {side:?} LR voxels, one patch; use larger scans or a smaller patch.size");
        return Err(ModelError::data(
            format!("scan of {}", scan.person),
            format!("{whole:?} LR voxels"),
            expected,
        ));
    }
    let sums = summed(&scan.foreground, whole);
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
        return Err(ModelError::data(
            format!("scan of {}", scan.person),
            value,
            expected,
        ));
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

/// Appends a block of voxels, mirrored where asked.
fn cut<T: Copy>(
    voxels: &[T],
    [nx, ny, _]: [usize; 3],
    start: [usize; 3],
    extent: [usize; 3],
    flip: [bool; 3],
    value: impl Fn(T) -> f32,
    out: &mut Vec<f32>,
) {
    let at = |axis: usize, i: usize| start[axis] + if flip[axis] { extent[axis] - 1 - i } else { i };
    for z in 0..extent[2] {
        for y in 0..extent[1] {
            let row = (at(2, z) * ny + at(1, y)) * nx;
            out.extend((0..extent[0]).map(|x| value(voxels[row + at(0, x)])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;
    use voxelift_volume::Geometry;

    fn ramp(person: &str, extent: [usize; 3]) -> Scan {
        let geometry = Geometry::axis_aligned(extent, [1.0; 3]);
        let voxels = geometry.voxels();
        let volume = Volume::new((0..voxels).map(|i| i as f32).collect(), geometry);
        Scan {
            person: person.into(),
            volume: Arc::new(volume),
            foreground: Arc::new(vec![true; voxels]),
        }
    }

    fn pair(person: &str) -> SourcePair {
        SourcePair {
            hr: ramp(person, [16, 12, 10]),
            lr: ramp(person, [8, 6, 5]),
            factor: 1.0,
            noise: 0.0,
        }
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
        let data = Dataset::new(vec![pair("a")], vec![], Scale::isotropic(2), config(false), 3).unwrap();
        let batch = data.batch(0, &Device::flex());
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
        let make = |seed| {
            Dataset::new(
                vec![pair("a"), pair("b")],
                vec![],
                Scale::isotropic(2),
                config(true),
                seed,
            )
            .unwrap()
        };
        let voxels = |d: &Dataset, step| d.batch(step, &Device::flex()).hr_source.into_data();
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
    fn background_patches_are_not_drawn() {
        let mut scan = pair("a");
        let mut inside = vec![false; 8 * 6 * 5];
        inside[0] = true;
        scan.lr.foreground = Arc::new(inside);
        let few = PatchConfig {
            min_foreground: 1.0 / 64.0,
            ..config(false)
        };
        assert_eq!(starts(&scan.lr, &few).unwrap(), [0]);
        let message = starts(&scan.lr, &config(false)).unwrap_err().to_string();
        assert!(message.contains("no patch"), "{message}");
    }

    #[test]
    fn a_scan_smaller_than_a_patch_is_refused() {
        let large = PatchConfig {
            size: 7,
            ..config(false)
        };
        let message = Dataset::new(vec![pair("a")], vec![], Scale::isotropic(2), large, 1)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("[8, 6, 5]") && message.contains("patch.size"),
            "{message}"
        );
    }
}
