//! Pictures whose place in the world is known, for the tests of what must not move it.

use voxelift_volume::volume::Affine;
use voxelift_volume::{Geometry, Volume};

/// A straight grid, an oblique one, and a sheared left-handed one with uneven spacing.
pub fn affines() -> [Affine; 3] {
    let straight = [[1.0, 0.0, 0.0, 5.0], [0.0, 1.0, 0.0, -7.0], [0.0, 0.0, 1.0, 0.0]];
    let oblique = [
        [0.9, -0.2, 0.1, 12.0],
        [0.25, 0.95, -0.15, -31.0],
        [-0.05, 0.2, 1.1, 3.0],
    ];
    let left_handed = oblique.map(|[x, y, z, t]| [-0.8 * x, 1.2 * y, 0.9 * z, t]);
    [straight, oblique, left_handed]
}

/// A volume with `value(world position in mm)` at each voxel centre.
pub fn painted(geometry: Geometry, value: impl Fn([f64; 3]) -> f64) -> Volume {
    let data = positions(&geometry)
        .map(|voxel| value(geometry.world(voxel)) as f32)
        .collect();
    Volume::new(data, geometry)
}

/// A Gaussian blob, its centre and sigma in voxels of the grid.
pub fn blob(geometry: Geometry, centre: [f64; 3], sigma: f64) -> Volume {
    let squared = |voxel: [f64; 3]| (0..3).map(|a| (voxel[a] - centre[a]).powi(2)).sum::<f64>();
    let data = positions(&geometry)
        .map(|voxel| (-0.5 * squared(voxel) / sigma.powi(2)).exp() as f32)
        .collect();
    Volume::new(data, geometry)
}

/// Something without any symmetry, between 0 and 1.
pub fn texture(geometry: Geometry) -> Volume {
    let data = (0..geometry.voxels())
        .map(|i| ((i * 2_654_435_761) % 1000) as f32 / 1000.0)
        .collect();
    Volume::new(data, geometry)
}

/// The centre of mass in world millimetres.
pub fn centroid(volume: &Volume) -> [f64; 3] {
    let mut sum = [0.0; 4];
    for (voxel, &value) in positions(volume.geometry()).zip(volume.data()) {
        let world = volume.geometry().world(voxel);
        (0..3).for_each(|a| sum[a] += f64::from(value) * world[a]);
        sum[3] += f64::from(value);
    }
    [sum[0] / sum[3], sum[1] / sum[3], sum[2] / sum[3]]
}

/// How far two places (mm) are apart in voxels of a grid, along the axis where it is most.
pub fn voxels_apart(grid: &Geometry, a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (grid.voxel(a), grid.voxel(b));
    (0..3).map(|i| (a[i] - b[i]).abs()).fold(0.0, f64::max)
}

/// The volume stored with its axes permuted and some of the old ones flipped, in the same place in the world.
pub fn reoriented(volume: &Volume, permutation: [usize; 3], flipped: [bool; 3]) -> Volume {
    let old = volume.geometry();
    let extent = permutation.map(|a| old.extent[a]);
    let origin = old.world([0, 1, 2].map(|a| {
        if flipped[a] {
            old.extent[a] as f64 - 1.0
        } else {
            0.0
        }
    }));
    let world_from_voxel = [0, 1, 2].map(|r| {
        let column = |a: usize| old.world_from_voxel[r][a] * if flipped[a] { -1.0 } else { 1.0 };
        let [x, y, z] = permutation.map(column);
        [x, y, z, origin[r]]
    });
    let geometry = Geometry {
        extent,
        world_from_voxel,
    };
    let value = |new: [f64; 3]| {
        let mut voxel = [0; 3];
        for (&a, index) in permutation.iter().zip(new.map(|i| i as usize)) {
            voxel[a] = if flipped[a] {
                old.extent[a] - 1 - index
            } else {
                index
            };
        }
        volume.at(voxel)
    };
    Volume::new(positions(&geometry).map(value).collect(), geometry)
}

/// The voxel indices of a grid, x fastest.
fn positions(geometry: &Geometry) -> impl Iterator<Item = [f64; 3]> {
    let [nx, ny, nz] = geometry.extent;
    (0..nx * ny * nz).map(move |i| [i % nx, i / nx % ny, i / (nx * ny)].map(|i| i as f64))
}
