//! Volumes set aside on disk until the range of all their values is known.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use super::span::Span;
use crate::volume::{Geometry, Volume};

/// Voxels moved at a time.
const CHUNK_VOXELS: usize = 1 << 15;

/// A file without a name, gone with its owner, and the range of what is in it.
pub(super) struct Spool {
    file: BufWriter<File>,
    grids: Vec<Geometry>,
    pub span: Span,
}

impl Spool {
    /// On the disk that has `folder`.
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(tempfile::tempfile_in(folder)?),
            grids: Vec::new(),
            span: Span::default(),
        })
    }

    pub fn append(&mut self, frame: &Volume) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(4 * CHUNK_VOXELS);
        for chunk in frame.data().chunks(CHUNK_VOXELS) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|v| v.to_ne_bytes()));
            self.file.write_all(&bytes)?;
        }
        self.span.take_in(frame);
        self.grids.push(frame.geometry().clone());
        Ok(())
    }

    /// What was set aside, in the same order.
    pub fn frames(self) -> io::Result<impl Iterator<Item = io::Result<Volume>>> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let mut file = BufReader::new(file);
        Ok(self.grids.into_iter().map(move |grid| {
            let (mut data, mut bytes) = (Vec::with_capacity(grid.voxels()), [0; 4]);
            for _ in 0..grid.voxels() {
                file.read_exact(&mut bytes)?;
                data.push(f32::from_ne_bytes(bytes));
            }
            Ok(Volume::new(data, grid))
        }))
    }
}
