//! Voxels out of an image's bytes: plain, run-length encoded or JPEG.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::elements::{Elements, PixelData};

/// How an image's voxels are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub rows: usize,
    pub columns: usize,
    /// Bits a voxel takes, those of them that hold its value, and the highest of these.
    pub allocated: u32,
    pub stored: u32,
    pub high: u32,
    pub signed: bool,
}

impl Format {
    /// # Errors
    /// In words, where the bits make no sense.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            allocated,
            stored,
            high,
            ..
        } = *self;
        if [8, 16, 32].contains(&allocated) && stored > 0 && stored <= high + 1 && high < allocated {
            return Ok(());
        }
        Err(format!(
            "of {allocated} bits, {stored} of them stored, the highest {high}"
        ))
    }

    fn voxels(&self) -> usize {
        self.rows * self.columns
    }

    fn width(&self) -> usize {
        self.allocated as usize / 8
    }

    /// The voxels' values, x fastest.
    ///
    /// # Errors
    /// In words, where there are not as many as rows and columns say, or their compression is damaged or not read.
    pub fn decode(&self, elements: &Elements) -> Result<Vec<f64>, String> {
        self.check()?;
        let syntax = elements.syntax.as_str();
        match elements.pixels.as_ref().ok_or("missing")? {
            PixelData::Plain(range) => {
                let bytes = &elements.bytes[range.clone()];
                let wanted = self.voxels() * self.width();
                if bytes.len() < wanted {
                    return Err(format!(
                        "of {} bytes, not the {wanted} of Rows and Columns",
                        bytes.len()
                    ));
                }
                let big = elements.big_endian;
                let voxels = bytes[..wanted].chunks_exact(self.width());
                Ok(voxels.map(|voxel| self.value(joined(voxel, big))).collect())
            }
            PixelData::Fragments(pieces) => {
                let packed: Vec<u8> = pieces
                    .iter()
                    .flat_map(|piece| &elements.bytes[piece.clone()])
                    .copied()
                    .collect();
                let bits = match syntax {
                    "1.2.840.10008.1.2.5" => self.run_lengths(&packed)?,
                    _ if syntax.starts_with("1.2.840.10008.1.2.4.") => self.jpeg(&packed)?,
                    _ => {
                        return Err(format!(
                            "compressed in transfer syntax {syntax}, which is not read"
                        ));
                    }
                };
                Ok(bits.into_iter().map(|bits| self.value(bits)).collect())
            }
        }
    }

    /// The value in a voxel's bits: what lies outside those stored (old overlays) is dropped.
    fn value(&self, bits: u32) -> f64 {
        let (above, below) = (31 - self.high, self.high + 1 - self.stored);
        let left = bits << above;
        if self.signed {
            f64::from((left as i32) >> (above + below))
        } else {
            f64::from(left >> (above + below))
        }
    }

    /// PackBits by bytes of the voxels, the most significant first (PS3.5 annex G).
    fn run_lengths(&self, packed: &[u8]) -> Result<Vec<u32>, String> {
        let word = |i: usize| {
            let four = packed.get(4 * i..4 * i + 4)?;
            Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
        };
        let segments = word(0).ok_or("run lengths without a header")?;
        if segments != self.width() {
            return Err(format!(
                "{segments} run-length segments for {} bytes a voxel",
                self.width()
            ));
        }
        // A run of 128 takes two bytes: no more is asked for than the pieces can hold.
        let voxels = self.voxels();
        if voxels > packed.len().saturating_mul(64) {
            return Err(format!(
                "{} bytes of run lengths, not the {voxels} voxels of Rows and Columns",
                packed.len()
            ));
        }
        let mut bits = vec![0_u32; voxels];
        for segment in 0..segments {
            let damaged = || format!("damaged run lengths in segment {}", segment + 1);
            let start = word(1 + segment).ok_or_else(damaged)?;
            let end = if segment + 1 < segments {
                word(2 + segment).ok_or_else(damaged)?
            } else {
                packed.len()
            };
            let mut bytes = packed.get(start..end).ok_or_else(damaged)?.iter().copied();
            let mut at = 0;
            while at < voxels {
                let count = bytes.next().ok_or_else(damaged)?;
                let (length, run) = match count {
                    0..128 => (usize::from(count) + 1, None),
                    128 => continue,
                    _ => (257 - usize::from(count), Some(bytes.next().ok_or_else(damaged)?)),
                };
                for _ in 0..length {
                    let byte = match run {
                        Some(byte) => byte,
                        None => bytes.next().ok_or_else(damaged)?,
                    };
                    if let Some(voxel) = bits.get_mut(at) {
                        *voxel = *voxel << 8 | u32::from(byte);
                    }
                    at += 1;
                }
            }
        }
        Ok(bits)
    }

    /// JPEG and lossless JPEG; a panic of the decoder is an error like others.
    fn jpeg(&self, packed: &[u8]) -> Result<Vec<u32>, String> {
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let mut decoder = jpeg_decoder::Decoder::new(packed);
            decoder.read_info().map_err(|e| format!("damaged JPEG ({e})"))?;
            let info = decoder.info().ok_or("JPEG without a size")?;
            let there = (usize::from(info.height), usize::from(info.width));
            if there != (self.rows, self.columns) {
                return Err(format!(
                    "a JPEG of {there:?} rows and columns, not {:?}",
                    (self.rows, self.columns)
                ));
            }
            let width = match info.pixel_format {
                jpeg_decoder::PixelFormat::L8 => 1,
                jpeg_decoder::PixelFormat::L16 => 2,
                other => return Err(format!("a JPEG in colours ({other:?})")),
            };
            let bytes = decoder.decode().map_err(|e| format!("damaged JPEG ({e})"))?;
            Ok((bytes, width))
        }));
        let (bytes, width) = decoded.map_err(|_| "damaged JPEG (its decoder gave up)".to_owned())??;
        let bits = bytes
            .chunks_exact(width)
            .map(|voxel| joined(voxel, cfg!(target_endian = "big")));
        let bits: Vec<u32> = bits.collect();
        if bits.len() < self.voxels() {
            return Err(format!("a JPEG of {} voxels, not {}", bits.len(), self.voxels()));
        }
        Ok(bits)
    }
}

/// The bytes of one voxel as a number.
fn joined(bytes: &[u8], big_endian: bool) -> u32 {
    let join = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
    if big_endian {
        bytes.iter().fold(0, join)
    } else {
        bytes.iter().rev().fold(0, join)
    }
}
