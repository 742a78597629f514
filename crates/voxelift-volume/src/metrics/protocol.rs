//! What is compared with what: the same voxels of the world, in one orientation, and a mask on them.

use crate::error::{Result, VolumeError};
use crate::intensity::Mask;
use crate::volume::{Geometry, Turn, Volume};

/// A slice counts for the slice scores when at least this share of it is foreground.
const MIN_SLICE_FOREGROUND: f64 = 0.05;

/// Two volumes that share less than this of the smaller one do not show the same.
const LEAST_SHARED: f64 = 0.25;

/// Grids whose voxels lie this close to each other are the same grid.
const TOLERANCE_MM: f64 = 1e-3;

/// A score over the whole volume and over the mask.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regions<T> {
    /// Every voxel that the two volumes share.
    pub whole: T,
    /// The voxels of the mask.
    pub masked: T,
}

impl<T> Regions<T> {
    /// The same of both regions.
    pub fn each<U>(&self, of: impl Fn(&T) -> U) -> Regions<U> {
        Regions {
            whole: of(&self.whole),
            masked: of(&self.masked),
        }
    }
}

/// A reference and an image on one grid, with a mask, all cropped to the region they share and turned to the
/// nearest canonical orientation: x, y, z run to the right, to the front and up, so that axial slices are planes
/// of the data.
#[derive(Clone, Debug)]
pub struct Pair {
    reference: Volume,
    image: Volume,
    mask: Mask,
    cropped: Option<String>,
    mask_share: f64,
    /// For each axis of the result the axis it was in the files.
    from: [usize; 3],
}

impl Pair {
    /// Brings two volumes and a mask on the reference's grid together.
    ///
    /// The image may be stored in any order of its axes: it is compared where it lies. It may start or end some whole voxels
    /// before or after the reference; both are cropped to what they share, and [`Pair::cropped`] says so.
    ///
    /// # Errors
    /// [`VolumeError::GridMismatch`] when spacing or axes differ, the offset is not a whole number of voxels
    /// (1e-3 mm), less than a quarter of the smaller volume is shared, or the mask has another extent than the reference;
    /// [`VolumeError::Content`] for NaN or infinite voxels or an empty mask.
    pub fn new(reference: &Volume, image: &Volume, mask: &Mask) -> Result<Self> {
        if mask.extent() != reference.extent() {
            return Err(VolumeError::GridMismatch {
                field: "extent",
                left: format!("{:?} of the reference", reference.extent()),
                right: format!("{:?} of the mask", mask.extent()),
                advice: "the mask belongs on the reference's grid".to_owned(),
            });
        }
        let along = Turn::along(image.geometry(), reference.geometry());
        let stored_alike = (!along.is_none()).then(|| along.applied_to(image));
        let image = stored_alike.as_ref().unwrap_or(image);
        let shared = Shared::of(reference.geometry(), image.geometry())?;
        let turn = Turn::canonical(reference.geometry());
        let inside = mask.data().iter().map(|&m| f32::from(u8::from(m))).collect();
        let inside = Volume::new(inside, reference.geometry().clone());
        let in_reference = |v: &Volume| turn.applied_to(&v.crop(shared.in_reference, shared.extent));
        let pair = Self {
            mask_share: 0.0,
            reference: in_reference(reference),
            image: turn.applied_to(&image.crop(shared.in_image, shared.extent)),
            mask: Mask::above(&in_reference(&inside), 0.5),
            cropped: shared.message(reference.extent(), image.extent()),
            from: turn.from,
        };
        for (what, volume) in [("the reference", &pair.reference), ("the image", &pair.image)] {
            let wrong = volume.data().iter().filter(|v| !v.is_finite()).count();
            if wrong > 0 {
                return Err(VolumeError::content(
                    what,
                    format!("{wrong} voxels are NaN or infinite"),
                    "finite voxels",
                ));
            }
        }
        if pair.mask.count() == 0 {
            return Err(VolumeError::content(
                "the mask",
                "empty on the shared region",
                "at least one voxel",
            ));
        }
        let mask_share = pair.mask.count() as f64 / mask.count() as f64;
        Ok(Self { mask_share, ..pair })
    }

    /// The reference, cropped and turned.
    pub fn reference(&self) -> &Volume {
        &self.reference
    }

    /// The image, cropped and turned.
    pub fn image(&self) -> &Volume {
        &self.image
    }

    /// The mask, cropped and turned.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Voxel counts along x, y, z of what is compared.
    pub fn extent(&self) -> [usize; 3] {
        self.reference.extent()
    }

    /// What was cut off, where something was.
    pub fn cropped(&self) -> Option<&str> {
        self.cropped.as_deref()
    }

    /// How much of the given mask lies in what is compared; 1 unless something was cut off.
    pub fn mask_share(&self) -> f64 {
        self.mask_share
    }

    /// Three numbers given per axis of the reference's file, in the order of this pair's axes.
    pub fn turned<T: Copy>(&self, per_axis: [T; 3]) -> [T; 3] {
        self.from.map(|axis| per_axis[axis])
    }

    /// For each axial slice whether at least 5 % of it lies in the mask: the slices that the slice scores see.
    pub fn foreground_slices(&self) -> Vec<bool> {
        let [nx, ny, _] = self.extent();
        let share = |slice: &[bool]| slice.iter().filter(|m| **m).count() as f64 / slice.len() as f64;
        self.mask
            .data()
            .chunks(nx * ny)
            .map(|slice| share(slice) >= MIN_SLICE_FOREGROUND)
            .collect()
    }
}

/// The block of voxels that two grids share.
struct Shared {
    extent: [usize; 3],
    in_reference: [usize; 3],
    in_image: [usize; 3],
}

impl Shared {
    fn of(reference: &Geometry, image: &Geometry) -> Result<Self> {
        let mismatch = |field, left: [f64; 3], right: [f64; 3]| VolumeError::GridMismatch {
            field,
            left: format!("{left:?}"),
            right: format!("{right:?}"),
            advice: "resample the image onto the reference's grid".to_owned(),
        };
        let (left, right) = (reference.spacing_mm(), image.spacing_mm());
        if (0..3).any(|a| (left[a] - right[a]).abs() > TOLERANCE_MM) {
            return Err(mismatch("spacing (mm)", left, right));
        }
        let start = reference.voxel(image.world([0.0; 3])).map(f64::round);
        let first: [f64; 3] = std::array::from_fn(|a| start[a].max(0.0));
        let last: [f64; 3] = std::array::from_fn(|a| {
            (reference.extent[a] as f64).min(start[a] + image.extent[a] as f64) - 1.0
        });
        if (0..3).any(|a| last[a] < first[a]) {
            return Err(mismatch(
                "origin (mm), without a voxel in common",
                reference.world([0.0; 3]),
                image.world([0.0; 3]),
            ));
        }
        let apart = |voxel: [f64; 3]| {
            let here = reference.world(voxel);
            let there = image.world(std::array::from_fn(|a| voxel[a] - start[a]));
            (0..3).any(|a| (here[a] - there[a]).abs() > TOLERANCE_MM)
        };
        if apart(first) {
            return Err(mismatch(
                "origin (mm)",
                reference.world(start),
                image.world([0.0; 3]),
            ));
        }
        for axis in 0..3 {
            let mut corner = first;
            corner[axis] = last[axis];
            if apart(corner) {
                let column = |g: &Geometry| g.world_from_voxel.map(|row| row[axis]);
                return Err(mismatch(
                    ["x axis", "y axis", "z axis"][axis],
                    column(reference),
                    column(image),
                ));
            }
        }
        let voxels = |extent: [usize; 3]| extent.map(|n| n as f64).iter().product::<f64>();
        let share = (0..3).map(|a| last[a] - first[a] + 1.0).product::<f64>()
            / voxels(reference.extent).min(voxels(image.extent));
        if share < LEAST_SHARED {
            return Err(VolumeError::GridMismatch {
                field: "field of view",
                left: format!(
                    "{:?} voxels from {:.1?} mm",
                    reference.extent,
                    reference.world([0.0; 3])
                ),
                right: format!("{:?} voxels from {:.1?} mm", image.extent, image.world([0.0; 3])),
                advice: format!(
                    "they share {:.1} % of the smaller one, expected a quarter or more; are these the same subject and place?",
                    100.0 * share
                ),
            });
        }
        Ok(Self {
            extent: std::array::from_fn(|a| (last[a] - first[a]) as usize + 1),
            in_reference: first.map(|v| v as usize),
            in_image: std::array::from_fn(|a| (first[a] - start[a]) as usize),
        })
    }

    fn message(&self, reference: [usize; 3], image: [usize; 3]) -> Option<String> {
        (self.extent != reference || self.extent != image).then(|| {
            format!(
                "cropped to the {:?} voxels that both have: from voxel {:?} of the reference's {:?} and {:?} of the image's {:?}",
                self.extent, self.in_reference, reference, self.in_image, image
            )
        })
    }
}
