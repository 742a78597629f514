//! One DICOM image: where it lies, and its voxels.

use std::fs;
use std::path::{Path, PathBuf};

use super::elements::{Elements, Tag};
use super::pixels::Format;
use crate::error::{Result, VolumeError, one_line};
use crate::nifti::Datatype;

const PATIENT: Tag = (0x0010, 0x0020);
const SERIES: Tag = (0x0020, 0x000E);
const INSTANCE: Tag = (0x0008, 0x0018);
const INSTANCE_NUMBER: Tag = (0x0020, 0x0013);
const IMAGE_TYPE: Tag = (0x0008, 0x0008);
const POSITION: Tag = (0x0020, 0x0032);
const ORIENTATION: Tag = (0x0020, 0x0037);
const PIXEL_SPACING: Tag = (0x0028, 0x0030);
const SLICE_THICKNESS: Tag = (0x0018, 0x0050);
const SPACING_BETWEEN: Tag = (0x0018, 0x0088);
const REPETITION_TIME: Tag = (0x0018, 0x0080);
const ECHO_TIME: Tag = (0x0018, 0x0081);
const INVERSION_TIME: Tag = (0x0018, 0x0082);
const ECHO_NUMBER: Tag = (0x0018, 0x0086);
const TRIGGER_TIME: Tag = (0x0018, 0x1060);
const B_VALUE: Tag = (0x0018, 0x9087);
const TEMPORAL_POSITION: Tag = (0x0020, 0x0100);
const ACQUISITION_NUMBER: Tag = (0x0020, 0x0012);
const MOSAIC_IMAGES: Tag = (0x0019, 0x100A);
const ROWS: Tag = (0x0028, 0x0010);
const COLUMNS: Tag = (0x0028, 0x0011);
const SAMPLES: Tag = (0x0028, 0x0002);
const FRAMES: Tag = (0x0028, 0x0008);
const PHOTOMETRIC: Tag = (0x0028, 0x0004);
const BITS_ALLOCATED: Tag = (0x0028, 0x0100);
const BITS_STORED: Tag = (0x0028, 0x0101);
const HIGH_BIT: Tag = (0x0028, 0x0102);
const SIGNED: Tag = (0x0028, 0x0103);
const INTERCEPT: Tag = (0x0028, 0x1052);
const SLOPE: Tag = (0x0028, 0x1053);

/// No scanner scales beyond this, and stored values of 32 bits stay within f32.
const MOST_RESCALED: f64 = 1e28;

/// More than any compression that is read can shrink voxels (deflate: 258 bytes to two bits).
const MAX_RATIO: u64 = 1032;

/// By what the volumes at one place are distinguished, in this order, before the number of an image.
pub(super) const SEPARATORS: [&str; 7] = [
    "EchoTime",
    "EchoNumbers",
    "InversionTime",
    "DiffusionBValue",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "AcquisitionNumber",
];

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
    /// Whom it shows, by the archive's number; compared, never stored and never named.
    pub patient: String,
    /// Which image it is; compared, never kept.
    pub instance: String,
    pub number: Option<i64>,
    /// What kind of image it is, as `ORIGINAL\\PRIMARY\\M`.
    pub kind: String,
    /// The values of the [`SEPARATORS`].
    pub separators: [Option<f64>; SEPARATORS.len()],
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
    /// The type that holds its stored values.
    pub stored: Datatype,
    /// Bytes of the whole file on disk.
    pub file_bytes: u64,
    /// Slope and intercept.
    pub scaling: (f64, f64),
    format: Format,
}

impl Slice {
    /// The image in a file; `None` when the file is no DICOM file or holds no image.
    ///
    /// # Errors
    /// When it is an image that cannot be part of a classic series, or a file that ends before its image does.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let Some(elements) = Elements::open(path)? else {
            return Ok(None);
        };
        Attributes { path, elements }.slice().map(Some)
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
        let elements = Elements::open(&self.path)?.ok_or_else(|| failed("gone".to_owned()))?;
        let values = self.format.decode(&elements).map_err(failed)?;
        let (slope, intercept) = self.scaling;
        let mut not_finite = 0;
        out.extend(values.into_iter().map(|stored| {
            let scaled = (stored * slope + intercept) as f32;
            not_finite += u64::from(!scaled.is_finite());
            if scaled.is_finite() { scaled } else { 0.0 }
        }));
        Ok(not_finite)
    }
}

/// A file's attributes, whose errors name the file and the attribute.
struct Attributes<'a> {
    path: &'a Path,
    elements: Elements,
}

impl Attributes<'_> {
    fn slice(&self) -> Result<Slice> {
        let unsupported = |what: String, advice: &str| Err(VolumeError::unsupported(self.path, what, advice));
        const CONVERT: &str = "convert it to NIfTI with a tool made for it, such as dcm2niix";
        let frames = self.elements.number(FRAMES).unwrap_or(1.0);
        if frames != 1.0 || self.elements.enhanced {
            return unsupported(format!("an image of {frames} frames (enhanced DICOM)"), CONVERT);
        }
        if let Some(what) = self.elements.unread {
            return unsupported(what.to_owned(), CONVERT);
        }
        let kind = self.text(IMAGE_TYPE).to_ascii_uppercase();
        let tiled = self
            .elements
            .number(MOSAIC_IMAGES)
            .is_some_and(|n| n > 1.0 && n.fract() == 0.0);
        if tiled || kind.split('\\').any(|part| part.trim() == "MOSAIC") {
            return unsupported(
                "a Siemens mosaic (many slices tiled in one image)".to_owned(),
                CONVERT,
            );
        }
        let samples = self.elements.number(SAMPLES).unwrap_or(1.0);
        let photometric = self.text(PHOTOMETRIC);
        if samples != 1.0 || !matches!(photometric.as_str(), "MONOCHROME1" | "MONOCHROME2" | "") {
            let what = format!("an image of {samples} samples a voxel ({photometric})");
            return unsupported(what, "a scan has one, MONOCHROME2");
        }
        let count = |name: &str, tag| {
            let missing = || VolumeError::malformed(self.path, name, "missing", "a count from 1 to 65535");
            let value: f64 = self.elements.number(tag).ok_or_else(missing)?;
            let fits = value.fract() == 0.0 && (1.0..=65535.0).contains(&value);
            fits.then_some(value as usize)
                .ok_or_else(|| VolumeError::malformed(self.path, name, value, "a count from 1 to 65535"))
        };
        let syntax = self.elements.syntax.as_str();
        if let Some(name) = unread_compression(syntax) {
            let what = format!("transfer syntax {syntax} ({name})");
            return unsupported(
                what,
                "decompress the series first, for example with `gdcmconv -w`",
            );
        }
        let placed = [PIXEL_SPACING, ORIENTATION, POSITION];
        if placed.iter().all(|tag| self.text(*tag).is_empty()) {
            return unsupported(
                "an image without a place (no PixelSpacing, ImageOrientationPatient, ImagePositionPatient: a screen capture or a report?)"
                    .to_owned(),
                "move it out of the folder if the series is complete without it",
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
        // Rounded to three digits a unit vector is off by up to a thousandth.
        if (dot(x, x) - 1.0).abs() > 4e-3 || (dot(y, y) - 1.0).abs() > 4e-3 || dot(x, y).abs() > 4e-3 {
            let expected = "two unit vectors at right angles";
            return Err(VolumeError::malformed(
                self.path,
                "ImageOrientationPatient",
                format!("{along:?}"),
                expected,
            ));
        }
        let slope = self.rescale("RescaleSlope", SLOPE, 1.0)?;
        let intercept = self.rescale("RescaleIntercept", INTERCEPT, 0.0)?;
        if slope == 0.0 {
            let expected = "another number than 0, or no such attribute";
            return Err(VolumeError::malformed(self.path, "RescaleSlope", slope, expected));
        }
        let along = upright(along);
        let (rows, columns) = (count("Rows", ROWS)?, count("Columns", COLUMNS)?);
        let bits = |tag, otherwise| self.elements.number(tag).map_or(otherwise, |n| n as u32);
        let allocated = bits(BITS_ALLOCATED, 16);
        let stored = bits(BITS_STORED, allocated);
        let format = Format {
            rows,
            columns,
            allocated,
            stored,
            high: bits(HIGH_BIT, stored.saturating_sub(1)),
            signed: self.elements.number(SIGNED) == Some(1.0),
        };
        let number = |tag| self.elements.number(tag);
        Ok(Slice {
            format,
            kind,
            separators: [
                number(ECHO_TIME),
                number(ECHO_NUMBER),
                number(INVERSION_TIME),
                self.elements.double(B_VALUE),
                number(TEMPORAL_POSITION),
                number(TRIGGER_TIME),
                number(ACQUISITION_NUMBER),
            ],
            path: self.path.to_owned(),
            series: self.text(SERIES),
            patient: self.text(PATIENT),
            instance: self.text(INSTANCE),
            number: number(INSTANCE_NUMBER).map(|n| n as i64),
            columns,
            rows,
            spacing_mm: [column_mm, row_mm],
            along,
            position: self.required("ImagePositionPatient", POSITION)?,
            step_mm: [SPACING_BETWEEN, SLICE_THICKNESS]
                .into_iter()
                .find_map(|tag| number(tag).filter(|mm| *mm > 0.0)),
            repetition_ms: number(REPETITION_TIME),
            stored: self.stored(),
            file_bytes: fs::metadata(self.path)
                .map_err(|e| VolumeError::io(self.path, "read", e))?
                .len(),
            scaling: (slope, intercept),
        })
    }

    /// The NIfTI type that the stored values fit into.
    fn stored(&self) -> Datatype {
        let signed = self.elements.number(SIGNED) == Some(1.0);
        let allocated = self.elements.number(BITS_ALLOCATED).unwrap_or(16.0);
        match (allocated <= 8.0, allocated <= 16.0, signed) {
            (true, _, false) => Datatype::Uint8,
            (true, _, true) => Datatype::Int8,
            (_, true, true) => Datatype::Int16,
            // Unsigned values of 15 bits are as good in the type that every tool reads.
            (_, true, false) if self.elements.number(BITS_STORED).is_some_and(|bits| bits <= 15.0) => {
                Datatype::Int16
            }
            (_, true, false) => Datatype::Uint16,
            (.., true) => Datatype::Int32,
            (.., false) => Datatype::Uint32,
        }
    }

    /// A number of the rescaling, or what stands for it where it is missing or empty.
    fn rescale(&self, name: &str, tag: Tag, otherwise: f64) -> Result<f64> {
        let text = self.text(tag);
        if text.trim().is_empty() {
            return Ok(otherwise);
        }
        let number = self.elements.number(tag).filter(|n| n.abs() <= MOST_RESCALED);
        number.ok_or_else(|| {
            let expected = format!("one number between -{MOST_RESCALED:e} and {MOST_RESCALED:e}");
            VolumeError::malformed(self.path, name, one_line(&text), expected)
        })
    }

    fn text(&self, tag: Tag) -> String {
        self.elements.text(tag).unwrap_or_default()
    }

    /// So many finite numbers.
    fn required<const N: usize>(&self, name: &str, tag: Tag) -> Result<[f64; N]> {
        let numbers = self.elements.numbers(tag).unwrap_or_default();
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

/// Two vectors as they were before they were rounded: of unit length, and at right angles.
fn upright([x, y]: [[f64; 3]; 2]) -> [[f64; 3]; 2] {
    let dot = |p: [f64; 3], q: [f64; 3]| -> f64 { (0..3).map(|i| p[i] * q[i]).sum() };
    let unit = |v: [f64; 3]| v.map(|c| c / dot(v, v).sqrt());
    let (x, y) = (unit(x), unit(y));
    // What both lean towards one another is shared between them.
    let lean = dot(x, y) / 2.0;
    let apart: [f64; 3] = std::array::from_fn(|i| x[i] - lean * y[i]);
    let x = unit(apart);
    let rest = dot(x, y);
    [x, unit(std::array::from_fn(|i| y[i] - rest * x[i]))]
}
