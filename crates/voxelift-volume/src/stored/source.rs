//! A file's bytes, plain or gzip, with its end checked.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::options::ReadOptions;
use crate::error::{Result, VolumeError};

/// The most that deflate can shrink: 258 bytes to two bits.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// A volume of this many voxels takes a gibibyte; one that is packed this tightly is blank, or made to do harm.
const MANY_VOXELS: usize = 1 << 28;
const MOST_SHRUNK: u64 = 100;

/// Bytes behind the expected end that are read to find the true end; more are refused.
const SLACK: u64 = 1 << 20;

/// A stream of a file's (unpacked) bytes, whose errors name the file.
pub(crate) struct Source {
    path: PathBuf,
    reader: Box<dyn Read>,
    gzip: bool,
    /// Bytes of the file on disk.
    stored: u64,
    /// Unpacked bytes taken so far.
    position: u64,
}

impl Source {
    /// Opens a file; gzip is known by its first bytes, not by the name.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |action| move |source| VolumeError::io(path, action, source);
        // Asked before it is opened: opening a pipe without a writer would never return.
        let metadata = fs::metadata(path).map_err(|error| match fs::read_link(path) {
            Ok(target) => VolumeError::malformed(
                path,
                "the file",
                format!("a link to {}, which cannot be followed ({error})", target.display()),
                "a link to a file that is there: bring it back (`datalad get`, `git annex get`), or remove the link",
            ),
            Err(_) => failed("open")(error),
        })?;
        if metadata.is_dir() {
            return Err(VolumeError::unsupported(path, "a folder", "name a file"));
        }
        if !metadata.is_file() {
            let advice = "it is read twice and its size must be known; save it as a file first";
            return Err(VolumeError::unsupported(path, "a pipe, socket or device", advice));
        }
        if metadata.len() == 0 {
            return Err(VolumeError::malformed(
                path,
                "the file",
                "empty",
                "a scan; copy it again",
            ));
        }
        let file = File::open(path).map_err(failed("open"))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let gzip = reader
            .fill_buf()
            .map_err(failed("read"))?
            .starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = if gzip {
            Box::new(GzipMembers {
                member: Some(GzDecoder::new(reader)),
            })
        } else {
            Box::new(reader)
        };
        Ok(Self {
            path: path.to_owned(),
            reader,
            gzip,
            stored: metadata.len(),
            position: 0,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unpacked bytes taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the file's size tells how many bytes there are.
    pub fn length_is_known(&self) -> bool {
        !self.gzip
    }

    /// A warning where the name and the content disagree about compression.
    pub fn misnamed(&self) -> Option<String> {
        let named = self
            .path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let (is, says) = if self.gzip {
            ("gzip", "not")
        } else {
            ("not gzip", "it is")
        };
        (named != self.gzip)
            .then(|| format!("the content is {is}, though the name says {says}; the content counts"))
    }

    /// Fills `buffer` as far as the file goes, and returns how far.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => {
                    filled += n;
                    self.position += n as u64;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.problem(e)),
            }
        }
        Ok(filled)
    }

    /// Fills the whole `buffer` with `field`.
    ///
    /// # Errors
    /// When the file ends before.
    pub fn take(&mut self, field: &str, buffer: &mut [u8]) -> Result<()> {
        let there = self.fill(buffer)?;
        if there == buffer.len() {
            return Ok(());
        }
        let value = format!("{there} bytes long, as the file ends there");
        Err(VolumeError::malformed(
            &self.path,
            field,
            value,
            format!("{} bytes", buffer.len()),
        ))
    }

    /// Passes over bytes up to `position`.
    ///
    /// # Errors
    /// When the file ends before.
    pub fn skip_to(&mut self, field: &str, position: u64) -> Result<()> {
        let mut buffer = [0; 4096];
        while self.position < position {
            let step = (position - self.position).min(4096) as usize;
            self.take(field, &mut buffer[..step])?;
        }
        Ok(())
    }

    /// Refuses a file that cannot hold `bytes` more, before anything is allocated for them.
    pub fn expect_room(&self, field: &str, bytes: u64) -> Result<()> {
        let most = if self.gzip {
            self.stored.saturating_mul(MAX_DEFLATE_RATIO)
        } else {
            self.stored
        };
        let left = most.saturating_sub(self.position);
        if bytes <= left {
            return Ok(());
        }
        let value = match self.gzip {
            true => format!("at most {left} bytes, unpacked from {} bytes", self.stored),
            false => format!("{left} bytes long"),
        };
        Err(VolumeError::malformed(
            &self.path,
            field,
            value,
            format!("{bytes} bytes, by dim and datatype"),
        ))
    }

    /// Refuses a large volume in a tiny gzip file, unless so many voxels were allowed explicitly: no scan can be compressed by so much.
    pub fn expect_honest(&self, voxels: usize, bytes: u64, options: &ReadOptions) -> Result<()> {
        let times = bytes / self.stored.max(1);
        if options.large || !self.gzip || voxels < MANY_VOXELS || times < MOST_SHRUNK {
            return Ok(());
        }
        Err(VolumeError::TooDense {
            path: self.path.clone(),
            bytes,
            stored: self.stored,
            most: MOST_SHRUNK,
            voxels,
        })
    }

    /// Reads on to the end, where gzip's checksum and length are checked, and counts the bytes that were
    /// too many.
    ///
    /// # Errors
    /// A damaged gzip stream; more than a mebibyte behind the expected end.
    pub fn finish(&mut self) -> Result<u64> {
        let mut buffer = [0; 4096];
        let mut trailing = 0;
        loop {
            match self.fill(&mut buffer)? as u64 {
                0 => return Ok(trailing),
                n => trailing += n,
            }
            if trailing > SLACK {
                let expected = "the end of the file: do dim and datatype describe it all?";
                let value = format!("followed by more than {SLACK} bytes");
                return Err(VolumeError::malformed(&self.path, "voxel data", value, expected));
            }
        }
    }

    fn problem(&self, error: io::Error) -> VolumeError {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData if self.gzip => {
                let value = match error.kind() {
                    ErrorKind::UnexpectedEof => format!("cut short after {} unpacked bytes", self.position),
                    _ => format!("damaged after {} unpacked bytes ({error})", self.position),
                };
                VolumeError::malformed(&self.path, "gzip stream", value, "an intact file; fetch it again")
            }
            _ => VolumeError::io(&self.path, "read", error),
        }
    }
}

/// All members of a gzip file, one behind the other, each one's checksum and length checked, zeros between
/// and behind them passed over (as Python's gzip does; files from tapes have them).
struct GzipMembers<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let n = member.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            self.member = self
                .member
                .take()
                .map(GzDecoder::into_inner)
                .map_or(Ok(None), next_member)?;
        }
        Ok(0)
    }
}

fn next_member<R: BufRead>(mut reader: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let ahead = reader.fill_buf()?;
        if ahead.is_empty() {
            return Ok(None);
        }
        let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok(Some(GzDecoder::new(reader)));
        }
        reader.consume(zeros);
    }
}
