//! What `--version` says: the number, the commit, what was built in, and for which processors.

use std::sync::LazyLock;

/// The features of this build beside reading and writing NIfTI and MGH.
const FEATURES: [(&str, bool); 4] = [
    ("dicom", cfg!(feature = "dicom")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("cuda", cfg!(feature = "cuda")),
    ("cuda-cpp", cfg!(feature = "cuda-cpp")),
];

/// All of it, for `--version`; `-V` says the number alone.
pub fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let of = |wanted: bool| {
            let names = FEATURES
                .iter()
                .filter(|(_, built)| *built == wanted)
                .map(|(name, _)| *name);
            let names: Vec<&str> = names.collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        format!(
            "{}\ncommit: {}\nfeatures: {} (not built in: {})\ntarget: {}-{}",
            env!("CARGO_PKG_VERSION"),
            env!("VOXELIFT_COMMIT"),
            of(true),
            of(false),
            std::env::consts::ARCH,
            std::env::consts::OS,
        )
    });
    &TEXT
}
