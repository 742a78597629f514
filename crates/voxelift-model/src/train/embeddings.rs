//! The contrastive terms: where they look, and what they compare.

use burn::module::Module;
use burn::tensor::Tensor;
use voxelift_volume::random::Stream;

use super::state::GeneratorSide;
use super::views::{DecoderViews, Views};
use crate::batch::UnpairedBatch;
use crate::config::Config;
use crate::losses::{LossConfig, Routing, contrastive};
use crate::networks::{ProjectionConfig, ProjectionHead, draw_positions};

/// Where the contrastive losses look: the same places for both views of a pair.
pub(super) struct Embeddings {
    stream: Stream,
    projection: ProjectionConfig,
    /// Size of a feature map of `E` on an LR patch (Z, Y, X).
    map: [usize; 3],
}

/// Number of the random streams that serve the embeddings; the data set's are below it.
const EMBEDDING_STREAMS: u64 = 1 << 62;

impl Embeddings {
    pub(super) fn new(step: u64, config: &Config) -> Self {
        let [x, y, z] = config.patch.extent();
        let stream = Stream::new(config.seed, EMBEDDING_STREAMS + step);
        Self {
            stream,
            projection: config.projection.clone(),
            map: [z, y, x],
        }
    }

    fn positions(&self, [z, y, x]: [usize; 3]) -> Vec<usize> {
        draw_positions(&mut self.stream.clone(), self.projection.positions, z * y * x)
    }

    /// `1/2 [J(p(F_st), p(F_s)) + J(p(F_tt), p(F_t))]`.
    pub(super) fn feature_loss(
        &self,
        networks: &GeneratorSide,
        views: &mut DecoderViews,
        loss: &LossConfig,
    ) -> Tensor<1> {
        let head = feature_head(networks);
        let positions = self.positions(self.map);
        let distance = |features: Tensor<5>, aim: Tensor<5>| {
            let (u, v) = (head.forward(features, &positions), head.forward(aim, &positions));
            contrastive(u, v, loss.temperature, loss.symmetric)
        };
        let source = distance(views.feat_styled(), views.aim_source.clone());
        let target = distance(views.feat_target_rec(), views.aim_target.clone());
        (source + target) * 0.5
    }

    /// `J(p(E(A(Y_t))), p(E(X_t)))`, `E` held constant.
    ///
    /// # Shapes
    ///
    /// Both `[N, 1, Z, Y, X]` -> `[1]`.
    pub(super) fn measurement_loss(
        &self,
        networks: &GeneratorSide,
        as_measured: Tensor<5>,
        scan: Tensor<5>,
        loss: &LossConfig,
    ) -> Tensor<1> {
        let head = feature_head(networks);
        let encoder = networks.generator.encoder.valid();
        let positions = self.positions(self.map);
        let embed = |image: Tensor<5>| head.forward(encoder.forward(image), &positions);
        contrastive(embed(as_measured), embed(scan), loss.temperature, loss.symmetric)
    }

    /// The mean cosines of `p(F_st)` with `p(F_s)` of the same place and of different places, without gradients; for the
    /// watch. `None` without a feature contrastive term.
    pub(super) fn cosines(&self, networks: &GeneratorSide, batch: &UnpairedBatch) -> Option<[f64; 2]> {
        let head = networks.feature_projection.as_ref()?.valid();
        let decoder = networks.lr_decoder.as_ref()?.valid();
        let encoder = networks.generator.encoder.valid();
        let positions = self.positions(self.map);
        let feat_source = encoder.forward(batch.lr_source.clone());
        let styled = decoder.forward(feat_source.clone(), batch.lr_source.clone());
        let u = head.forward(encoder.forward(styled), &positions);
        let v = head.forward(feat_source, &positions);
        let n = u.dims()[0];
        if n < 2 {
            return None;
        }
        let all: Vec<f32> = u
            .matmul(v.transpose())
            .into_data()
            .try_into_vec()
            .expect("an f32 tensor");
        let same: f64 = (0..n).map(|i| f64::from(all[i * n + i])).sum();
        let total: f64 = all.iter().map(|c| f64::from(*c)).sum();
        Some([same / n as f64, (total - same) / (n * (n - 1)) as f64])
    }

    /// `1/2 [J(q(E(Y_ss)), q(E(Y_s))) + J(q(E(Y_sts)), q(E(Y_s)))]`, `E` held constant.
    pub(super) fn reconstruction_loss(
        &self,
        networks: &GeneratorSide,
        views: &Views,
        hr_source: &Tensor<5>,
        loss: &LossConfig,
    ) -> Tensor<1> {
        let head = networks
            .reconstruction_projection
            .as_ref()
            .expect("a head for a term with a weight");
        let encoder = networks.generator.encoder.valid();
        let [_, _, z, y, x] = hr_source.dims();
        let (start, size) = self.crop([z, y, x], loss.embed_crop);
        let crop = |image: Tensor<5>| {
            (0..3).fold(image, |image, axis| {
                image.narrow(2 + axis, start[axis], size[axis])
            })
        };
        let positions = self.positions(size);
        let embed = |image: Tensor<5>| head.forward(encoder.forward(crop(image)), &positions);
        let sr_styled = match loss.routing {
            // Run again from the detached image: this term is not to train G_t.
            Routing::Routed => networks.generator.forward(views.lr_styled.clone().detach()),
            Routing::Joint => views.sr_styled.clone(),
        };
        let aim = embed(hr_source.clone());
        let distance =
            |image: Tensor<5>| contrastive(embed(image), aim.clone(), loss.temperature, loss.symmetric);
        (distance(views.sr_source.clone()) + distance(sr_styled)) * 0.5
    }

    /// A random block of the size of an LR patch, or the whole.
    fn crop(&self, whole: [usize; 3], embed_crop: bool) -> ([usize; 3], [usize; 3]) {
        if !embed_crop {
            return ([0; 3], whole);
        }
        let mut stream = self.stream.clone();
        let start = std::array::from_fn(|axis| stream.below(whole[axis] - self.map[axis] + 1));
        (start, self.map)
    }
}

/// The head of the terms that compare features.
fn feature_head(networks: &GeneratorSide) -> &ProjectionHead {
    let head = networks.feature_projection.as_ref();
    head.expect("a head for a term with a weight")
}
