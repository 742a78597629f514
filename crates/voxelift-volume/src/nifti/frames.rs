//! A scan's volumes, one after another.

use super::NiftiImage;
use super::header::Header;
use crate::error::Result;
use crate::volume::Volume;

/// Where a scan's volumes come from, one after another.
pub(crate) trait FrameSource {
    /// The next volume's voxels; asked for as often as the header has volumes.
    fn frame(&mut self) -> Result<Vec<f32>>;

    /// What stands behind the last volume: it may be odd, or belong into the header.
    fn end(&mut self, header: &mut Header, warnings: &mut Vec<String>) -> Result<()>;
}

/// A scan whose volumes are read when they are asked for; none is kept.
pub struct Frames {
    /// Whole once the last volume has been read: some formats say more behind it.
    pub header: Header,
    /// What was odd so far, a sentence each; all of it once the last volume has been read.
    pub warnings: Vec<String>,
    left: usize,
    source: Box<dyn FrameSource>,
}

impl Frames {
    pub(crate) fn new(header: Header, warnings: Vec<String>, source: impl FrameSource + 'static) -> Self {
        Self {
            left: header.frames(),
            header,
            warnings,
            source: Box::new(source),
        }
    }

    /// All volumes in memory.
    ///
    /// # Errors
    /// When one of them, or what is behind them, cannot be read.
    pub fn into_image(mut self) -> Result<NiftiImage> {
        let frames = self.by_ref().collect::<Result<Vec<_>>>()?;
        Ok(NiftiImage {
            header: self.header,
            frames,
            warnings: self.warnings,
        })
    }

    fn read(&mut self) -> Result<Volume> {
        let voxels = self.source.frame()?;
        if self.left == 1 {
            self.source.end(&mut self.header, &mut self.warnings)?;
        }
        Ok(Volume::new(voxels, self.header.geometry()))
    }
}

impl Iterator for Frames {
    type Item = Result<Volume>;

    /// The next volume; the last one only when what stands behind it is in order.
    fn next(&mut self) -> Option<Self::Item> {
        let last = self.left.checked_sub(1)?;
        let frame = self.read();
        self.left = if frame.is_ok() { last } else { 0 };
        Some(frame)
    }
}
