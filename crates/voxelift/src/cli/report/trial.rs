//! The model of a run, applied to validation scans for the page to show.

use std::fs;

use voxelift_model::config::Config;
use voxelift_model::device::{Device, DeviceChoice};
use voxelift_model::infer::{SuperResolver, UpscaleOptions};
use voxelift_model::run::RunDir;
use voxelift_model::scoring::{Case, consistent};
use voxelift_model::train::{ValidationScan, validation_scans};
use voxelift_volume::audit::NullSpace;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::consistency::Disagreement;
use voxelift_volume::degrade::Operators;
use voxelift_volume::scan;
use voxelift_volume::{Volume, VolumeError};

use crate::report::{Exhibit, Pairs, Row, TileDifference, Trial};
use crate::terminal::Terminal;

/// Heads that are scored in full.
const MOST_HEADS: usize = 4;

/// What the network makes, and the same with what the scan measured put back, as `upscale` writes it.
const ALONE: &str = "model alone";
const MODEL: &str = "model";

/// The trial of a run that has a model and names validation scans; reads them anew.
///
/// # Errors
/// When the model or a head cannot be read.
pub fn of_run(run: &RunDir, terminal: &Terminal) -> anyhow::Result<Option<Trial>> {
    if !run.model().is_file() {
        return Ok(None);
    }
    let path = run.config();
    let text = fs::read_to_string(&path).map_err(|error| VolumeError::io(&path, "read", error))?;
    let config = Config::from_resolved(&text, &path)?;
    let resolver = Resolver::of(run, DeviceChoice::default().open()?.0)?;
    let Some(source) = resolver.operators.first() else {
        return Ok(None);
    };
    let heads = validation_scans(&config, *source, MOST_HEADS)?;
    of_heads(&resolver, &heads, terminal)
}

/// The trial of a run that has just ended, on the heads that it was watched by.
///
/// # Errors
/// When the model cannot be read.
pub fn of_prepared(
    run: &RunDir,
    heads: &[ValidationScan],
    device: &Device,
    terminal: &Terminal,
) -> anyhow::Result<Option<Trial>> {
    let heads = &heads[..heads.len().min(MOST_HEADS)];
    of_heads(&Resolver::of(run, device.clone())?, heads, terminal)
}

/// The model of a run, and the operators it was trained through.
struct Resolver {
    resolver: SuperResolver,
    operators: Vec<Operators>,
}

impl Resolver {
    fn of(run: &RunDir, device: Device) -> anyhow::Result<Self> {
        let (resolver, card) = SuperResolver::load(&run.model(), device)?;
        let operators = card.operators()?;
        Ok(Self { resolver, operators })
    }

    fn upscale(
        &self,
        head: &ValidationScan,
        tile: Option<usize>,
        what: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        let options = UpscaleOptions {
            tile,
            ensemble: false,
        };
        let mut progress = None;
        let mut hear = |done: usize, tiles: usize| {
            let progress = progress.get_or_insert_with(|| terminal.progress(what, "tiles", tiles as u64));
            progress.set(done as u64, "");
        };
        let (extent, spacing) = (head.hr.extent(), head.lr.geometry().spacing_mm());
        Ok(self
            .resolver
            .onto(&head.lr, extent, spacing, &options, &mut hear)?)
    }
}

fn of_heads(
    resolver: &Resolver,
    heads: &[ValidationScan],
    terminal: &Terminal,
) -> anyhow::Result<Option<Trial>> {
    let mut rows = Vec::new();
    let mut exhibit = None;
    for head in heads {
        let name = scan::stem(head.name.as_ref());
        let alone = resolver.upscale(head, None, &format!("report: {name}"), terminal)?;
        let sr = consistent(&alone, &head.lr, &head.operators)?;
        let case = Case::of(&head.hr, &head.lr);
        let methods = [
            (Baseline::ZeroFill.name(), head.zero_fill()),
            (ALONE, &alone),
            (MODEL, &sr),
        ];
        for (method, image) in methods {
            rows.push(Row {
                method: Some(method.to_owned()),
                subject: Some(name.clone()),
                scored: case.score(image)?,
                ..Row::default()
            });
        }
        if exhibit.is_none() {
            exhibit = Some(exhibit_of(resolver, head, name, [alone, sr], terminal)?);
        }
    }
    Ok(exhibit.map(|exhibit| Trial {
        exhibit,
        pairs: Pairs::new(rows),
    }))
}

fn exhibit_of(
    resolver: &Resolver,
    head: &ValidationScan,
    name: String,
    [alone, sr]: [Volume; 2],
    terminal: &Terminal,
) -> anyhow::Result<Exhibit> {
    let tiles = tile_difference(resolver, head, &alone, terminal)?;
    let disagreements = [(ALONE, &alone), (MODEL, &sr)].map(|(name, image)| {
        let found = Disagreement::of(image, &head.lr, &head.operators)?;
        Ok((name.to_owned(), found))
    });
    let disagreements = disagreements.into_iter().collect::<anyhow::Result<_>>()?;
    Ok(Exhibit {
        name,
        added: Some(NullSpace::of(&sr, head.lr.extent())),
        lr: Some(head.lr.clone()),
        images: vec![
            (Baseline::ZeroFill.to_string(), head.zero_fill().clone()),
            (ALONE.to_owned(), alone),
            (MODEL.to_owned(), sr),
        ],
        hr: Some(head.hr.clone()),
        disagreements,
        tiles,
    })
}

/// The output in tiles of half as many voxels again; nothing where one tile holds the whole scan.
fn tile_difference(
    resolver: &Resolver,
    head: &ValidationScan,
    sr: &Volume,
    terminal: &Terminal,
) -> anyhow::Result<Option<TileDifference>> {
    let own = resolver.resolver.tile();
    let other = own + own / 2;
    if head.lr.extent().iter().all(|n| *n <= own) {
        return Ok(None);
    }
    let image = resolver.upscale(head, Some(other), &format!("report: tiles of {other}"), terminal)?;
    let score = |reference: &Volume, image: &Volume| Case::headline(reference, head.brain()).score(image);
    let between = score(sr, &image)?.scores;
    let psnr_db = [score(&head.hr, sr)?, score(&head.hr, &image)?].map(|s| s.scores.masked.psnr_db);
    Ok(Some(TileDifference {
        tiles: [own, other],
        nrmse: between.masked.nrmse,
        psnr_db,
        other: image,
    }))
}
