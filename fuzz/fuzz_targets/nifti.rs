#![no_main]

mod attempt;
mod frugal;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    frugal::frugal(attempt::honest_bytes(bytes.len()), || attempt::attempt("a.nii", bytes));
});
