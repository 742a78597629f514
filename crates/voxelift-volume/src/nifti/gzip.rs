//! A gzip member written on all threads: blocks deflated by themselves, one behind the other.
//!
//! Each block ends on a byte (RFC 1951, an empty stored block as after a flush), so that their concatenation is one
//! deflate stream; the bytes depend on the blocks' size alone, not on the number of threads. The header has neither
//! name nor time: the same voxels give the same file.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;

/// Bytes that are deflated together.
const BLOCK: usize = 256 << 10;

/// Blocks that are gathered before the threads get them.
const BATCH: usize = 32;

/// RFC 1952: deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Takes bytes and writes the member; [`Member::finish`] ends it.
pub(super) struct Member<'a> {
    writer: &'a mut dyn Write,
    pending: Vec<u8>,
    crc: Crc,
}

impl<'a> Member<'a> {
    pub fn new(writer: &'a mut dyn Write) -> io::Result<Self> {
        writer.write_all(&HEADER)?;
        Ok(Self {
            writer,
            pending: Vec::new(),
            crc: Crc::new(),
        })
    }

    /// Writes what is left, and the trailer.
    pub fn finish(mut self) -> io::Result<()> {
        self.deflate()?;
        let (empty, _) = deflated(&[], FlushCompress::Finish)?;
        self.writer.write_all(&empty)?;
        self.writer.write_all(&self.crc.sum().to_le_bytes())?;
        self.writer.write_all(&self.crc.amount().to_le_bytes())
    }

    fn deflate(&mut self) -> io::Result<()> {
        let blocks = self.pending.par_chunks(BLOCK);
        let blocks: Vec<(Vec<u8>, Crc)> = blocks
            .map(|block| deflated(block, FlushCompress::Sync))
            .collect::<io::Result<_>>()?;
        for (bytes, crc) in &blocks {
            self.writer.write_all(bytes)?;
            self.crc.combine(crc);
        }
        self.pending.clear();
        Ok(())
    }
}

impl Write for Member<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BATCH * BLOCK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == BATCH * BLOCK {
            self.deflate()?;
        }
        Ok(taken)
    }

    /// Nothing: a block that ended here would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block as raw deflate, and its checksum.
fn deflated(block: &[u8], end: FlushCompress) -> io::Result<(Vec<u8>, Crc)> {
    let mut crc = Crc::new();
    crc.update(block);
    let mut compress = Compress::new(Compression::default(), false);
    let mut bytes = Vec::with_capacity(block.len() + block.len() / 64 + 64);
    loop {
        let rest = &block[compress.total_in() as usize..];
        let status = compress.compress_vec(rest, &mut bytes, end)?;
        let all = compress.total_in() as usize == block.len() && bytes.len() < bytes.capacity();
        if status == Status::StreamEnd || all && matches!(end, FlushCompress::Sync) {
            return Ok((bytes, crc));
        }
        bytes.reserve(block.len() / 8 + 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn member(bytes: &[u8], step: usize) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut member = Member::new(&mut packed).unwrap();
        bytes
            .chunks(step)
            .for_each(|part| member.write_all(part).unwrap());
        member.finish().unwrap();
        packed
    }

    #[test]
    fn a_member_holds_its_bytes_however_they_come() {
        let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, BATCH * BLOCK + 3] {
            for bytes in [vec![7; len], (0..len).map(noise).collect()] {
                let packed = member(&bytes, 1 << 20);
                assert_eq!(packed, member(&bytes, 100_003), "{len} bytes in other portions");
                let mut unpacked = Vec::new();
                // One member: whatever followed it would be left over.
                let mut decoder = flate2::bufread::GzDecoder::new(packed.as_slice());
                decoder.read_to_end(&mut unpacked).unwrap();
                assert!(
                    unpacked == bytes && decoder.into_inner().is_empty(),
                    "{len} bytes"
                );
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bytes() {
        let bytes: Vec<u8> = (0..5 * BLOCK + 17).map(|i| (i / 3 * i) as u8).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| member(&bytes, 4096)), member(&bytes, 4096));
    }
}
