//! [`NiftiImage`] -> NIfTI file.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::NiftiImage;
use super::compose::header_bytes;
use super::encoder::Encoder;
use super::gzip::Member;
use super::header::{Header, Version};
use super::span::Span;
use super::spool::Spool;
use crate::error::{Result, VolumeError};
use crate::files::{folder_of, write_atomically};
use crate::stored::{BASE, Datatype};
use crate::volume::Volume;

/// Voxels encoded at a time.
const CHUNK_VOXELS: usize = 1 << 15;

/// The voxel type of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    let span = || {
        let mut span = Span::default();
        image.frames.iter().for_each(|frame| span.take_in(frame));
        span
    };
    let encoder = encoder(&image.header, options.dtype, span);
    put(path, &image.header, encoder, options, image.frames.iter().map(Ok))
}

/// As [`write()`], each volume as soon as it is made; no more than one is in memory. The explicit scale of an integer type
/// rests on all of them: they are set aside beside the output until the last is there.
///
/// # Errors
/// As [`write()`]; the first that making a volume gives.
pub fn write_frames<E: From<VolumeError>>(
    path: &Path,
    header: &Header,
    frames: impl IntoIterator<Item = std::result::Result<Volume, E>>,
    options: &WriteOptions,
) -> std::result::Result<WriteReport, E> {
    let mut frames = frames.into_iter();
    if header.frames() == 1 {
        let image = NiftiImage {
            header: header.clone(),
            frames: frames.collect::<std::result::Result<_, E>>()?,
            warnings: Vec::new(),
        };
        return Ok(write(path, &image, options)?);
    }
    if matches!(options.dtype, OutputType::Float32 | OutputType::Same) {
        let encoder = encoder(header, options.dtype, Span::default);
        return put(path, header, encoder, options, frames);
    }
    let failed = |action| move |source| VolumeError::io(path, action, source);
    let mut spool = Spool::new(folder_of(path)).map_err(failed("create a file in its folder"))?;
    frames.try_for_each(|frame| Ok::<_, E>(spool.append(&frame?).map_err(failed("write"))?))?;
    let encoder = encoder(header, options.dtype, || spool.span);
    let frames = spool.frames().map_err(failed("write"))?;
    let frames = frames.map(|frame| frame.map_err(failed("read back what was set aside for")));
    Ok(put(path, header, encoder, options, frames)?)
}

/// As [`write()`], of whole numbers that were read in two parts ([`Part`](crate::nifti::Part)): volumes of the upper and of the
/// lower ones. The type is that of the header.
///
/// # Errors
/// As [`write()`].
pub fn write_parts(
    path: &Path,
    header: &Header,
    [upper, lower]: [&[Volume]; 2],
    options: &WriteOptions,
) -> Result<WriteReport> {
    let (slope, inter) = header.scaling.unwrap_or((1.0, 0.0));
    let encoder = Encoder {
        datatype: header.datatype,
        slope,
        inter,
        clamped: 0,
    };
    let frames = upper
        .iter()
        .zip(lower)
        .map(|(upper, lower)| Ok(Parts([upper, lower])));
    put(path, header, encoder, options, frames)
}

/// Head and volumes, in one file or none.
fn put<V: Written, E: From<VolumeError>>(
    path: &Path,
    header: &Header,
    mut encoder: Encoder,
    options: &WriteOptions,
    frames: impl Iterator<Item = std::result::Result<V, E>>,
) -> std::result::Result<WriteReport, E> {
    let gzip = is_gzip_name(path)?;
    refuse_inputs(path, &options.inputs)?;
    let head = header_bytes(header, &encoder);
    let mut trouble = None;
    let body = |writer: &mut dyn Write| {
        writer.write_all(&head)?;
        let (mut count, mut stored) = (0, Vec::new());
        for frame in frames {
            let frame = frame.and_then(|frame| {
                check_grid(header, frame.grid())?;
                Ok(frame)
            });
            match frame {
                Ok(frame) => frame.encode(&mut encoder, &mut stored, writer)?,
                Err(error) => return Err(stop(&mut trouble, error)),
            }
            count += 1;
        }
        if count == header.frames() {
            return Ok(());
        }
        let (left, right) = (header.frames().to_string(), count.to_string());
        Err(stop(
            &mut trouble,
            mismatch("number of volumes", left, right).into(),
        ))
    };
    let written = write_atomically(path, options.force, |writer| packed(writer, gzip, body));
    // An error of a volume names the volume.
    if let Some(error) = trouble {
        return Err(error);
    }
    written?;
    Ok(WriteReport {
        datatype: encoder.datatype,
        scaling: (encoder.slope, encoder.inter),
        clamped: encoder.clamped,
    })
}

/// Keeps `error` for later; what is returned only ends the writing.
fn stop<E>(trouble: &mut Option<E>, error: E) -> io::Error {
    *trouble = Some(error);
    io::Error::other("a volume could not be made")
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
    let mut member = Member::new(writer)?;
    fill(&mut member)?;
    member.finish()
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

fn mismatch(field: &'static str, left: String, right: String) -> VolumeError {
    VolumeError::GridMismatch {
        field,
        left,
        right,
        advice: "the header must be resampled with the volume".into(),
    }
}

/// A header with another grid than the frame would put it in the wrong place.
fn check_grid(header: &Header, frame: &Volume) -> Result<()> {
    let (grid, other) = (header.geometry(), frame.geometry());
    if grid.extent != other.extent {
        let (left, right) = (format!("{:?}", grid.extent), format!("{:?}", other.extent));
        return Err(mismatch("extent", left, right));
    }
    let apart = |left: &[f64], right: &[f64]| left.iter().zip(right).any(|(l, r)| (l - r).abs() > 1e-4);
    let (left, right) = (grid.spacing_mm(), other.spacing_mm());
    if apart(&left, &right) {
        return Err(mismatch("spacing", format!("{left:?}"), format!("{right:?}")));
    }
    // Without codes nothing is known about the place, only about the voxel sizes.
    let placed = header.sform.is_some() || header.qform.is_some();
    let (left, right) = (grid.world_from_voxel, other.world_from_voxel);
    if placed && apart(left.as_flattened(), right.as_flattened()) {
        return Err(mismatch("affine", format!("{left:?}"), format!("{right:?}")));
    }
    Ok(())
}

/// The type and scale that hold values of this `span`, which is asked for only where the scale rests on it.
fn encoder(header: &Header, dtype: OutputType, span: impl FnOnce() -> Span) -> Encoder {
    let float_slopes = header.version == Version::One;
    let stored = |value: f64| {
        if float_slopes {
            f64::from(value as f32)
        } else {
            value
        }
    };
    let (datatype, (slope, inter)) = match dtype {
        OutputType::Float32 => (Datatype::Float32, (1.0, 0.0)),
        OutputType::Int16 => (Datatype::Int16, int16_scale(&span())),
        OutputType::Uint16 => (Datatype::Uint16, uint16_scale(&span())),
        OutputType::Same => match header.datatype {
            Datatype::Float32 => (Datatype::Float32, (1.0, 0.0)),
            Datatype::Float64 => (Datatype::Float64, (1.0, 0.0)),
            Datatype::Int64 => (Datatype::Int32, header.scaling.unwrap_or((1.0, 0.0))),
            Datatype::Uint64 => (Datatype::Uint32, header.scaling.unwrap_or((1.0, 0.0))),
            datatype => (datatype, header.scaling.unwrap_or((1.0, 0.0))),
        },
    };
    Encoder {
        datatype,
        slope: stored(slope),
        inter: stored(inter),
        clamped: 0,
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

fn encode(
    frame: &Volume,
    encoder: &mut Encoder,
    stored: &mut Vec<u8>,
    writer: &mut dyn Write,
) -> io::Result<()> {
    for chunk in frame.data().chunks(CHUNK_VOXELS) {
        stored.clear();
        encoder.encode(chunk.iter().map(|v| f64::from(*v)), stored);
        writer.write_all(stored)?;
    }
    Ok(())
}

/// What is written for a volume: itself, or the whole numbers of which two volumes hold the parts.
trait Written {
    fn grid(&self) -> &Volume;
    fn encode(&self, encoder: &mut Encoder, stored: &mut Vec<u8>, writer: &mut dyn Write) -> io::Result<()>;
}

impl<V: Borrow<Volume>> Written for V {
    fn grid(&self) -> &Volume {
        self.borrow()
    }

    fn encode(&self, encoder: &mut Encoder, stored: &mut Vec<u8>, writer: &mut dyn Write) -> io::Result<()> {
        encode(self.borrow(), encoder, stored, writer)
    }
}

/// The upper and the lower part of whole numbers.
struct Parts<'a>([&'a Volume; 2]);

impl Written for Parts<'_> {
    fn grid(&self) -> &Volume {
        self.0[0]
    }

    fn encode(&self, encoder: &mut Encoder, stored: &mut Vec<u8>, writer: &mut dyn Write) -> io::Result<()> {
        let [upper, lower] = self.0.map(|part| part.data().chunks(CHUNK_VOXELS));
        for (upper, lower) in upper.zip(lower) {
            stored.clear();
            let whole = upper.iter().zip(lower);
            encoder.encode(whole.map(|(u, l)| f64::from(*u) * BASE + f64::from(*l)), stored);
            writer.write_all(stored)?;
        }
        Ok(())
    }
}
