//! [`NiftiImage`] -> NIfTI file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use flate2::{Compression, GzBuilder};

use super::NiftiImage;
use super::compose::header_bytes;
use super::encoder::Encoder;
use super::header::Version;
use crate::error::{Result, VolumeError};
use crate::files::write_atomically;
use crate::stored::Datatype;
use crate::volume::Volume;

/// Voxels encoded at a time.
const CHUNK_VOXELS: usize = 1 << 15;

/// The voxel type of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    /// The type and scaling of the file that was read; 64-bit integers become 32-bit ones, which all tools
    /// read.
    Same,
    /// Signed 16-bit with a linear scale, zero staying zero.
    Int16,
    /// Unsigned 16-bit with a linear scale, zero staying zero.
    Uint16,
    /// IEEE single, unscaled.
    Float32,
}

impl FromStr for OutputType {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "same" => Ok(Self::Same),
            "int16" => Ok(Self::Int16),
            "uint16" => Ok(Self::Uint16),
            "float32" => Ok(Self::Float32),
            _ => Err(VolumeError::argument(
                "dtype",
                text,
                "expected same, int16, uint16 or float32",
            )),
        }
    }
}

/// How to write.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// The voxel type.
    pub dtype: OutputType,
    /// Replace a file that exists.
    pub force: bool,
    /// Files that are never replaced, `force` or not: the inputs.
    pub inputs: Vec<PathBuf>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            dtype: OutputType::Float32,
            force: false,
            inputs: Vec::new(),
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WriteReport {
    /// The voxel type.
    pub datatype: Datatype,
    /// `scl_slope` and `scl_inter`.
    pub scaling: (f64, f64),
    /// Values that the type cannot hold, set to the nearest one it can.
    pub clamped: u64,
}

/// Writes `.nii` or `.nii.gz`, whole or not at all ([`write_atomically`]): the same image gives the same
/// bytes, gzip is one member without name and time, and unused header bytes are zero.
///
/// # Errors
/// An existing file without `force`; one of `inputs`; another suffix; frames off the header's grid;
/// what the system refuses.
pub fn write(path: &Path, image: &NiftiImage, options: &WriteOptions) -> Result<WriteReport> {
    let gzip = is_gzip_name(path)?;
    refuse_inputs(path, &options.inputs)?;
    check_grid(image)?;
    let mut encoder = encoder(image, options.dtype);
    let head = header_bytes(&image.header, &encoder);
    write_atomically(path, options.force, |writer| {
        packed(writer, gzip, |writer| {
            body(writer, &head, &image.frames, &mut encoder)
        })
    })?;
    let Encoder {
        datatype,
        slope,
        inter,
        clamped,
    } = encoder;
    Ok(WriteReport {
        datatype,
        scaling: (slope, inter),
        clamped,
    })
}

/// What `fill` writes, as one gzip member without name and time where `gzip` says so.
pub(super) fn packed(
    writer: &mut dyn Write,
    gzip: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if !gzip {
        return fill(writer);
    }
    let mut packed = GzBuilder::new().mtime(0).write(writer, Compression::default());
    fill(&mut packed)?;
    packed.finish().map(drop)
}

/// Refuses to write over one of `inputs`, under whatever name.
pub(super) fn refuse_inputs(path: &Path, inputs: &[PathBuf]) -> Result<()> {
    let same =
        |input: &PathBuf| matches!((path.canonicalize(), input.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if inputs.iter().any(same) {
        let expected = "is an input; choose another name";
        return Err(VolumeError::argument("output", path.display(), expected));
    }
    Ok(())
}

pub(super) fn is_gzip_name(path: &Path) -> Result<bool> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    if name.ends_with(".hdr")
        || name.ends_with(".img")
        || name.ends_with(".hdr.gz")
        || name.ends_with(".img.gz")
    {
        let advice = "write a single .nii.gz, which all tools read";
        return Err(VolumeError::unsupported(path, "writing a .hdr/.img pair", advice));
    }
    if !name.ends_with(".nii") && !name.ends_with(".nii.gz") {
        return Err(VolumeError::argument(
            "output",
            path.display(),
            "expected a name ending in .nii.gz or .nii",
        ));
    }
    Ok(name.ends_with(".gz"))
}

/// A header that says something else than its frames would put them in the wrong place.
fn check_grid(image: &NiftiImage) -> Result<()> {
    let mismatch = |field, left: String, right: String| VolumeError::GridMismatch {
        field,
        left,
        right,
        advice: "the header must be resampled with the volume".into(),
    };
    let grid = image.header.geometry();
    if image.header.frames() != image.frames.len() {
        let (left, right) = (image.header.frames(), image.frames.len());
        return Err(mismatch("number of volumes", left.to_string(), right.to_string()));
    }
    // Without codes nothing can be said about the place, only about the voxel sizes.
    let placed = image.header.sform.is_some() || image.header.qform.is_some();
    for frame in &image.frames {
        let other = frame.geometry();
        if grid.extent != other.extent {
            return Err(mismatch(
                "extent",
                format!("{:?}", grid.extent),
                format!("{:?}", other.extent),
            ));
        }
        let apart = |left: &[f64], right: &[f64]| left.iter().zip(right).any(|(l, r)| (l - r).abs() > 1e-4);
        let (left, right) = (grid.spacing_mm(), other.spacing_mm());
        if apart(&left, &right) {
            return Err(mismatch("spacing", format!("{left:?}"), format!("{right:?}")));
        }
        let (left, right) = (grid.world_from_voxel, other.world_from_voxel);
        if placed && apart(left.as_flattened(), right.as_flattened()) {
            return Err(mismatch("affine", format!("{left:?}"), format!("{right:?}")));
        }
    }
    Ok(())
}

/// The type and scale that hold these values.
fn encoder(image: &NiftiImage, dtype: OutputType) -> Encoder {
    let float_slopes = image.header.version == Version::One;
    let stored = |value: f64| {
        if float_slopes {
            f64::from(value as f32)
        } else {
            value
        }
    };
    let (datatype, (slope, inter)) = match dtype {
        OutputType::Float32 => (Datatype::Float32, (1.0, 0.0)),
        OutputType::Int16 => (Datatype::Int16, int16_scale(&Span::of(&image.frames))),
        OutputType::Uint16 => (Datatype::Uint16, uint16_scale(&Span::of(&image.frames))),
        OutputType::Same => match image.header.datatype {
            Datatype::Float32 => (Datatype::Float32, (1.0, 0.0)),
            Datatype::Float64 => (Datatype::Float64, (1.0, 0.0)),
            Datatype::Int64 => (Datatype::Int32, image.header.scaling.unwrap_or((1.0, 0.0))),
            Datatype::Uint64 => (Datatype::Uint32, image.header.scaling.unwrap_or((1.0, 0.0))),
            datatype => (datatype, image.header.scaling.unwrap_or((1.0, 0.0))),
        },
    };
    Encoder {
        datatype,
        slope: stored(slope),
        inter: stored(inter),
        clamped: 0,
    }
}

/// The range of the finite values, zero included, and whether all are whole.
struct Span {
    least: f64,
    most: f64,
    whole: bool,
}

impl Span {
    fn of(frames: &[Volume]) -> Self {
        let mut span = Self {
            least: 0.0,
            most: 0.0,
            whole: true,
        };
        for value in frames
            .iter()
            .flat_map(Volume::data)
            .copied()
            .filter(|v| v.is_finite())
            .map(f64::from)
        {
            span.least = span.least.min(value);
            span.most = span.most.max(value);
            span.whole &= value.fract() == 0.0;
        }
        span
    }
}

/// Whole numbers that fit are kept; else the scale is symmetric about zero.
fn int16_scale(span: &Span) -> (f64, f64) {
    let most = span.most.max(-span.least);
    match span.whole && span.least >= -32768.0 && span.most <= 32767.0 {
        true => (1.0, 0.0),
        false => (short_above(most / 32767.0), 0.0),
    }
}

/// Whole numbers that fit are kept; else the scale starts at zero, or below it by a whole number of steps.
fn uint16_scale(span: &Span) -> (f64, f64) {
    if span.whole && span.least >= 0.0 && span.most <= 65535.0 {
        return (1.0, 0.0);
    }
    // One step is spared for the rounding of the offset to whole steps.
    let slope = short_above((span.most - span.least) / 65534.0);
    (slope, slope * (span.least / slope).round())
}

/// The smallest number of eight significant bits that is not below `value`, and is normal in f32. With such a
/// slope every multiple up to 2^16 is exact in f32, so that zero and the offset come back exactly.
fn short_above(value: f64) -> f64 {
    let value = value.max(f64::from(f32::MIN_POSITIVE) * 256.0);
    let step = (value.log2().floor() - 7.0).exp2();
    (value / step).ceil() * step
}

fn body(writer: &mut dyn Write, head: &[u8], frames: &[Volume], encoder: &mut Encoder) -> io::Result<()> {
    writer.write_all(head)?;
    let mut buffer = Vec::with_capacity(CHUNK_VOXELS * encoder.datatype.bytes());
    for chunk in frames.iter().flat_map(|frame| frame.data().chunks(CHUNK_VOXELS)) {
        buffer.clear();
        encoder.encode(chunk, &mut buffer);
        writer.write_all(&buffer)?;
    }
    Ok(())
}
