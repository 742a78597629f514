#![no_main]

mod attempt;
mod frugal;

use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use voxelift_volume::Volume;

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

/// How many bytes come out before the stream's end or damage.
fn unpacked(stream: &[u8]) -> usize {
    let (mut decoder, mut buffer, mut count) = (GzDecoder::new(stream), [0; 4096], 0);
    while let Ok(n @ 1..) = decoder.read(&mut buffer) {
        count += n;
    }
    count
}

// Half of the inputs are a damaged stream; the other half are packed whole, in members with zeros between them, and must
// then say what they say unpacked.
libfuzzer_sys::fuzz_target!(|input: (bool, u8, u16, &[u8])| {
    let (damaged, zeros, cut, bytes) = input;
    if damaged {
        let stream = [&[0x1f, 0x8b, 8], bytes].concat();
        let most = attempt::honest_bytes(stream.len() + unpacked(&stream));
        frugal::frugal(most, || attempt::attempt("a.nii.gz", &stream));
        return;
    }
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let packed = [&member(first)[..], &vec![0; usize::from(zeros)], &member(second)].concat();
    let voxels = |name, packed: &[u8]| {
        let most = attempt::honest_bytes(bytes.len());
        let image = frugal::frugal(most, || attempt::attempt(name, packed))?;
        Some(image.frames.into_iter().map(Volume::into_data).collect::<Vec<_>>())
    };
    assert_eq!(voxels("a.nii.gz", &packed), voxels("a.nii", bytes));
});
