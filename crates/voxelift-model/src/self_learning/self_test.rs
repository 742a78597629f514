//! The scan's own test: slices that were kept out of learning, degraded within their plane and made fine again.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use voxelift_volume::Volume;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::consistency::soft;
use voxelift_volume::degrade::Operators;
use voxelift_volume::intensity::{Mask, Normalization};
use voxelift_volume::metrics::{Detail, EvaluateOptions, evaluate};
use voxelift_volume::resample::Interpolation;

use super::network::SliceNetwork;
use super::planes::Planes;
use super::protocol::SliceProtocol;
use super::source::at_fine_size;
use crate::error::{ModelError, Result};

/// Below this gain (dB over the best baseline) what was learned is not applied unless asked for.
pub const LEAST_GAIN_DB: f64 = 0.0;

/// What was learned among the methods of a [`SelfTest`].
pub const SELF: &str = "self";

/// The baseline that shares the output's consistency.
pub const CUBIC_CONSISTENT: &str = "cubic, consistent";

/// What a [`SelfTest`] does not see, in a sentence; the shares are those of `docs/record.md`.
pub const SELF_TEST_LIMIT: &str = "the self-test is kind: across the slices expect about two thirds of its gain over cubic, since slices that \
     were kept out are as thick as those learned from, while planes across the slices are thinner and hold finer detail";

/// The scores of one method, means over both directions in plane, in the foreground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// Peak signal-to-noise ratio (dB) with the range of the slices that were kept out.
    pub psnr_db: f64,
    /// Structural similarity of axial slices, where they are large enough.
    pub ssim_slice: Option<f64>,
}

/// What learning from a scan is worth on slices of this scan that it has not seen.
///
/// Each slice that was kept out is degraded along one axis of its plane, by the profile of the protocol, and brought back:
/// by what was learned (one orientation; a scan gets the mean of two) and by each baseline. It tests what is new in unseen
/// slices of this very contrast and noise. It does not test whether anatomy looks the same across slices as within them,
/// nor whether the profile is right: it degrades by the profile that was learned with. And it is too optimistic: what was learned
/// from slices, which are means over their thickness, meets such slices again, while the planes across the slices, to which it
/// is applied, are as thin as a voxel in plane and hold finer detail ([`SELF_TEST_LIMIT`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// The slices, from the first to one before the last.
    pub slices: [usize; 2],
    /// By method.
    pub scores: BTreeMap<String, TestScores>,
    /// The baseline with the highest PSNR.
    pub best_baseline: String,
    /// PSNR (dB) over that baseline.
    pub gain_db: f64,
    /// PSNR (dB) over the cubic B-spline.
    pub gain_over_cubic_db: f64,
}

impl SelfTest {
    /// Whether what was learned is better than every baseline.
    pub fn gains(&self) -> bool {
        self.gain_db > LEAST_GAIN_DB
    }

    /// The test in a line, and what it does not see ([`SELF_TEST_LIMIT`]) in another.
    pub fn in_words(&self) -> String {
        let psnr = |name: &str| self.scores.get(name).map_or(f64::NAN, |s| s.psnr_db);
        format!(
            "self-test on slices {} to {}, which were kept out: {:.2} dB, {} {:.2} dB, cubic {:.2} dB; gain {:+.2} \
             dB\n{SELF_TEST_LIMIT}",
            self.slices[0],
            self.slices[1] - 1,
            psnr(SELF),
            self.best_baseline,
            psnr(&self.best_baseline),
            psnr("cubic"),
            self.gain_db
        )
    }
}

/// The slices to keep out: about `share` of all, next to each other in the middle of the foreground.
pub fn held_out(scan: &Volume, protocol: &SliceProtocol, share: f64) -> Range<usize> {
    let count = scan.extent()[protocol.axis];
    let wanted = (share * count as f64).round() as usize;
    if share <= 0.0 || count < 8 {
        return 0..0;
    }
    let wanted = wanted.clamp(2, count / 4);
    let mut weight = vec![0.0; count];
    for voxel in Mask::foreground(scan).voxels() {
        weight[voxel[protocol.axis]] += 1.0;
    }
    let total: f64 = weight.iter().sum();
    let mut sum = 0.0;
    let middle = weight.iter().position(|w| {
        sum += w;
        2.0 * sum >= total
    });
    let first = middle
        .unwrap_or(count / 2)
        .saturating_sub(wanted / 2)
        .min(count - wanted);
    first..first + wanted
}

/// Tests a network on the slices of a scan that were kept out; nothing where there are none, or too little is in them.
///
/// # Errors
/// When the slices cannot be scored.
pub fn self_test(
    network: &SliceNetwork,
    scan: &Volume,
    protocol: &SliceProtocol,
    slices: &Range<usize>,
    device: &Device,
) -> Result<Option<SelfTest>> {
    if slices.is_empty() {
        return Ok(None);
    }
    let normalised = Normalization::of(scan)?.apply(scan.clone());
    let (mut start, mut extent) = ([0; 3], scan.extent());
    (start[protocol.axis], extent[protocol.axis]) = (slices.start, slices.len());
    let slab = normalised.crop(start, extent);
    let mut all: BTreeMap<String, Vec<TestScores>> = BTreeMap::new();
    for axis in protocol.in_plane() {
        let Some(images) = images(network, &slab, protocol, axis, device)? else {
            return Ok(None);
        };
        for (name, image) in images.made {
            let options = EvaluateOptions {
                detail: Detail::Headline,
                ..EvaluateOptions::default()
            };
            let scores = evaluate(&images.reference, &image, Some(&images.mask), &options)?.masked;
            all.entry(name.to_owned()).or_default().push(TestScores {
                psnr_db: scores.psnr_db,
                ssim_slice: scores.ssim_slice,
            });
        }
    }
    Ok(Some(summarised(&all, slices)))
}

/// A slab, and what each method makes of its degraded version.
struct Images {
    reference: Volume,
    mask: Mask,
    made: Vec<(&'static str, Volume)>,
}

fn images(
    network: &SliceNetwork,
    slab: &Volume,
    protocol: &SliceProtocol,
    axis: usize,
    device: &Device,
) -> Result<Option<Images>> {
    let fine = at_fine_size(slab, protocol, axis, Interpolation::CubicBSpline);
    let mut extent = fine.extent();
    let thick = extent[axis] / protocol.scale;
    extent[axis] = thick * protocol.scale;
    let reference = fine.crop([0; 3], extent);
    let mask = Mask::foreground(&reference);
    if thick < 8 || mask.count() < 1000 {
        return Ok(None);
    }
    let operators = protocol.operators_along(axis);
    let mut coarse_extent = extent;
    coarse_extent[axis] = thick;
    let coarse = operators.apply(&reference, coarse_extent);
    let other = protocol
        .in_plane()
        .into_iter()
        .find(|a| *a != axis)
        .expect("two axes");
    let order = [protocol.axis, axis, other];
    let planes = Planes::of(&coarse, order);
    let data = network.refine(&planes.data, planes.shape, device, &mut |_| Ok(()))?;
    let mut learned = Volume::filled(0.0, reference.geometry().clone());
    let [count, rows, columns] = planes.shape;
    let shape = [count, rows * protocol.scale, columns];
    Planes { shape, data }.put(&mut learned, order, 0);
    let mut made = vec![(SELF, soft(&learned, &coarse, &operators)?.image)];
    for name in baselines() {
        made.push((name, of_baseline(name, &coarse, extent, &operators)?));
    }
    Ok(Some(Images {
        reference,
        mask,
        made,
    }))
}

/// The names of the baselines.
fn baselines() -> impl Iterator<Item = &'static str> {
    std::iter::once(CUBIC_CONSISTENT).chain(Baseline::ALL.into_iter().map(Baseline::name))
}

/// What a baseline, by its name, makes of a scan on a grid of `extent` voxels.
///
/// # Errors
/// As [`soft`], and for a name that no baseline has.
pub(super) fn of_baseline(
    name: &str,
    scan: &Volume,
    extent: [usize; 3],
    operators: &Operators,
) -> Result<Volume> {
    if name == CUBIC_CONSISTENT {
        let cubic = Baseline::CubicBSpline.apply(scan, extent);
        return Ok(soft(&cubic, scan, operators)?.image);
    }
    let baseline = Baseline::ALL.into_iter().find(|baseline| baseline.name() == name);
    baseline
        .map(|baseline| baseline.apply(scan, extent))
        .ok_or_else(|| {
            let names: Vec<&str> = baselines().collect();
            ModelError::data("best_baseline", name, format!("one of {}", names.join("; ")))
        })
}

fn summarised(all: &BTreeMap<String, Vec<TestScores>>, slices: &Range<usize>) -> SelfTest {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let scores: BTreeMap<String, TestScores> = all
        .iter()
        .map(|(name, scores)| {
            let psnr: Vec<f64> = scores.iter().map(|s| s.psnr_db).collect();
            let ssim: Option<Vec<f64>> = scores.iter().map(|s| s.ssim_slice).collect();
            let scores = TestScores {
                psnr_db: mean(&psnr),
                ssim_slice: ssim.map(|ssim| mean(&ssim)),
            };
            (name.clone(), scores)
        })
        .collect();
    let learned = scores.get(SELF).map_or(f64::NAN, |s| s.psnr_db);
    let baselines = scores.iter().filter(|(name, _)| *name != SELF);
    let (best, best_scores) = baselines
        .max_by(|a, b| a.1.psnr_db.total_cmp(&b.1.psnr_db))
        .expect("five baselines");
    SelfTest {
        slices: [slices.start, slices.end],
        best_baseline: best.clone(),
        gain_db: learned - best_scores.psnr_db,
        gain_over_cubic_db: learned - scores.get("cubic").map_or(f64::NAN, |s| s.psnr_db),
        scores,
    }
}
