//! One training step, in the order of the method.

use burn::module::Module;
use burn::tensor::Tensor;
use voxelift_volume::random::Stream;

use super::state::{GeneratorSide, TrainState};
use crate::batch::{TargetBatch, UnpairedBatch};
use crate::config::Config;
use crate::losses::{
    ContrastiveBackward, HALFWAY, LossConfig, LossTerms, REAL, Routing, contrastive, discriminator_loss, l1,
    reconstruction, score_loss,
};
use crate::networks::{Discriminators, Encoder, LrDecoder, ProjectionConfig, ProjectionHead, draw_positions};
use crate::optimizer::{clipped, global_norm};
use crate::parameters::{NamedTensors, accumulate, average, take_gradients};

/// Trains on one batch: the supervised twin where it has no target half, else the unpaired method.
///
/// A step whose gradients are not finite changes no weight; it is counted in `state.skipped`.
pub fn step(state: &mut TrainState, batch: &UnpairedBatch, config: &Config) -> LossTerms {
    let mut terms = LossTerms::default();
    match &batch.target {
        None => {
            let gradients = supervised(&state.networks, batch, config, &mut terms);
            update_generators(state, gradients, config, &mut terms);
        }
        Some(target) => {
            for round in 0..config.schedule.n_gen {
                // Only the last round's terms are kept.
                terms = LossTerms::default();
                let views = Views::new(&state.networks, batch, target);
                if round == 0 {
                    update_discriminators(state, &views, batch, target, config, &mut terms);
                }
                let gradients = unpaired(state, views, batch, target, config, &mut terms);
                update_generators(state, gradients, config, &mut terms);
            }
        }
    }
    state.step += 1;
    let decay = config.schedule.decay(state.step);
    state.average = average(state.average.clone(), &state.networks.generator, decay);
    terms
}

/// The twin: the reconstruction term alone, on true pairs.
fn supervised(
    networks: &GeneratorSide,
    batch: &UnpairedBatch,
    config: &Config,
    terms: &mut LossTerms,
) -> NamedTensors {
    let sr_source = networks.generator.forward(batch.lr_source.clone());
    let mut objective = Objective::new(terms);
    let value = reconstruction(sr_source, batch.hr_source.clone(), &batch.hr_foreground, config.loss.ssim);
    objective.add("reconstruction", 1.0, value);
    objective.gradients(networks)
}

/// The images and features of a step, each computed once, all in one graph.
struct Views {
    /// `F_s = E(X_s)`.
    feat_source: Tensor<5>,
    /// `F_t = E(X_t)`.
    feat_target: Tensor<5>,
    /// `Y_ss = G_SR(F_s) + U(X_s)`.
    sr_source: Tensor<5>,
    /// `X_tt = G_t(F_t)`.
    lr_target_rec: Tensor<5>,
    /// `X_st = G_t(F_s)`.
    lr_styled: Tensor<5>,
    /// `F_st = E(X_st)`.
    feat_styled: Tensor<5>,
    /// `Y_sts = G_SR(F_st) + U(X_st)`.
    sr_styled: Tensor<5>,
}

impl Views {
    fn new(networks: &GeneratorSide, batch: &UnpairedBatch, target: &TargetBatch) -> Self {
        let (generator, lr_decoder) = (&networks.generator, lr_decoder(networks));
        let feat_source = generator.encode(batch.lr_source.clone());
        let feat_target = generator.encode(target.lr_target.clone());
        let sr_source = generator.decode(feat_source.clone(), batch.lr_source.clone());
        let lr_target_rec = lr_decoder.forward(feat_target.clone(), target.lr_target.clone());
        let lr_styled = lr_decoder.forward(feat_source.clone(), batch.lr_source.clone());
        let feat_styled = generator.encode(lr_styled.clone());
        let sr_styled = generator.decode(feat_styled.clone(), lr_styled.clone());
        Self { feat_source, feat_target, sr_source, lr_target_rec, lr_styled, feat_styled, sr_styled }
    }
}

fn lr_decoder(networks: &GeneratorSide) -> &LrDecoder {
    networks.lr_decoder.as_ref().expect("the unpaired method has an LR decoder")
}

/// One Adam step on all three discriminators, on the detached views.
fn update_discriminators(
    state: &mut TrainState,
    views: &Views,
    batch: &UnpairedBatch,
    target: &TargetBatch,
    config: &Config,
    terms: &mut LossTerms,
) {
    let loss = &config.loss;
    let discriminators = state.discriminators.clone().expect("the unpaired method has discriminators");
    let mut objective = Objective::new(terms);
    if loss.alignment > 0.0 {
        let fake = discriminators.feature.forward(views.feat_target.clone().detach());
        let real = discriminators.feature.forward(views.feat_source.clone().detach());
        objective.terms.record("accuracy_feature", accuracy(&fake, &real));
        objective.add("discriminator_feature", 1.0, discriminator_loss(fake, real));
    }
    if loss.style > 0.0 {
        let fake = discriminators.target.forward(views.lr_styled.clone().detach());
        let real = discriminators.target.forward(target.lr_target.clone());
        objective.terms.record("accuracy_target", accuracy(&fake, &real));
        objective.add("discriminator_target", 1.0, discriminator_loss(fake, real));
    }
    if loss.adversarial > 0.0 || loss.adversarial_target > 0.0 {
        let real = discriminators.source.forward(batch.hr_source.clone());
        let fake = discriminators.source.forward(views.sr_source.clone().detach());
        let fake_styled = discriminators.source.forward(views.sr_styled.clone().detach());
        objective.terms.record("accuracy_source", accuracy(&fake, &real));
        let value = discriminator_loss(fake, real.clone()) + discriminator_loss(fake_styled, real);
        objective.add("discriminator_source", 1.0, value);
    }
    if objective.total.is_none() {
        return;
    }
    let gradients = objective.gradients(&discriminators);
    let norm = global_norm(&gradients);
    let discriminators = if norm.is_finite() {
        let rate = config.optimizer.rate(state.step, config.steps);
        state.discriminator_optimizer.step(discriminators, gradients, rate, &config.optimizer)
    } else {
        discriminators
    };
    state.discriminators = Some(discriminators);
}

/// Share of scores on the right side of one half.
fn accuracy(fake: &Tensor<2>, real: &Tensor<2>) -> f64 {
    let right = |scores: &Tensor<2>, real: bool| {
        let scores: Vec<f32> = scores.clone().inner().into_data().try_into_vec().expect("f32 scores");
        (scores.iter().filter(|s| (**s > 0.5) == real).count(), scores.len())
    };
    let ((a, n), (b, m)) = (right(fake, false), right(real, true));
    (a + b) as f64 / (n + m) as f64
}

/// All terms of the method with a weight, and their gradients by network as the routing says.
fn unpaired(
    state: &TrainState,
    views: Views,
    batch: &UnpairedBatch,
    target: &TargetBatch,
    config: &Config,
    terms: &mut LossTerms,
) -> NamedTensors {
    let (loss, networks) = (&config.loss, &state.networks);
    let strength = config.schedule.strength(state.step, config.steps);
    let judges = state.discriminators.as_ref().expect("the unpaired method has discriminators").valid();
    let mut objective = Objective::new(terms);

    if loss.reconstruction > 0.0 {
        let value = reconstruction(views.sr_source.clone(), batch.hr_source.clone(), &batch.hr_foreground, loss.ssim);
        objective.add("reconstruction", loss.reconstruction, value);
    }
    if loss.restoration > 0.0 {
        let (rec, lr) = (views.lr_target_rec.clone(), target.lr_target.clone());
        objective.add("restoration", loss.restoration, reconstruction(rec, lr, &target.lr_foreground, loss.ssim));
    }
    if loss.cycle > 0.0 {
        let value = reconstruction(views.sr_styled.clone(), batch.hr_source.clone(), &batch.hr_foreground, loss.ssim);
        objective.add("cycle", loss.cycle, value);
    }
    if strength > 0.0 {
        adversarial_terms(&mut objective, &judges, networks, &views, target, loss, strength);
    }
    let mut decoder_views = DecoderViews::new(networks, &views, batch, target, loss);
    if loss.style * strength > 0.0 {
        let value = score_loss(judges.target.forward(decoder_views.styled()), REAL);
        objective.add("style", loss.style * strength, value);
    }
    if loss.identity > 0.0 {
        let value = l1(decoder_views.feat_styled(), decoder_views.aim_source.clone());
        objective.add("identity", loss.identity, value);
    }
    if strength == 0.0 {
        return objective.gradients(networks);
    }

    let embedding = Embeddings::new(state.step, config);
    let separate = loss.contrastive_backward == ContrastiveBackward::Separate;
    let mut gradients = NamedTensors::new();
    if loss.feature_contrastive > 0.0 {
        let weight = loss.feature_contrastive * strength;
        if separate {
            let fresh = Views::new(networks, batch, target);
            let mut views = DecoderViews::new(networks, &fresh, batch, target, loss);
            let mut alone = Objective::new(objective.terms);
            alone.add("feature_contrastive", weight, embedding.feature_loss(networks, &mut views, loss));
            accumulate(&mut gradients, alone.gradients(networks));
        } else {
            objective.add("feature_contrastive", weight, embedding.feature_loss(networks, &mut decoder_views, loss));
        }
    }
    if loss.reconstruction_contrastive > 0.0 {
        let weight = loss.reconstruction_contrastive * strength;
        if separate {
            let fresh = Views::new(networks, batch, target);
            let mut alone = Objective::new(objective.terms);
            let value = embedding.reconstruction_loss(networks, &fresh, &batch.hr_source, loss);
            alone.add("reconstruction_contrastive", weight, value);
            accumulate(&mut gradients, alone.gradients(networks));
        } else {
            let value = embedding.reconstruction_loss(networks, &views, &batch.hr_source, loss);
            objective.add("reconstruction_contrastive", weight, value);
        }
    }
    accumulate(&mut gradients, objective.gradients(networks));
    gradients
}

/// The terms in which `D_f` and `D_s` judge.
fn adversarial_terms(
    objective: &mut Objective<'_>,
    judges: &Discriminators,
    networks: &GeneratorSide,
    views: &Views,
    target: &TargetBatch,
    loss: &LossConfig,
    strength: f64,
) {
    if loss.alignment > 0.0 {
        let value = score_loss(judges.feature.forward(views.feat_target.clone()), HALFWAY)
            + score_loss(judges.feature.forward(views.feat_source.clone()), HALFWAY);
        objective.add("alignment", loss.alignment * strength, value);
    }
    if loss.adversarial > 0.0 {
        let value = score_loss(judges.source.forward(views.sr_source.clone()), REAL)
            + score_loss(judges.source.forward(views.sr_styled.clone()), REAL);
        objective.add("adversarial", loss.adversarial * strength, value);
    }
    if loss.adversarial_target > 0.0 {
        // Y_t, the answer itself.
        let sr_target = networks.generator.decode(views.feat_target.clone(), target.lr_target.clone());
        let value = score_loss(judges.source.forward(sr_target), REAL);
        objective.add("adversarial_target", loss.adversarial_target * strength, value);
    }
}

/// What the terms that move `G_t` alone look at. Routed: `G_t` on detached features, then `E` held constant, so that
/// `E` cannot erase content to please `D_t`. Joint: the live views.
struct DecoderViews {
    /// `X_st` and `X_tt` with the routed gradient; made when first asked for.
    images: [Option<Tensor<5>>; 2],
    /// Their features.
    features: [Option<Tensor<5>>; 2],
    /// What `F_st` and `F_tt` are to equal: `F_s` and `F_t`.
    aim_source: Tensor<5>,
    aim_target: Tensor<5>,
    inputs: [Tensor<5>; 2],
    decoder: LrDecoder,
    encoder: Encoder,
}

impl DecoderViews {
    fn new(
        networks: &GeneratorSide,
        views: &Views,
        batch: &UnpairedBatch,
        target: &TargetBatch,
        loss: &LossConfig,
    ) -> Self {
        let inputs = [batch.lr_source.clone(), target.lr_target.clone()];
        let decoder = lr_decoder(networks).clone();
        match loss.routing {
            Routing::Routed => Self {
                images: [None, None],
                features: [None, None],
                aim_source: views.feat_source.clone().detach(),
                aim_target: views.feat_target.clone().detach(),
                inputs,
                decoder,
                encoder: networks.generator.encoder.valid(),
            },
            Routing::Joint => Self {
                images: [Some(views.lr_styled.clone()), Some(views.lr_target_rec.clone())],
                features: [Some(views.feat_styled.clone()), None],
                aim_source: views.feat_source.clone(),
                aim_target: views.feat_target.clone(),
                inputs,
                decoder,
                encoder: networks.generator.encoder.clone(),
            },
        }
    }

    fn styled(&mut self) -> Tensor<5> {
        let Self { images, aim_source, inputs, decoder, .. } = self;
        images[0].get_or_insert_with(|| decoder.forward(aim_source.clone(), inputs[0].clone())).clone()
    }

    fn target_rec(&mut self) -> Tensor<5> {
        let Self { images, aim_target, inputs, decoder, .. } = self;
        images[1].get_or_insert_with(|| decoder.forward(aim_target.clone(), inputs[1].clone())).clone()
    }

    /// `F_st`.
    fn feat_styled(&mut self) -> Tensor<5> {
        let image = self.styled();
        let encoder = &self.encoder;
        self.features[0].get_or_insert_with(|| encoder.forward(image)).clone()
    }

    /// `F_tt`.
    fn feat_target_rec(&mut self) -> Tensor<5> {
        let image = self.target_rec();
        let encoder = &self.encoder;
        self.features[1].get_or_insert_with(|| encoder.forward(image)).clone()
    }
}

/// Where the contrastive losses look: the same places for both views of a pair.
struct Embeddings {
    stream: Stream,
    projection: ProjectionConfig,
    /// Size of a feature map of `E` on an LR patch (Z, Y, X).
    map: [usize; 3],
}

/// Number of the random streams that serve the embeddings; the data set's are below it.
const EMBEDDING_STREAMS: u64 = 1 << 62;

impl Embeddings {
    fn new(step: u64, config: &Config) -> Self {
        let [x, y, z] = config.patch.extent();
        let stream = Stream::new(config.seed, EMBEDDING_STREAMS + step);
        Self { stream, projection: config.projection.clone(), map: [z, y, x] }
    }

    fn positions(&self, [z, y, x]: [usize; 3]) -> Vec<usize> {
        draw_positions(&mut self.stream.clone(), self.projection.positions, z * y * x)
    }

    /// `1/2 [J(p(F_st), p(F_s)) + J(p(F_tt), p(F_t))]`.
    fn feature_loss(&self, networks: &GeneratorSide, views: &mut DecoderViews, loss: &LossConfig) -> Tensor<1> {
        let head = networks.feature_projection.as_ref().expect("a head for a term with a weight");
        let positions = self.positions(self.map);
        let distance = |features: Tensor<5>, aim: Tensor<5>| {
            let (u, v) = (head.forward(features, &positions), head.forward(aim, &positions));
            contrastive(u, v, loss.temperature, loss.symmetric)
        };
        let source = distance(views.feat_styled(), views.aim_source.clone());
        let target = distance(views.feat_target_rec(), views.aim_target.clone());
        (source + target) * 0.5
    }

    /// `1/2 [J(q(E(Y_ss)), q(E(Y_s))) + J(q(E(Y_sts)), q(E(Y_s)))]`, `E` held constant.
    fn reconstruction_loss(
        &self,
        networks: &GeneratorSide,
        views: &Views,
        hr_source: &Tensor<5>,
        loss: &LossConfig,
    ) -> Tensor<1> {
        let head: &ProjectionHead =
            networks.reconstruction_projection.as_ref().expect("a head for a term with a weight");
        let encoder = networks.generator.encoder.valid();
        let [_, _, z, y, x] = hr_source.dims();
        let (start, size) = self.crop([z, y, x], loss.embed_crop);
        let crop = |image: Tensor<5>| {
            (0..3).fold(image, |image, axis| image.narrow(2 + axis, start[axis], size[axis]))
        };
        let positions = self.positions(size);
        let embed = |image: Tensor<5>| head.forward(encoder.forward(crop(image)), &positions);
        let sr_styled = match loss.routing {
            // Run again from the detached image: G_t is not to answer for this term.
            Routing::Routed => networks.generator.forward(views.lr_styled.clone().detach()),
            Routing::Joint => views.sr_styled.clone(),
        };
        let aim = embed(hr_source.clone());
        let distance = |image: Tensor<5>| contrastive(embed(image), aim.clone(), loss.temperature, loss.symmetric);
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

/// A weighted sum of terms in one graph.
struct Objective<'a> {
    total: Option<Tensor<1>>,
    terms: &'a mut LossTerms,
}

impl<'a> Objective<'a> {
    fn new(terms: &'a mut LossTerms) -> Self {
        Self { total: None, terms }
    }

    fn add(&mut self, name: &'static str, weight: f64, value: Tensor<1>) {
        let scalar: f32 = value.clone().inner().into_scalar();
        self.terms.record(name, f64::from(scalar));
        let weighted = value.mul_scalar(weight);
        self.total = Some(match self.total.take() {
            Some(sum) => sum + weighted,
            None => weighted,
        });
    }

    /// One backward pass.
    fn gradients<M: Module>(self, module: &M) -> NamedTensors {
        match self.total {
            Some(total) => take_gradients(module, &mut total.backward()),
            None => NamedTensors::new(),
        }
    }
}

/// One Adam step on the whole generator side, its global gradient norm clipped.
fn update_generators(state: &mut TrainState, gradients: NamedTensors, config: &Config, terms: &mut LossTerms) {
    let norm = global_norm(&gradients);
    terms.record("gradient_norm", norm);
    if !norm.is_finite() {
        state.skipped += 1;
        return;
    }
    let gradients = clipped(gradients, norm, config.optimizer.clip_norm);
    let rate = config.optimizer.rate(state.step, config.steps);
    let networks = state.networks.clone();
    state.networks = state.generator_optimizer.step(networks, gradients, rate, &config.optimizer);
}
