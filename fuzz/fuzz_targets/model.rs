#![no_main]

#[path = "../../crates/voxelift-model/tests/damage/attempt.rs"]
#[allow(dead_code)]
mod attempt;
mod frugal;

// What the threads and the device keep for themselves is taken once, before anything is counted.
libfuzzer_sys::fuzz_target!(init: {
    let _ = attempt::model(&std::env::temp_dir(), include_bytes!("../corpus/model/smallest"));
}, |bytes: &[u8]| {
    let folder = std::env::temp_dir().join(format!("voxelift-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let bytes = attempt::with_length(bytes);
    let _ = frugal::frugal((1 << 20) + 16 * bytes.len(), || attempt::model(&folder, &bytes));
});
