//! What must hold of any text as a configuration and of any bytes as a model file; the fuzz targets ask the same.

use std::path::Path;

use voxelift_model::config::Config;
use voxelift_model::device::DeviceChoice;
use voxelift_model::model_file::{self, ModelCard};

/// Reads a configuration; lines that begin with `--set ` are arguments. An error must be one line; what is accepted must
/// say the same once it is written and read again.
pub fn configuration(text: &str) -> Result<Config, String> {
    let (set, text): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("--set "));
    let set: Vec<String> = set.iter().map(|line| line["--set ".len()..].to_owned()).collect();
    let read = |text: &str, set: &[String]| Config::from_text(text, "a.toml", Path::new("/"), set);
    let config = read(&text.join("\n"), &set)
        .map_err(|error| {
            let message = error.to_string();
            assert!(!message.contains('\n') && !message.is_empty(), "{message}");
            message
        })?
        .config;
    let written = config.to_toml();
    let again = read(&written, &[]).expect("what we write is read").config;
    // NaN is not itself, but is written as itself.
    assert_eq!(again.to_toml(), written);
    let resolved = Config::from_resolved(&written, Path::new("a.toml")).expect("what we write is read");
    assert_eq!(resolved.to_toml(), written);
    assert!(resolved.tile() > 0);
    Ok(config)
}

/// Reads bytes as a model file. An error must be one line that begins with the file; a model that is read must have the
/// card that is read alone.
pub fn model(folder: &Path, bytes: &[u8]) -> Result<ModelCard, String> {
    let (device, _) = DeviceChoice::Cpu.open().expect("a CPU");
    let path = folder.join("model.safetensors");
    std::fs::write(&path, bytes).expect("a file");
    match model_file::read(&path, &device) {
        Ok((_, card)) => {
            let alone = model_file::read_card(&path).expect("the card of a readable model");
            assert_eq!(format!("{alone:?}"), format!("{card:?}"));
            Ok(card)
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with(path.to_str().expect("UTF-8")), "{message}");
            assert!(!message.contains('\n'), "{message}");
            Err(message)
        }
    }
}

/// Bytes that a mutation of the header does not spoil: an opening brace stands for a header up to the first zero byte,
/// whose length is put before it.
pub fn with_length(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    match (bytes.first(), end) {
        (Some(b'{'), Some(end)) => {
            [&(end as u64).to_le_bytes()[..], &bytes[..end], &bytes[end + 1..]].concat()
        }
        _ => bytes.to_vec(),
    }
}
