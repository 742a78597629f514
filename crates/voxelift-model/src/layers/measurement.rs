//! `A` on patches: how an HR patch would have been measured, differentiable.

use burn::tensor::{Device, Tensor};
use voxelift_volume::Volume;
use voxelift_volume::consistency::measured;
use voxelift_volume::degrade::{Operator, Operators};
use voxelift_volume::volume::Geometry;

use super::{along_axis, matrix};

/// The operators of a scan as matrices, one an axis; a patch is continued by its mirror image beyond its faces.
///
/// What lies beyond a patch is unknown, so `A` is wrong, most near its faces: on a T1-weighted head truncated by 2, patches of 12
/// and 16 LR voxels, by 1.6 and 1.5 % of the mean intensity on average, and by 1.2 and 1.1 % without the outer two voxels.
/// [`Measurement::margin`] voxels are left out of a comparison.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// For Z, Y, X.
    rows: [Tensor<2>; 3],
}

impl Measurement {
    /// For LR patches of `lr` voxels and HR patches that are `scale` times as long, along Z, Y, X; operators are in file order.
    pub fn new(operators: &Operators, lr: [usize; 3], scale: [usize; 3], device: &Device) -> Self {
        let rows = std::array::from_fn(|axis| {
            let operator = operators.0[2 - axis];
            let fine = lr[axis] * scale[axis];
            matrix(rows(operator, fine, lr[axis]), fine, device)
        });
        Self { rows }
    }

    /// `A x`.
    ///
    /// # Shapes
    ///
    /// `[N, C, sz Z, sy Y, sx X]` -> `[N, C, Z, Y, X]`; differentiable.
    pub fn of(&self, x: Tensor<5>) -> Tensor<5> {
        let rows = self.rows.iter().enumerate();
        rows.fold(x, |x, (axis, rows)| along_axis(x, rows.clone(), axis))
    }

    /// How many voxels at each face of an LR patch of this length are not to be trusted: a sixth of it.
    pub fn margin(lr: usize) -> usize {
        lr / 6
    }
}

/// One row a coarse voxel: its weights on a line of `fine` voxels, mirrored at its ends.
fn rows(operator: Operator, fine: usize, coarse: usize) -> Vec<f32> {
    let (long, short) = (2 * fine, 2 * coarse);
    // Lines of one voxel that is 1 each; a line and its mirror image have a period of twice their length.
    let impulses = (0..long * long).map(|i| f32::from(u8::from(i % long == i / long)));
    let impulses = Volume::new(
        impulses.collect(),
        Geometry::axis_aligned([long, long, 1], [1.0; 3]),
    );
    let identity = Operator::KSpace;
    let along_x = Operators([operator, identity, identity]);
    let outputs = measured(&impulses, [short, long, 1], &along_x);
    let output = |from: usize, to: usize| outputs.data()[from * short + to];
    let mirrored = |k: usize| long - 1 - k;
    (0..coarse)
        .flat_map(|j| (0..fine).map(move |k| (j, k)))
        .map(|(j, k)| output(k, j) + output(mirrored(k), j))
        .collect()
}
