//! From what and how an output was made: what stands in the sidecar beside it.

use serde::Serialize;

/// From what and how an output was made, beside its input.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// `model`, or the name of the baseline.
    pub method: &'static str,
    /// The model, where there was one.
    #[serde(flatten)]
    pub of_model: Option<OfModel>,
    /// The grid that was asked for.
    pub target: String,
    /// Whether what the scan measured was put back.
    pub consistency: PutBack,
    /// What made the scan, where that was taken into account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquired: Option<AcquiredBy>,
}

/// Whether what the scan measured was put back.
#[derive(Clone, Debug, Serialize)]
pub struct PutBack {
    /// off, soft or hard.
    pub mode: &'static str,
}

/// What made the scan.
#[derive(Clone, Debug, Serialize)]
pub struct AcquiredBy {
    /// The operators along x, y, z.
    pub operators: String,
    /// Where they are known from.
    pub because: String,
}

/// A model's part in an output.
#[derive(Clone, Debug, Serialize)]
pub struct OfModel {
    /// Its file, or what it is called in the program.
    pub model: String,
    /// SHA-256 of the file.
    pub model_sha256: String,
    /// Voxels of the output per voxel along x, y, z.
    pub scale: [usize; 3],
    /// Voxels along a tile.
    pub tile: usize,
    /// Whether the output is the mean over the mirrorings of the scan.
    pub ensemble: bool,
    /// Whether scans out of its range were allowed.
    pub allow_out_of_range: bool,
    /// Where it computed, without how many threads did.
    pub device: String,
    /// How its grids lie.
    pub grid: String,
    /// How its voxels are normalised.
    pub normalization: String,
    /// How it was trained.
    pub trained: Trained,
    /// The number format of its products, where that is not f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<&'static str>,
}

/// How a model was trained.
#[derive(Clone, Debug, Serialize)]
pub struct Trained {
    /// unpaired, supervised or self-supervised.
    pub method: String,
    /// Steps.
    pub steps: u64,
    /// The seed.
    pub seed: u64,
    /// What the owners of the data want every user to know.
    pub notes: String,
}
