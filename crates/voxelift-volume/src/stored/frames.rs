//! Stored voxels -> f32, once, in chunks.

use std::path::Path;

use super::decoder::Decoder;
use super::options::{NanPolicy, ReadOptions};
use super::source::Source;
use crate::error::{Result, VolumeError};

/// Voxels decoded at a time: the only buffer beside the volume itself.
const CHUNK_VOXELS: usize = 1 << 15;

/// Voxels a frame, when those of all `frames` together are few enough.
///
/// # Errors
/// Naming `field`, when they are not.
pub(crate) fn checked_voxels(
    path: &Path,
    field: &str,
    extent: [usize; 3],
    frames: usize,
    options: &ReadOptions,
) -> Result<usize> {
    let max_voxels = options.max_voxels;
    let frame = extent
        .iter()
        .try_fold(1_usize, |product, count| product.checked_mul(*count));
    let all = frame.and_then(|frame| frame.checked_mul(frames));
    let believed = all.filter(|all| *all as u64 <= max_voxels && *all <= usize::MAX / 8);
    match (frame, believed) {
        (Some(frame), Some(_)) => Ok(frame),
        _ => Err(VolumeError::TooManyVoxels {
            path: path.to_owned(),
            field: field.to_owned(),
            extent,
            frames,
            most: max_voxels,
        }),
    }
}

/// A file's voxels, read a volume at a time into f32.
pub(crate) struct StoredFrames {
    source: Source,
    decoder: Decoder,
    voxels: usize,
    nan: NanPolicy,
}

impl StoredFrames {
    /// From where `source` stands.
    ///
    /// # Errors
    /// When the file cannot hold `frames` volumes of `voxels` each, which must have passed [`checked_voxels`].
    pub fn new(
        source: Source,
        mut decoder: Decoder,
        voxels: usize,
        frames: usize,
        options: &ReadOptions,
    ) -> Result<Self> {
        // Cannot overflow: both counts were checked, and a voxel has at most eight bytes.
        let bytes = (voxels * frames * decoder.datatype.bytes()) as u64;
        source.expect_room("voxel data", bytes)?;
        source.expect_honest(voxels, bytes, options)?;
        let nan = options.nan;
        decoder.part = options.part;
        Ok(Self {
            source,
            decoder,
            voxels,
            nan,
        })
    }

    /// The next volume's voxels.
    ///
    /// # Errors
    /// When the file ends before, or there is no memory.
    pub fn frame(&mut self) -> Result<Vec<f32>> {
        frame(&mut self.source, &mut self.decoder, self.voxels)
    }

    /// Behind the last volume: a warning for each kind of value that did not come through, and the file at its
    /// footer.
    ///
    /// # Errors
    /// When there were values that the options refuse.
    pub fn end(&mut self, warnings: &mut Vec<String>) -> Result<&mut Source> {
        warnings.extend(not_finite(self.source.path(), self.decoder.not_finite, self.nan)?);
        if self.decoder.rounded > 0 {
            warnings.push(format!(
                "{} integers beyond 2^24 were rounded to float32",
                self.decoder.rounded
            ));
        }
        Ok(&mut self.source)
    }
}

/// A warning about so many values that became zero.
///
/// # Errors
/// Where the policy refuses them.
pub(crate) fn not_finite(path: &Path, count: u64, policy: NanPolicy) -> Result<Option<String>> {
    if count == 0 {
        return Ok(None);
    }
    match policy {
        NanPolicy::Zero => Ok(Some(format!(
            "voxel data is not finite, or beyond float32, at {count} places; set to zero"
        ))),
        NanPolicy::Error => Err(VolumeError::NotFinite {
            path: path.to_owned(),
            count,
        }),
    }
}

/// One frame's voxels, decoded chunk by chunk as they arrive.
fn frame(source: &mut Source, decoder: &mut Decoder, voxels: usize) -> Result<Vec<f32>> {
    let width = decoder.datatype.bytes();
    let mut data = Vec::new();
    let mut buffer = vec![0; CHUNK_VOXELS.min(voxels) * width];
    while data.len() < voxels {
        let chunk_voxels = CHUNK_VOXELS.min(voxels - data.len());
        if data.capacity() < data.len() + chunk_voxels {
            // A gzip stream may claim a thousand times what is in it: memory grows with what has arrived.
            let promised = voxels - data.len();
            let step = if source.length_is_known() {
                promised
            } else {
                promised.min(data.len().max(1 << 16))
            };
            data.try_reserve_exact(step).map_err(|e| {
                let expected = format!("memory for {voxels} float32 voxels ({e})");
                VolumeError::malformed(
                    source.path(),
                    "dim",
                    format!("{voxels} voxels a volume"),
                    expected,
                )
            })?;
        }
        let chunk = &mut buffer[..chunk_voxels * width];
        let there = source.fill(chunk)?;
        if there < chunk.len() {
            let value = format!("cut short: the file ends after {} bytes", source.position());
            let expected = format!("{voxels} voxels of {} a volume", decoder.datatype);
            return Err(VolumeError::malformed(
                source.path(),
                "voxel data",
                value,
                expected,
            ));
        }
        decoder.decode(chunk, &mut data);
    }
    Ok(data)
}
