//! The training loop as a user sees it: routing of gradients, resuming, refusing, learning.

mod configuration;
mod divergence;
mod gradients;
mod placed;
mod precision;
mod runs;

use std::path::Path;

use voxelift_model::config::Config;

/// The method on synthetic heads, as small as it gets.
pub const TINY: &str = r#"
    mode = "unpaired"
    steps = 6
    [data]
    hr = ["phantom:1-2"]
    lr = { files = ["phantom:11-12"], degrade = { operator = "kspace" } }
    source_operator = "kspace"
    phantom = { extent = [32, 36, 32], spacing_mm = 4.8 }
    [patch]
    size = 8
    batch = 2
    [network]
    n_feats = 4
    n_resgroups = 1
    n_resblocks = 1
    n_lr_blocks = 1
    [discriminator]
    width = 2
    [projection]
    hidden = 8
    dim = 4
    [loss]
    alignment = 0.01
    adversarial = 0.01
    feature_contrastive = 0.01
    reconstruction_contrastive = 0.01
    [schedule]
    quiet = 0.0
    ramp = 0.0
    [validation]
    every = 0
    [checkpoint]
    every = 2
"#;

/// [`TINY`] with overrides.
pub fn tiny(set: &[&str]) -> Config {
    let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
    Config::from_text(TINY, "tiny", Path::new("."), &set)
        .expect("a valid configuration")
        .config
}
