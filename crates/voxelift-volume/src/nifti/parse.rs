//! Header bytes -> [`Header`], every field checked before it is used.

use std::path::Path;

use super::header::{Header, Intent, Slices, Version};
use super::layout::{Layout, Record};
use super::placement::{affines, pixdim, spacing};
use crate::error::{Result, VolumeError};
use crate::stored::Datatype;

/// More volumes than this in one file are refused: each costs memory beside its voxels.
const MAX_FRAMES: usize = 1 << 16;

/// A header, and what else reading needs of it.
pub(super) struct Parsed {
    pub header: Header,
    pub big_endian: bool,
    /// Whether the voxels are in a file of their own.
    pub pair: bool,
    /// Offset of the first voxel in the file that has them.
    pub voxel_offset: u64,
    pub warnings: Vec<String>,
    /// Findings that no reader needs, and that `doctor` reports.
    pub leftovers: Vec<String>,
}

/// The version and byte order, from the first four bytes.
///
/// # Errors
/// When they are the size of no known header.
pub(super) fn sniff(path: &Path, start: [u8; 4]) -> Result<(Version, bool)> {
    let (little, big) = (i32::from_le_bytes(start), i32::from_be_bytes(start));
    for version in [Version::One, Version::Two] {
        let size = Layout::of(version).size as i32;
        if little == size || big == size {
            return Ok((version, big == size));
        }
    }
    Err(VolumeError::malformed(
        path,
        "sizeof_hdr",
        little,
        "348 (NIfTI-1) or 540 (NIfTI-2): is it a NIfTI file?",
    ))
}

/// Understands a whole header record.
///
/// # Errors
/// [`VolumeError::Malformed`] naming the field, [`VolumeError::Unsupported`] for types that are not read.
pub(super) fn parse(path: &Path, version: Version, record: &Record) -> Result<Parsed> {
    let mut warnings = Vec::new();
    let layout = record.layout;
    let pair = magic(path, record)?;
    let datatype = datatype(path, record, &mut warnings)?;
    let (extent, extra_extent) = dims(path, record)?;
    let sizes = pixdim(record, &mut warnings);
    let (sform, qform) = affines(path, record, extent, sizes, &mut warnings)?;
    let spacing_mm = spacing(path, sizes, sform.or(qform))?;
    let byte = |slot| record.int(slot, 0).rem_euclid(256) as u8;
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    let small = |slot| record.int(slot, 0) as i32;

    let mut header = Header {
        version,
        datatype,
        scaling: scaling(path, record, &mut warnings)?,
        extent,
        extra_extent,
        spacing_mm,
        extra_spacing: std::array::from_fn(|i| finite(record.float(layout.pixdim, 4 + i))),
        sform,
        qform,
        xyzt_units: byte(layout.xyzt_units),
        dim_info: byte(layout.dim_info),
        slices: Slices {
            start: record.int(layout.slice_start, 0),
            end: record.int(layout.slice_end, 0),
            code: small(layout.slice_code),
            duration: finite(record.float(layout.slice_duration, 0)),
        },
        toffset: finite(record.float(layout.toffset, 0)),
        intent: Intent {
            code: small(layout.intent_code),
            parameters: record.triple(layout.intent_p).map(finite),
            name: record.text(layout.intent_name, 16),
        },
        descrip: record.text(layout.descrip, 80),
        aux_file: record.text(layout.aux_file, 24),
        extensions: Vec::new(),
    };
    if let Some(unit) = match header.xyzt_units & 7 {
        1 => Some("metres"),
        3 => Some("micrometres"),
        _ => None,
    } {
        warnings.push(format!(
            "xyzt_units says {unit}; the numbers are taken as millimetres all the same"
        ));
        // Outputs say what was understood.
        header.xyzt_units = header.xyzt_units & !7 | 2;
    }
    let voxel_offset = voxel_offset(path, record, pair)?;
    Ok(Parsed {
        header,
        big_endian: record.big_endian,
        pair,
        voxel_offset,
        warnings,
        leftovers: leftovers(record),
    })
}

/// Text in the fields of the ANALYZE days, where old software put names of people, and what other programs do not read.
fn leftovers(record: &Record) -> Vec<String> {
    let layout = record.layout;
    let norm: f64 = record.triple(layout.quatern).iter().map(|v| v * v).sum();
    let long = (record.int(layout.qform_code, 0) > 0 && norm > 1.0 + LONG_QUATERNION).then(|| {
        format!("the qform's quaternion has a squared norm of {norm}, above 1 by rounding: nibabel does not take it")
    });
    let unused = record.layout.unused_text.iter();
    let filled = unused.filter_map(|(name, at, length)| {
        let count = record.bytes[*at..at + length].iter().filter(|byte| **byte != 0).count();
        (count > 0).then(|| format!("{name} holds {count} bytes: NIfTI does not use it, and old software put names of people there"))
    });
    filled.chain(long).collect()
}

/// Squared norms of b, c, d further above 1 than this are more than the rounding of an f32, for nibabel.
const LONG_QUATERNION: f64 = 3.0 * f32::EPSILON as f64;

/// Whether the magic says that the voxels are in a file of their own.
fn magic(path: &Path, record: &Record) -> Result<bool> {
    let layout = record.layout;
    let magic = &record.bytes[layout.magic_at..layout.magic_at + layout.magic.len()];
    if magic == layout.magic || magic == layout.pair_magic {
        return Ok(magic == layout.pair_magic);
    }
    if layout.size == 348 && magic.iter().all(|byte| *byte == 0) {
        let advice = "it has no orientation; convert it to NIfTI with a tool that knows where it came from";
        return Err(VolumeError::unsupported(
            path,
            "an ANALYZE 7.5 header (magic of zeros)",
            advice,
        ));
    }
    let expected = format!(
        "\"{}\" or \"{}\"",
        layout.magic.escape_ascii(),
        layout.pair_magic.escape_ascii()
    );
    Err(VolumeError::malformed(
        path,
        "magic",
        format!("\"{}\"", magic.escape_ascii()),
        expected,
    ))
}

fn datatype(path: &Path, record: &Record, warnings: &mut Vec<String>) -> Result<Datatype> {
    let code = record.int(record.layout.datatype, 0);
    let Some(datatype) = Datatype::from_code(code) else {
        return Err(match refused_name(code) {
            Some(name) => VolumeError::unsupported(
                path,
                format!("voxel type {name} (datatype {code})"),
                "convert it to a scalar integer or float type",
            ),
            None => VolumeError::malformed(
                path,
                "datatype",
                code,
                "a NIfTI code such as 4 (int16) or 16 (float32)",
            ),
        });
    };
    let (bitpix, bits) = (record.int(record.layout.bitpix, 0), 8 * datatype.bytes() as i64);
    if bitpix != bits {
        warnings.push(format!(
            "bitpix is {bitpix}, but datatype {datatype} has {bits} bits; the datatype is used"
        ));
    }
    Ok(datatype)
}

/// The name of a type that the standard has and this project does not read.
fn refused_name(code: i64) -> Option<&'static str> {
    Some(match code {
        1 => "binary (one bit a voxel)",
        32 => "complex64",
        128 => "RGB24",
        1536 => "float128",
        1792 => "complex128",
        2048 => "complex256",
        2304 => "RGBA32",
        _ => return None,
    })
}

/// The extent of the first three axes, and of the others.
fn dims(path: &Path, record: &Record) -> Result<([usize; 3], Vec<usize>)> {
    let dim = record.layout.dim;
    let axes = record.int(dim, 0);
    if !(1..=7).contains(&axes) {
        return Err(VolumeError::malformed(
            path,
            "dim[0]",
            axes,
            "a number of axes from 1 to 7",
        ));
    }
    let count = |axis: usize| -> Result<usize> {
        if axis as i64 > axes {
            return Ok(1);
        }
        let count = record.int(dim, axis);
        let too_small =
            || VolumeError::malformed(path, format!("dim[{axis}]"), count, "a positive count of voxels");
        usize::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(too_small)
    };
    let extent = [count(1)?, count(2)?, count(3)?];
    let extra = (4..=axes as usize).map(count).collect::<Result<Vec<_>>>()?;
    let frames = extra
        .iter()
        .try_fold(1_usize, |product, count| product.checked_mul(*count));
    if frames.is_none_or(|frames| frames > MAX_FRAMES) {
        let expected = format!("at most {MAX_FRAMES} volumes in a file");
        return Err(VolumeError::malformed(
            path,
            "dim[4..]",
            format!("{extra:?}"),
            expected,
        ));
    }
    Ok((extent, extra))
}

fn scaling(path: &Path, record: &Record, warnings: &mut Vec<String>) -> Result<Option<(f64, f64)>> {
    let slope = record.float(record.layout.scl_slope, 0);
    let inter = record.float(record.layout.scl_inter, 0);
    if !slope.is_finite() {
        warnings.push(format!("scl_slope is {slope}; the values are taken as stored"));
    }
    if slope == 0.0 || !slope.is_finite() || (slope == 1.0 && inter == 0.0) {
        return Ok(None);
    }
    if !inter.is_finite() {
        let expected = format!("a finite number beside scl_slope {slope}");
        return Err(VolumeError::malformed(path, "scl_inter", inter, expected));
    }
    Ok(Some((slope, inter)))
}

/// The offset of the voxels: behind the header in a single file, anywhere in a file of their own.
fn voxel_offset(path: &Path, record: &Record, pair: bool) -> Result<u64> {
    let layout = record.layout;
    // Behind a header stand at least the four bytes that say whether extensions follow.
    let least = if pair { 0 } else { layout.size as u64 + 4 };
    let offset = record
        .whole(layout.vox_offset, 0)
        .and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| *offset >= least).ok_or_else(|| {
        let value = record.float(layout.vox_offset, 0);
        VolumeError::malformed(
            path,
            "vox_offset",
            value,
            format!("a whole number, {least} or more"),
        )
    })
}
