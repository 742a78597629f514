//! A run under way: one step, what is kept of it, and the model at the end.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use voxelift_volume::cohort::Role;

use super::checkpoint::Beside;
use super::embeddings::Embeddings;
use super::ledger::Ledger;
use super::{Event, MOST_SKIPPED, Outcome, Prepared, TrainState, checkpoint, self_test, step, validate};
use crate::batch::UnpairedBatch;
use crate::config::Config;
use crate::error::{ModelError, Result};
use crate::infer::SuperResolver;
use crate::model_file::{self, GRID, ModelCard, NORMALIZATION};
use crate::networks::Generator;
use crate::parameters;
use crate::run::{Record, RunDir, ValidationScores};
use crate::scoring::SR_CONSISTENT;

/// Between two looks at how alike the embeddings are.
const COSINES_EVERY: u64 = 20;

/// A run under way.
pub(super) struct Training<'a> {
    pub config: &'a Config,
    pub run: &'a RunDir,
    pub prepared: &'a Prepared,
    pub device: &'a Device,
    pub state: TrainState,
    /// The best and the newest validation, and the scans that the run has used.
    pub beside: Beside,
    pub ledger: Ledger<'a>,
}

impl Training<'_> {
    /// One step and its record; returns whether it was left out.
    pub fn step(
        &mut self,
        batch: &UnpairedBatch,
        begin: Instant,
        waiting: Duration,
        sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<bool> {
        let (config, skipped_before) = (self.config, self.state.skipped);
        let learning_rate = config.optimizer.rate(self.state.step, config.steps);
        let mut terms: BTreeMap<String, f64> = step(&mut self.state, batch, config)
            .iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let now = self.state.step;
        if now.is_multiple_of(COSINES_EVERY) {
            let cosines = Embeddings::new(now, config).cosines(&self.state.networks, batch);
            let names = ["cosine_positive", "cosine_negative"].map(str::to_owned);
            terms.extend(
                cosines
                    .into_iter()
                    .flat_map(|cosines| names.clone().into_iter().zip(cosines)),
            );
        }
        let record = Record::Step {
            step: now,
            seconds: begin.elapsed().as_secs_f64(),
            waiting: waiting.as_secs_f64(),
            learning_rate,
            terms,
        };
        self.ledger.add(record, sink)?;
        let skipped = self.state.skipped > skipped_before;
        if skipped {
            sink(Event::Warning(format!(
                "step {now}: the gradient is not finite; the step is left out"
            )))?;
        }
        Ok(skipped)
    }

    pub fn diverged(&self) -> ModelError {
        let what = format!(
            "{MOST_SKIPPED} steps in a row without a finite gradient; lower the rate: with \
             optimizer.learning_rate={} the run goes on from the newest checkpoint in {}",
            self.config.optimizer.learning_rate / 4.0,
            self.run.checkpoints().display()
        );
        ModelError::Diverged {
            step: self.state.step,
            what,
        }
    }

    /// Validates and writes checkpoints where they are due.
    pub fn keep(&mut self, interrupted: bool, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        let (config, run, now) = (self.config, self.run, self.state.step);
        let last = now == config.steps;
        let due = |every: u64| last || (every > 0 && now.is_multiple_of(every));
        if due(config.validation.every) && !self.prepared.validation.is_empty() {
            self.validate(sink)?;
        }
        if !interrupted && !due(config.checkpoint.every) {
            return Ok(());
        }
        let written = checkpoint::write(&run.checkpoint(now), &self.state, &self.beside)
            .and_then(|()| run.prune_checkpoints(config.checkpoint.keep));
        match written {
            Err(error) if !interrupted && !last => sink(Event::Warning(format!(
                "{error}; training goes on, and tries again after {} steps: make room, or press Ctrl-C to stop",
                config.checkpoint.every
            ))),
            written => {
                self.ledger.close()?;
                written
            }
        }
    }

    /// Scores the averaged model, shows it, and keeps it where it is the best.
    fn validate(&mut self, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        let (run, now) = (self.run, self.state.step);
        let resolver = resolver(self.config, self.state.average.clone(), self.device);
        let validation = validate::validate(&resolver, &self.prepared.validation)?;
        let record = Record::Validation {
            step: now,
            scores: validation.scores.clone(),
        };
        self.ledger.add(record, sink)?;
        if self.config.network.placed {
            let gains = validation.gains.iter();
            let gains: Vec<String> = gains
                .map(|(name, gain)| format!("{name}: {gain:+.2} dB"))
                .collect();
            sink(Event::Note(format!(
                "step {now}, over the best baseline: {}",
                gains.join("; ")
            )))?;
        }
        let scan = &self.prepared.validation[0];
        let previewed = sink(Event::Preview {
            step: now,
            lr: &scan.lr,
            zero_fill: scan.zero_fill(),
            sr: &validation.first,
            hr: &scan.hr,
        });
        self.beside.scores = validation.scores;
        // What the program writes in the end is the output with the scan put back.
        let [psnr_db, _] = self.beside.scores[SR_CONSISTENT].headline();
        let mut written = Ok(());
        if self.beside.best.is_none_or(|best| psnr_db > best) {
            self.beside.best = Some(psnr_db);
            written = checkpoint::write(&run.best_checkpoint(), &self.state, &self.beside);
        }
        for error in [previewed, written, run.write_table()]
            .into_iter()
            .filter_map(Result::err)
        {
            sink(Event::Warning(format!("{error}; training goes on")))?;
        }
        Ok(())
    }

    /// Tests the model as it will be stored and writes it; asked to stop, it does neither.
    pub fn export(self, stop: &AtomicBool, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<Outcome> {
        // A checkpoint of an earlier version does not hold them.
        let scores = if self.beside.scores.is_empty() {
            last_scores(self.run)?
        } else {
            self.beside.scores
        };
        let (config, prepared) = (self.config, self.prepared);
        let stored = config
            .export
            .weights
            .rounded(parameters::values(&self.state.average));
        let stored = stored.map_err(|what| ModelError::Run {
            path: self.run.root().to_owned(),
            what: format!("{what}; store f32 (export.weights=f32)"),
        })?;
        let generator = parameters::replaced(self.state.average, &stored).expect("its own tensors");
        let resolver = resolver(config, generator.clone(), self.device);
        let Some(self_test) = self_test::run(&resolver, config, prepared, stop, sink)? else {
            return Ok(Outcome::Interrupted);
        };
        let card = ModelCard {
            self_test,
            start: self.state.start,
            hr_scans: self.beside.data.names(Role::Hr),
            lr_scans: self.beside.data.names(Role::Lr),
            ..card(config, prepared, scores)
        };
        model_file::write(&self.run.model(), &generator, &card)?;
        Ok(Outcome::Done)
    }
}

/// The averaged generator, ready to be applied.
fn resolver(config: &Config, average: Generator, device: &Device) -> SuperResolver {
    SuperResolver::new(average, config.scale.scale(), config.tile(), device.clone())
}

fn last_scores(run: &RunDir) -> Result<BTreeMap<String, ValidationScores>> {
    let last = run.records()?.into_iter().rev().find_map(|record| match record {
        Record::Validation { scores, .. } => Some(scores),
        Record::Step { .. } => None,
    });
    Ok(last.unwrap_or_default())
}

fn card(config: &Config, prepared: &Prepared, validation: BTreeMap<String, ValidationScores>) -> ModelCard {
    ModelCard {
        format: model_file::format_of(&config.network),
        version: env!("CARGO_PKG_VERSION").into(),
        method: config.mode.name().into(),
        scale: config.scale.scale().0,
        network: config.generator(),
        patch: config.patch.size,
        tile: config.tile(),
        steps: config.steps,
        seed: config.seed,
        grid: GRID.into(),
        normalization: NORMALIZATION.into(),
        source_operators: prepared.source_operators.clone(),
        calibration_misfit: prepared.calibration_misfit,
        hr_scans: prepared.hr_scans.clone(),
        lr_scans: prepared.lr_scans.clone(),
        lr_spacing_mm: prepared.lr_spacing_mm,
        appearance: prepared.appearance,
        validation,
        self_test: Vec::new(),
        weights: config.export.weights,
        start: None,
        notes: config.data.notes.clone(),
        limits: config.export.limits.clone(),
    }
}
