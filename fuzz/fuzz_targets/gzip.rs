#![no_main]

mod attempt;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use voxelift_volume::Volume;

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

// Half of the inputs are a damaged stream; the other half are packed whole, in members with zeros between them, and must
// then say what they say unpacked.
libfuzzer_sys::fuzz_target!(|input: (bool, u8, u16, &[u8])| {
    let (damaged, zeros, cut, bytes) = input;
    if damaged {
        attempt::attempt("a.nii.gz", &[&[0x1f, 0x8b, 8], bytes].concat());
        return;
    }
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let packed = [&member(first)[..], &vec![0; usize::from(zeros)], &member(second)].concat();
    let voxels = |name, bytes: &[u8]| {
        let image = attempt::attempt(name, bytes)?;
        Some(image.frames.into_iter().map(Volume::into_data).collect::<Vec<_>>())
    };
    assert_eq!(voxels("a.nii.gz", &packed), voxels("a.nii", bytes));
});
