//! What was learned from a scan, now or before, and applied: with what is said meanwhile.

use std::path::Path;

use serde_json::{Value, json};
use voxelift_model::device::computing_in;
use voxelift_model::error::ModelError;
use voxelift_model::self_learning::{
    Applied, Event, Keeping, Learned, SelfModel, SliceProtocol, apply, learn, state_key,
};
use voxelift_volume::Volume;
use voxelift_volume::intensity::Normalization;

use super::super::super::files::{self, Job};
use super::Plan;
use crate::terminal::{self, Terminal};

impl Plan<'_> {
    /// What was learned, now or before; nothing when interrupted.
    pub(super) fn learned(
        &self,
        scan: &Volume,
        protocol: &SliceProtocol,
        job: &Job,
        state: &Path,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<SelfModel>> {
        if let Some(model) = &self.model {
            protocol.check_same(&model.card.protocol)?;
            return Ok(Some(model.clone()));
        }
        let resume = self.arguments.learning.resume && state.is_file();
        if self.arguments.learning.resume && !resume {
            terminal.say(format!("{}: nothing to resume; beginning", state.display()));
        }
        files::make_parent(state)?;
        let keeping = Keeping {
            path: state.to_owned(),
            key: state_key(scan, protocol, &self.config),
            resume,
        };
        let name = job.name();
        let mut progress: Option<terminal::Progress<'_>> = None;
        let mut smoothed = None;
        let mut sink = |event: Event| -> Result<(), ModelError> {
            match event {
                Event::Note(note) => terminal.say(note),
                Event::Planned { steps: 0, .. } => {}
                Event::Planned { steps, done } => {
                    terminal.say(format!(
                        "{name}: learning {steps} steps from its own slices, {done} done"
                    ));
                    progress = Some(terminal.progress(&name, "steps", steps));
                }
                Event::Step { step, error } => {
                    let mean = smoothed.map_or(error, |mean: f64| 0.95 * mean + 0.05 * error);
                    smoothed = Some(mean);
                    if let Some(progress) = &mut progress {
                        progress.set(step, &format!("error {mean:.4}"));
                    }
                }
            }
            Ok(())
        };
        let learned = learn(
            scan,
            protocol,
            &self.config,
            Some(&keeping),
            &self.device,
            &self.stop,
            &mut sink,
        )?;
        drop(progress);
        match learned {
            Learned::Interrupted { step, steps } => {
                terminal.say(format!(
                    "{name}: interrupted after step {step} of {steps}; {} keeps what was learned",
                    state.display()
                ));
                Ok(None)
            }
            Learned::Done(mut model) => {
                model.card.scan = name.into_owned();
                if let Some(path) = &self.arguments.learning.keep_model {
                    files::make_parent(path)?;
                    model.write(path)?;
                }
                Ok(Some(*model))
            }
        }
    }

    pub(super) fn applied(
        &self,
        model: &SelfModel,
        frame: &Volume,
        protocol: &SliceProtocol,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Applied> {
        let mut progress = None;
        let mut hear = |done: usize, planes: usize| {
            let progress = progress.get_or_insert_with(|| terminal.progress(name, "planes", planes as u64));
            progress.set(done as u64, "");
            Ok(())
        };
        let products = self.config.precision.products(&self.device);
        Ok(computing_in(products, || {
            apply(&model.network, frame, protocol, &self.device, &mut hear)
        })?)
    }
}

/// What a sidecar says of an application.
pub(super) fn told_of(applied: &Applied, scan: &Volume) -> Value {
    let differ = Normalization::of(scan)
        .map(|scale| applied.disagreement_rms() / f64::from(scale.factor))
        .ok();
    json!({
        "orientations_differ": differ,
        "consistency": {"mode": "soft", "noise_sigma": applied.noise_sigma, "mean_weight": applied.consistency_weight},
    })
}
