//! What is refused, and how it is said: one line that names the key, its value and what was expected.

use std::path::Path;

use voxelift_model::config::Config;
use voxelift_model::train::prepare;

use super::{TINY, tiny};

fn refusal(set: &[&str]) -> String {
    let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
    let error = Config::from_text(TINY, "tiny.toml", Path::new("."), &set).expect_err("refused");
    assert!(error.is_configuration(), "{error}");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = TINY.replace("batch = 2", "batch = 2\n    btach = 3");
    let message = Config::from_text(&text, "tiny.toml", Path::new("."), &[])
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("tiny.toml:") && message.contains("btach"),
        "{message}"
    );
    assert!(refusal(&["optimizer.lr=1e-3"]).contains("`lr`"));
    assert!(refusal(&["nonsense"]).contains("key=value"));
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let message = refusal(&["patch.batch=1"]);
    assert!(
        message.contains("feature_contrastive") && message.contains("batch of 1"),
        "{message}"
    );
    assert!(refusal(&["scale=1"]).contains("scale"));
    assert!(refusal(&["steps=0"]).contains("steps = 0"));
    assert!(refusal(&["loss.cycle=-1"]).contains("cycle = -1"));
    assert!(refusal(&["data.hr=[]"]).contains("data.hr"));
    assert!(refusal(&["data.hr_fraction=1.5"]).contains("1.5"));
    assert!(refusal(&["data.hr_slab=1.5"]).contains("1.5"));
    let several = [
        "loss.measurement_contrastive=0.1",
        "data.source_operator=[\"kspace\",\"box\"]",
    ];
    assert!(refusal(&several).contains("one operator"));
    assert!(refusal(&["data.source_operator=\"blur\""]).contains("source_operator"));
}

#[test]
fn without_contrastive_weights_a_batch_of_one_is_fine() {
    let set = [
        "patch.batch=1",
        "loss.feature_contrastive=0",
        "loss.reconstruction_contrastive=0",
    ];
    assert_eq!(tiny(&set).patch.batch, 1);
    assert_eq!(tiny(&["patch.batch=1", "mode=\"supervised\""]).patch.batch, 1);
}

#[test]
fn the_resolved_configuration_reads_back_as_itself() {
    let config = tiny(&[
        "scale=[2,2,1]",
        "data.source_operator=[\"kspace\",\"gaussian:0.4\"]",
    ]);
    let again = Config::from_resolved(&config.to_toml(), Path::new("config.toml")).expect("our own text");
    assert_eq!(again, config);
    assert!(config.differing_keys(&again).is_empty());
    assert_eq!(
        config.differing_keys(&tiny(&[
            "scale=[2,2,1]",
            "data.source_operator=[\"kspace\",\"gaussian:0.4\"]",
            "seed=2"
        ])),
        ["seed"]
    );
}

#[test]
fn a_subject_in_two_roles_is_refused() {
    let config = tiny(&["data.validation=[\"phantom:12\"]"]);
    let message = prepare(&config, &mut |_| {}).unwrap_err().to_string();
    assert!(
        message.contains("two roles") && message.contains("12"),
        "{message}"
    );
    let config = tiny(&["data.people=[\"phantom:1+phantom:11\"]"]);
    assert!(
        prepare(&config, &mut |_| {})
            .unwrap_err()
            .to_string()
            .contains("two roles")
    );
}

#[test]
fn a_glob_that_finds_nothing_is_named() {
    let config = tiny(&["data.hr=[\"no-such-folder/*.nii.gz\"]"]);
    let message = prepare(&config, &mut |_| {}).unwrap_err().to_string();
    assert!(
        message.contains("data.hr") && message.contains("no-such-folder"),
        "{message}"
    );
}

#[test]
fn a_scan_smaller_than_a_patch_is_refused() {
    let config = tiny(&["patch.size=24"]);
    let message = prepare(&config, &mut |_| {}).unwrap_err().to_string();
    assert!(
        message.contains("patch.size") && message.contains("[16, 18, 16]"),
        "{message}"
    );
}
