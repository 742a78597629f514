#![no_main]

#[path = "../../crates/voxelift-model/tests/damage/attempt.rs"]
#[allow(dead_code)]
mod attempt;
mod frugal;

// The text, the parser's table of it, the configuration, and the same again for what is written.
libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = frugal::frugal((256 << 10) + 256 * text.len(), || attempt::configuration(text));
});
