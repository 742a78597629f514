//! From the configuration's globs to patches: subjects and roles, the source operator, pairs, validation scans.

use std::sync::atomic::AtomicBool;

use voxelift_volume::Volume;
use voxelift_volume::appearance::{Appearance, AppearanceRange};
use voxelift_volume::calibration::{MOST_HR, MOST_LR, calibrate};
use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::{Degradation, Grid, Operators};
use voxelift_volume::intensity::{Mask, Normalization};
use voxelift_volume::resample::pad_to_scale;

use super::ValidationScan;
use super::degradations::{described, on_the_models_grid, patch_key, seed_of, target_like, versions};
use super::domain::{DomainCheck, Gallery};
use super::findings::{self, Findings};
use super::inventory::Inventory;
use super::reading::{self, Reading, Remarks};
use super::scans::{Scans, goes_on};
use super::sources::{Source, cohort, cohort_until};
use super::suspects;
use crate::cache::{self, Cache};
use crate::config::{Config, Mode, NamedSource, SourceOperator};
use crate::dataset::{Dataset, Scan, SourcePair, starts};
use crate::error::{ModelError, Result};
use crate::run::RunDir;

/// What a run trains on and is watched by.
#[derive(Debug)]
pub struct Prepared {
    /// The patches.
    pub dataset: Dataset,
    /// Held-out scans.
    pub validation: Vec<ValidationScan>,
    /// The degradations that the HR scans are trained through.
    pub source_operators: Vec<String>,
    /// Misfit of the calibrated one.
    pub calibration_misfit: Option<f64>,
    /// HR scans by name.
    pub hr_scans: Vec<String>,
    /// LR scans by name.
    pub lr_scans: Vec<String>,
    /// Least and largest voxel size of the LR scans, along x, y, z.
    pub lr_spacing_mm: [[f64; 2]; 3],
    /// What they look like, with the noise that training adds.
    pub appearance: Option<AppearanceRange>,
    /// The scans of the self-test at the end; read when it is their turn.
    pub self_test: Vec<Source>,
    /// What makes their LR versions, one test each.
    pub tests: Vec<Degradation>,
    /// What to think about before trusting the run: scans that do not look as if they belonged there.
    pub warnings: Vec<String>,
    /// The scans by content, so that a resumed run knows what changed.
    pub inventory: Inventory,
    /// What was found out about the cohort, to be kept beside the run.
    pub findings: Findings,
}

impl Prepared {
    /// Keeps what was found out about the cohort beside the run, so that a resumed one begins at once.
    pub fn keep_findings(&self, run: &RunDir) {
        self.findings.write(run.root());
    }
}

/// As [`super::prepare_until`], for a model of a fixed scale.
pub(super) fn prepare(
    config: &Config,
    mut findings: Findings,
    examine: bool,
    stop: &AtomicBool,
    note: &mut dyn FnMut(String),
) -> Result<(Prepared, DomainCheck)> {
    let data = &config.data;
    let cohort = cohort_until(data, stop)?;
    let scale = config.scale.scale();
    let cache = match &data.cache {
        Some(folder) => Cache::folder(&data.root.join(folder))?,
        None => Cache::memory(),
    };
    let mut warnings = Vec::from_iter(suspects::unknown_people(&cohort));
    let Scans {
        hr,
        lr,
        validation: held_out,
        test,
        largest,
    } = Scans::of(&cohort, config, stop, &mut warnings)?;
    let roles = [
        (Role::Hr, &hr[..]),
        (Role::Lr, &lr),
        (Role::Validation, &held_out),
        (Role::Test, &test),
    ];
    let inventory = Inventory::of(&roles, data, stop)?;
    // The domains are compared again only where these scans have not been compared before.
    let domain_key = findings::key(&(&inventory.scans, &data.people));
    let mut found = findings::found_or(&mut findings.domain, domain_key.clone(), || Err(())).ok();
    let mut gallery = (examine && found.is_none()).then(Gallery::default);
    goes_on(stop)?;
    let (mut degradations, calibration_misfit) =
        source_degradations(config, &hr, &lr, &inventory, &mut findings, stop, note)?;
    for degradation in &mut degradations {
        degradation.shift = data.source_shift;
        degradation.check()?;
    }

    let mut remarks = Remarks {
        note: &mut *note,
        warnings: &mut warnings,
        gallery: &mut gallery,
    };
    let load = |scan: &Source, _: usize, note: &mut dyn FnMut(String)| scan.load(data, note);
    let per_scan = versions(config, &degradations, 0).len();
    let of_hr = |whole: &mut Reading<'_>| {
        let scan = whole.scan;
        let identity = scan.identity(data, &cache)?;
        let hr_kept = cache.scan(&format!("{identity} hr, mirrored to {scale}"), || {
            prepared_scan(pad_to_scale(whole.volume()?, scale), 1.0, Vec::new())
        })?;
        let first = whole.index * per_scan;
        let pairs = versions(config, &degradations, first).into_iter().enumerate();
        let pairs = pairs.map(|(version, degradation)| {
            // Noise is drawn anew for each patch.
            let clean = Degradation {
                noise: 0.0,
                ..degradation
            };
            let seed = seed_of(config, Role::Hr, first + version);
            let mut description = described(&identity, config, &clean, seed);
            if data.hr_slab < 1.0 {
                description += &format!(", slab of {}", data.hr_slab);
            }
            let lr_kept = cache.scan(&description, || {
                let prepared = with_starts(&scan.subject, clean.apply(whole.volume()?, seed)?, config)?;
                Ok(within_slab(prepared, data.hr_slab))
            })?;
            let of = |cached| Scan {
                subject: scan.subject.clone(),
                cached,
            };
            Ok(SourcePair {
                hr: of(hr_kept.clone()),
                lr: of(lr_kept),
                noise: degradation.noise,
                unmeasured: None,
            })
        });
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        let warning = whole
            .seen()
            .and_then(|volume| suspects::label_map(&scan.name, volume));
        whole.warn(warning);
        Ok(pairs)
    };
    let pairs = reading::each((Role::Hr, &hr), largest, &load, stop, &mut remarks, of_hr)?;
    let pairs: Vec<SourcePair> = pairs.into_iter().flatten().collect();

    let load_as_lr =
        |scan: &Source, index: usize, note: &mut dyn FnMut(String)| load_lr(scan, index, config, note);
    let of_lr = |whole: &mut Reading<'_>| {
        let scan = whole.scan;
        let identity = scan.identity(data, &cache)?;
        let seed = seed_of(config, Role::Lr, whole.index);
        let description = match data.lr.degradation() {
            Some(degradation) => described(&identity, config, degradation, seed),
            None => format!("{identity} lr, {}", patch_key(config)),
        };
        let cached = cache.scan(&description, || {
            let volume = whole.taken()?;
            whole.warn(suspects::label_map(&scan.name, &volume));
            with_starts(&scan.subject, volume, config)
        })?;
        Ok(Scan {
            subject: scan.subject.clone(),
            cached,
        })
    };
    let mut target = reading::each((Role::Lr, &lr), largest, &load_as_lr, stop, &mut remarks, of_lr)?;
    let lr_spacing_mm = spacing_range(&target, &pairs);
    let seen = target.iter().chain(pairs.iter().map(|pair| &pair.lr));
    let drawn = pairs.iter().map(|pair| pair.noise);
    let noise = drawn.fold(config.augmentation.noise, f64::max);
    let appearance = AppearanceRange::of(seen.filter_map(|scan| scan.cached.appearance()));
    let appearance = appearance.map(|range| range.with_noise(noise));

    let validation = read_validation(&held_out, largest, config, &degradations[0], stop, &mut remarks)?;
    if let Some(gallery) = gallery {
        let check = || gallery.check(stop);
        found = Some(findings::found_or(&mut findings.domain, domain_key, check)?);
    }
    let found = found.map(|(found, _)| found).unwrap_or_default();

    if config.mode == Mode::Supervised {
        target.clear();
    }
    let (patch, augmentation) = (config.patch.clone(), config.augmentation.clone());
    // The first is the one that is known or was found; more of them are guesses.
    let operators = (degradations.len() == 1).then(|| degradations[0].operator);
    let dataset = Dataset::new(pairs, target, scale, patch, augmentation, config.seed).acquired_by(operators);
    let subjects = |n: usize| {
        if n == 1 {
            "1 subject".to_owned()
        } else {
            format!("{n} subjects")
        }
    };
    let scans = |n: usize, kind: &str| format!("{n} {kind} scan{}", if n == 1 { "" } else { "s" });
    note(format!(
        "{} of {}, {} of {}, {} for validation",
        scans(hr.len(), "HR"),
        subjects(dataset.source_subjects()),
        scans(lr.len(), "LR"),
        subjects(cohort.subjects(Role::Lr).len()),
        validation.len()
    ));
    let contrasts = config.mode == Mode::Unpaired && config.loss.contrastive().is_some();
    if dataset.source_subjects() == 1 && contrasts {
        note("one HR subject: all contrastive negatives come from that subject".into());
    }
    let self_test = [test, held_out].into_iter().find(|scans| !scans.is_empty());
    let tests = match &data.test_degrade[..] {
        [] => vec![target_like(config, &degradations[0])],
        given => given.iter().map(|d| on_the_models_grid(config, d)).collect(),
    };
    if data.test.is_empty()
        && let Some(last) = cohort.scans(Role::Test).next()
    {
        note(format!(
            "{} is kept out of the training, for the self-test (data.leave_out)",
            last.subject
        ));
    }
    let names = |scans: &[Source]| scans.iter().map(|scan| scan.name.clone()).collect();
    let prepared = Prepared {
        dataset,
        validation,
        source_operators: degradations.iter().map(Degradation::to_string).collect(),
        calibration_misfit,
        hr_scans: names(&hr),
        lr_scans: names(&lr),
        lr_spacing_mm,
        appearance,
        self_test: self_test.unwrap_or_default(),
        tests,
        warnings,
        inventory,
        findings,
    };
    Ok((prepared, found))
}

/// The first `most` validation scans, degraded through `source` where the LR scans are real.
pub(super) fn watched(config: &Config, source: Operators, most: usize) -> Result<Vec<ValidationScan>> {
    let go_on = AtomicBool::new(false);
    let scans = Scans::of(&cohort(&config.data)?, config, &go_on, &mut Vec::new())?;
    let held_out = &scans.validation[..scans.validation.len().min(most)];
    let source = Degradation::new(source, config.scale.scale());
    let mut remarks = Remarks {
        note: &mut |_| {},
        warnings: &mut Vec::new(),
        gallery: &mut None,
    };
    read_validation(held_out, scans.largest, config, &source, &go_on, &mut remarks)
}

/// Validation scans as they are and degraded; `voxels` are those of the largest scan.
fn read_validation(
    held_out: &[Source],
    voxels: usize,
    config: &Config,
    source: &Degradation,
    stop: &AtomicBool,
    remarks: &mut Remarks<'_>,
) -> Result<Vec<ValidationScan>> {
    let scale = config.scale.scale();
    let degradation = target_like(config, source);
    let load = |scan: &Source, _: usize, note: &mut dyn FnMut(String)| scan.load(&config.data, note);
    reading::each(
        (Role::Validation, held_out),
        voxels,
        &load,
        stop,
        remarks,
        |source| {
            let (name, seed) = (
                source.scan.name.clone(),
                seed_of(config, Role::Validation, source.index),
            );
            let whole = source.taken()?;
            let lr = degradation.apply(&whole, seed)?;
            ValidationScan::new(name, pad_to_scale(&whole, scale), lr, degradation.operator)
        },
    )
}

fn prepared_scan(volume: Volume, factor: f32, starts: Vec<u32>) -> Result<cache::Prepared> {
    let foreground = Mask::foreground(&volume).data().to_vec();
    Ok(cache::Prepared {
        volume,
        foreground,
        starts,
        factor,
        appearance: None,
    })
}

/// An LR volume with its factor and the places of its patches.
fn with_starts(subject: &str, volume: Volume, config: &Config) -> Result<cache::Prepared> {
    let factor = Normalization::of(&volume)?.factor;
    let extent = volume.extent();
    let appearance = Some(Appearance::of(&volume)?);
    let mut prepared = cache::Prepared {
        appearance,
        ..prepared_scan(volume, factor, Vec::new())?
    };
    prepared.starts = starts(subject, extent, &prepared.foreground, &config.patch)?;
    Ok(prepared)
}

/// The places of the patches in the middle of the scan along z alone: this share of its slices that patches start in.
fn within_slab(mut prepared: cache::Prepared, share: f64) -> cache::Prepared {
    let [nx, ny, _] = prepared.volume.extent();
    let slice = |start: &u32| *start as usize / (nx * ny);
    // They come in the order of their slices.
    if let (Some(first), Some(last)) = (
        prepared.starts.first().map(slice),
        prepared.starts.last().map(slice),
    ) {
        let all = last + 1 - first;
        let kept = ((all as f64 * share).round() as usize).clamp(1, all);
        let from = first + (all - kept) / 2;
        prepared
            .starts
            .retain(|start| (from..from + kept).contains(&slice(start)));
    }
    prepared
}

/// An LR scan as training sees it: as it is, or simulated.
fn load_lr(scan: &Source, index: usize, config: &Config, note: &mut dyn FnMut(String)) -> Result<Volume> {
    let volume = scan.load(&config.data, note)?;
    match config.data.lr.degradation() {
        None => Ok(volume),
        Some(degrade) => {
            let degradation = Degradation {
                grid: Grid::Scale(config.scale.scale()),
                ..*degrade
            };
            Ok(degradation.apply(&volume, seed_of(config, Role::Lr, index))?)
        }
    }
}

/// The known degradations `A_s`, and the misfit of the calibrated one.
fn source_degradations(
    config: &Config,
    hr: &[Source],
    lr: &[Source],
    inventory: &Inventory,
    findings: &mut Findings,
    stop: &AtomicBool,
    note: &mut dyn FnMut(String),
) -> Result<(Vec<Degradation>, Option<f64>)> {
    let scale = config.scale.scale();
    let fixed = |operators: &[Operators]| operators.iter().map(|o| Degradation::new(*o, scale)).collect();
    match &config.data.source_operator {
        SourceOperator::Named(NamedSource::Auto) => {
            // No more than it looks at: the whole cohort need not fit in memory.
            let (hr, lr) = (&hr[..hr.len().min(MOST_HR)], &lr[..lr.len().min(MOST_LR)]);
            let of_role = |role: Role, most: usize| {
                let scans = inventory.scans.iter().filter(move |scan| scan.role == role);
                scans.take(most).map(|scan| &scan.content).collect::<Vec<_>>()
            };
            let degrade = config
                .data
                .lr
                .degradation()
                .map(|degradation| (degradation, config.seed));
            let contents = [of_role(Role::Hr, MOST_HR), of_role(Role::Lr, MOST_LR)];
            let key = findings::key(&(contents, scale.0, degrade));
            let find = || {
                let hr = hr.iter().map(|scan| {
                    goes_on(stop)?;
                    scan.load(&config.data, note)
                });
                let hr = hr.collect::<Result<Vec<_>>>()?;
                let lr = lr.iter().enumerate();
                let lr = lr
                    .map(|(index, scan)| {
                        goes_on(stop)?;
                        load_lr(scan, index, config, note).map_err(|error| error.of_scan(scan.path()))
                    })
                    .collect::<Result<Vec<_>>>()?;
                goes_on(stop)?;
                Ok::<_, ModelError>(calibrate(&hr, &lr, scale)?)
            };
            let (calibration, _) = findings::found_or(&mut findings.calibration, key, find)?;
            note(format!("source operator: {calibration}"));
            for warning in &calibration.warnings {
                note(format!("calibration: {warning}"));
            }
            Ok((vec![calibration.degradation()], Some(calibration.best.misfit)))
        }
        SourceOperator::Named(NamedSource::Mixture) => Ok((fixed(&SourceOperator::mixture()), None)),
        SourceOperator::One(operators) => Ok((fixed(std::slice::from_ref(operators)), None)),
        SourceOperator::Several(operators) => Ok((fixed(operators), None)),
    }
}

/// Least and largest voxel size along x, y, z of what the model will be given: the LR scans, or the source's own.
fn spacing_range(lr: &[Scan], pairs: &[SourcePair]) -> [[f64; 2]; 3] {
    let mut range = [[f64::INFINITY, 0.0]; 3];
    for scan in lr.iter().chain(pairs.iter().map(|pair| &pair.lr)) {
        for (axis, mm) in scan.cached.spacing_mm().into_iter().enumerate() {
            range[axis] = [range[axis][0].min(mm), range[axis][1].max(mm)];
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use voxelift_volume::Geometry;

    use super::*;

    #[test]
    fn a_slab_holds_the_middle_slices_that_patches_start_in() {
        let volume = Volume::filled(1.0, Geometry::axis_aligned([4, 4, 12], [1.0; 3]));
        // Two places in each of the slices 1 to 10.
        let starts: Vec<u32> = (1..=10).flat_map(|z| [16 * z, 16 * z + 5]).collect();
        let slices = |share: f64| {
            let prepared = prepared_scan(volume.clone(), 1.0, starts.clone()).expect("a volume");
            let kept = within_slab(prepared, share).starts;
            assert!(kept.is_sorted());
            (
                kept.len(),
                kept.first().map(|s| s / 16),
                kept.last().map(|s| s / 16),
            )
        };
        assert_eq!(slices(1.0), (20, Some(1), Some(10)));
        assert_eq!(slices(0.4), (8, Some(4), Some(7)));
        assert_eq!(slices(0.0), (2, Some(5), Some(5)));
    }
}
