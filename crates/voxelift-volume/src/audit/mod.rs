//! Layer 5 · Audit of one super-resolved scan: what of it was measured, what was added, and how sure the model is of that.
//!
//! No reference is needed, and none is replaced: what the members of an ensemble agree on may still not be there.
//!
//! ```
//! use voxelift_volume::audit::NullSpace;
//! use voxelift_volume::kspace::{truncate, zero_fill};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let reference = head(&PhantomConfig { seed: 1, extent: [24; 3], spacing_mm: [7.0; 3] })?;
//! let zero_filled = zero_fill(&truncate(&reference, [12; 3]), [24; 3]);
//! // Zero-filling adds nothing to what was measured; the reference holds more than that.
//! assert!(NullSpace::of(&zero_filled, [12; 3]).energy < 1e-9);
//! assert!(NullSpace::of(&reference, [12; 3]).energy > 1e-3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ensemble;

pub use ensemble::{BeyondNyquist, Ensemble, EnsembleAgreement};

use serde::Serialize;

use crate::consistency::unmeasured;
use crate::degrade::Operators;
use crate::error::Result;
use crate::metrics::data_consistency;
use crate::volume::Volume;

/// How far the image, degraded again by an operator, is from the scan that it was made from: `||A(x) - y|| / ||y||`.
///
/// For k-space truncation over the frequencies that both hold ([`data_consistency`]), for other operators over the
/// voxels of the scan.
///
/// # Errors
/// As [`data_consistency`].
pub fn residual(operator: &Operators, image: &Volume, scan: &Volume) -> Result<f64> {
    let over_frequencies = data_consistency(image, scan)?;
    if operator.is_kspace() {
        return Ok(over_frequencies);
    }
    let again = operator.apply(image, scan.extent());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let pairs = again.data().iter().zip(scan.data());
    let error = squares(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    Ok((error / squares(&mut scan.data().iter().map(|v| f64::from(*v)))).sqrt())
}

/// What an image holds that truncation to the scan's grid does not see.
#[derive(Clone, Debug, Serialize)]
pub struct NullSpace {
    /// `x - A+ A x`, voxel by voxel: what was added to the zero-filled picture of what was measured. Signed.
    #[serde(skip)]
    pub map: Volume,
    /// Its energy in units of the image's.
    pub energy: f64,
    /// Its root mean square, in the image's units.
    pub rms: f64,
    /// Its largest magnitude, in the image's units.
    pub largest: f64,
}

impl NullSpace {
    /// The part of `image` in the null space of k-space truncation to `measured` voxels.
    pub fn of(image: &Volume, measured: [usize; 3]) -> Self {
        let map = unmeasured(image, measured);
        let energy = |volume: &Volume| volume.data().iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        let (added, all) = (energy(&map), energy(image));
        let largest = map.data().iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        Self {
            energy: if all > 0.0 { added / all } else { 0.0 },
            rms: (added / map.data().len() as f64).sqrt(),
            largest: f64::from(largest),
            map,
        }
    }
}
