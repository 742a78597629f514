#![no_main]

mod frugal;
#[path = "../../crates/voxelift/src/cli/evaluate/table.rs"]
#[allow(dead_code)]
mod table;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let most = (256 << 10) + 256 * text.len();
    match frugal::frugal(most, || table::parse(text)) {
        Ok(rows) => {
            assert!(rows.iter().all(|row| !row.image.as_os_str().is_empty()));
            table::repeated(&rows);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
