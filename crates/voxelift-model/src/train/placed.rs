//! The pairs of a placed model: painted or real scans, acquired at random, on their own grid again.

use std::sync::atomic::AtomicBool;

use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::{Degradation, Grid};
use voxelift_volume::intensity::{Mask, Normalization};
use voxelift_volume::placed::{place, unmeasured};
use voxelift_volume::random::Stream;
use voxelift_volume::resample::pad_to_scale;
use voxelift_volume::synthesis::Remap;
use voxelift_volume::{Result as VolumeResult, Volume};

use super::data::Prepared;
use super::degradations::seed_of;
use super::findings::Findings;
use super::inventory::Inventory;
use super::scans::goes_on;
use super::sources::{Source, cohort_until, expanded, sources};
use super::suspects;
use super::validate::ValidationScan;
use crate::acquisition::FAMILIES;
use crate::cache::{CachedScan, Prepared as PreparedScan};
use crate::config::Config;
use crate::dataset::{Dataset, Scan, SourcePair, Stock, starts};
use crate::error::Result;

/// What pairs are made of.
struct Workshop {
    config: Config,
    scans: Vec<Source>,
    maps: Vec<Source>,
}

/// Draws of a pair before it is an error that none has a patch with enough foreground.
const TRIES: u64 = 4;
/// The streams of a pair: its draws, and the seeds of what is made of them.
const STREAMS: u64 = 16;

/// As [`super::prepare`], for a placed model.
///
/// # Errors
/// As there.
pub(super) fn prepare(config: &Config, stop: &AtomicBool, note: &mut dyn FnMut(String)) -> Result<Prepared> {
    let data = &config.data;
    let cohort = cohort_until(data, stop)?;
    let [scans, held_out, test] = [Role::Hr, Role::Validation, Role::Test].map(|role| sources(&cohort, role));
    let maps = expanded(&config.placed.labels, "placed.labels", data, stop)?;
    let roles = [
        (Role::Hr, &scans[..]),
        (Role::Lr, &maps),
        (Role::Validation, &held_out),
        (Role::Test, &test),
    ];
    let inventory = Inventory::of(&roles, data, stop)?;
    let mut spacing = [[f64::INFINITY, 0.0]; 3];
    for scan in scans.iter().chain(maps.first()) {
        goes_on(stop)?;
        let mm = scan.load(data, note)?.geometry().spacing_mm();
        for a in 0..3 {
            let coarsest = mm[a] * config.placed.acquisition.most;
            spacing[a] = [spacing[a][0].min(mm[a]), spacing[a][1].max(coarsest)];
        }
    }
    let validation = watched(config, stop, note)?;
    let names = |scans: &[Source]| scans.iter().map(|scan| scan.name.clone()).collect();
    note(format!(
        "{} scans of {} subjects, {} label maps, {} held-out scans",
        scans.len(),
        cohort.subjects(Role::Hr).len(),
        maps.len(),
        validation.len()
    ));
    let (hr_scans, lr_scans) = (names(&scans), names(&maps));
    let workshop = Workshop {
        config: config.clone(),
        scans,
        maps,
    };
    let (slots, every) = (config.placed.slots, config.placed.every);
    let stock = Stock::new(Box::new(move |number| workshop.pair(number)), slots, every);
    let (patch, augmentation) = (config.patch.clone(), config.augmentation.clone());
    let self_test = [test, held_out].into_iter().find(|scans| !scans.is_empty());
    Ok(Prepared {
        dataset: Dataset::stocked(stock, patch, augmentation, config.seed),
        validation,
        source_operators: FAMILIES.map(str::to_owned).to_vec(),
        calibration_misfit: None,
        hr_scans,
        lr_scans,
        lr_spacing_mm: spacing,
        appearance: None,
        self_test: self_test.unwrap_or_default(),
        tests: if data.test_degrade.is_empty() {
            config.placed.watch.clone()
        } else {
            data.test_degrade.clone()
        },
        warnings: Vec::from_iter(suspects::unknown_people(&cohort)),
        inventory,
        findings: Findings::default(),
    })
}

/// The validation scans, each degraded in each of the ways that the run is watched by.
pub(super) fn watched(
    config: &Config,
    stop: &AtomicBool,
    note: &mut dyn FnMut(String),
) -> Result<Vec<ValidationScan>> {
    let mut made = Vec::new();
    let scans = sources(&cohort_until(&config.data, stop)?, Role::Validation);
    for (index, scan) in scans.iter().enumerate() {
        goes_on(stop)?;
        let whole = scan.load(&config.data, note)?;
        for (which, degradation) in config.placed.watch.iter().enumerate() {
            let seed = seed_of(config, Role::Validation, index * STREAMS as usize + which);
            let lr = degradation.apply(&whole, seed)?;
            let name = format!("{}, {degradation}", scan.name);
            made.push(ValidationScan::new(
                name,
                on_its_grid(&whole, degradation),
                lr,
                degradation.operator,
            )?);
        }
    }
    Ok(made)
}

/// The reference of a scan that was degraded.
pub(super) fn on_its_grid(whole: &Volume, degradation: &Degradation) -> Volume {
    match degradation.grid {
        Grid::Scale(scale) => pad_to_scale(whole, scale),
        Grid::SpacingMm(_) => whole.clone(),
    }
}

impl Workshop {
    /// Pair number `number`.
    fn pair(&self, number: u64) -> Result<SourcePair> {
        let mut tried = self.attempt(number, 0);
        for attempt in 1..TRIES {
            if tried.is_ok() {
                break;
            }
            tried = self.attempt(number, attempt);
        }
        tried
    }

    fn attempt(&self, number: u64, attempt: u64) -> Result<SourcePair> {
        let config = &self.config;
        let seed = seed_of(config, Role::Hr, 0);
        let mut stream = Stream::new(seed, (number * TRIES + attempt) * STREAMS);
        let painted = stream.uniform() < config.placed.label_share;
        let (subject, hr, axes) = if painted {
            let map = &self.maps[stream.below(self.maps.len())];
            let labels = map.load(&config.data, &mut |_| {})?;
            let look = seed_within(&mut stream);
            (
                map.subject.clone(),
                config.placed.synthesis.scan(&labels, look)?,
                [true; 3],
            )
        } else {
            let scan = &self.scans[stream.below(self.scans.len())];
            let whole = cut(&scan.load(&config.data, &mut |_| {})?);
            (
                scan.subject.clone(),
                self.remapped(whole, &mut stream)?,
                self.axes(scan),
            )
        };
        let degradation = config.placed.acquisition.drawn(hr.geometry(), axes, &mut stream);
        let lr = degradation.apply(&hr, seed_within(&mut stream))?;
        let factor = Normalization::of(&lr)?.factor;
        let (lr_mm, hr_mm) = (lr.geometry().spacing_mm(), hr.geometry().spacing_mm());
        let placed = place(&lr, hr.extent());
        let foreground = Mask::foreground(&hr).data().to_vec();
        let starts = starts(&subject, hr.extent(), &foreground, &config.patch)?;
        let scan = |volume, foreground, starts| Scan {
            subject: subject.clone(),
            cached: CachedScan::in_memory(PreparedScan {
                volume,
                foreground,
                starts,
                factor,
                appearance: None,
            }),
        };
        Ok(SourcePair {
            hr: scan(hr, foreground, Vec::new()),
            lr: scan(placed, Vec::new(), starts),
            noise: 0.0,
            unmeasured: Some(unmeasured(lr_mm, hr_mm)),
        })
    }

    /// A real scan with its own intensities or others.
    fn remapped(&self, scan: Volume, stream: &mut Stream) -> VolumeResult<Volume> {
        let placed = &self.config.placed;
        match stream.uniform() {
            u if u < placed.monotone => Remap::monotone(stream).apply(scan),
            u if u < placed.monotone + placed.any_order => Remap::any(stream).apply(scan),
            _ => Ok(scan),
        }
    }

    fn axes(&self, scan: &Source) -> [bool; 3] {
        let stated = self.config.placed.axes.iter();
        stated
            .filter(|of| scan.name.starts_with(&of.name))
            .map(|of| of.axes)
            .next()
            .unwrap_or([true; 3])
    }
}

fn seed_within(stream: &mut Stream) -> u64 {
    (stream.uniform() * (1_u64 << 53) as f64) as u64
}

/// Voxels of air left around a head.
const MARGIN: usize = 6;

/// The box that holds a scan's foreground: transforms of air teach nothing.
fn cut(scan: &Volume) -> Volume {
    let mask = Mask::foreground(scan);
    let extent = scan.extent();
    let (mut low, mut high) = (extent, [0; 3]);
    for voxel in mask.voxels() {
        for a in 0..3 {
            low[a] = low[a].min(voxel[a]);
            high[a] = high[a].max(voxel[a] + 1);
        }
    }
    if high == [0; 3] {
        return scan.clone();
    }
    let start = low.map(|l| l.saturating_sub(MARGIN));
    let size = std::array::from_fn(|a| (high[a] + MARGIN).min(extent[a]) - start[a]);
    scan.crop(start, size)
}
