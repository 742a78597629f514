//! A DICOM file's elements, read from hostile bytes: every length against the bytes that are left, nesting counted, inflation
//! bounded. Values are kept of the few elements that are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use flate2::read::DeflateDecoder;

pub(super) use super::walk::Tag;
use super::walk::{PIXEL_DATA, UNDEFINED, Walk};
use crate::error::{Result, VolumeError};

/// One image has no more bytes than this.
const MOST_BYTES: u64 = 1 << 30;
/// A deflated file may grow to this, and to so many times its size: an image shrinks less.
const MOST_INFLATED: u64 = 16 << 20;
const MOST_RATIO: u64 = 64;
/// Values longer than this are none of those asked for.
const MOST_VALUE: usize = 4096;

const SYNTAX: Tag = (0x0002, 0x0010);
const MEDIA_CLASS: Tag = (0x0002, 0x0002);
const CLASS: Tag = (0x0008, 0x0016);
const ROWS: Tag = (0x0028, 0x0010);
const FUNCTIONAL_GROUPS: Tag = (0x5200, 0x9229);
const FLOAT_PIXELS: [Tag; 2] = [(0x7FE0, 0x0008), (0x7FE0, 0x0009)];
const MODALITY_TABLE: Tag = (0x0028, 0x3000);

/// Where an image's voxels are in [`Elements::bytes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PixelData {
    /// As they are.
    Plain(Range<usize>),
    /// Compressed, in pieces.
    Fragments(Vec<Range<usize>>),
}

/// The elements of a file up to its voxels.
#[derive(Debug)]
pub(super) struct Elements {
    /// The transfer syntax; empty where the file does not say it.
    pub syntax: String,
    pub big_endian: bool,
    /// The bytes that [`PixelData`] points into.
    pub bytes: Vec<u8>,
    pub pixels: Option<PixelData>,
    /// Whether the image describes its frames in functional groups, as enhanced DICOM does.
    pub enhanced: bool,
    /// What of it is not read, where it holds any such: its voxels would not be what they mean.
    pub unread: Option<&'static str>,
    values: BTreeMap<Tag, Vec<u8>>,
}

impl Elements {
    /// The elements of a file; `None` where it is no DICOM file or holds no image.
    ///
    /// # Errors
    /// When it is a DICOM file, or is named as one, and ends before it should or is damaged.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let failed = |source| VolumeError::io(path, "read", source);
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut start = Vec::new();
        file.by_ref().take(132).read_to_end(&mut start).map_err(failed)?;
        let Some(begin) = begin(&start) else {
            let named = path.extension().is_some_and(|e| {
                ["dcm", "ima", "dicom"]
                    .iter()
                    .any(|ending| e.eq_ignore_ascii_case(ending))
            });
            return match (size, named) {
                (0, _) => Err(damaged(path, "empty".to_owned())),
                (_, true) => Err(damaged(path, "named as a DICOM image, and is none".to_owned())),
                _ => Ok(None),
            };
        };
        if size > MOST_BYTES {
            let value = format!("{size} bytes long");
            let expected = format!("at most {MOST_BYTES} bytes for one image");
            return Err(VolumeError::malformed(path, "the DICOM file", value, expected));
        }
        let mut bytes = start;
        file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        let elements = Self::parse(bytes, begin).map_err(|value| damaged(path, value))?;
        if elements.number(ROWS).is_none() {
            return match elements.text(CLASS).or(elements.text(MEDIA_CLASS)) {
                Some(class) if is_image_class(&class) => {
                    Err(damaged(path, "cut short before its image".to_owned()))
                }
                _ => Ok(None),
            };
        }
        Ok(Some(elements))
    }

    /// # Errors
    /// In words, where the bytes are damaged.
    fn parse(bytes: Vec<u8>, begin: usize) -> std::result::Result<Self, String> {
        let mut elements = Self {
            syntax: String::new(),
            big_endian: false,
            bytes,
            pixels: None,
            enhanced: false,
            unread: None,
            values: BTreeMap::new(),
        };
        let mut at = begin;
        let mut meta = Walk {
            bytes: &elements.bytes,
            at,
            explicit: true,
            big_endian: false,
        };
        while meta.group() == Some(0x0002) {
            let head = meta.head()?;
            let value = meta.value(&head)?;
            let bytes = elements.bytes[value].to_vec();
            elements.values.insert(head.tag, bytes);
            at = meta.at;
        }
        elements.syntax = elements.text(SYNTAX).unwrap_or_default();
        if elements.syntax == "1.2.840.10008.1.2.1.99" {
            let stored = &elements.bytes[at..];
            let most = MOST_INFLATED + MOST_RATIO * stored.len() as u64;
            let mut inflated = Vec::new();
            let read = DeflateDecoder::new(stored)
                .take(most + 1)
                .read_to_end(&mut inflated);
            if inflated.len() as u64 > most {
                return Err(format!(
                    "deflated: {} bytes become more than {most}",
                    stored.len()
                ));
            }
            read.map_err(|e| format!("deflated, and cut short or damaged ({e})"))?;
            (elements.bytes, at) = (inflated, 0);
        }
        elements.big_endian = elements.syntax == "1.2.840.10008.1.2.2";
        let explicit = match elements.syntax.as_str() {
            "1.2.840.10008.1.2" => false,
            "" => elements
                .bytes
                .get(at + 4..at + 6)
                .is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase)),
            _ => true,
        };
        let mut walk = Walk {
            bytes: &elements.bytes,
            at,
            explicit,
            big_endian: elements.big_endian,
        };
        while walk.at < walk.bytes.len() {
            let head = walk.head()?;
            if head.tag == PIXEL_DATA {
                elements.pixels = Some(match head.length {
                    UNDEFINED => PixelData::Fragments(walk.fragments()?),
                    _ => PixelData::Plain(walk.value(&head)?),
                });
                break;
            }
            elements.enhanced |= head.tag == FUNCTIONAL_GROUPS;
            if head.tag == MODALITY_TABLE && head.length != 0 {
                elements.unread = Some("a Modality LUT, a table between stored values and intensities,");
            } else if FLOAT_PIXELS.contains(&head.tag) {
                elements.unread = Some("an image of floating-point voxels");
            }
            if head.length == UNDEFINED {
                walk.skip_sequence(&head, 0)?;
                continue;
            }
            let value = walk.value(&head)?;
            if value.len() <= MOST_VALUE {
                let bytes = walk.bytes[value].to_vec();
                elements.values.insert(head.tag, bytes);
            }
        }
        Ok(elements)
    }

    /// An element's text without its padding, where it is there and not empty.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let text = String::from_utf8_lossy(self.values.get(&tag)?);
        let text = text.trim_matches(['\0', ' ']).to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Numbers written as text, separated by backslashes.
    pub fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        let text = self.text(tag)?;
        text.split('\\')
            .map(|number| number.trim().parse().ok())
            .collect()
    }

    /// A whole number of two or four bytes, or the first of those written as text.
    pub fn number(&self, tag: Tag) -> Option<f64> {
        let binary = matches!(tag, (0x0028, 0x0002 | 0x0010 | 0x0011 | 0x0100..=0x0103));
        if !binary {
            return self.numbers(tag)?.first().copied().filter(|n| n.is_finite());
        }
        let big = self.big_endian;
        match *self.values.get(&tag)?.as_slice() {
            [a, b] => Some(f64::from(if big {
                u16::from_be_bytes([a, b])
            } else {
                u16::from_le_bytes([a, b])
            })),
            [a, b, c, d] => {
                let four = [a, b, c, d];
                Some(f64::from(if big {
                    u32::from_be_bytes(four)
                } else {
                    u32::from_le_bytes(four)
                }))
            }
            _ => None,
        }
    }

    /// A number of eight bytes in IEEE double.
    pub fn double(&self, tag: Tag) -> Option<f64> {
        let eight = <[u8; 8]>::try_from(self.values.get(&tag)?.as_slice()).ok()?;
        let number = if self.big_endian {
            f64::from_be_bytes(eight)
        } else {
            f64::from_le_bytes(eight)
        };
        number.is_finite().then_some(number)
    }
}

fn damaged(path: &Path, value: String) -> VolumeError {
    let expected = "a whole image; copy it again, or remove it if the series is complete without it";
    VolumeError::malformed(path, "the DICOM file", value, expected)
}

/// Where the first element is: behind preamble and magic, or at the start of older files, which have neither.
fn begin(start: &[u8]) -> Option<usize> {
    if start.get(128..132) == Some(b"DICM") {
        return Some(132);
    }
    let [a, b, c, d, rest @ ..] = start else {
        return None;
    };
    let (group, element) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
    let plausible = matches!(rest, [x, y, ..] if x.is_ascii_uppercase() && y.is_ascii_uppercase())
        || matches!(rest, [_, y, 0, 0, ..] if *y < 2);
    ((group == 0x0008 || group == 0x0002) && element < 0x0100 && plausible).then_some(0)
}

/// MR, CT and secondary captures: whatever holds one of these has an image.
fn is_image_class(class: &str) -> bool {
    let images = ["4", "4.1", "4.4", "2", "2.1", "7"];
    class
        .strip_prefix("1.2.840.10008.5.1.4.1.1.")
        .is_some_and(|last| images.contains(&last))
}
