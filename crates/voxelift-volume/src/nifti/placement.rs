//! Where a header puts its voxels: voxel sizes, sform and qform, checked for use.

use std::path::Path;

use super::header::CodedAffine;
use super::layout::{Kind, Record};
use super::qform::Qform;
use crate::error::{Result, VolumeError};
use crate::volume::{Affine, Geometry, MAX_MM, MIN_DETERMINANT, affine_fault};

/// `pixdim[1..=3]` with the usual slips mended: a sign is dropped and zero becomes 1. May hold non-finite
/// values.
pub(super) fn pixdim(record: &Record, warnings: &mut Vec<String>) -> [f64; 3] {
    std::array::from_fn(|axis| {
        let raw = record.float(record.layout.pixdim, 1 + axis);
        let mended = if raw == 0.0 { 1.0 } else { raw.abs() };
        if raw <= 0.0 && axis < record.int(record.layout.dim, 0) as usize {
            warnings.push(format!("pixdim[{}] is {raw}; taken as {mended}", axis + 1));
        }
        mended
    })
}

/// The voxel sizes where they are usable; those of the affine where they are not and nothing rests on them.
pub(super) fn spacing(path: &Path, sizes: [f64; 3], affine: Option<CodedAffine>) -> Result<[f64; 3]> {
    let usable = sizes.iter().all(|size| *size <= MAX_MM) && sizes.iter().product::<f64>() > MIN_DETERMINANT;
    match affine {
        _ if usable => Ok(sizes),
        Some(coded) => Ok(Geometry {
            extent: [1; 3],
            world_from_voxel: coded.affine,
        }
        .spacing_mm()),
        None => {
            let expected = "voxel sizes in mm, as no sform or qform says where the voxels are";
            Err(VolumeError::malformed(
                path,
                "pixdim[1..3]",
                format!("{sizes:?}"),
                expected,
            ))
        }
    }
}

/// Sform and qform where their codes are positive; the one in use is fit for use.
pub(super) fn affines(
    path: &Path,
    record: &Record,
    extent: [usize; 3],
    spacing_mm: [f64; 3],
    warnings: &mut Vec<String>,
) -> Result<(Option<CodedAffine>, Option<CodedAffine>)> {
    let layout = record.layout;
    let mut code_of = |field: &str, slot| {
        let code = record.int(slot, 0) as i32;
        if code < 0 {
            warnings.push(format!("{field} is {code}; taken as 0 (absent)"));
        } else if code > 5 {
            warnings.push(format!(
                "{field} is {code}, no code of the standard (0 to 5); kept"
            ));
        }
        code.max(0)
    };
    let (sform_code, qform_code) = (
        code_of("sform_code", layout.sform_code),
        code_of("qform_code", layout.qform_code),
    );

    let affine: Affine =
        std::array::from_fn(|r| std::array::from_fn(|c| record.float(layout.srow, 4 * r + c)));
    let (sform, sform_fault) = match (sform_code, affine_fault(&affine)) {
        (0, _) => (None, None),
        (code, None) => (Some(CodedAffine { code, affine }), None),
        (code, Some((value, expected))) => (None, Some((code, value, expected))),
    };
    let handedness = record.float(layout.pixdim, 0);
    if qform_code > 0 && handedness.abs() != 1.0 {
        let read = if handedness < 0.0 { "-1" } else { "+1" };
        warnings.push(format!("pixdim[0] (qfac) is {handedness}; read as {read}"));
    }
    let stored = Qform {
        quatern: record.triple(layout.quatern),
        offset: record.triple(layout.qoffset),
        spacing_mm,
        qfac: if handedness < 0.0 { -1.0 } else { 1.0 },
    };
    let epsilon = if layout.quatern.1 == Kind::F32 {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    };
    let usable = stored
        .affine(3.0 * epsilon)
        .map_err(|reason| (reason, "a rotation and voxel sizes"))
        .and_then(|affine| {
            let code = qform_code;
            affine_fault(&affine).map_or(Ok(CodedAffine { code, affine }), Err)
        });
    if let Some((code, value, expected)) = sform_fault {
        let field = format!("sform (sform_code {code})");
        // Only a field that holds nothing gives way: zeros, or no numbers.
        let columns = || affine.iter().flat_map(|row| &row[..3]);
        let nothing = columns().all(|v| *v == 0.0) || affine.iter().flatten().any(|v| !v.is_finite());
        if qform_code == 0 || usable.is_err() || !nothing {
            return Err(VolumeError::malformed(path, field, value, expected));
        }
        warnings.push(format!(
            "the {field} is {value}; it is dropped, the qform is used"
        ));
    }
    let qform = match (qform_code, usable, sform) {
        (0, ..) => None,
        (_, Ok(qform), Some(sform)) => {
            let apart = qform.farthest_mm(&sform, extent);
            if apart > 1e-3 + rounding_mm(&stored, epsilon, extent) {
                warnings.push(format!(
                    "sform and qform differ by up to {apart:.3} mm; the sform is used"
                ));
            }
            Some(qform)
        }
        (_, Ok(qform), None) => Some(qform),
        (_, Err((value, _)), Some(_)) => {
            warnings.push(format!(
                "the qform (qform_code {qform_code}) has {value}; it is dropped, the sform is used"
            ));
            None
        }
        (code, Err((value, expected)), None) => {
            return Err(VolumeError::malformed(
                path,
                format!("qform (qform_code {code})"),
                value,
                expected,
            ));
        }
    };
    if sform.is_none() && qform.is_none() {
        warnings.push(
            "sform_code and qform_code are 0: only voxel sizes are known, left and right are a guess".into(),
        );
    }
    Ok((sform, qform))
}

/// How far the rounding of a stored quaternion alone may move a corner: a, the root of 1 - b^2 - c^2 - d^2,
/// is badly known near a half turn, where the axes of many scanners lie (up to 2e-3 mm over a head).
fn rounding_mm(stored: &Qform, epsilon: f64, extent: [usize; 3]) -> f64 {
    let norm: f64 = stored.quatern.iter().map(|v| v * v).sum();
    let a = (1.0 - norm).max(0.0).sqrt();
    let angle = 2.0 * (epsilon / a).min((3.0 * epsilon).sqrt());
    let reach: f64 = (0..3)
        .map(|axis| (extent[axis] as f64 * stored.spacing_mm[axis]).powi(2))
        .sum();
    angle * reach.sqrt()
}
