//! One scan made finer, from its file to the outputs beside it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use voxelift_volume::consistency::Acquisition;
use voxelift_volume::intensity::{Normalization, explained};
use voxelift_volume::nifti::{OutputType, WriteOptions};
use voxelift_volume::{Geometry, Volume, VolumeError};

use super::super::files::{self, Job};
use super::super::words;
use super::audit::AuditFiles;
use super::audit::{Audit, Place};
use super::choice::{Choice, Sight};
use super::consistency::Consistency;
use super::memory::{Extras, Work, voxels};
use super::method::Method;
use super::sidecar::Turn;
use super::target::Target;
use super::{Plan, acquired, audit, consistency, gain, labels, sidecar};
use crate::terminal::Terminal;

/// Voxels along a tile where a model is tried on a degraded scan and memory is limited.
const TILE_OF_TRIALS: usize = 16;

impl Plan {
    /// Reads, makes finer, writes. Returns what was written, in words; of a batch a scan that is there already is left, and
    /// nothing is returned of one that another process is at, unless that one is waited for.
    pub(super) fn carry_out(
        &self,
        job: &Job,
        batch: bool,
        waits: bool,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<String>> {
        let input = job.input.display();
        let name = job.name();
        files::refuse_dangling(&job.input)?;
        let scan = files::open(&job.input, &self.read, terminal)?;
        let geometry = scan.header.geometry();
        let protocol = acquired::protocol(&job.input, &scan.header);
        let made_by = self
            .acquired
            .of(&geometry, &protocol, self.methods.trained_through())
            .with_context(|| input.to_string())?;
        let asked = self.asked(&made_by);
        // A batch that goes on does not try the methods again on what it has made.
        if let Some(asked) = asked
            .as_ref()
            .filter(|_| batch && !self.write.force && job.output.is_file())
        {
            let how = json!({"asked": asked});
            let (labels, like) = (&self.labels, &self.like);
            let how = sidecar::of_files(how, job, &self.read, &self.write, self.audit, [labels, like])?;
            if sidecar::is_done(job, &how) {
                return Ok(Some("there already".to_owned()));
            }
        }
        let mut frames = scan.frames;
        let mut seen = Vec::new();
        if self.methods.need_sight(&self.target) {
            seen = first_with_contrast(&mut frames)?;
        }
        let sight = seen.last().map(|first| Sight {
            first,
            made_by: &made_by.operators,
            consistent: self.consistency != Consistency::Off,
            tile: self.budget.is_limited().then_some(TILE_OF_TRIALS),
        });
        let choice = self
            .methods
            .choose(&self.target, sight.as_ref())
            .with_context(|| input.to_string())?;
        if self.audit && !matches!(choice.method, Method::Model(_)) {
            anyhow::bail!(
                "{input}: --audit looks at what a model adds, and this scan is made finer by {}; --method model \
                 --allow-out-of-range takes the built-in model all the same",
                choice.because.as_deref().unwrap_or("a baseline")
            );
        }
        let (method, target) = (choice.method, &choice.target);
        if choice.halved {
            terminal.warn(format!(
                "{name}: as fine as the default target already, so its voxels are halved; no reference was ever seen at that \
                 size: --spacing chooses another grid"
            ));
        }
        let grid = self
            .grid(&choice, &geometry, scan.header.frames(), &name, terminal)
            .with_context(|| input.to_string())?;
        let work = self.work(&choice, &geometry, &grid);
        let tile = self.budget.tile(&work)?;
        let acquisition = (self.consistency != Consistency::Off).then_some(made_by);
        // Each scan has its own files: all outputs were compared with all inputs before the first.
        let mut write = WriteOptions {
            inputs: vec![job.input.clone()],
            ..self.write.clone()
        };
        let mut claim = None;
        if sidecar::is_kept(self, batch) {
            let how = sidecar::described(self, &choice, job, tile, acquisition.as_ref())?;
            let audit = AuditFiles::beside(&job.output);
            let alone: Vec<PathBuf> = match self.audit {
                true => audit.all().map(Clone::clone).into(),
                false => Vec::new(),
            };
            claim = match sidecar::turn(job, &how, batch, waits, write.force, &alone)? {
                Turn::Done => return Ok(Some("there already".to_owned())),
                Turn::Elsewhere => return Ok(None),
                Turn::Ours(claim) => Some(claim),
            };
            // In a batch nothing was there but what is ours, and another process may come to the same end.
            write.force |= batch;
        } else {
            sidecar::forget(&job.output, terminal)?;
        }
        let mut written = vec![job.output.clone()];
        if let (Some(tile), Some(network)) = (tile, work.network)
            && tile != network.tile
        {
            let asked_for = network.tile;
            terminal.warn(format!(
                "{input}: tiles of {tile} voxels instead of {asked_for}, for --memory; the answer differs slightly"
            ));
        }
        let _share = self.budget.share(&work, tile);
        let mut header = target.header(&scan.header, &grid);
        if self.anonymise {
            header.anonymise();
        }
        // Labels that cannot be carried are told before the work begins.
        let labels = self
            .labels
            .as_ref()
            .map(|path| labels::on_grid(path, &header, &self.read, terminal));
        let labels = labels.transpose()?;
        if self.audit && scan.header.frames() > 1 {
            anyhow::bail!(
                "{input}: holds {} volumes; --audit looks at one",
                scan.header.frames()
            );
        }
        let mut found = Found {
            acquisition,
            one_of_several: scan.header.frames() > 1,
            ..Found::default()
        };
        let way = Way {
            method,
            is_chosen: choice.because.is_some(),
            target,
            grid: &grid,
            tile,
        };
        let count = scan.header.frames();
        let fine = seen.into_iter().map(Ok).chain(frames).enumerate();
        let fine = fine.map(|(index, frame)| {
            let which = match count {
                1 => String::new(),
                _ => format!(", volume {} of {count}", index + 1),
            };
            self.finer(&frame?, &way, &format!("{name}{which}"), &mut found, terminal)
                .with_context(|| format!("{input}{which}"))
        });
        files::write(&job.output, &header, fine, &write, terminal)?;
        if let Some(how) = found.placed {
            terminal.say(format!("{}: {how}", job.output.display()));
        }
        if let Some(labels) = labels {
            written.push(labels::write(
                labels,
                &job.output,
                &write,
                self.anonymise,
                terminal,
            )?);
        }
        let mut said = vec![words::grid(&grid)];
        said.extend(choice.because.as_ref().map(|why| format!("made by {why}")));
        said.extend(gain::told(&choice, &name, terminal));
        said.extend(
            found
                .acquisition
                .as_ref()
                .map(|made_by| format!("acquired: {made_by}")),
        );
        said.extend(found.consistency.iter().map(consistency::told));
        if let Some(audit) = found.audit {
            said.extend(audit.lines());
            let place = Place {
                target,
                grid: &grid,
                header,
                write: WriteOptions {
                    dtype: OutputType::Float32,
                    ..write
                },
            };
            let files = AuditFiles::beside(&job.output);
            let input = if self.anonymise {
                Path::new(&*name)
            } else {
                &job.input
            };
            audit.write(&files, &place, input, terminal)?;
            written.extend(files.all().map(Clone::clone));
        }
        if let Some(mut claim) = claim {
            claim.tell_left_over(&written, terminal);
            if let Some(asked) = asked {
                claim.add("asked", asked);
            }
            if let Some(why) = &choice.because {
                claim.add("chosen", json!(why));
            }
            if let Some(expected) = &choice.expected {
                claim.add("expected", gain::for_sidecar(expected));
            }
            claim.done(&written, &found.consistency)?;
        }
        Ok(Some(said.join("\n")))
    }

    /// All that a choice of method depends on beside the scan; nothing where there is none, or where the memory that is allowed
    /// has a say.
    fn asked(&self, made_by: &Acquisition) -> Option<Value> {
        let models = self.methods.asked().filter(|_| !self.budget.is_limited())?;
        Some(json!({
            "models": models,
            "target": self.target.to_string(),
            "consistency": self.consistency.name(),
            "acquired": made_by.operators.to_string(),
        }))
    }

    /// What a scan takes in memory.
    fn work(&self, choice: &Choice<'_>, input: &Geometry, grid: &Geometry) -> Work {
        let (made, network) = match choice.method {
            Method::Model(model) => (
                model.scale().up(input.extent).iter().product(),
                Some(model.work(input, grid)),
            ),
            Method::Baseline(_) => (voxels(grid), None),
        };
        let extras = Extras {
            consistent: self.consistency != Consistency::Off,
            audited: self.audit,
            placed: !matches!(choice.target, Target::Scale(_)),
        };
        Work {
            input: voxels(input),
            output: made.max(voxels(grid)),
            beside: extras.bytes(network.is_some()),
            network,
        }
    }

    /// The finer grid, when the method may be applied and there are not too many voxels in it.
    fn grid(
        &self,
        choice: &Choice<'_>,
        input: &Geometry,
        frames: usize,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Geometry> {
        choice.method.check_voxels(input, name, terminal)?;
        let grid = choice.target.grid(input)?;
        if let Some(warning) = choice.target.little_in_common(input) {
            terminal.warn(format!("{name}: {warning}"));
        }
        let counts = grid.extent.iter().map(|n| *n as u64);
        let voxels = counts.fold(frames as u64, u64::saturating_mul);
        if voxels > self.read.max_voxels {
            let value = format!("{:?} in {frames} volume(s)", grid.extent);
            let expected = format!("more than {} voxels; see --max-voxels", self.read.max_voxels);
            return Err(VolumeError::argument("the finer grid", value, expected).into());
        }
        Ok(grid)
    }

    /// One volume on the finer grid, and what is told about it.
    fn finer(
        &self,
        frame: &Volume,
        &Way {
            method,
            is_chosen,
            target,
            grid,
            tile,
        }: &Way<'_>,
        name: &str,
        found: &mut Found,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        if let (Method::Model(model), Some(value)) = (method, blank(frame))
            && found.one_of_several
        {
            terminal.warn(format!("{name}: is {value} everywhere, and so is its output"));
            let extent = model.extent(frame.geometry(), target)?;
            let empty = Volume::filled(value, frame.geometry().with_extent(extent));
            return Ok(target.placed(empty, grid).0);
        }
        method.check_appearance(frame, name, terminal)?;
        if blank(frame).is_none() {
            // What is no magnitude image is refused whatever was chosen by the first volume.
            let consistent = found.acquisition.is_some();
            method.check_spikes(frame, is_chosen, consistent, name, terminal)?;
        }
        let (answer, gathered) = match method {
            Method::Model(model) if self.audit => {
                let (answer, agreement) = audit::gather(model, frame, target, tile, name, terminal)?;
                (answer, Some((model, agreement)))
            }
            method => (method.apply(frame, target, tile, name, terminal)?, None),
        };
        let (fine, done) = match &found.acquisition {
            Some(made_by) => self.consistency.apply(answer, frame, made_by)?,
            None => (answer, None),
        };
        found.consistency.extend(done);
        method.check_output(&fine, frame, name, terminal)?;
        if let Some((model, agreement)) = gathered {
            found.audit = Some(Audit::of(model, agreement, &fine, frame)?);
        }
        // Beyond the field of view there is no signal: of a shifted scan that is not 0.
        let scale = match target {
            Target::Like(_) => Normalization::of(frame).ok().filter(|scale| scale.zero != 0.0),
            _ => None,
        };
        let (placed, how) = match scale {
            Some(scale) => {
                let (placed, how) = target.placed(scale.without_zero(fine), grid);
                (scale.onto_zero(placed), how)
            }
            None => target.placed(fine, grid),
        };
        explained(&placed, frame)?;
        found.placed = found.placed.or(how);
        Ok(placed)
    }
}

/// The one value of a volume that has no other.
fn blank(volume: &Volume) -> Option<f32> {
    let first = *volume.data().first()?;
    volume.data().iter().all(|v| *v == first).then_some(first)
}

/// Where a scan is brought to.
struct Way<'a> {
    method: &'a Method,
    /// Whether it was chosen by what the scan looks like.
    is_chosen: bool,
    target: &'a Target,
    grid: &'a Geometry,
    /// Voxels along a tile.
    tile: Option<usize>,
}

/// The volumes up to the first that is not blank; all of them where there is none, or it cannot be read.
fn first_with_contrast(
    frames: &mut dyn Iterator<Item = Result<Volume, VolumeError>>,
) -> Result<Vec<Volume>, VolumeError> {
    let mut seen = Vec::new();
    for frame in frames {
        let frame = frame?;
        let is_blank = blank(&frame).is_some();
        seen.push(frame);
        if !is_blank {
            break;
        }
    }
    Ok(seen)
}

/// What is told about a scan beside its voxels.
#[derive(Default)]
struct Found {
    /// Whether the file holds several volumes.
    one_of_several: bool,
    /// How the first volume came onto the grid, in words.
    placed: Option<&'static str>,
    /// What made the scan, where data consistency is asked for.
    acquisition: Option<Acquisition>,
    /// Of each volume, where it was asked for.
    consistency: Vec<Value>,
    audit: Option<Audit>,
}
