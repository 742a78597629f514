//! Layer 3 · FreeSurfer's MGH and MGZ: read only.
//!
//! The 284 bytes of the header are big-endian and place the volume by its centre (FreeSurfer, `mghRead`):
//! `world_from_voxel = M diag(spacing)`, with `c_ras` at index `extent / 2`. What follows the voxels (timing, then tags,
//! among them the command lines that made the file) is not carried, but for the repetition time.
//!
//! ```no_run
//! use voxelift_volume::mgh;
//! use voxelift_volume::nifti::ReadOptions;
//!
//! let path = "subjects/01/mri/T1.mgz".as_ref();
//! assert!(mgh::is_name(path));
//! let image = mgh::open(path, &ReadOptions::default())?.into_image()?;
//! println!("{:?}", image.volume()?.geometry().spacing_mm());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::Path;

use crate::error::{Result, VolumeError};
use crate::nifti::{Datatype, FrameSource, Frames, Header, ReadOptions};
use crate::stored::{Decoder, Source, StoredFrames, checked_voxels};
use crate::volume::{Affine, Geometry, affine_fault};

/// Bytes before the first voxel.
const HEADER_BYTES: usize = 284;

/// More volumes than this in one file are refused: each costs memory beside its voxels.
const MAX_FRAMES: usize = 1 << 16;

/// Whether a name is that of an MGH file: `.mgh`, `.mgz` or `.mgh.gz`.
pub fn is_name(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    [".mgh", ".mgz", ".mgh.gz"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Opens an MGH file, plain or gzip whatever its name says, with a new header: sform and qform of code 1, the scanner's
/// world.
///
/// # Errors
/// As [`nifti::open`](crate::nifti::open): file, field, value and expectation.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Frames> {
    let (source, header, warnings) = at_voxels(path)?;
    let frames = header.frames();
    let voxels = checked_voxels(path, "width, height, depth", header.extent, frames, options)?;
    let decoder = Decoder::new(header.datatype, true, None);
    let stored = StoredFrames::new(source, decoder, voxels, frames, options)?;
    Ok(Frames::new(header, warnings, MghFrames(stored)))
}

struct MghFrames(StoredFrames);

impl FrameSource for MghFrames {
    fn frame(&mut self) -> Result<Vec<f32>> {
        self.0.frame()
    }

    fn end(&mut self, header: &mut Header, warnings: &mut Vec<String>) -> Result<()> {
        let source = self.0.end(warnings)?;
        // The repetition time in ms is the first of the numbers behind the voxels, which older files do not have.
        let mut footer = [0; 4];
        if source.fill(&mut footer)? == 4 && header.frames() > 1 {
            let repetition = f64::from(f32::from_be_bytes(footer)) / 1000.0;
            header.extra_spacing[0] = if repetition.is_finite() { repetition } else { 0.0 };
        }
        source.finish()?;
        Ok(())
    }
}

/// Reads and checks the header alone.
///
/// # Errors
/// As [`open`].
pub fn read_header(path: &Path) -> Result<(Header, Vec<String>)> {
    let (_, header, warnings) = at_voxels(path)?;
    Ok((header, warnings))
}

/// The file, standing at its first voxel, and what its header says.
fn at_voxels(path: &Path) -> Result<(Source, Header, Vec<String>)> {
    let mut source = Source::open(path)?;
    let mut bytes = [0; HEADER_BYTES];
    source.take("header", &mut bytes)?;
    let int = |at: usize| i32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
    let float = |at: usize| f64::from(f32::from_be_bytes(std::array::from_fn(|i| bytes[at + i])));

    if int(0) != 1 {
        let expected = "1: is it an MGH file?";
        return Err(VolumeError::malformed(path, "version", int(0), expected));
    }
    let count = |field: &str, at: usize| {
        let count = usize::try_from(int(at)).ok().filter(|count| *count > 0);
        count.ok_or_else(|| VolumeError::malformed(path, field, int(at), "a positive count"))
    };
    let extent = [count("width", 4)?, count("height", 8)?, count("depth", 12)?];
    let frames = count("nframes", 16)?;
    if frames > MAX_FRAMES {
        let expected = format!("at most {MAX_FRAMES} volumes in a file");
        return Err(VolumeError::malformed(path, "nframes", frames, expected));
    }
    let datatype = datatype(path, int(20))?;

    let mut warnings = Vec::new();
    let placed = [bytes[28], bytes[29]] != [0, 0];
    let world_from_voxel = if placed {
        let spacing = [30, 34, 38].map(float);
        // Nine direction cosines, a column an axis; then the centre.
        let centred = std::array::from_fn(|row| {
            std::array::from_fn(|column| match column {
                3 => float(78 + 4 * row),
                axis => float(42 + 12 * axis + 4 * row) * spacing[axis],
            })
        });
        cornered(&centred, extent)
    } else {
        warnings.push(
            "goodRASFlag is 0: 1 mm voxels in coronal slices are assumed, left and right are a guess".into(),
        );
        let coronal = [[-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0]];
        cornered(&coronal, extent)
    };
    let geometry = Geometry {
        extent,
        world_from_voxel,
    };
    if let Some((value, expected)) = affine_fault(&world_from_voxel) {
        let field = "spacing, direction cosines and c_ras";
        return Err(VolumeError::malformed(path, field, value, expected));
    }
    let mut header = Header::new(&geometry);
    header.datatype = datatype;
    if frames > 1 {
        header.extra_extent = vec![frames];
    }
    Ok((source, header, warnings))
}

/// An affine whose last column is the place of the voxel at `extent / 2`, with that of voxel 0 instead.
fn cornered(centred: &Affine, extent: [usize; 3]) -> Affine {
    centred.map(|row| {
        let centre: f64 = (0..3).map(|axis| row[axis] * extent[axis] as f64 / 2.0).sum();
        [row[0], row[1], row[2], row[3] - centre]
    })
}

fn datatype(path: &Path, code: i32) -> Result<Datatype> {
    let refused = match code {
        0 => return Ok(Datatype::Uint8),
        1 => return Ok(Datatype::Int32),
        3 => return Ok(Datatype::Float32),
        4 => return Ok(Datatype::Int16),
        10 => return Ok(Datatype::Uint16),
        2 => "MRI_LONG",
        5 => "MRI_BITMAP",
        6 => "MRI_TENSOR",
        7 => "MRI_FLOAT_COMPLEX",
        8 => "MRI_DOUBLE_COMPLEX",
        9 => "MRI_RGB",
        _ => {
            let expected = "0 (uint8), 1 (int32), 3 (float32), 4 (int16) or 10 (uint16)";
            return Err(VolumeError::malformed(path, "type", code, expected));
        }
    };
    let what = format!("voxel type {refused} (type {code})");
    let advice = "convert it to uint8, int16, int32 or float32 with mri_convert";
    Err(VolumeError::unsupported(path, what, advice))
}
