//! What was learned, applied to a scan: to the planes along both axes within a slice, averaged, and consistent with what was measured.

use burn::tensor::Device;
use voxelift_volume::Volume;
use voxelift_volume::consistency::{Softened, soft};
use voxelift_volume::intensity::Normalization;

use super::network::SliceNetwork;
use super::planes::Planes;
use super::protocol::SliceProtocol;
use super::self_test::of_baseline;
use crate::error::Result;

/// Planes taken out of the volume together.
const PLANES_AT_ONCE: usize = 16;

/// A scan with fine slices.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The mean of both orientations, made consistent with the scan.
    pub image: Volume,
    /// Half the difference of the two orientations, before consistency.
    pub disagreement: Volume,
    /// What consistency did.
    pub noise_sigma: f64,
    /// The mean weight of the scan over the frequencies that it holds.
    pub consistency_weight: f64,
}

impl Applied {
    /// The root mean square of [`Applied::disagreement`].
    pub fn disagreement_rms(&self) -> f64 {
        let data = self.disagreement.data();
        let squares: f64 = data.iter().map(|v| f64::from(*v).powi(2)).sum();
        (squares / data.len().max(1) as f64).sqrt()
    }
}

/// The output where learning gains nothing: one of the baselines of a [`SelfTest`](super::SelfTest) on the same grid, by its name there.
///
/// # Errors
/// As [`soft`], and for a name that no baseline has.
pub fn baseline(name: &str, scan: &Volume, protocol: &SliceProtocol) -> Result<Volume> {
    of_baseline(
        name,
        scan,
        protocol.fine_extent(scan.extent()),
        &protocol.operators(),
    )
}

/// The fine slices of a scan.
///
/// A plane across the slices holds the thick axis and one axis within a slice, so there are two ways to cut a scan into
/// planes; each gives a value to all voxels, and their mean has less of what each makes up.
///
/// # Errors
/// For a volume without contrast, and the error of `progress`, which is told how many planes of how many are done.
pub fn apply(
    network: &SliceNetwork,
    scan: &Volume,
    protocol: &SliceProtocol,
    device: &Device,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Applied> {
    let normalization = Normalization::of(scan)?;
    let normalised = normalization.apply(scan.clone());
    let [p, q] = protocol.in_plane();
    let extent = scan.extent();
    let all = extent[p] + extent[q];
    let mut first = one_orientation(network, &normalised, protocol, [p, q], device, &mut |done| {
        progress(done, all)
    })?;
    let mut second = one_orientation(network, &normalised, protocol, [q, p], device, &mut |done| {
        progress(extent[p] + done, all)
    })?;
    drop(normalised);
    for (a, b) in first.data_mut().iter_mut().zip(second.data_mut()) {
        (*a, *b) = (0.5 * (*a + *b), 0.5 * (*a - *b));
    }
    let Softened { image, noise, weight } = soft(&normalization.invert(first), scan, &protocol.operators())?;
    Ok(Applied {
        image,
        // A difference has the scan's unit, not its zero.
        disagreement: second.map(|v| v * normalization.factor),
        noise_sigma: noise.sigma,
        consistency_weight: weight,
    })
}

/// The output for the planes that lie across `plane` and hold the axis `column`.
fn one_orientation(
    network: &SliceNetwork,
    scan: &Volume,
    protocol: &SliceProtocol,
    [plane, column]: [usize; 2],
    device: &Device,
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Volume> {
    let order = [plane, protocol.axis, column];
    let geometry = scan.geometry().with_extent(protocol.fine_extent(scan.extent()));
    let mut fine = Volume::filled(0.0, geometry);
    let count = scan.extent()[plane];
    for first in (0..count).step_by(PLANES_AT_ONCE) {
        let coarse = Planes::some(scan, order, first..(first + PLANES_AT_ONCE).min(count));
        let [n, rows, columns] = coarse.shape;
        let data = network.refine(&coarse.data, coarse.shape, device, &mut |done| {
            progress(first + done)
        })?;
        let shape = [n, rows * protocol.scale, columns];
        Planes { shape, data }.put(&mut fine, order, first);
    }
    Ok(fine)
}
