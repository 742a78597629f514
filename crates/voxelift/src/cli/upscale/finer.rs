//! One scan made finer, from its file to the outputs beside it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;
use voxelift_model::upscale::{UpscaleError, Upscaled, Upscaling};
use voxelift_volume::nifti::{OutputType, WriteOptions};
use voxelift_volume::{Volume, VolumeError, sidecars, words};

use super::super::files::{self, Job};
use super::audit::{AuditFiles, Place};
use super::hearing::{hearing, tell_beside};
use super::refusal::in_options;
use super::self_learning::{BuiltInForSlices, Made};
use super::sidecar::Turn;
use super::{Plan, audit, gain, labels, sidecar};
use crate::terminal::Terminal;

/// What stands behind the reason of a baseline for thick slices.
const LEARN: &str = "; --method self learns from the scan's own slices, in minutes";

impl Plan {
    /// Reads, makes finer, writes. Returns what was written, in words; of a batch a scan that is there already is left, and
    /// nothing is returned of one that another process is at, unless that one is waited for. Slices that the scanner
    /// interpolated are left to the network for slices, where there is one.
    pub(super) fn carry_out(
        &self,
        job: &Job,
        for_slices: Option<&BuiltInForSlices>,
        batch: bool,
        waits: bool,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<String>> {
        let input = job.input.display();
        let name = job.name();
        let in_input = |error: UpscaleError| in_options(error).context(input.to_string());
        files::refuse_dangling(&job.input)?;
        let scan = files::open(&job.input, &self.read, terminal)?;
        let (geometry, count) = (scan.header.geometry(), scan.header.frames());
        let protocol = sidecars::protocol(&job.input, &scan.header);
        let made_by = self
            .upscaler
            .acquisition(&geometry, &protocol)
            .map_err(in_input)?;
        let asked = self.upscaler.asked(&made_by);
        // A batch that goes on does not try the methods again on what it has made.
        if let Some(asked) = asked
            .as_ref()
            .filter(|_| batch && !self.write.force && job.output.is_file())
            && sidecar::is_done(job, &self.of_files(json!({"asked": asked}), job)?)
        {
            return Ok(Some("there already".to_owned()));
        }
        if let Some(network) = for_slices.filter(|_| batch && !self.write.force)
            && network.is_done(job)?
        {
            return Ok(Some("there already".to_owned()));
        }
        let mut frames = scan.frames;
        let seen = match self.upscaler.needs_first_volume() {
            true => first_with_contrast(&mut frames)?,
            false => Vec::new(),
        };
        let mut is_told = false;
        if let (Some(network), Some(first)) = (for_slices, seen.last())
            && network.suits_as_acquired(first, count)
        {
            match network.carry_out(job, batch, waits, terminal)? {
                Made::Written(what) => return Ok(Some(what)),
                Made::Elsewhere | Made::Interrupted => return Ok(None),
                Made::GainsNothing => is_told = true,
            }
        }
        if !is_told {
            tell_beside(&job.input, &scan.header, terminal);
        }
        let upscaling = self
            .upscaler
            .plan(
                &geometry,
                made_by,
                seen.last(),
                count,
                &mut hearing(&name, terminal),
            )
            .map_err(in_input)?;
        if upscaling.is_halved() {
            terminal.warn(format!(
                "{name}: as fine as the default target already, so its voxels are halved; no reference was ever seen at that \
                 size: --spacing chooses another grid"
            ));
        }
        // Each scan has its own files: all outputs were compared with all inputs before the first.
        let mut write = WriteOptions {
            inputs: vec![job.input.clone()],
            ..self.write.clone()
        };
        let claim = match self.turn(&upscaling, job, batch, waits)? {
            Some(Turn::Done) => return Ok(Some("there already".to_owned())),
            Some(Turn::Elsewhere) => return Ok(None),
            Some(Turn::Ours(claim)) => Some(claim),
            None => None,
        };
        match claim {
            // In a batch nothing was there but what is ours, and another process may come to the same end.
            Some(_) => write.force |= batch,
            None => sidecar::forget(&job.output, terminal)?,
        }
        if let Some([asked_for, tile]) = upscaling.smaller_tile() {
            terminal.warn(format!(
                "{input}: tiles of {tile} voxels instead of {asked_for}, for --memory; the output differs slightly"
            ));
        }
        let _share = self.upscaler.share(&upscaling);
        let mut header = upscaling.target().header(&scan.header, upscaling.grid());
        if self.anonymise {
            header.anonymise();
        }
        // Labels that cannot be carried are refused before the work begins.
        let labels = self
            .labels
            .as_ref()
            .map(|path| labels::on_grid(path, &header, &self.read, terminal))
            .transpose()?;
        anyhow::ensure!(
            !self.audit || count == 1,
            "{input}: holds {count} volumes; --audit looks at one"
        );
        let mut found: Vec<Upscaled> = Vec::new();
        let fine = seen.into_iter().map(Ok).chain(frames).enumerate();
        let fine = fine.map(|(index, frame)| {
            let which = match count {
                1 => String::new(),
                _ => format!(", volume {} of {count}", index + 1),
            };
            let name = format!("{name}{which}");
            let mut upscaled = upscaling
                .run(&frame?, &mut hearing(&name, terminal))
                .map_err(in_options)
                .with_context(|| format!("{input}{which}"))?;
            let empty = Volume::filled(0.0, upscaled.image.geometry().with_extent([1; 3]));
            let image = std::mem::replace(&mut upscaled.image, empty);
            found.push(upscaled);
            Ok(image)
        });
        files::write(&job.output, &header, fine, &write, terminal)?;
        if let Some(how) = found.iter().find_map(|upscaled| upscaled.placed) {
            terminal.say(format!("{}: {how}", job.output.display()));
        }
        let mut written = vec![job.output.clone()];
        if let Some(labels) = labels {
            let anonymise = self.anonymise;
            written.push(labels::write(labels, &job.output, &write, anonymise, terminal)?);
        }
        let because = upscaling.because().map(|why| {
            let learn = if upscaling.slices_may_teach() { LEARN } else { "" };
            format!("{why}{learn}")
        });
        let mut lines = vec![words::grid(upscaling.grid())];
        lines.extend(because.as_ref().map(|why| format!("made by {why}")));
        lines.extend(gain::in_words(&upscaling, &name, terminal));
        lines.extend(
            upscaling
                .acquisition()
                .map(|made_by| format!("acquired: {made_by}")),
        );
        let agreements = found.iter().filter_map(|upscaled| upscaled.consistency.as_ref());
        lines.extend(agreements.map(ToString::to_string));
        if let Some(audit) = found.iter_mut().find_map(|upscaled| upscaled.audit.take()) {
            lines.push(audit.to_string());
            let place = Place {
                target: upscaling.target(),
                grid: upscaling.grid(),
                header,
                write: WriteOptions {
                    dtype: OutputType::Float32,
                    ..write
                },
            };
            let files = AuditFiles::beside(&job.output);
            let input = match self.anonymise {
                true => Path::new(&*name),
                false => &job.input,
            };
            audit::write(audit, &files, &place, input, terminal)?;
            written.extend(files.all().map(Clone::clone));
        }
        if let Some(mut claim) = claim {
            claim.tell_left_over(&written, terminal);
            let expected = upscaling.expected().map(gain::for_sidecar);
            let more = [
                ("asked", asked),
                ("chosen", because.map(|why| json!(why))),
                ("expected", expected),
            ];
            for (key, value) in more {
                if let Some(value) = value {
                    claim.add(key, value);
                }
            }
            let agreements = found.iter().filter_map(|upscaled| upscaled.consistency.as_ref());
            claim.done(&written, &agreements.map(|one| json!(one)).collect::<Vec<_>>())?;
        }
        Ok(Some(lines.join("\n")))
    }

    /// Whose turn the output is, where it has a sidecar.
    fn turn(
        &self,
        upscaling: &Upscaling<'_>,
        job: &Job,
        batch: bool,
        waits: bool,
    ) -> anyhow::Result<Option<Turn>> {
        if !self.keeps_sidecars(batch) {
            return Ok(None);
        }
        let how = self.described(upscaling, job)?;
        let audit = AuditFiles::beside(&job.output);
        let alone: Vec<PathBuf> = match self.audit {
            true => audit.all().map(Clone::clone).into(),
            false => Vec::new(),
        };
        sidecar::turn(job, &how, batch, waits, self.write.force, &alone).map(Some)
    }
}

/// The volumes up to the first that is not blank; all of them where there is none, or it cannot be read.
fn first_with_contrast(
    frames: &mut dyn Iterator<Item = Result<Volume, VolumeError>>,
) -> Result<Vec<Volume>, VolumeError> {
    let mut seen = Vec::new();
    for frame in frames {
        let frame = frame?;
        let is_blank = frame.only_value().is_some();
        seen.push(frame);
        if !is_blank {
            break;
        }
    }
    Ok(seen)
}
