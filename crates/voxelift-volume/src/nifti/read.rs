//! NIfTI file -> [`NiftiImage`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::NiftiImage;
use super::frames::{FrameSource, Frames};
use super::header::{Extension, Header};
use super::layout::{Layout, Record};
use super::parse::{Parsed, parse, sniff};
use crate::error::{Result, VolumeError};
use crate::stored::{Decoder, ReadOptions, START, Source, StoredFrames, checked_voxels, foreign};

/// Extensions larger than this together are refused.
const MAX_EXTENSION_BYTES: u64 = 64 << 20;

/// Reads `.nii`, `.nii.gz` or a `.hdr`/`.img` pair (either name; each may be gzip): NIfTI-1 and NIfTI-2,
/// both byte orders, the ten scalar types, scaled in f64 and kept in f32.
///
/// # Errors
/// A message that names file, field, value and expectation; nothing is allocated for voxels that the file
/// cannot hold.
pub fn read(path: &Path, options: &ReadOptions) -> Result<NiftiImage> {
    open(path, options)?.into_image()
}

/// As [`read`], the volumes one after another.
///
/// # Errors
/// As [`read`], as far as the header tells.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Frames> {
    let AtVoxels {
        source,
        header,
        big_endian,
        voxels_a_frame,
        warnings,
    } = AtVoxels::open(path, options)?;
    let decoder = Decoder::new(header.datatype, big_endian, header.scaling);
    let stored = StoredFrames::new(source, decoder, voxels_a_frame, header.frames(), options)?;
    Ok(Frames::new(header, warnings, stored))
}

impl FrameSource for StoredFrames {
    fn frame(&mut self) -> Result<Vec<f32>> {
        Self::frame(self)
    }

    fn end(&mut self, _: &mut Header, warnings: &mut Vec<String>) -> Result<()> {
        match Self::end(self, warnings)?.finish()? {
            0 => {}
            behind => warnings.push(format!("{behind} bytes behind the voxel data were ignored")),
        }
        Ok(())
    }
}

/// A file standing at its first voxel, with room for all that its header claims.
pub(super) struct AtVoxels {
    pub source: Source,
    pub header: Header,
    pub big_endian: bool,
    pub voxels_a_frame: usize,
    pub warnings: Vec<String>,
}

impl AtVoxels {
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        let (mut source, parsed) = header_at(path)?;
        let Parsed {
            header,
            big_endian,
            pair,
            voxel_offset,
            mut warnings,
            ..
        } = parsed;
        let frames = header.frames();
        let voxels_a_frame = checked_voxels(source.path(), "dim", header.extent, frames, options)?;
        if pair {
            let behind = source.finish()?;
            if behind > 0 {
                warnings.push(format!(
                    "{behind} bytes behind the header and its extensions were ignored"
                ));
            }
            source = Source::open(&image_of(path)?)?;
            warnings.extend(source.misnamed());
        }
        // Cannot overflow: both counts were checked, and a voxel has at most eight bytes.
        let bytes = (voxels_a_frame * frames * header.datatype.bytes()) as u64;
        source.expect_room(
            "vox_offset and voxel data",
            (voxel_offset - source.position()).saturating_add(bytes),
        )?;
        source.skip_to("vox_offset", voxel_offset)?;
        Ok(Self {
            source,
            header,
            big_endian,
            voxels_a_frame,
            warnings,
        })
    }
}

/// What a header holds that no reader needs and that `doctor` reports, a sentence each.
///
/// # Errors
/// As [`read_header`].
pub fn leftovers(path: &Path) -> Result<Vec<String>> {
    let (_, parsed) = header_at(path)?;
    Ok(parsed.leftovers)
}

/// Reads and checks a header with its extensions, without the voxels; with warnings.
///
/// # Errors
/// As [`read`], as far as the header tells.
pub fn read_header(path: &Path) -> Result<(Header, Vec<String>)> {
    let (_, parsed) = header_at(path)?;
    Ok((parsed.header, parsed.warnings))
}

/// Opens the file that has the header and reads up to the end of its extensions.
fn header_at(path: &Path) -> Result<(Source, Parsed)> {
    let path = &header_of(path);
    let mut source = Source::open(path)?;
    let mut start = [0; 4];
    source.take("header", &mut start)?;
    let (version, big_endian) = match sniff(path, start) {
        Ok(found) => found,
        Err(error) => {
            let mut bytes = start.to_vec();
            bytes.resize(START + 16, 0);
            let there = source.fill(&mut bytes[4..])?;
            bytes.truncate(4 + there);
            return Err(match foreign(&bytes) {
                Some((kind, advice)) => VolumeError::unsupported(path, kind, advice),
                None => error,
            });
        }
    };
    let layout = Layout::of(version);
    let mut bytes = vec![0; layout.size];
    bytes[..4].copy_from_slice(&start);
    source.take("header", &mut bytes[4..])?;
    let record = Record {
        bytes,
        big_endian,
        layout,
    };
    let mut parsed = parse(path, version, &record)?;
    parsed.warnings.extend(source.misnamed());
    if parsed.pair != suffix_is(path, "hdr") {
        let (value, expected) = match parsed.pair {
            true => ("that of a .hdr/.img pair", "a name ending in .hdr or .hdr.gz"),
            false => ("that of a single file", "a name ending in .nii or .nii.gz"),
        };
        return Err(VolumeError::malformed(path, "magic", value, expected));
    }
    extensions(&mut source, &mut parsed)?;
    Ok((source, parsed))
}

/// Reads the chain of extensions between header and voxels. A broken link is no reason to refuse an
/// image: the rest of the chain is dropped with a warning.
fn extensions(source: &mut Source, parsed: &mut Parsed) -> Result<()> {
    let mut flag = [0; 4];
    // A lone header may end without the flag.
    if source.fill(&mut flag)? < 4 || flag[0] == 0 {
        return Ok(());
    }
    let first = source.position();
    let end = if parsed.pair {
        u64::MAX
    } else {
        parsed.voxel_offset
    };
    let int = |bytes: [u8; 4]| {
        if parsed.big_endian {
            i32::from_be_bytes(bytes)
        } else {
            i32::from_le_bytes(bytes)
        }
    };
    while end - source.position() >= 8 {
        let mut head = [0; 8];
        match source.fill(&mut head)? {
            0 if parsed.pair => break,
            8 => {}
            there => {
                let value = format!("cut short after {there} bytes");
                return Err(VolumeError::malformed(
                    source.path(),
                    "extension",
                    value,
                    "8 bytes of size and code",
                ));
            }
        }
        let [size, code] = [[0, 1, 2, 3], [4, 5, 6, 7]].map(|at| int(at.map(|i| head[i])));
        let length = u64::try_from(size).ok().and_then(|size| size.checked_sub(8));
        let Some(length) = length.filter(|length| *length <= end - source.position()) else {
            let place = source.position() - 8;
            parsed.warnings.push(format!(
                "the extension at byte {place} has size {size}; it and what follows is dropped"
            ));
            break;
        };
        if source.position() + length - first > MAX_EXTENSION_BYTES {
            let expected = format!("at most {MAX_EXTENSION_BYTES} bytes of extensions");
            return Err(VolumeError::malformed(
                source.path(),
                "extension size",
                size,
                expected,
            ));
        }
        source.expect_room("extension", length)?;
        let mut data = vec![0; length as usize];
        source.take("extension", &mut data)?;
        parsed.header.extensions.push(Extension { code, data });
    }
    Ok(())
}

/// The suffix of a name without a final `.gz` is `suffix`.
fn suffix_is(path: &Path, suffix: &str) -> bool {
    let bare = if is_gz(path) {
        path.with_extension("")
    } else {
        path.to_owned()
    };
    bare.extension().is_some_and(|e| e.eq_ignore_ascii_case(suffix))
}

fn is_gz(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}

/// `path` with its suffix (before a final `.gz`) changed, with or without `.gz`.
fn with_suffix(path: &Path, suffix: &str, gz: bool) -> PathBuf {
    let bare = if is_gz(path) {
        path.with_extension("")
    } else {
        path.to_owned()
    };
    let mut name = OsString::from(bare.with_extension(suffix));
    if gz {
        name.push(".gz");
    }
    name.into()
}

/// The file with the header of a given file: the `.hdr` beside an `.img`, else the file itself.
fn header_of(path: &Path) -> PathBuf {
    if !suffix_is(path, "img") {
        return path.to_owned();
    }
    [is_gz(path), !is_gz(path)]
        .map(|gz| with_suffix(path, "hdr", gz))
        .into_iter()
        .find(|header| header.exists())
        .unwrap_or_else(|| with_suffix(path, "hdr", is_gz(path)))
}

/// The other file of a header and image pair, either of whose names is given, where it is there.
pub fn other_half(path: &Path) -> Option<PathBuf> {
    let other = if suffix_is(path, "img") {
        "hdr"
    } else if suffix_is(path, "hdr") {
        "img"
    } else {
        return None;
    };
    let names = [is_gz(path), !is_gz(path)].map(|gz| with_suffix(path, other, gz));
    names.into_iter().find(|half| half.exists())
}

/// The file with the voxels of a pair, either of whose names is given.
fn image_of(path: &Path) -> Result<PathBuf> {
    if suffix_is(path, "img") {
        return Ok(path.to_owned());
    }
    let names = [is_gz(path), !is_gz(path)].map(|gz| with_suffix(path, "img", gz));
    names.into_iter().find(|image| image.exists()).ok_or_else(|| {
        let expected = "the voxels in a file of the same name ending in .img or .img.gz";
        VolumeError::malformed(path, "the other half of the pair", "missing", expected)
    })
}
