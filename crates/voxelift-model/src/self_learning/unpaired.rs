//! The unpaired method on one scan: what its planes across the slices, which nobody has seen finer, add to learning.
//!
//! The source is the scan's own slices, whose fine image is known; the target is its planes across them. All terms are off unless
//! they are given a weight; what each of them gains is in `docs/record.md`, "The paper's method on one scan".

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use voxelift_conv::Activation;
use voxelift_volume::random::Stream;

use super::network::{KERNEL, NetworkConfig, SliceNetwork};
use crate::error::InvalidSetting;
use crate::layers::{Conv, ConvConfig, Init};
use crate::losses::{HALFWAY, REAL, contrastive, discriminator_loss, l1, score_loss};
use crate::networks::{
    Discriminator, DiscriminatorConfig, Embedding, ProjectionConfig, ProjectionHead, draw_positions,
};
use crate::optimizer::{Adam, OptimizerConfig, global_norm};
use crate::parameters::take_gradients;

/// The weights of the terms, 0 for those that are left out, and the sizes of what they need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnpairedConfig {
    /// Coarse slices, restyled, pass for planes across the slices; the network learns from them too.
    pub style: f64,
    /// L1 of what the network makes of a restyled slice against its fine slice; it goes with `style`.
    pub cycle: f64,
    /// No discriminator of features can tell coarse slices and planes across them apart.
    pub alignment: f64,
    /// Planes across the slices, made finer, pass for slices.
    pub adversarial: f64,
    /// A restyled slice keeps its features, against the rest of the batch.
    pub feature_contrastive: f64,
    /// A slice that is made finer has the features of its own fine slice, against the rest of the batch.
    pub reconstruction_contrastive: f64,
    /// Temperature of the contrastive losses.
    pub temperature: f64,
    /// The share of the steps before the first of these terms.
    pub quiet: f64,
    /// The share of the steps over which their weights rise.
    pub ramp: f64,
    /// The rate of the discriminators.
    pub judge_rate: f64,
    /// Sizes of the discriminators.
    pub discriminator: DiscriminatorConfig,
    /// What the contrastive losses compare.
    pub projection: ProjectionConfig,
}

impl Default for UnpairedConfig {
    fn default() -> Self {
        Self {
            style: 0.0,
            cycle: 0.0,
            alignment: 0.0,
            adversarial: 0.0,
            feature_contrastive: 0.0,
            reconstruction_contrastive: 0.0,
            temperature: 0.5,
            quiet: 0.1,
            ramp: 0.1,
            judge_rate: 2e-4,
            discriminator: DiscriminatorConfig::default(),
            projection: ProjectionConfig {
                embedding: Embedding::Patch,
                ..ProjectionConfig::default()
            },
        }
    }
}

impl UnpairedConfig {
    /// Refuses weights that mean nothing, and contrastive losses without negatives.
    ///
    /// # Errors
    /// One line naming the key, its value and what was expected.
    pub fn check(&self, batch: usize) -> Result<(), InvalidSetting> {
        let weights = [
            ("style", self.style),
            ("cycle", self.cycle),
            ("alignment", self.alignment),
            ("adversarial", self.adversarial),
            ("feature_contrastive", self.feature_contrastive),
            ("reconstruction_contrastive", self.reconstruction_contrastive),
        ];
        let numbers = [
            ("temperature", self.temperature, 1e-3..=1e3),
            ("quiet", self.quiet, 0.0..=1.0),
            ("ramp", self.ramp, 0.0..=1.0),
            ("judge_rate", self.judge_rate, 1e-9..=1.0),
        ];
        let weights = weights.map(|(key, weight)| (key, weight, 0.0..=1e6));
        let mut all = weights.iter().chain(&numbers);
        if let Some((key, value, range)) = all.find(|(_, value, range)| !range.contains(value)) {
            let [least, most] = [range.start(), range.end()];
            return Err(InvalidSetting::new(
                *key,
                value,
                format!("must be {least} to {most}"),
            ));
        }
        let contrasted = weights
            .iter()
            .find(|(key, weight, _)| key.ends_with("_contrastive") && *weight > 0.0);
        if let (Some((key, weight, _)), 1) = (contrasted, batch) {
            let expected = "a batch of 1 has no negatives; raise `batch`, or set it to 0";
            return Err(InvalidSetting::new(*key, weight, expected));
        }
        let discriminator = self.discriminator.check();
        discriminator.map_err(|setting| setting.within("discriminator"))?;
        let projection = self.projection.check();
        projection.map_err(|setting| setting.within("projection"))
    }

    /// Whether any term has a weight.
    pub fn active(&self) -> bool {
        self.restyles() || self.looks_across() || self.reconstruction_contrastive > 0.0
    }

    /// Whether slices are restyled.
    fn restyles(&self) -> bool {
        self.style + self.cycle + self.feature_contrastive > 0.0
    }

    /// Whether planes across the slices are looked at.
    pub fn looks_across(&self) -> bool {
        self.style + self.alignment + self.adversarial > 0.0
    }

    /// The factor on all weights at step `step` (from 0) of `steps`.
    pub fn strength(&self, step: u64, steps: u64) -> f64 {
        let late = step as f64 / steps.max(1) as f64 - self.quiet;
        match late {
            late if late < 0.0 => 0.0,
            late if late < self.ramp => late / self.ramp,
            _ => 1.0,
        }
    }
}

/// What learns with the network, and is not applied.
#[derive(Module, Debug)]
pub struct Companions {
    /// Features of a coarse slice -> what makes it a plane across the slices; starts at zero.
    pub styler: Option<Conv>,
    /// Features of coarse images -> embeddings.
    pub feature_head: Option<ProjectionHead>,
    /// Features of fine images -> embeddings.
    pub image_head: Option<ProjectionHead>,
}

impl Companions {
    /// Those that the terms with a weight need, for coarse patches of `[rows, columns]`.
    pub fn new(
        config: &UnpairedConfig,
        network: &NetworkConfig,
        [rows, columns]: [usize; 2],
        seed: u64,
        device: &Device,
    ) -> Self {
        let n_feats = network.n_feats;
        let head = |name: &str| {
            let map = [1, rows, columns];
            ProjectionHead::new(&config.projection, n_feats, map, name, seed, device)
        };
        Self {
            styler: config.restyles().then(|| {
                let conv = ConvConfig::new(n_feats, 1, KERNEL).gain(0.0);
                Conv::new(conv, &mut Init::new(seed, "slices.styler"), device)
            }),
            feature_head: (config.feature_contrastive > 0.0).then(|| head("slices.p")),
            image_head: (config.reconstruction_contrastive > 0.0).then(|| head("slices.q")),
        }
    }
}

/// The network and what learns with it, moved by one optimiser.
#[derive(Module, Debug)]
pub struct Learner {
    /// What is applied.
    pub network: SliceNetwork,
    /// What is not.
    pub companions: Companions,
}

/// The discriminators of the terms with a weight.
#[derive(Module, Debug)]
pub struct Judges {
    /// Restyled slices and planes across the slices.
    pub coarse: Option<Discriminator>,
    /// Features of both.
    pub features: Option<Discriminator>,
    /// Planes across the slices, made finer, and slices.
    pub fine: Option<Discriminator>,
}

impl Judges {
    /// For coarse patches of `[rows, columns]`.
    pub fn new(
        config: &UnpairedConfig,
        network: &NetworkConfig,
        [rows, columns]: [usize; 2],
        seed: u64,
        device: &Device,
    ) -> Self {
        let judge = |weight: f64, name: &str, channels: usize, rows: usize| {
            (weight > 0.0).then(|| {
                let mut init = Init::new(seed, name);
                let patch = [1, rows, columns];
                Discriminator::new(&config.discriminator, channels, patch, KERNEL, &mut init, device)
            })
        };
        Self {
            coarse: judge(config.style, "slices.judges.coarse", 1, rows),
            features: judge(config.alignment, "slices.judges.features", network.n_feats, rows),
            fine: judge(config.adversarial, "slices.judges.fine", 1, rows * network.scale),
        }
    }

    /// One Adam step on what is detached from the network; none where a gradient is not finite.
    fn learn(self, optimizer: &mut Adam, seen: &Seen, config: &UnpairedConfig) -> Self {
        let losses = [
            self.coarse
                .as_ref()
                .zip(seen.styled.clone().zip(seen.across.clone())),
            self.features
                .as_ref()
                .zip(seen.feat_across.clone().zip(Some(seen.features.clone()))),
            self.fine
                .as_ref()
                .zip(seen.fine_across.clone().zip(Some(seen.fine.clone()))),
        ]
        .into_iter()
        .flatten()
        .map(|(judge, (made, real))| {
            discriminator_loss(judge.forward(made.detach()), judge.forward(real.detach()))
        });
        let Some(loss) = losses.reduce(|sum, loss| sum + loss) else {
            return self;
        };
        let gradients = take_gradients(&self, &mut loss.backward());
        if !global_norm(&gradients).is_finite() {
            return self;
        }
        optimizer.step(self, gradients, config.judge_rate, &OptimizerConfig::default())
    }
}

/// What the terms of one step look at. `[N, C, 1, rows, columns]`.
struct Seen {
    /// Of coarse slices.
    features: Tensor<5>,
    /// Slices.
    fine: Tensor<5>,
    /// Coarse slices, restyled.
    styled: Option<Tensor<5>>,
    /// Planes across the slices.
    across: Option<Tensor<5>>,
    feat_across: Option<Tensor<5>>,
    /// Made finer.
    fine_across: Option<Tensor<5>>,
}

/// One batch: coarse and fine slices, and planes across the slices where terms look at them.
pub struct Batch {
    /// `[N, 1, 1, rows, columns]`.
    pub coarse: Tensor<5>,
    /// `[N, 1, 1, scale rows, columns]`.
    pub fine: Tensor<5>,
    /// `[N, 1, 1, rows, columns]`; the rows may be fewer.
    pub across: Option<Tensor<5>>,
}

/// The discriminators and how they move.
#[derive(Clone, Debug)]
pub struct Opponents {
    /// The weights.
    pub judges: Judges,
    /// Their moments.
    pub optimizer: Adam,
}

impl Opponents {
    /// The sum of all terms with a weight, to be added to the network's own loss, for features of the coarse slices and what the network
    /// made of them; the discriminators learn first.
    pub fn terms(
        &mut self,
        learner: &Learner,
        batch: &Batch,
        [features, made]: [&Tensor<5>; 2],
        config: &UnpairedConfig,
        strength: f64,
        mut stream: Stream,
    ) -> Option<Tensor<1>> {
        let Learner { network, companions } = learner;
        // The styler learns to restyle; the features are not to change for it.
        let styled = companions.styler.as_ref().map(|styler| {
            let change = styler.forward(features.clone().detach(), Activation::None);
            batch.coarse.clone() + change
        });
        let feat_across = batch.across.clone().map(|across| network.features(across));
        let fine_across = feat_across
            .clone()
            .zip(batch.across.clone())
            .filter(|_| config.adversarial > 0.0)
            .map(|(features, across)| network.decode(features, across));
        let seen = Seen {
            features: features.clone(),
            fine: batch.fine.clone(),
            styled,
            across: batch.across.clone(),
            feat_across,
            fine_across,
        };
        self.judges = self.judges.clone().learn(&mut self.optimizer, &seen, config);
        let judges = self.judges.valid();
        let mut terms: Vec<(f64, Tensor<1>)> = Vec::new();
        if let (Some(judge), Some(styled)) = (&judges.coarse, &seen.styled) {
            terms.push((config.style, score_loss(judge.forward(styled.clone()), REAL)));
        }
        if let (Some(judge), Some(across)) = (&judges.features, &seen.feat_across) {
            let sides = [across, &seen.features].map(|side| score_loss(judge.forward(side.clone()), HALFWAY));
            let [a, b] = sides;
            terms.push((config.alignment, a + b));
        }
        if let (Some(judge), Some(made)) = (&judges.fine, &seen.fine_across) {
            terms.push((config.adversarial, score_loss(judge.forward(made.clone()), REAL)));
        }
        if let Some(styled) = seen
            .styled
            .filter(|_| config.cycle + config.feature_contrastive > 0.0)
        {
            let feat_styled = network.features(styled.clone());
            if let Some(head) = &companions.feature_head {
                let [_, _, _, rows, columns] = feat_styled.dims();
                let positions = draw_positions(&mut stream, config.projection.positions, rows * columns);
                let embed = |features: Tensor<5>| head.forward(features, &positions);
                let (u, v) = (embed(feat_styled.clone()), embed(features.clone()));
                terms.push((
                    config.feature_contrastive,
                    contrastive(u, v, config.temperature, false),
                ));
            }
            if config.cycle > 0.0 {
                let again = network.decode(feat_styled, styled);
                terms.push((config.cycle, l1(again, batch.fine.clone())));
            }
        }
        if let Some(head) = &companions.image_head {
            // The encoder is held constant, and sees a block of the size of a coarse patch.
            let encoder = network.valid();
            let [rows, fine_rows] = [batch.coarse.dims()[3], batch.fine.dims()[3]];
            let first = stream.below(fine_rows - rows + 1);
            let columns = batch.fine.dims()[4];
            let positions = draw_positions(&mut stream, config.projection.positions, rows * columns);
            let embed =
                |image: Tensor<5>| head.forward(encoder.features(image.narrow(3, first, rows)), &positions);
            let (u, v) = (embed(made.clone()), embed(batch.fine.clone()));
            let value = contrastive(u, v, config.temperature, false);
            terms.push((config.reconstruction_contrastive, value));
        }
        let weighted = terms
            .into_iter()
            .map(|(weight, term)| term.mul_scalar(weight * strength));
        weighted.reduce(|sum, term| sum + term)
    }
}
