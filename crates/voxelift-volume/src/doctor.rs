//! Floor 5 · What is wrong with a scan's file, and the same scan in a file with nothing wrong in its header.

use std::path::Path;

use crate::error::{Result, VolumeError};
use crate::nifti::{self, ReadOptions};
use crate::resolution::resolution;
use crate::scan;

/// Sform and qform this far apart do not differ by the rounding of a quaternion.
const ANOTHER_WORLD_MM: f64 = 0.01;

/// Everything about a file that may mislead somebody, a sentence each; none for a clean one.
///
/// A header that cannot be understood is a finding like any other. Of a file with several volumes the first one's spectrum
/// is looked at.
///
/// # Errors
/// When the file cannot be opened or read at all.
pub fn examine(path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
    let mut scan = match scan::open(path, options) {
        Ok(scan) => scan,
        Err(error @ (VolumeError::Malformed { .. } | VolumeError::Unsupported { .. })) => {
            let told = error.to_string();
            let bare = told
                .strip_prefix(&format!("{}: ", path.display()))
                .unwrap_or(&told);
            return Ok(vec![format!("cannot be read: {bare}")]);
        }
        Err(error) => return Err(error),
    };
    let mut findings = scan.warnings;
    if scan::is_nifti(path) {
        findings.extend(nifti::leftovers(path)?);
    }
    let first = scan.frames.next().expect("a scan has a volume")?;
    let axes = resolution(&first);
    let truly = axes.map(|axis| {
        axis.present_mm
            .filter(|_| axis.is_interpolated())
            .unwrap_or(axis.spacing_mm)
    });
    let advice = truly.map(|mm| format!("{mm:.3}")).join(",");
    for (name, axis) in ["x", "y", "z"].into_iter().zip(axes) {
        if let Some(present) = axis.present_mm.filter(|_| axis.is_interpolated()) {
            findings.push(format!(
                "interpolated along {name}: voxels of {:.3} mm show nothing finer than {present:.2} mm; never use it as \
                 a high-resolution scan, `voxelift degrade --spacing {advice}` takes the interpolation back",
                axis.spacing_mm
            ));
        }
    }
    Ok(findings)
}

/// Copies a NIfTI file with its header mended: sizes, handedness, scaling, offset and type as they are read, the qform
/// brought to the sform (with the sform's code where they led to different places), unused bytes zero, gzip as the name says, nothing behind the voxels. The stored voxels stay byte
/// for byte.
///
/// Codes are never invented: a file that does not say where its voxels are still does not. Voxels that are not finite and
/// axes that a scanner interpolated stay as they are.
///
/// # Errors
/// When the file cannot be read as NIfTI, or the output not be written.
pub fn mend(input: &Path, output: &Path, force: bool, options: &ReadOptions) -> Result<()> {
    if !scan::is_nifti(input) {
        let advice = "only NIfTI headers are mended";
        return Err(VolumeError::unsupported(
            input,
            "mending this kind of file",
            advice,
        ));
    }
    nifti::rewrite(input, output, force, options, |header| {
        if let (Some(sform), Some(qform)) = (header.sform, &mut header.qform) {
            // Two worlds: a code must name the one that its affine leads to.
            if qform.farthest_mm(&sform, header.extent) > ANOTHER_WORLD_MM {
                qform.code = sform.code;
            }
            qform.affine = sform.affine;
        }
    })
}
