#![no_main]

mod attempt;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    attempt::attempt("a.mgh", bytes);
});
