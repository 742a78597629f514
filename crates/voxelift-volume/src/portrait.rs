//! Layer 4 · Portrait of a scan: the few numbers by which to judge whether two domains can be trained on together.
//!
//! ```
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::portrait::Portrait;
//!
//! let of = |seed| Portrait::of(&head(&PhantomConfig { seed, extent: [24; 3], spacing_mm: [7.0; 3] }).expect("a head"));
//! let (first, second) = (of(1)?, of(2)?);
//! assert_eq!(first.field_of_view_mm, [168.0; 3]);
//! // Two subjects in one contrast: medians that lie close together over the peak.
//! assert!((first.appearance.contrast[2] - second.appearance.contrast[2]).abs() < 0.1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::appearance::Appearance;
use crate::error::Result;
use crate::likeness::Likeness;
use crate::resolution::{AxisResolution, resolution};
use crate::volume::Volume;

/// What can be measured of a scan without knowing what it shows.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// Contrast, noise and size.
    pub appearance: Appearance,
    /// What is truly resolved along x, y, z of the file.
    pub resolution: [AxisResolution; 3],
    /// The outer edges' distances along x, y, z.
    pub field_of_view_mm: [f64; 3],
    /// For comparing subjects.
    pub likeness: Likeness,
}

impl Portrait {
    /// Looks at a scan.
    ///
    /// # Errors
    /// For a volume without contrast.
    pub fn of(volume: &Volume) -> Result<Self> {
        let (extent, spacing) = (volume.extent(), volume.geometry().spacing_mm());
        Ok(Self {
            appearance: Appearance::of(volume)?,
            resolution: resolution(volume),
            field_of_view_mm: std::array::from_fn(|a| extent[a] as f64 * spacing[a]),
            likeness: Likeness::of(volume)?,
        })
    }
}
