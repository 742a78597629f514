#![no_main]

mod frugal;

use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::scan;

/// What one image may take: its bytes, what a deflated one may become, and its voxels.
fn honest_bytes(stored: usize) -> usize {
    (64 << 20) + 64 * 12 * stored
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = std::env::temp_dir().join(format!("voxelift-fuzz-dicom-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    std::fs::write(folder.join("a"), bytes).expect("a temporary file");
    let options = ReadOptions {
        max_voxels: 1 << 22,
        ..ReadOptions::default()
    };
    let read = frugal::frugal(honest_bytes(bytes.len()), || scan::read(&folder, &options));
    match read {
        Ok(image) => {
            assert!(image.header.geometry().determinant().abs() > 1e-9);
            assert!(image.frames.iter().flat_map(|frame| frame.data()).all(|v| v.is_finite()));
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with(folder.to_str().expect("UTF-8")), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
});
