//! The projection heads `p` and `q`: features to the embeddings that the contrastive losses compare.

use burn::module::Module;
use burn::tensor::activation::elu;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use voxelift_volume::random::Stream;

use crate::error::InvalidSetting;
use crate::layers::{Init, Linear, adaptive_mean, unit_rows};

/// How a feature map becomes embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Embedding {
    /// Adaptive mean to a small grid, flatten, two linear layers: one embedding a patch.
    #[default]
    Pool,
    /// Flatten, subtract the batch mean, no weights: one embedding a patch.
    Flat,
    /// Two linear layers on the channels at random positions (CUT, arXiv 2007.15651): many a patch.
    Patch,
}

/// Sizes of a projection head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectionConfig {
    /// Which arm.
    pub embedding: Embedding,
    /// Largest side of the pooled grid (`pool`).
    pub pool: usize,
    /// Units of the hidden layer.
    pub hidden: usize,
    /// Length of an embedding.
    pub dim: usize,
    /// Positions drawn a map (`patch`).
    pub positions: usize,
}

impl Default for ProjectionConfig {
    fn default() -> Self {
        Self {
            embedding: Embedding::Pool,
            pool: 4,
            hidden: 256,
            dim: 128,
            positions: 64,
        }
    }
}

impl ProjectionConfig {
    /// Refuses sizes of zero.
    ///
    /// # Errors
    ///
    /// One line naming the key.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let sizes = [
            ("pool", self.pool),
            ("hidden", self.hidden),
            ("dim", self.dim),
            ("positions", self.positions),
        ];
        match sizes.into_iter().find(|&(_, size)| size == 0) {
            Some((key, _)) => Err(InvalidSetting::new(key, 0, "must be at least 1")),
            None => Ok(()),
        }
    }
}

/// `p` or `q`: embedding, Linear, ELU, Linear, unit length.
#[derive(Module, Debug)]
pub struct ProjectionHead {
    /// Absent in the `flat` arm.
    pub hidden: Option<Linear>,
    /// Absent in the `flat` arm.
    pub last: Option<Linear>,
    #[module(skip)]
    embedding: Embedding,
    #[module(skip)]
    grid: [usize; 3],
}

impl ProjectionHead {
    /// A head named `name` (`projection.p`) for feature maps of `n_feats` channels and size `map` (Z, Y, X).
    pub fn new(
        config: &ProjectionConfig,
        n_feats: usize,
        map: [usize; 3],
        name: &str,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut init = Init::new(seed, name);
        let grid = map.map(|side| side.min(config.pool));
        let input = match config.embedding {
            Embedding::Pool => Some(n_feats * grid.iter().product::<usize>()),
            Embedding::Flat => None,
            Embedding::Patch => Some(n_feats),
        };
        let hidden = input.map(|input| Linear::new(input, config.hidden, &mut init, device));
        let last = input.map(|_| Linear::new(config.hidden, config.dim, &mut init, device));
        Self {
            hidden,
            last,
            embedding: config.embedding,
            grid,
        }
    }

    /// Embeddings of unit length, one a row.
    ///
    /// `positions` are indices into a map's `Z Y X` voxels, the same for both views of a pair; only the
    /// `patch` arm reads them.
    ///
    /// # Shapes
    ///
    /// `[N, F, Z, Y, X]` -> `[N, dim]`; `flat` `[N, F Z Y X]`; `patch` `[N positions, dim]`, sample by sample.
    pub fn forward(&self, features: Tensor<5>, positions: &[usize]) -> Tensor<2> {
        let features = features.cast(FloatDType::F32);
        let rows: Tensor<2> = match self.embedding {
            Embedding::Pool => adaptive_mean(features, self.grid).flatten(1, 4),
            Embedding::Flat => {
                let rows: Tensor<2> = features.flatten(1, 4);
                rows.clone() - rows.mean_dim(0)
            }
            Embedding::Patch => at_positions(features, positions),
        };
        let rows = match (&self.hidden, &self.last) {
            (Some(hidden), Some(last)) => last.forward(elu(hidden.forward(rows), 1.0)),
            _ => rows,
        };
        unit_rows(rows.cast(FloatDType::F32))
    }
}

fn at_positions(features: Tensor<5>, positions: &[usize]) -> Tensor<2> {
    let [n, c, z, y, x] = features.dims();
    assert!(
        !positions.is_empty() && positions.iter().all(|&i| i < z * y * x),
        "positions {positions:?} do not fit a map {:?}",
        features.dims()
    );
    let indices: Vec<i64> = positions.iter().map(|&i| i as i64).collect();
    let indices =
        Tensor::<1, Int>::from_data(TensorData::new(indices, [positions.len()]), &features.device());
    features
        .reshape([n, c, z * y * x])
        .select(2, indices)
        .swap_dims(1, 2) // [n, positions, c]
        .reshape([n * positions.len(), c])
}

/// `count` different positions among `n_voxels`, or all of them where there are fewer.
pub fn draw_positions(stream: &mut Stream, count: usize, n_voxels: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n_voxels).collect();
    let count = count.min(n_voxels);
    for i in 0..count {
        all.swap(i, i + stream.below(n_voxels - i));
    }
    all.truncate(count);
    all
}
