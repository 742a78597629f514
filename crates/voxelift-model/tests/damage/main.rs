//! Damaged configurations and model files: an error in one line, never a panic or memory for what is merely claimed.
//!
//! `PROPTEST_CASES=100000` looks longer.

mod attempt;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use voxelift_model::device::DeviceChoice;
use voxelift_model::model_file::{self, FORMAT, GRID, ModelCard, NORMALIZATION};
use voxelift_model::networks::GeneratorConfig;
use voxelift_model::parameters;
use voxelift_model::tensor_file::Format;

const CONFIGURATION: &str = include_str!("../../../../configs/tiny.toml");

/// A whole model file of the smallest network.
static MODEL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (device, _) = DeviceChoice::Cpu.open().expect("a CPU");
    let network = GeneratorConfig {
        n_feats: 4,
        kernel: [1; 3],
        ..GeneratorConfig::tiny()
    };
    let card = ModelCard {
        format: FORMAT,
        version: "0".into(),
        method: "supervised".into(),
        scale: [2; 3],
        patch: 8,
        tile: 16,
        steps: 1,
        seed: 1,
        grid: GRID.into(),
        normalization: NORMALIZATION.into(),
        source_operators: vec!["kspace".into()],
        calibration_misfit: None,
        hr_scans: vec!["a".into()],
        lr_scans: Vec::new(),
        lr_spacing_mm: [[1.0, 2.0]; 3],
        appearance: None,
        validation: BTreeMap::new(),
        self_test: Vec::new(),
        weights: Format::F32,
        start: None,
        notes: String::new(),
        limits: Vec::new(),
        network: network.clone(),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    model_file::write(&path, &network.init(1, &device), &card).expect("a written model");
    std::fs::read(path).expect("the model")
});

/// Reads bytes as a model in a folder of their own.
fn read(bytes: &[u8]) -> Result<ModelCard, String> {
    attempt::model(tempfile::tempdir().expect("a folder").path(), bytes)
}

#[test]
fn what_a_fuzzer_broke_once_is_refused_or_read() {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_artifacts");
    let inputs = |target: &str| {
        let entries = std::fs::read_dir(artifacts.join(target)).into_iter().flatten();
        entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("an input"))
    };
    for bytes in inputs("config") {
        let _ = attempt::configuration(&String::from_utf8_lossy(&bytes));
    }
    for bytes in inputs("model") {
        let _ = read(&attempt::with_length(&bytes));
    }
}

#[test]
#[ignore = "writes fuzz/corpus/model anew, for another format of the file"]
fn the_fuzzers_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/model");
    let length = u64::from_le_bytes(MODEL[..8].try_into().expect("eight bytes")) as usize;
    let (header, weights) = MODEL[8..].split_at(length);
    std::fs::write(corpus.join("smallest"), &*MODEL).expect("a file");
    std::fs::write(corpus.join("without_length"), [header, &[0], weights].concat()).expect("a file");
}

#[test]
fn the_least_that_is_asked_of_a_file_is_nearly_the_network() {
    let (device, _) = DeviceChoice::Cpu.open().expect("a CPU");
    for (n_feats, n_resgroups, n_resblocks, scale, kernel) in [
        (4, 1, 1, [2; 3], [1; 3]),
        (8, 1, 1, [1, 1, 4], [3; 3]),
        (8, 3, 2, [2; 3], [1, 3, 3]),
        (5, 2, 4, [3, 1, 2], [3; 3]),
    ] {
        let network = GeneratorConfig {
            n_feats,
            n_resgroups,
            n_resblocks,
            scale,
            kernel,
            ..GeneratorConfig::tiny()
        };
        let values = parameters::values(&network.init(1, &device));
        let weights: usize = values.values().map(|tensor| tensor.shape().num_elements()).sum();
        let (least_tensors, least_weights) = network.least();
        let (tensors, weights) = (values.len() as f64, weights as f64);
        assert!(
            least_tensors <= tensors && least_weights <= weights,
            "{network:?}"
        );
        assert!(
            weights < 2.0 * least_weights,
            "{network:?}: {weights}, at least {least_weights}"
        );
    }
}

#[test]
fn a_card_that_claims_a_huge_network_gets_no_memory_for_it() {
    read(&MODEL).expect("the model itself is whole");
    let length = u64::from_le_bytes(MODEL[..8].try_into().expect("eight bytes")) as usize;
    let header = std::str::from_utf8(&MODEL[8..8 + length]).expect("JSON");
    for (name, was) in [("n_feats", 4), ("n_resgroups", 1), ("n_resblocks", 1)] {
        for claim in [987_654_321_u64, u64::MAX / 2] {
            let from = format!(r#"\"{name}\":{was}"#);
            assert!(header.contains(&from), "{header}");
            let header = header.replace(&from, &format!(r#"\"{name}\":{claim}"#));
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend(&MODEL[8 + length..]);
            let message = read(&bytes).expect_err("a network of other weights");
            assert!(message.contains("weights") || message.contains(name), "{message}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_model_files_are_refused_or_read(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        early in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = MODEL.clone();
        // Half of the time where the header and the card are.
        let reach = if early { 2600.min(bytes.len()) } else { bytes.len() };
        for (at, value) in damage {
            bytes[at.index(reach)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read(&bytes);
    }

    #[test]
    fn damaged_configurations_are_refused_or_read(
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n]{0,6}", 0_usize..6), 1..5),
    ) {
        let mut text = CONFIGURATION.to_owned();
        for (at, with, over) in damage {
            let start = at.index(text.len());
            let end = (start + over).min(text.len());
            // The configuration is ASCII, and stays so.
            text.replace_range(start..end, &with);
        }
        let _ = attempt::configuration(&text);
    }
}
