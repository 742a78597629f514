//! Where patches may start.

use super::PatchConfig;
use crate::error::{ModelError, Result};

/// Every LR voxel index at which a patch with enough foreground may start, in a scan of `subject`.
///
/// # Errors
/// When the volume is smaller than a patch, or has no patch with enough foreground.
pub fn starts(
    subject: &str,
    whole: [usize; 3],
    foreground: &[bool],
    patch: &PatchConfig,
) -> Result<Vec<u32>> {
    let side = patch.extent();
    if (0..3).any(|a| whole[a] < side[a]) {
        let expected =
            format!("at least {side:?} LR voxels, one patch; use larger scans or a smaller patch.size");
        return Err(ModelError::data(
            format!("scan of {subject}"),
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
        return Err(ModelError::data(format!("scan of {subject}"), value, expected));
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
