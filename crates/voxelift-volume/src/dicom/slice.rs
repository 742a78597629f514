//! One DICOM image: where it lies, and its voxels.

use std::fs;
use std::path::{Path, PathBuf};

use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag, open_file};
use dicom_pixeldata::{DecodedPixelData, PixelDecoder, PixelRepresentation};

use crate::error::{Result, VolumeError, one_line};
use crate::nifti::Datatype;

const SERIES: Tag = Tag(0x0020, 0x000E);
const INSTANCE: Tag = Tag(0x0008, 0x0018);
const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
const POSITION: Tag = Tag(0x0020, 0x0032);
const ORIENTATION: Tag = Tag(0x0020, 0x0037);
const PIXEL_SPACING: Tag = Tag(0x0028, 0x0030);
const SLICE_THICKNESS: Tag = Tag(0x0018, 0x0050);
const SPACING_BETWEEN: Tag = Tag(0x0018, 0x0088);
const REPETITION_TIME: Tag = Tag(0x0018, 0x0080);
const ECHO_TIME: Tag = Tag(0x0018, 0x0081);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const SAMPLES: Tag = Tag(0x0028, 0x0002);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const SIGNED: Tag = Tag(0x0028, 0x0103);
const INTERCEPT: Tag = Tag(0x0028, 0x1052);
const SLOPE: Tag = Tag(0x0028, 0x1053);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// More than any compression that is read can shrink voxels (deflate: 258 bytes to two bits).
const MAX_RATIO: u64 = 1032;

/// What a transfer syntax compresses voxels with, where that is not read.
fn unread_compression(syntax: &str) -> Option<&'static str> {
    let number: u16 = syntax.strip_prefix("1.2.840.10008.1.2.4.")?.parse().ok()?;
    match number {
        80 | 81 => Some("JPEG-LS"),
        90..=93 => Some("JPEG 2000"),
        94 | 95 | 204 | 205 => Some("JPIP"),
        100..=108 => Some("video"),
        201..=203 => Some("High-Throughput JPEG 2000"),
        _ => None,
    }
}

/// An image of a series, without its voxels.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub path: PathBuf,
    /// Which series it belongs to; compared, never kept.
    pub series: String,
    /// Which image it is; compared, never kept.
    pub instance: String,
    pub number: i64,
    pub columns: usize,
    pub rows: usize,
    /// Distance between columns (along x) and between rows (along y), in mm.
    pub spacing_mm: [f64; 2],
    /// Unit vectors along x and y in the patient's LPS world.
    pub along: [[f64; 3]; 2],
    /// Centre of the first voxel in LPS mm.
    pub position: [f64; 3],
    /// Distance to the next slice, where the file says it, in mm.
    pub step_mm: Option<f64>,
    pub repetition_ms: Option<f64>,
    pub echo_ms: Option<f64>,
    /// The type that holds its stored values.
    pub stored: Datatype,
    /// Bytes of the whole file on disk.
    pub file_bytes: u64,
    /// Slope and intercept.
    pub scaling: (f64, f64),
}

impl Slice {
    /// The image in a file; `None` when the file is no DICOM file or holds no image.
    ///
    /// # Errors
    /// When it is an image that cannot be part of a classic series.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let Ok(object) = OpenFileOptions::new().read_until(PIXEL_DATA).open_file(path) else {
            return Ok(None);
        };
        let attributes = Attributes { path, object };
        if attributes.numbers(ROWS).is_none() {
            return Ok(None);
        }
        attributes.slice().map(Some)
    }

    /// Appends the voxels, x fastest, and says how many were beyond f32 (and became 0).
    ///
    /// # Errors
    /// When the compression is not read, or there are not as many voxels as rows and columns say.
    pub fn append_voxels(&self, out: &mut Vec<f32>) -> Result<u64> {
        let failed = |value: String| {
            let expected = "voxels that are uncompressed, RLE, deflated or (lossless) JPEG";
            VolumeError::malformed(&self.path, "PixelData", one_line(&value), expected)
        };
        let (there, wanted) = (self.file_bytes, self.rows * self.columns * self.stored.bytes());
        if wanted as u64 > there.saturating_mul(MAX_RATIO) {
            return Err(failed(format!(
                "in a file of {there} bytes, not the {wanted} of Rows and Columns"
            )));
        }
        let object = open_file(&self.path).map_err(|e| failed(chain(&e)))?;
        let decoded = object.decode_pixel_data().map_err(|e| failed(chain(&e)))?;
        let pixels = Pixels::of(&decoded).map_err(failed)?;
        let (there, wanted) = (pixels.count(), self.rows * self.columns);
        if there < wanted {
            return Err(failed(format!("{there} voxels of {}", self.stored)));
        }
        let (slope, intercept) = self.scaling;
        let mut not_finite = 0;
        out.extend((0..wanted).map(|i| {
            let scaled = (pixels.stored(i) * slope + intercept) as f32;
            not_finite += u64::from(!scaled.is_finite());
            if scaled.is_finite() { scaled } else { 0.0 }
        }));
        Ok(not_finite)
    }
}

/// The bytes of a decoded image and how to understand them.
struct Pixels<'a> {
    bytes: &'a [u8],
    width: usize,
    /// Bits above and below the value in its bytes.
    above: u32,
    below: u32,
    signed: bool,
}

impl<'a> Pixels<'a> {
    fn of(decoded: &'a DecodedPixelData<'_>) -> std::result::Result<Self, String> {
        let (allocated, stored, high) = (
            decoded.bits_allocated(),
            decoded.bits_stored(),
            decoded.high_bit(),
        );
        if ![8, 16, 32].contains(&allocated) || stored == 0 || stored > high + 1 || high >= allocated {
            return Err(format!(
                "of {allocated} bits, {stored} of them stored, the highest {high}"
            ));
        }
        Ok(Self {
            bytes: decoded.data(),
            width: usize::from(allocated / 8),
            above: 31 - u32::from(high),
            below: u32::from(high + 1 - stored),
            signed: decoded.pixel_representation() == PixelRepresentation::Signed,
        })
    }

    fn count(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// The value of voxel `i`: what lies outside its stored bits (old overlays) is dropped.
    fn stored(&self, i: usize) -> f64 {
        let bytes = &self.bytes[i * self.width..(i + 1) * self.width];
        let bits = match *bytes {
            [a] => u32::from(a),
            [a, b] => u32::from(u16::from_ne_bytes([a, b])),
            [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
            _ => unreachable!("a width of 1, 2 or 4 bytes"),
        };
        let left = bits << self.above;
        if self.signed {
            f64::from((left as i32) >> (self.above + self.below))
        } else {
            f64::from(left >> (self.above + self.below))
        }
    }
}

/// A file's attributes, whose errors name the file and the attribute.
struct Attributes<'a> {
    path: &'a Path,
    object: DefaultDicomObject,
}

impl Attributes<'_> {
    fn slice(&self) -> Result<Slice> {
        let unsupported = |what: String, advice: &str| Err(VolumeError::unsupported(self.path, what, advice));
        if let Some(frames) = self.number(FRAMES).filter(|frames| *frames != 1.0) {
            let what = format!("an image of {frames} frames (enhanced DICOM)");
            return unsupported(
                what,
                "convert it to NIfTI with a tool made for it, such as dcm2niix",
            );
        }
        let samples = self.number(SAMPLES).unwrap_or(1.0);
        let photometric = self.text(PHOTOMETRIC);
        if samples != 1.0 || !matches!(photometric.as_str(), "MONOCHROME1" | "MONOCHROME2" | "") {
            let what = format!("an image of {samples} samples a voxel ({photometric})");
            return unsupported(what, "a scan has one, MONOCHROME2");
        }
        let count = |name: &str, tag| {
            let value = self.required::<1>(name, tag)?[0];
            let fits = value.fract() == 0.0 && (1.0..=65535.0).contains(&value);
            fits.then_some(value as usize)
                .ok_or_else(|| VolumeError::malformed(self.path, name, value, "a count from 1 to 65535"))
        };
        let syntax = self.object.meta().transfer_syntax();
        if let Some(name) = unread_compression(syntax) {
            let what = format!("transfer syntax {syntax} ({name})");
            return unsupported(
                what,
                "decompress the series first, for example with `gdcmconv --raw`",
            );
        }
        let [row_mm, column_mm] = self.required("PixelSpacing", PIXEL_SPACING)?;
        if !(row_mm > 0.0 && column_mm > 0.0) {
            let value = format!("{row_mm}\\{column_mm}");
            return Err(VolumeError::malformed(
                self.path,
                "PixelSpacing",
                value,
                "two positive lengths in mm",
            ));
        }
        let [a, b, c, d, e, f] = self.required("ImageOrientationPatient", ORIENTATION)?;
        let along = [[a, b, c], [d, e, f]];
        let dot = |p: [f64; 3], q: [f64; 3]| -> f64 { (0..3).map(|i| p[i] * q[i]).sum() };
        let [x, y] = along;
        if (dot(x, x) - 1.0).abs() > 1e-3 || (dot(y, y) - 1.0).abs() > 1e-3 || dot(x, y).abs() > 1e-3 {
            let expected = "two unit vectors at right angles";
            return Err(VolumeError::malformed(
                self.path,
                "ImageOrientationPatient",
                format!("{along:?}"),
                expected,
            ));
        }
        let slope = self.number(SLOPE).unwrap_or(1.0);
        let intercept = self.number(INTERCEPT).unwrap_or(0.0);
        if slope == 0.0 {
            let expected = "another number than 0, or no such attribute";
            return Err(VolumeError::malformed(self.path, "RescaleSlope", slope, expected));
        }
        Ok(Slice {
            path: self.path.to_owned(),
            series: self.text(SERIES),
            instance: self.text(INSTANCE),
            number: self.number(INSTANCE_NUMBER).unwrap_or(0.0) as i64,
            columns: count("Columns", COLUMNS)?,
            rows: count("Rows", ROWS)?,
            spacing_mm: [column_mm, row_mm],
            along,
            position: self.required("ImagePositionPatient", POSITION)?,
            step_mm: [SPACING_BETWEEN, SLICE_THICKNESS]
                .into_iter()
                .find_map(|tag| self.number(tag).filter(|mm| *mm > 0.0)),
            repetition_ms: self.number(REPETITION_TIME),
            echo_ms: self.number(ECHO_TIME),
            stored: self.stored(),
            file_bytes: fs::metadata(self.path)
                .map_err(|e| VolumeError::io(self.path, "read", e))?
                .len(),
            scaling: (slope, intercept),
        })
    }

    /// The NIfTI type that the stored values fit into.
    fn stored(&self) -> Datatype {
        let signed = self.number(SIGNED) == Some(1.0);
        let allocated = self.number(BITS_ALLOCATED).unwrap_or(16.0);
        match (allocated <= 8.0, allocated <= 16.0, signed) {
            (true, _, false) => Datatype::Uint8,
            (true, _, true) => Datatype::Int8,
            (_, true, true) => Datatype::Int16,
            // Unsigned values of 15 bits are as good in the type that every tool reads.
            (_, true, false) if self.number(BITS_STORED).is_some_and(|bits| bits <= 15.0) => Datatype::Int16,
            (_, true, false) => Datatype::Uint16,
            (.., true) => Datatype::Int32,
            (.., false) => Datatype::Uint32,
        }
    }

    fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        self.object.get(tag)?.to_multi_float64().ok()
    }

    /// A finite number where there is one.
    fn number(&self, tag: Tag) -> Option<f64> {
        self.numbers(tag)?
            .first()
            .copied()
            .filter(|number| number.is_finite())
    }

    fn text(&self, tag: Tag) -> String {
        let text = self.object.get(tag).and_then(|element| element.to_str().ok());
        text.map(|text| text.trim_end_matches(['\0', ' ']).to_owned())
            .unwrap_or_default()
    }

    /// So many finite numbers.
    fn required<const N: usize>(&self, name: &str, tag: Tag) -> Result<[f64; N]> {
        let numbers = self.numbers(tag).unwrap_or_default();
        let finite = numbers.iter().all(|number| number.is_finite());
        <[f64; N]>::try_from(numbers.as_slice())
            .ok()
            .filter(|_| finite)
            .ok_or_else(|| {
                let value = if numbers.is_empty() {
                    "missing".to_owned()
                } else {
                    format!("{numbers:?}")
                };
                VolumeError::malformed(self.path, name, value, format!("{N} finite number(s)"))
            })
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
