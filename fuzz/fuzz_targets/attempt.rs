//! What every reader's target does: a file of the input's bytes, read under tight limits, and what must hold of it.

use std::path::Path;

use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::scan;

/// The most memory that an unpacked file of so many bytes may take: twice its voxels in f32, which are four times as many
/// bytes where the file has one each, beside the buffers of reading, unpacking and writing.
pub fn honest_bytes(unpacked: usize) -> usize {
    (2 << 20) + 2 * 4 * unpacked
}

/// Reads `bytes` as a file called `name`. An error must be one line that begins with the file; a scan must be fit for
/// use, and must come back from a file of ours.
pub fn attempt(name: &str, bytes: &[u8]) -> Option<NiftiImage> {
    let folder = std::env::temp_dir().join(format!("voxelift-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    let options = ReadOptions {
        max_voxels: 1 << 24,
        ..ReadOptions::default()
    };
    let image = match scan::read(&path, &options) {
        Ok(image) => image,
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with(path.to_str().expect("UTF-8")), "{message}");
            assert!(!message.contains('\n'), "{message}");
            return None;
        }
    };
    assert!(image.header.geometry().determinant().abs() > 1e-9);
    assert!(
        image
            .frames
            .iter()
            .all(|frame| frame.data().iter().all(|v| v.is_finite()))
    );
    let header = scan::read_header(&path).expect("the header of a readable file").0;
    assert_eq!(header.extent, image.header.extent);
    if image.frames.len() * image.header.geometry().voxels() < 1 << 12 {
        one_by_one(&image, &path, &options);
        comes_back(&image, &folder.join("written.nii"));
    }
    Some(image)
}

fn one_by_one(image: &NiftiImage, path: &Path, options: &ReadOptions) {
    let scan = scan::open(path, options).expect("a readable file");
    assert_eq!((&scan.header, &scan.warnings), (&image.header, &image.warnings));
    let frames: Vec<_> = scan
        .frames
        .map(|frame| frame.expect("a readable volume"))
        .collect();
    assert_eq!(frames, image.frames);
}

fn comes_back(image: &NiftiImage, path: &Path) {
    let options = WriteOptions {
        force: true,
        ..WriteOptions::default()
    };
    nifti::write(path, image, &options).expect("what is read can be written");
    let back = nifti::read(path, &ReadOptions::default()).expect("what we write is read");
    for (ours, theirs) in back.frames.iter().zip(&image.frames) {
        assert_eq!(ours.data(), theirs.data());
    }
    assert_eq!(back.frames.len(), image.frames.len());
}
