//! Layer 4 · Prepared scans: voxels, foreground and the places of patches, in memory or in a cache folder.
//!
//! A cached scan is one file, named by the hash of everything that made it. It appears whole or not at all, so that
//! runs may share the folder, and is never changed. Patches are read from it where they lie (positioned reads of the
//! planes that a patch touches): what is read often stays in the system's page cache, and nothing in the process.
//!
//! ```
//! use voxelift_model::cache::{Block, Cache, Prepared};
//! use voxelift_volume::intensity::{Mask, Normalization};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! let (factor, foreground) = (Normalization::of(&scan)?.factor, Mask::foreground(&scan).data().to_vec());
//! let prepared = Prepared { volume: scan.clone(), foreground, starts: Vec::new(), factor, appearance: None };
//! // With `Cache::folder` a second run finds there what the first one prepared; the description says what it depends on.
//! let cached = Cache::memory().scan("phantom 1, 16 voxels of 10 mm", || Ok(prepared))?;
//! let mut patch = Vec::new();
//! cached.voxels(Block { start: [4; 3], extent: [8, 8, 2] }, cached.factor(), &mut patch)?;
//! assert_eq!(patch.len(), 128);
//! assert_eq!(patch[0], scan.at([4; 3]) / factor);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;
mod stored;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use voxelift_volume::appearance::Appearance;
use voxelift_volume::files::write_atomically;
use voxelift_volume::{Volume, VolumeError};

use crate::error::{ModelError, Result};
pub use content::content;
pub(crate) use content::hexadecimal;
use stored::{HEADER, MAGIC, SUM, is_as_written, read_at, stored, write};

/// A prepared scan, before it is cached.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Voxels in the file's own units.
    pub volume: Volume,
    /// Where the head is, one entry a voxel.
    pub foreground: Vec<bool>,
    /// Indices of the voxels at which a patch may start; none for a scan whose patches follow another's.
    pub starts: Vec<u32>,
    /// What the voxels are divided by.
    pub factor: f32,
    /// What an LR scan looks like; none for an HR scan.
    pub appearance: Option<Appearance>,
}

/// Where prepared scans are stored.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
}

/// A prepared scan, in memory or in a file.
#[derive(Clone, Debug)]
pub struct CachedScan {
    extent: [usize; 3],
    spacing_mm: [f64; 3],
    factor: f32,
    appearance: Option<Appearance>,
    starts: usize,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Memory(Arc<Prepared>),
    File { file: Arc<File>, path: PathBuf },
}

impl Cache {
    /// In memory.
    pub fn memory() -> Self {
        Self::default()
    }

    /// In a folder, made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(|e| VolumeError::io(path, "create the cache folder", e))?;
        Ok(Self {
            folder: Some(path.to_owned()),
        })
    }

    /// Whether scans are kept in memory.
    pub fn is_memory(&self) -> bool {
        self.folder.is_none()
    }

    /// The scan that `description` makes: from the folder where it lies there, else from `make`, and stored.
    ///
    /// `description` names everything that the scan depends on, its source by content.
    ///
    /// # Errors
    /// Those of `make`, and when the folder cannot be written or read.
    pub fn scan(&self, description: &str, make: impl FnOnce() -> Result<Prepared>) -> Result<CachedScan> {
        let Some(folder) = &self.folder else {
            return Ok(CachedScan::in_memory(make()?));
        };
        let key: [u8; 32] = Sha256::digest(description.as_bytes()).into();
        let name: String = key[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(format!("{name}.scan"));
        // A file that another version or a damaged disk left is made anew.
        if let Ok(cached) = CachedScan::open(&path, &key) {
            return Ok(cached);
        }
        let prepared = make()?;
        write_atomically(&path, true, |out| write(out, &key, &prepared))?;
        drop(prepared);
        CachedScan::open(&path, &key)
    }
}

impl CachedScan {
    /// Kept in memory.
    pub fn in_memory(prepared: Prepared) -> Self {
        Self {
            extent: prepared.volume.extent(),
            spacing_mm: prepared.volume.geometry().spacing_mm(),
            factor: prepared.factor,
            appearance: prepared.appearance,
            starts: prepared.starts.len(),
            content: Content::Memory(Arc::new(prepared)),
        }
    }

    /// Voxel counts along x, y, z.
    pub fn extent(&self) -> [usize; 3] {
        self.extent
    }

    /// Voxel sizes along x, y, z.
    pub fn spacing_mm(&self) -> [f64; 3] {
        self.spacing_mm
    }

    /// What the voxels are divided by.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// What an LR scan looks like.
    pub fn appearance(&self) -> Option<Appearance> {
        self.appearance
    }

    /// How many places there are at which a patch may start.
    pub fn starts(&self) -> usize {
        self.starts
    }

    /// The voxel at which patch number `which` starts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn start(&self, which: usize) -> Result<[usize; 3]> {
        let [nx, ny, _] = self.extent;
        let start = match &self.content {
            Content::Memory(prepared) => prepared.starts[which],
            Content::File { file, path } => {
                let mut bytes = [0; 4];
                let voxels = self.extent.iter().product::<usize>();
                read_at(file, path, &mut bytes, HEADER + 5 * voxels + 4 * which)?;
                u32::from_le_bytes(bytes)
            }
        } as usize;
        Ok([start % nx, start / nx % ny, start / (nx * ny)])
    }

    /// The voxels of a block, over the factor `factor`, x fastest, appended to `out`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn voxels(&self, block: Block, factor: f32, out: &mut Vec<f32>) -> Result<()> {
        match &self.content {
            Content::Memory(prepared) => {
                let voxels = prepared.volume.data();
                block.rows(self.extent, |row| {
                    out.extend(voxels[row].iter().map(|v| v / factor))
                });
                Ok(())
            }
            Content::File { .. } => self.planes(block, 4, HEADER, |bytes| {
                let value = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("four bytes")) / factor;
                out.extend(bytes.chunks_exact(4).map(value));
            }),
        }
    }

    /// The foreground of a block as 0 and 1, x fastest, appended to `out`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn foreground(&self, block: Block, out: &mut Vec<f32>) -> Result<()> {
        match &self.content {
            Content::Memory(prepared) => {
                let inside = &prepared.foreground;
                block.rows(self.extent, |row| {
                    out.extend(inside[row].iter().map(|i| f32::from(u8::from(*i))));
                });
                Ok(())
            }
            Content::File { .. } => {
                let voxels = self.extent.iter().product::<usize>();
                self.planes(block, 1, HEADER + 4 * voxels, |bytes| {
                    out.extend(bytes.iter().map(|b| f32::from(*b)));
                })
            }
        }
    }

    /// Reads plane after plane from the block's first row to its last, and hands on its rows.
    fn planes(&self, block: Block, size: usize, first: usize, mut row: impl FnMut(&[u8])) -> Result<()> {
        let Content::File { file, path } = &self.content else {
            unreachable!("asked of files only");
        };
        let [nx, ny, _] = self.extent;
        let Block { start, extent } = block;
        let mut bytes = vec![0; ((extent[1] - 1) * nx + extent[0]) * size];
        for z in start[2]..start[2] + extent[2] {
            let from = (z * ny + start[1]) * nx + start[0];
            read_at(file, path, &mut bytes, first + from * size)?;
            for y in 0..extent[1] {
                let at = y * nx * size;
                row(&bytes[at..at + extent[0] * size]);
            }
        }
        Ok(())
    }

    /// Opens a cached scan, checked against its key and its length.
    fn open(path: &Path, key: &[u8; 32]) -> Result<Self> {
        let file = File::open(path).map_err(|e| VolumeError::io(path, "read", e))?;
        let length = file
            .metadata()
            .map_err(|e| VolumeError::io(path, "read", e))?
            .len();
        let mut header = [0; HEADER];
        read_at(&file, path, &mut header, 0)?;
        let number =
            |i: usize| -> [u8; 8] { header[40 + 8 * i..48 + 8 * i].try_into().expect("eight bytes") };
        let count = |i: usize| u64::from_le_bytes(number(i)) as usize;
        let real = |i: usize| f64::from_le_bytes(number(i));
        let extent = [count(0), count(1), count(2)];
        let starts = count(7);
        let expected = extent
            .iter()
            .try_fold(1_usize, |product, n| product.checked_mul(*n))
            .and_then(|voxels| {
                voxels
                    .checked_mul(5)?
                    .checked_add(HEADER + SUM)?
                    .checked_add(starts.checked_mul(4)?)
            });
        let fits =
            &header[..8] == MAGIC && header[8..40] == key[..] && expected.map(|n| n as u64) == Some(length);
        if !fits || !is_as_written(&file, path, length)? {
            return Err(ModelError::model_file(
                path,
                "not a whole cached scan",
                "a file of this program; remove it",
            ));
        }
        Ok(Self {
            extent,
            spacing_mm: [real(3), real(4), real(5)],
            factor: real(6) as f32,
            appearance: stored(std::array::from_fn(|i| real(8 + i))),
            starts,
            content: Content::File {
                file: Arc::new(file),
                path: path.to_owned(),
            },
        })
    }
}

/// A block of voxels.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The first voxel.
    pub start: [usize; 3],
    /// Voxel counts along x, y, z.
    pub extent: [usize; 3],
}

impl Block {
    /// The rows of the block as ranges of a volume's voxels.
    fn rows(self, [nx, ny, _]: [usize; 3], mut row: impl FnMut(std::ops::Range<usize>)) {
        for z in self.start[2]..self.start[2] + self.extent[2] {
            for y in self.start[1]..self.start[1] + self.extent[1] {
                let first = (z * ny + y) * nx + self.start[0];
                row(first..first + self.extent[0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::Geometry;

    fn prepared() -> Prepared {
        let geometry = Geometry::axis_aligned([7, 5, 4], [1.0, 1.5, 2.0]);
        let n = geometry.voxels();
        Prepared {
            volume: Volume::new((0..n).map(|i| i as f32 * 0.37 - 3.0).collect(), geometry),
            foreground: (0..n).map(|i| i % 3 == 0).collect(),
            starts: vec![0, 8, 36],
            factor: 1.7,
            appearance: Some(Appearance {
                foreground: 0.3,
                foreground_ml: 1234.5,
                contrast: [0.1, 0.2, 0.3, 0.4, 0.5],
                noise: 0.02,
                core_to_shell: Some(1.3),
            }),
        }
    }

    #[test]
    fn a_file_gives_what_memory_gives() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::folder(&folder.path().join("cache")).expect("a cache");
        let cached = cache.scan("a scan", || Ok(prepared())).expect("kept");
        let memory = Cache::memory().scan("a scan", || Ok(prepared())).expect("kept");
        assert_eq!(
            (cached.extent(), cached.spacing_mm()),
            ([7, 5, 4], [1.0, 1.5, 2.0])
        );
        assert_eq!((cached.factor(), cached.starts()), (1.7, 3));
        assert_eq!(cached.appearance(), prepared().appearance);
        assert_eq!(
            (cached.start(2).unwrap(), memory.start(2).unwrap()),
            ([1, 0, 1], [1, 0, 1])
        );
        let block = Block {
            start: [2, 1, 1],
            extent: [4, 3, 2],
        };
        let read = |from: &CachedScan| {
            let (mut voxels, mut inside) = (Vec::new(), Vec::new());
            from.voxels(block, 1.7, &mut voxels).expect("voxels");
            from.foreground(block, &mut inside).expect("foreground");
            (voxels, inside)
        };
        assert_eq!(read(&cached), read(&memory));
        assert_eq!(read(&cached).0[0], prepared().volume.at([2, 1, 1]) / 1.7);
    }

    #[test]
    fn a_scan_is_made_once_and_again_where_its_file_is_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::folder(folder.path()).expect("a cache");
        let mut made = 0;
        let mut scan = |description: &str| {
            let cached = cache.scan(description, || {
                made += 1;
                Ok(prepared())
            });
            cached.expect("kept");
            made
        };
        assert_eq!((scan("a"), scan("a"), scan("b"), scan("a")), (1, 1, 2, 2));
        let damage = |how: &dyn Fn(&mut Vec<u8>)| {
            for entry in fs::read_dir(folder.path()).expect("a folder") {
                let path = entry.expect("an entry").path();
                let mut bytes = fs::read(&path).expect("a file");
                how(&mut bytes);
                fs::write(&path, bytes).expect("written");
            }
        };
        damage(&|bytes| bytes.truncate(bytes.len() - 1));
        assert_eq!((scan("a"), scan("b"), scan("b")), (3, 4, 4));
        // One bit of one voxel.
        damage(&|bytes| bytes[HEADER + 17] ^= 4);
        assert_eq!((scan("a"), scan("b"), scan("b")), (5, 6, 6));
    }

    #[test]
    fn the_content_of_a_pair_is_that_of_both_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let (header, image) = (folder.path().join("a.hdr"), folder.path().join("a.img"));
        fs::write(&header, "header").expect("written");
        fs::write(&image, "voxels").expect("written");
        let before = content(&header).expect("read");
        fs::write(&image, "others").expect("written");
        assert_ne!(before, content(&header).expect("read"));
    }
}
