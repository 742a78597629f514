//! Layer 12 · TensorBoard event files: scalars and pictures of a run, for those who watch runs there.
//!
//! An event file is a row of records (length, its checksum, bytes, their checksum), each one protobuf message `Event`.
//! The few fields that scalars and pictures take are written here by hand: message and field numbers are those of
//! `tensorboard/compat/proto/event.proto` and `summary.proto`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that is being written; a run that goes on writes a further one into the same folder.
#[derive(Debug)]
pub struct EventFile {
    file: File,
}

impl EventFile {
    /// A new file in `folder` for events after `step` steps: what an earlier part of the run wrote beyond is forgotten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(folder: &Path, step: u64) -> io::Result<Self> {
        let second = seconds() as u64;
        let free = (0_u32..).find_map(|part| {
            let path = folder.join(format!("events.out.tfevents.{second:010}.voxelift.{part}"));
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                opened => Some(opened),
            }
        });
        let mut events = Self {
            file: free.expect("some number is free")?,
        };
        let mut version = Message::default();
        version.bytes(3, b"brain.Event:2");
        events.write(0, &version)?;
        // SessionLog with status START: events of this step or later in other files are of a part that was lost.
        let (mut start, mut session) = (Message::default(), Message::default());
        session.varint(1, 1);
        start.bytes(7, &session.0);
        events.write(step + 1, &start)?;
        Ok(events)
    }

    /// Values after `step` steps.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        let mut summary = Message::default();
        for (tag, number) in values {
            let mut value = Message::default();
            value.bytes(1, tag.as_bytes());
            value.float(2, number as f32);
            summary.bytes(1, &value.0);
        }
        self.summary(step, &summary)
    }

    /// A PNG after `step` steps.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn picture(&mut self, step: u64, tag: &str, png: &[u8]) -> io::Result<()> {
        // Width and height stand in the first chunk, behind the signature, a length and a name.
        let side = |at: usize| {
            let bytes = png.get(at..at + 4).and_then(|b| b.try_into().ok());
            u64::from(bytes.map_or(0, u32::from_be_bytes))
        };
        let (mut image, mut value, mut summary) =
            (Message::default(), Message::default(), Message::default());
        image.varint(1, side(20));
        image.varint(2, side(16));
        image.varint(3, 3);
        image.bytes(4, png);
        value.bytes(1, tag.as_bytes());
        value.bytes(4, &image.0);
        summary.bytes(1, &value.0);
        self.summary(step, &summary)
    }

    fn summary(&mut self, step: u64, summary: &Message) -> io::Result<()> {
        let mut event = Message::default();
        event.bytes(5, &summary.0);
        self.write(step, &event)
    }

    fn write(&mut self, step: u64, rest: &Message) -> io::Result<()> {
        let mut event = Message::default();
        event.double(1, seconds());
        event.varint(2, step);
        event.0.extend(&rest.0);
        self.file.write_all(&record(&event.0))
    }
}

fn seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A record of the file: length, masked checksum of the length, bytes, masked checksum of the bytes.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 16);
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(bytes);
    out.extend(masked(crc32c(bytes)).to_le_bytes());
    out
}

/// Castagnoli's checksum, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 {
                    (crc >> 1) ^ POLYNOMIAL
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

/// The checksum as it is stored, so that a checksum of data with checksums in it stays one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A protobuf message under construction.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, kind: u64) {
        self.raw(field << 3 | kind);
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.raw(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.raw(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_are_written_as_protobuf_does() {
        let mut message = Message::default();
        message.varint(2, 300);
        message.float(2, 1.0);
        message.bytes(1, b"ab");
        assert_eq!(
            message.0,
            [0x10, 0xac, 0x02, 0x15, 0, 0, 0x80, 0x3f, 0x0a, 2, b'a', b'b']
        );
    }
}
