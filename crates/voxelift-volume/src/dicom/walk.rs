//! A way along the elements of a DICOM file: heads, values, sequences and fragments, each length against the bytes that are left.

use std::ops::Range;

/// Group and element number.
pub type Tag = (u16, u16);

/// The element that holds an image's voxels.
pub const PIXEL_DATA: Tag = (0x7FE0, 0x0010);

/// Sequences within sequences; real ones have four or five.
const MOST_NESTING: usize = 32;

/// The length of a value that ends with a delimiter.
pub const UNDEFINED: u32 = u32::MAX;
const ITEM: Tag = (0xFFFE, 0xE000);
const ITEM_END: Tag = (0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = (0xFFFE, 0xE0DD);

/// An element without its value.
pub struct Head {
    pub tag: Tag,
    pub length: u32,
    /// A value of unknown type: what is in it is written without types.
    pub unknown: bool,
}

/// A place among elements.
pub struct Walk<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub explicit: bool,
    pub big_endian: bool,
}

impl Walk<'_> {
    pub fn group(&self) -> Option<u16> {
        let two = self.bytes.get(self.at..self.at + 2)?;
        Some(self.two([two[0], two[1]]))
    }

    fn two(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let there = self.bytes.get(self.at..self.at + N);
        let there = there.ok_or_else(|| format!("cut short at byte {}", self.at))?;
        self.at += N;
        Ok(there.try_into().expect("as many as were asked for"))
    }

    fn take_two(&mut self) -> Result<u16, String> {
        let bytes = self.take()?;
        Ok(self.two(bytes))
    }

    fn take_four(&mut self) -> Result<u32, String> {
        let bytes = self.take()?;
        Ok(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    pub fn head(&mut self) -> Result<Head, String> {
        let tag = (self.take_two()?, self.take_two()?);
        if !self.explicit || tag.0 == 0xFFFE {
            let length = self.take_four()?;
            return Ok(Head {
                tag,
                length,
                unknown: false,
            });
        }
        let vr: [u8; 2] = self.take()?;
        if !vr.iter().all(u8::is_ascii_uppercase) {
            return Err(format!(
                "damaged at byte {}: an element without a type",
                self.at - 2
            ));
        }
        let long = [
            "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV",
        ];
        let length = if long.iter().any(|long| long.as_bytes() == vr) {
            self.take::<2>()?;
            self.take_four()?
        } else {
            u32::from(self.take_two()?)
        };
        Ok(Head {
            tag,
            length,
            unknown: &vr == b"UN",
        })
    }

    /// The bytes of a value of known length, which are passed over.
    pub fn value(&mut self, head: &Head) -> Result<Range<usize>, String> {
        let (left, (group, element)) = (self.bytes.len() - self.at, head.tag);
        let what = match head.tag {
            PIXEL_DATA => "PixelData".to_owned(),
            _ => format!("element ({group:04x},{element:04x})"),
        };
        let length = head.length as usize;
        if head.length == UNDEFINED || length > left {
            return Err(format!(
                "cut short: {what} claims {} bytes, {left} are left",
                head.length
            ));
        }
        self.at += length;
        Ok(self.at - length..self.at)
    }

    /// Passes over a sequence without a length, and what is nested in it.
    pub fn skip_sequence(&mut self, head: &Head, depth: usize) -> Result<(), String> {
        if depth > MOST_NESTING {
            return Err(format!("nested more than {MOST_NESTING} sequences deep"));
        }
        let explicit = self.explicit;
        self.explicit &= !head.unknown;
        loop {
            let item = self.head()?;
            match (item.tag, item.length) {
                (SEQUENCE_END, _) => break,
                (ITEM, UNDEFINED) => loop {
                    let inner = self.head()?;
                    match (inner.tag, inner.length) {
                        (ITEM_END, _) => break,
                        (_, UNDEFINED) => self.skip_sequence(&inner, depth + 1)?,
                        _ => {
                            self.value(&inner)?;
                        }
                    }
                },
                (ITEM, _) => {
                    self.value(&item)?;
                }
                ((group, element), _) => {
                    return Err(format!(
                        "damaged: ({group:04x},{element:04x}) where an item should be"
                    ));
                }
            }
        }
        self.explicit = explicit;
        Ok(())
    }

    /// The pieces of compressed voxels, without the table of offsets before them.
    pub fn fragments(&mut self) -> Result<Vec<Range<usize>>, String> {
        let mut pieces = Vec::new();
        loop {
            let item = self.head().map_err(|e| format!("PixelData is {e}"))?;
            match item.tag {
                SEQUENCE_END => break,
                ITEM => pieces.push(self.value(&Head {
                    tag: PIXEL_DATA,
                    ..item
                })?),
                _ => return Err("PixelData is damaged: a piece is missing".to_owned()),
            }
        }
        if pieces.is_empty() {
            return Err("PixelData has no piece".to_owned());
        }
        Ok(pieces.split_off(1))
    }
}
