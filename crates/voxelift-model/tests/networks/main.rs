//! Layers and networks: their values against PyTorch, and how they start.

#[path = "../golden/fill.rs"]
mod fill;
#[path = "../golden/mod.rs"]
mod golden;
mod norm;
mod start;
mod values;

use serde_json::Value;
use voxelift_model::networks::GeneratorConfig;

/// What `scripts/reference/networks_golden.py` wrote.
fn expected() -> Value {
    serde_json::from_str(include_str!("../golden/networks.json")).expect("the script's JSON")
}

/// F = 8, two groups of two blocks.
fn small_network() -> GeneratorConfig {
    GeneratorConfig {
        n_resgroups: 2,
        n_resblocks: 2,
        n_lr_blocks: 2,
        ..GeneratorConfig::tiny()
    }
}
