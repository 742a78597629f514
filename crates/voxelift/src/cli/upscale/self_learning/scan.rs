//! One scan of thick slices made finer, from its file to the outputs beside it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use voxelift_model::self_learning::{Keeping, Learned, SELF, SELF_TEST_LIMIT, SelfModel, SliceProtocol};
use voxelift_model::upscale::{ByNetwork, SliceUpscaling, gains};
use voxelift_volume::consistency::Dimensions;
use voxelift_volume::intensity::Normalization;
use voxelift_volume::interleave::Interleaving;
use voxelift_volume::nifti::{OutputType, WriteOptions};
use voxelift_volume::scan;
use voxelift_volume::{Volume, sidecars, words};

use super::super::super::files::{self, Inputs, Job};
use super::super::hearing::{hearing, tell_beside};
use super::super::refusal::in_options;
use super::super::sidecar::Turn;
use super::super::{labels, sidecar};
use super::built_in::CHOSEN;
use super::{Made, Plan};
use crate::terminal::Terminal;

/// Beside an output: the state of an interrupted call, and the map of `--audit`.
struct Beside {
    state: PathBuf,
    orientations: PathBuf,
}

impl Beside {
    fn of(output: &Path) -> Self {
        let named = |ending: &str| output.with_file_name(format!("{}_{ending}", scan::stem(output)));
        Self {
            state: named("self-state.safetensors"),
            orientations: named("orientations.nii.gz"),
        }
    }
}

impl Plan {
    pub(super) fn refuse_existing(&self, job: &Job, protected: &Inputs) -> anyhow::Result<()> {
        let force = self.write.force;
        sidecar::refuse_existing(&job.output, force)?;
        if self.orientations {
            files::check_output_beside(&Beside::of(&job.output).orientations, protected, force)?;
        }
        Ok(())
    }

    /// Whether an output is there already that is what this would make.
    pub(super) fn is_done(&self, job: &Job) -> anyhow::Result<bool> {
        Ok(job.output.is_file() && sidecar::is_done(job, &self.described(job)?))
    }

    /// Reads, learns, applies, writes.
    pub(super) fn carry_out(
        &self,
        job: &Job,
        in_batch: bool,
        waits: bool,
        terminal: &Terminal,
    ) -> anyhow::Result<Made> {
        let input = job.input.display().to_string();
        files::refuse_dangling(&job.input)?;
        let how = self.described(job)?;
        let beside = Beside::of(&job.output);
        let mut write = WriteOptions {
            inputs: vec![job.input.clone()],
            ..self.write.clone()
        };
        let alone = match self.orientations {
            true => vec![beside.orientations.clone()],
            false => Vec::new(),
        };
        let mut claim = match sidecar::turn(job, &how, in_batch, waits, write.force, &alone)? {
            Turn::Done => return Ok(Made::Written("there already".to_owned())),
            Turn::Elsewhere => return Ok(Made::Elsewhere),
            Turn::Ours(claim) => claim,
        };
        write.force |= in_batch;
        let mut written = vec![job.output.clone()];
        let scan = files::open(&job.input, &self.read, terminal)?;
        let mut frames = scan.frames;
        let first = frames.next().context("a scan without a volume")??;
        let count = scan.header.frames();
        anyhow::ensure!(
            !self.orientations || count == 1,
            "{input}: holds {count} volumes; --audit looks at one"
        );
        let name = job.name();
        tell_beside(&job.input, &scan.header, terminal);
        let protocol = sidecars::protocol(&job.input, &scan.header);
        let upscaling = self
            .upscaler
            .plan(
                &first,
                &protocol,
                self.model.as_ref(),
                count,
                &mut hearing(&name, terminal),
            )
            .map_err(in_options)
            .with_context(|| input.clone())?;
        let mut header = upscaling.header(&scan.header);
        if self.anonymise {
            header.anonymise();
        }
        let labels = self
            .labels
            .as_ref()
            .map(|path| labels::on_grid(path, &header, &self.read, terminal))
            .transpose()?;
        let slices = upscaling.as_acquired(&first);
        let Some(model) = self.learned(&slices, &upscaling, job, &beside.state, terminal)? else {
            return Ok(Made::Interrupted);
        };
        drop(slices);
        let instead = upscaling.instead(&model);
        let replaced = instead.is_some();
        if replaced && self.chosen && upscaling.is_interpolated() {
            terminal.say(format!(
                "{input}: {}; the built-in network for slices gains nothing on it, so it is taken as it lies",
                upscaling.protocol().because
            ));
            return Ok(Made::GainsNothing);
        }
        if !gains(&model) {
            let written = match instead {
                Some(name) if self.chosen => {
                    format!(
                        "that baseline ({name}) is written instead; --method self learns from the scan itself, in minutes"
                    )
                }
                Some(name) => {
                    format!(
                        "that baseline ({name}) is written instead; pass --allow-no-gain for what was learned"
                    )
                }
                None => "what was learned is written all the same, as asked for".to_owned(),
            };
            terminal.warn(format!(
                "{input}: on slices of this scan {} gains nothing over the best baseline; {written}",
                if self.chosen {
                    "the built-in network"
                } else {
                    "that were kept out, learning"
                }
            ));
        }
        let mut found: Vec<Value> = Vec::new();
        let mut evened: Option<Interleaving> = None;
        let mut map = None;
        let finer = std::iter::once(Ok(first)).chain(frames).map(|frame| {
            let fine = upscaling
                .run(&model, &frame?, &mut hearing(&name, terminal))
                .map_err(in_options)?;
            evened = evened.take().or(fine.evened);
            if let Some(by_network) = fine.by_network {
                found.push(of_network(&by_network));
                map = map.take().or(by_network.orientations);
            }
            Ok(fine.image)
        });
        files::write(&job.output, &header, finer, &write, terminal)?;
        if let Some(labels) = labels {
            let anonymise = self.anonymise;
            written.push(labels::write(labels, &job.output, &write, anonymise, terminal)?);
        }
        if let Some(map) = map {
            let options = WriteOptions {
                dtype: OutputType::Float32,
                ..write
            };
            files::write(&beside.orientations, &header, [Ok(map)], &options, terminal)?;
            written.push(beside.orientations.clone());
        }
        let protocol = upscaling.protocol();
        let mut lines = vec![words::grid(upscaling.grid())];
        if self.chosen && !replaced {
            lines.push(CHOSEN.to_owned());
            claim.add("chosen", json!(CHOSEN));
        }
        lines.push(format!(
            "slices {} mm apart along {}, {} fine ones each; acquired by {} ({})",
            words::number(protocol.distance_mm),
            ["x", "y", "z"][protocol.axis],
            protocol.scale,
            protocol.operator,
            protocol.because
        ));
        if let Some(evened) = &evened {
            lines.push(format!(
                "{}: evened out; --keep-bands leaves them",
                evened.in_words()
            ));
            claim.add(
                "evened_slices",
                json!({"alternation": evened.alternation, "agreement": evened.agreement}),
            );
        }
        lines.extend(model.card.self_test.as_ref().map(|test| test.in_words()));
        if let Some(agreement) = found
            .first()
            .and_then(|found| found["orientations_differ"].as_f64())
        {
            lines.push(format!(
                "the two orientations differ by {:.2} % of the foreground's peak (rms of half the difference)",
                100.0 * agreement
            ));
        }
        claim.add("protocol", json!(protocol));
        claim.add(
            "learned",
            json!({
                "steps": model.card.steps,
                "seconds": model.card.seconds,
                "seed": model.card.seed,
                "start_sha256": model.card.start,
                "from": model.card.scan,
                "network": model.card.network,
            }),
        );
        claim.add("self_test", json!(model.card.self_test));
        claim.add("self_test_limit", json!(SELF_TEST_LIMIT));
        claim.add("applied", json!(instead.unwrap_or(SELF)));
        claim.add("frames", json!(found));
        claim.done(&written, &[])?;
        let _ = std::fs::remove_file(&beside.state);
        Ok(Made::Written(lines.join("\n")))
    }

    /// What an output depends on.
    fn described(&self, job: &Job) -> anyhow::Result<Value> {
        let mut how = self.asked.clone();
        // Sidecars may change while the scan stays.
        let (header, _) = scan::read_header(&job.input)?;
        let stated = sidecars::protocol(&job.input, &header);
        if stated.thickness_mm.is_some() || stated.distance_mm.is_some() {
            how["slices"] = json!({"thickness_mm": stated.thickness_mm, "distance_mm": stated.distance_mm});
        }
        if stated.dimensions == Some(Dimensions::Three) {
            how["slices"]["dimensions"] = json!(3);
        }
        let beside = [&self.labels, &self.like];
        sidecar::of_files(how, job, &self.read, &self.write, self.orientations, beside)
    }

    /// The first volume of each scan that is learned from too.
    fn others(&self, protocol: &SliceProtocol, terminal: &Terminal) -> anyhow::Result<Vec<Volume>> {
        let read = |path: &PathBuf| -> anyhow::Result<Volume> {
            let mut frames = files::open(path, &self.read, terminal)?.frames;
            let first = frames.next().context("a scan without a volume")??;
            protocol.taught_by(first.geometry())?;
            Normalization::of(&first)?;
            Ok(first)
        };
        let named = |path: &PathBuf| read(path).with_context(|| format!("--with {}", path.display()));
        self.with.iter().map(named).collect()
    }

    /// What was learned, now or before; nothing when interrupted.
    fn learned(
        &self,
        scan: &Volume,
        upscaling: &SliceUpscaling<'_>,
        job: &Job,
        state: &Path,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<SelfModel>> {
        if let Some(model) = &self.model {
            return Ok(Some(model.clone()));
        }
        let resume = self.resume && state.is_file();
        if self.resume && !resume {
            terminal.say(format!("{}: nothing to resume; beginning", state.display()));
        }
        files::make_parent(state)?;
        let others = self.others(upscaling.protocol(), terminal)?;
        let lesson = upscaling.lesson(scan, &others);
        let keeping = Keeping {
            path: state.to_owned(),
            key: lesson.key(self.upscaler.learning()),
            resume,
        };
        let name = job.name();
        let mut hear = hearing(&name, terminal);
        let learned = upscaling
            .learn(&lesson, Some(&keeping), &self.stop, &mut hear)
            .map_err(in_options)?;
        drop(hear);
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
                if let Some(path) = &self.keep_model {
                    files::make_parent(path)?;
                    model.write(path)?;
                }
                Ok(Some(*model))
            }
        }
    }
}

/// What a sidecar says of a network's work on a volume.
fn of_network(by_network: &ByNetwork) -> Value {
    json!({
        "orientations_differ": by_network.orientations_differ,
        "consistency": {
            "mode": "soft",
            "noise_sigma": by_network.noise_sigma,
            "mean_weight": by_network.consistency_weight,
        },
    })
}
