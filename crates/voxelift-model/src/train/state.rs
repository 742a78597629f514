//! Everything that a step changes: networks, their averages, the optimisers' moments.

use burn::module::Module;
use burn::tensor::Device;

use crate::config::{Config, Mode};
use crate::error::TensorError;
use crate::networks::{Discriminators, Generator, LrDecoder, ProjectionHead};
use crate::optimizer::Adam;
use crate::parameters;

/// The networks that the generator update moves, by one optimiser under one gradient norm.
#[derive(Module, Debug)]
pub struct GeneratorSide {
    /// `E` and `G_SR`.
    pub generator: Generator,
    /// `G_t`; none in the supervised mode.
    pub lr_decoder: Option<LrDecoder>,
    /// `p`, where the feature contrastive loss has a weight.
    pub feature_projection: Option<ProjectionHead>,
    /// `q`, where the reconstruction contrastive loss has a weight.
    pub reconstruction_projection: Option<ProjectionHead>,
}

/// The state of a run between two steps.
#[derive(Clone, Debug)]
pub struct TrainState {
    /// Steps done.
    pub step: u64,
    /// Steps whose update was left out because it was not finite.
    pub skipped: u64,
    /// The model that it started from, in words: its file's name and SHA-256.
    pub start: Option<String>,
    /// What the generator update moves.
    pub networks: GeneratorSide,
    /// `D_s`, `D_f`, `D_t`; none in the supervised mode.
    pub discriminators: Option<Discriminators>,
    /// The exponential moving average of `E` and `G_SR`: what is validated and exported.
    pub average: Generator,
    /// Moments of [`TrainState::networks`].
    pub generator_optimizer: Adam,
    /// Moments of [`TrainState::discriminators`].
    pub discriminator_optimizer: Adam,
}

impl TrainState {
    /// The state before the first step; `device` is plain, without autodiff.
    pub fn new(config: &Config, device: &Device) -> Self {
        let live = device.clone().autodiff();
        let network = config.generator();
        let unpaired = config.mode == Mode::Unpaired;
        let [x, y, z] = config.patch.extent();
        let patch = [z, y, x];
        let head = |weight: f64, name: &str, map: [usize; 3]| {
            let wanted = unpaired && weight > 0.0;
            wanted.then(|| {
                ProjectionHead::new(&config.projection, network.n_feats, map, name, config.seed, &live)
            })
        };
        let hr_map = if config.loss.embed_crop {
            patch
        } else {
            std::array::from_fn(|axis| patch[axis] * network.scale[axis])
        };
        Self {
            step: 0,
            skipped: 0,
            start: None,
            networks: GeneratorSide {
                generator: network.init(config.seed, &live),
                lr_decoder: unpaired.then(|| LrDecoder::new(&network, config.seed, &live)),
                feature_projection: head(
                    config.loss.feature_contrastive + config.loss.measurement_contrastive,
                    "projection.feature",
                    patch,
                ),
                reconstruction_projection: head(
                    config.loss.reconstruction_contrastive,
                    "projection.reconstruction",
                    hr_map,
                ),
            },
            discriminators: unpaired
                .then(|| Discriminators::new(&config.discriminator, &network, patch, config.seed, &live)),
            average: network.init(config.seed, device),
            generator_optimizer: Adam::default(),
            discriminator_optimizer: Adam::default(),
        }
    }

    /// The same state with the encoder and SR decoder of another model, which `start` names.
    ///
    /// # Errors
    /// When they are of other sizes.
    pub fn with_generator(mut self, generator: &Generator, start: String) -> Result<Self, TensorError> {
        self.start = Some(start);
        let values = parameters::values(generator);
        self.networks.generator = parameters::replaced(self.networks.generator, &values)?;
        self.average = parameters::replaced(self.average, &values)?;
        Ok(self)
    }
}
