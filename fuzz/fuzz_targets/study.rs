#![no_main]

#[path = "../../crates/voxelift/src/study/definition.rs"]
#[allow(dead_code)]
mod definition;
mod failure {
    //! What the program answers a wrong argument with.

    pub fn usage(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::msg(message.into())
    }
}

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let folder = std::env::temp_dir().join(format!("voxelift-fuzz-study-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join("study.toml");
    std::fs::write(&path, text).expect("a temporary file");
    if let Err(error) = definition::Study::load(&path, &[]) {
        assert!(!error.to_string().is_empty());
    }
});
