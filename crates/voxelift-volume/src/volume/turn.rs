//! How a volume is stored in another order of its axes: whole voxels change places, nothing is interpolated.

use super::{Affine, Geometry, Volume};

/// For each axis of the result the axis it was, and whether it ran the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The axis it was.
    pub from: [usize; 3],
    /// Whether it ran the other way.
    pub flipped: [bool; 3],
}

impl Turn {
    /// Nothing changes.
    pub const NONE: Self = Self {
        from: [0, 1, 2],
        flipped: [false; 3],
    };

    /// To the nearest canonical orientation: x, y, z run to the right, to the front and up.
    pub fn canonical(geometry: &Geometry) -> Self {
        let mut turn = Self::NONE;
        for (axis, (world, sign)) in geometry.canonical_axes().into_iter().enumerate() {
            turn.from[world] = axis;
            turn.flipped[world] = sign < 0.0;
        }
        turn
    }

    /// That after which the axes of `geometry` run as nearly as they can along those of `other`, in the same order.
    pub fn along(geometry: &Geometry, other: &Geometry) -> Self {
        let (ours, theirs) = (geometry.spacing_mm(), other.spacing_mm());
        let cosine = |axis: usize, to: usize| {
            let products = (0..3).map(|r| geometry.world_from_voxel[r][axis] * other.world_from_voxel[r][to]);
            products.sum::<f64>() / (ours[axis] * theirs[to])
        };
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let alignment = |from: &[usize; 3]| (0..3).map(|to| cosine(from[to], to).abs()).sum::<f64>();
        // Of two equally good ones the last, as in `canonical_axes`; an identity wins over both.
        let best = orders
            .into_iter()
            .max_by(|a, b| alignment(a).total_cmp(&alignment(b)));
        let best = best.filter(|best| alignment(best) > alignment(&[0, 1, 2]) + 1e-9);
        let from = best.unwrap_or([0, 1, 2]);
        Self {
            from,
            flipped: [0, 1, 2].map(|to| cosine(from[to], to) < 0.0),
        }
    }

    /// Whether nothing changes.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The volume, stored so.
    pub fn applied_to(&self, volume: &Volume) -> Volume {
        let old = volume.extent();
        let strides = [1, old[0], old[0] * old[1]];
        let extent = self.from.map(|axis| old[axis]);
        let offset = |world: usize, i: usize| {
            strides[self.from[world]]
                * if self.flipped[world] {
                    extent[world] - 1 - i
                } else {
                    i
                }
        };
        let mut data = Vec::with_capacity(volume.data().len());
        for z in 0..extent[2] {
            for y in 0..extent[1] {
                let row = offset(1, y) + offset(2, z);
                data.extend((0..extent[0]).map(|x| volume.data()[row + offset(0, x)]));
            }
        }
        Volume::new(data, self.geometry(volume.geometry()))
    }

    /// The grid of a volume stored so.
    pub fn geometry(&self, geometry: &Geometry) -> Geometry {
        Geometry {
            extent: self.from.map(|axis| geometry.extent[axis]),
            world_from_voxel: self.affine(geometry),
        }
    }

    fn affine(&self, geometry: &Geometry) -> Affine {
        let old = &geometry.world_from_voxel;
        let first: [f64; 3] = std::array::from_fn(|axis| {
            let world = self
                .from
                .iter()
                .position(|&from| from == axis)
                .expect("each axis goes somewhere");
            if self.flipped[world] {
                geometry.extent[axis] as f64 - 1.0
            } else {
                0.0
            }
        });
        let origin = geometry.world(first);
        std::array::from_fn(|row| {
            let column = |world: usize| {
                if self.flipped[world] {
                    -old[row][self.from[world]]
                } else {
                    old[row][self.from[world]]
                }
            };
            [column(0), column(1), column(2), origin[row]]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_storage_order_is_undone_by_the_turn_along_the_first() {
        let geometry = Geometry {
            extent: [3, 4, 5],
            world_from_voxel: [
                [0.9, -0.2, 0.1, 5.0],
                [0.2, 1.1, 0.3, -7.0],
                [-0.1, -0.3, 1.4, 2.0],
            ],
        };
        let volume = Volume::new((0..60).map(|i| i as f32).collect(), geometry.clone());
        let mut seen = Vec::new();
        for from in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for signs in 0..8 {
                let flipped = [0, 1, 2].map(|axis| signs >> axis & 1 == 1);
                let stored = Turn { from, flipped }.applied_to(&volume);
                let back = Turn::along(stored.geometry(), &geometry).applied_to(&stored);
                assert_eq!(back.data(), volume.data(), "{from:?} {flipped:?}");
                let pairs = back
                    .geometry()
                    .world_from_voxel
                    .into_iter()
                    .zip(geometry.world_from_voxel);
                for (a, b) in pairs {
                    assert!((0..4).all(|c| (a[c] - b[c]).abs() < 1e-12), "{a:?} {b:?}");
                }
                seen.push(stored.into_data());
            }
        }
        seen.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        seen.dedup();
        assert_eq!(seen.len(), 48, "all different");
    }
}
