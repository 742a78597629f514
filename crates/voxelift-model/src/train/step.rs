//! One training step, in the order of the method.

use burn::module::Module;
use burn::tensor::{FloatDType, Tensor};
use voxelift_conv::computing_in;

use super::embeddings::Embeddings;
use super::objective::Objective;
use super::state::{GeneratorSide, TrainState};
use super::views::{DecoderViews, Views};
use crate::batch::{TargetBatch, UnpairedBatch};
use crate::config::Config;
use crate::device::Precision;
use crate::layers::Measurement;
use crate::losses::{
    ContrastiveBackward, HALFWAY, LossConfig, LossTerms, REAL, discriminator_loss, l1, measurement,
    null_space, reconstruction, score_loss,
};
use crate::networks::{Discriminators, Generator};
use crate::optimizer::{clipped, global_norm};
use crate::parameters::{NamedTensors, accumulate, average, cast};

/// Trains on one batch: the supervised twin where it has no target half, else the unpaired method.
///
/// A step whose gradients are not finite changes no weight; it is counted in `state.skipped`.
pub fn step(state: &mut TrainState, batch: &UnpairedBatch, config: &Config) -> LossTerms {
    let format = config.precision.products(&batch.lr_source.device());
    computing_in(format, || step_in(state, batch, config))
}

fn step_in(state: &mut TrainState, batch: &UnpairedBatch, config: &Config) -> LossTerms {
    let mut terms = LossTerms::default();
    let discriminators = (
        state.discriminators.clone(),
        state.discriminator_optimizer.clone(),
    );
    let finite = match &batch.target {
        None => {
            let gradients = supervised(&state.networks, batch, config, &mut terms);
            update_generators(state, gradients, config, &mut terms)
        }
        Some(target) => (0..config.schedule.n_gen).all(|round| {
            // Only the last round's terms are kept.
            terms = LossTerms::default();
            let live = computing(&state.networks, config.precision);
            let views = Views::new(&live, batch, target);
            if round == 0 && !update_discriminators(state, &views, batch, target, config, &mut terms) {
                return false;
            }
            let gradients = unpaired(state, &live, &views, batch, target, config, &mut terms);
            update_generators(state, gradients, config, &mut terms)
        }),
    };
    state.step += 1;
    if finite {
        let decay = config.schedule.decay(state.step);
        state.average = average(state.average.clone(), &state.networks.generator, decay);
    } else {
        state.skipped += 1;
        (state.discriminators, state.discriminator_optimizer) = discriminators;
    }
    terms
}

/// The gradients of a generator update by parameter name, before clipping, and the terms; changes nothing.
pub fn generator_gradients(
    state: &TrainState,
    batch: &UnpairedBatch,
    config: &Config,
) -> (NamedTensors, LossTerms) {
    let mut terms = LossTerms::default();
    let format = config.precision.products(&batch.lr_source.device());
    let gradients = computing_in(format, || match &batch.target {
        None => supervised(&state.networks, batch, config, &mut terms),
        Some(target) => {
            let live = computing(&state.networks, config.precision);
            let views = Views::new(&live, batch, target);
            unpaired(state, &live, &views, batch, target, config, &mut terms)
        }
    });
    (gradients, terms)
}

/// The networks in the number format that they compute in; gradients reach the weights themselves, which stay f32.
fn computing<M: Module>(weights: &M, precision: Precision) -> M {
    let device = weights.devices().into_iter().next().unwrap_or_default();
    match precision.cast(&device) {
        Some(format) => cast(weights.clone(), format),
        None => weights.clone(),
    }
}

/// The twin: the reconstruction terms alone, on true pairs.
fn supervised(
    networks: &GeneratorSide,
    batch: &UnpairedBatch,
    config: &Config,
    terms: &mut LossTerms,
) -> NamedTensors {
    let live = computing(&networks.generator, config.precision);
    let sr_source = live.forward(batch.lr_source.clone());
    let mut objective = Objective::new(terms);
    reconstruction_terms(&mut objective, sr_source, batch, &live, &config.loss);
    objective.gradients(networks)
}

/// `Y_ss` against `Y_s`.
fn reconstruction_terms(
    objective: &mut Objective<'_>,
    sr_source: Tensor<5>,
    batch: &UnpairedBatch,
    generator: &Generator,
    loss: &LossConfig,
) {
    let hr = || batch.hr_source.clone();
    if loss.reconstruction > 0.0 {
        let value = reconstruction(sr_source.clone(), hr(), &batch.hr_foreground, loss.ssim);
        objective.add("reconstruction", loss.reconstruction, value);
    }
    if loss.null_space > 0.0 {
        let value = null_space(sr_source, hr(), generator.scale());
        objective.add("null_space", loss.null_space, value);
    }
}

/// One Adam step on all three discriminators, on the detached views; returns whether their gradients are finite.
fn update_discriminators(
    state: &mut TrainState,
    views: &Views,
    batch: &UnpairedBatch,
    target: &TargetBatch,
    config: &Config,
    terms: &mut LossTerms,
) -> bool {
    let loss = &config.loss;
    let weights = state
        .discriminators
        .clone()
        .expect("the unpaired method has discriminators");
    let discriminators = computing(&weights, config.precision);
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
    if objective.is_empty() {
        return true;
    }
    let gradients = objective.gradients(&weights);
    if !global_norm(&gradients).is_finite() {
        return false;
    }
    let rate = config.optimizer.rate(state.step, config.steps);
    let optimizer = &mut state.discriminator_optimizer;
    state.discriminators = Some(optimizer.step(weights, gradients, rate, &config.optimizer));
    true
}

/// Share of scores on the right side of one half.
fn accuracy(fake: &Tensor<2>, real: &Tensor<2>) -> f64 {
    let right = |scores: &Tensor<2>, real: bool| {
        let scores: Vec<f32> = scores
            .clone()
            .inner()
            .into_data()
            .try_into_vec()
            .expect("f32 scores");
        (
            scores.iter().filter(|s| (**s > 0.5) == real).count(),
            scores.len(),
        )
    };
    let ((a, n), (b, m)) = (right(fake, false), right(real, true));
    (a + b) as f64 / (n + m) as f64
}

/// All terms of the method with a weight, and their gradients by network as the routing says; `live` computes.
fn unpaired(
    state: &TrainState,
    live: &GeneratorSide,
    views: &Views,
    batch: &UnpairedBatch,
    target: &TargetBatch,
    config: &Config,
    terms: &mut LossTerms,
) -> NamedTensors {
    let (loss, weights) = (&config.loss, &state.networks);
    let strength = config.schedule.strength(state.step, config.steps);
    let judges = state
        .discriminators
        .as_ref()
        .expect("the unpaired method has discriminators")
        .valid();
    let judges = computing(&judges, config.precision);
    let mut objective = Objective::new(terms);

    reconstruction_terms(
        &mut objective,
        views.sr_source.clone(),
        batch,
        &live.generator,
        loss,
    );
    // `Y_t`, the output itself; made once for the terms that look at it.
    let contrasted = loss.measurement_contrastive * strength;
    let sr_target = (loss.measurement + contrasted + loss.adversarial_target * strength > 0.0).then(|| {
        let generator = &live.generator;
        generator.decode(views.feat_target.clone(), target.lr_target.clone())
    });
    if let (Some(sr_target), true) = (&sr_target, loss.measurement + contrasted > 0.0) {
        let (scan, generator) = (target.lr_target.clone(), &live.generator);
        let [_, _, z, y, x] = scan.dims();
        let operators = target
            .operators
            .as_ref()
            .expect("one operator, as the configuration was checked");
        let acquired = Measurement::new(operators, [z, y, x], generator.scale(), &scan.device());
        let as_measured = acquired.of(sr_target.clone());
        if loss.measurement > 0.0 {
            let value = measurement(as_measured.clone(), scan.clone());
            objective.add("measurement", loss.measurement, value);
        }
        if contrasted > 0.0 {
            let value = Embeddings::new(state.step, config).measurement_loss(live, as_measured, scan, loss);
            objective.add("measurement_contrastive", contrasted, value);
        }
    }
    if loss.restoration > 0.0 {
        let (rec, lr) = (views.lr_target_rec.clone(), target.lr_target.clone());
        objective.add(
            "restoration",
            loss.restoration,
            reconstruction(rec, lr, &target.lr_foreground, loss.ssim),
        );
    }
    if loss.cycle > 0.0 {
        let value = reconstruction(
            views.sr_styled.clone(),
            batch.hr_source.clone(),
            &batch.hr_foreground,
            loss.ssim,
        );
        objective.add("cycle", loss.cycle, value);
    }
    if strength > 0.0 {
        adversarial_terms(&mut objective, &judges, views, sr_target, loss, strength);
    }
    let mut decoder_views = DecoderViews::new(live, views, batch, target, loss.routing);
    if loss.style * strength > 0.0 {
        let value = score_loss(judges.target.forward(decoder_views.styled()), REAL);
        objective.add("style", loss.style * strength, value);
    }
    if loss.identity > 0.0 {
        let [styled, aim] = [decoder_views.feat_styled(), decoder_views.aim_source.clone()]
            .map(|features| features.cast(FloatDType::F32));
        let value = l1(styled, aim);
        objective.add("identity", loss.identity, value);
    }
    if strength == 0.0 {
        return objective.gradients(weights);
    }

    let embedding = Embeddings::new(state.step, config);
    let separate = loss.contrastive_backward == ContrastiveBackward::Separate;
    let mut gradients = NamedTensors::new();
    if loss.feature_contrastive > 0.0 {
        let weight = loss.feature_contrastive * strength;
        if separate {
            let live = computing(weights, config.precision);
            let fresh = Views::new(&live, batch, target);
            let mut views = DecoderViews::new(&live, &fresh, batch, target, loss.routing);
            let mut alone = Objective::new(objective.terms);
            alone.add(
                "feature_contrastive",
                weight,
                embedding.feature_loss(&live, &mut views, loss),
            );
            accumulate(&mut gradients, alone.gradients(weights));
        } else {
            objective.add(
                "feature_contrastive",
                weight,
                embedding.feature_loss(live, &mut decoder_views, loss),
            );
        }
    }
    if loss.reconstruction_contrastive > 0.0 {
        let weight = loss.reconstruction_contrastive * strength;
        if separate {
            let live = computing(weights, config.precision);
            let fresh = Views::new(&live, batch, target);
            let mut alone = Objective::new(objective.terms);
            let value = embedding.reconstruction_loss(&live, &fresh, &batch.hr_source, loss);
            alone.add("reconstruction_contrastive", weight, value);
            accumulate(&mut gradients, alone.gradients(weights));
        } else {
            let value = embedding.reconstruction_loss(live, views, &batch.hr_source, loss);
            objective.add("reconstruction_contrastive", weight, value);
        }
    }
    accumulate(&mut gradients, objective.gradients(weights));
    gradients
}

/// The terms in which `D_f` and `D_s` judge.
fn adversarial_terms(
    objective: &mut Objective<'_>,
    judges: &Discriminators,
    views: &Views,
    sr_target: Option<Tensor<5>>,
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
    if let (Some(sr_target), true) = (sr_target, loss.adversarial_target > 0.0) {
        let value = score_loss(judges.source.forward(sr_target), REAL);
        objective.add("adversarial_target", loss.adversarial_target * strength, value);
    }
}

/// One Adam step on the whole generator side, its global gradient norm clipped; returns whether that is finite.
fn update_generators(
    state: &mut TrainState,
    gradients: NamedTensors,
    config: &Config,
    terms: &mut LossTerms,
) -> bool {
    let norm = global_norm(&gradients);
    terms.record("gradient_norm", norm);
    if !norm.is_finite() {
        return false;
    }
    let gradients = clipped(gradients, norm, config.optimizer.clip_norm);
    let rate = config.optimizer.rate(state.step, config.steps);
    let networks = state.networks.clone();
    state.networks = state
        .generator_optimizer
        .step(networks, gradients, rate, &config.optimizer);
    true
}
