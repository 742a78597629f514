//! Layer 4 · Prepared scans: voxels, foreground and the places of patches, in memory or in a cache folder.
//!
//! A cached scan is one file, named by the hash of everything that made it. It appears whole or not at all, so that
//! runs may share the folder, and is never changed. Patches are read from it where they lie (positioned reads of the
//! planes that a patch touches): what is read often stays in the system's page cache, and nothing in the process.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use voxelift_volume::appearance::{Appearance, CONTRAST};
use voxelift_volume::files::write_atomically;
use voxelift_volume::{Volume, VolumeError, nifti};

use crate::error::{ModelError, Result};

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

/// What a scan's file holds as one SHA-256 in hexadecimal digits: of a header and image pair both files, of a folder each file
/// with its name.
///
/// # Errors
/// When it cannot be read.
pub fn content(path: &Path) -> Result<String> {
    let read = |e| VolumeError::io(path, "read", e);
    let mut hash = Sha256::new();
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(read)?;
        let mut files = entries
            .map(|entry| Ok(entry.map_err(read)?.path()))
            .collect::<Result<Vec<_>>>()?;
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let length = fs::metadata(file).map_err(read)?.len();
            hash.update(format!("{name} {length} "));
            update(&mut hash, file)?;
        }
    } else {
        update(&mut hash, path)?;
        if let Some(other) = nifti::other_half(path) {
            update(&mut hash, &other)?;
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// Adds a file's bytes to a hash, a piece at a time.
fn update(hash: &mut Sha256, path: &Path) -> Result<()> {
    let read = |e| VolumeError::io(path, "read", e);
    let mut file = File::open(path).map_err(read)?;
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece).map_err(read)? {
            0 => return Ok(()),
            n => hash.update(&piece[..n]),
        }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Changes with the layout of the files.
const MAGIC: &[u8; 8] = b"vxlscan6";
/// Magic, key, extent, spacing, factor, number of starts, appearance.
const HEADER: usize = 8 + 32 + 3 * 8 + 3 * 8 + 8 + 8 + 8 * APPEARANCE;
/// The SHA-256 of all that stands before it, at the end of the file.
const SUM: usize = 32;
/// Numbers of an appearance; none is as many that are no number.
const APPEARANCE: usize = 4 + CONTRAST.len();

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

/// Whether a file still ends in the hash of its content: a flipped bit would be trained on.
fn is_as_written(file: &File, path: &Path, length: u64) -> Result<bool> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 18]);
    let (mut at, end) = (0, length as usize - SUM);
    while at < end {
        let next = piece.len().min(end - at);
        read_at(file, path, &mut piece[..next], at)?;
        hash.update(&piece[..next]);
        at += next;
    }
    let mut sum = [0; SUM];
    read_at(file, path, &mut sum, end)?;
    Ok(hash.finalize()[..] == sum)
}

/// Hashes what goes through it.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write(out: &mut dyn Write, key: &[u8; 32], prepared: &Prepared) -> io::Result<()> {
    let hash = Sha256::new();
    let mut hashed = io::BufWriter::with_capacity(1 << 16, Hashed { out, hash });
    write_content(&mut hashed, key, prepared)?;
    let Hashed { out, hash } = hashed.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.write_all(&hash.finalize())
}

fn write_content(out: &mut dyn Write, key: &[u8; 32], prepared: &Prepared) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(key)?;
    for n in prepared.volume.extent() {
        out.write_all(&(n as u64).to_le_bytes())?;
    }
    for mm in prepared.volume.geometry().spacing_mm() {
        out.write_all(&mm.to_le_bytes())?;
    }
    out.write_all(&f64::from(prepared.factor).to_le_bytes())?;
    out.write_all(&(prepared.starts.len() as u64).to_le_bytes())?;
    for number in numbers(prepared.appearance) {
        out.write_all(&number.to_le_bytes())?;
    }
    for value in prepared.volume.data() {
        out.write_all(&value.to_le_bytes())?;
    }
    for inside in &prepared.foreground {
        out.write_all(&[u8::from(*inside)])?;
    }
    for start in &prepared.starts {
        out.write_all(&start.to_le_bytes())?;
    }
    Ok(())
}

fn numbers(appearance: Option<Appearance>) -> [f64; APPEARANCE] {
    appearance.map_or([f64::NAN; APPEARANCE], |seen| {
        let [a, b, c, d, e] = seen.contrast;
        let core_to_shell = seen.core_to_shell.unwrap_or(f64::NAN);
        [
            seen.foreground,
            seen.foreground_ml,
            seen.noise,
            core_to_shell,
            a,
            b,
            c,
            d,
            e,
        ]
    })
}

fn stored(numbers: [f64; APPEARANCE]) -> Option<Appearance> {
    let [foreground, foreground_ml, noise, core_to_shell, contrast @ ..] = numbers;
    (!foreground.is_nan()).then_some(Appearance {
        foreground,
        foreground_ml,
        contrast,
        noise,
        core_to_shell: (!core_to_shell.is_nan()).then_some(core_to_shell),
    })
}

fn read_at(file: &File, path: &Path, bytes: &mut [u8], offset: usize) -> Result<()> {
    Ok(positioned(file, bytes, offset as u64)
        .map_err(|e| VolumeError::io(path, "read the cached scan", e))?)
}

#[cfg(unix)]
fn positioned(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn positioned(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                bytes = &mut bytes[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
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
