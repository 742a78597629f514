//! From the configuration's globs to patches: people and roles, the source operator, pairs, validation heads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use voxelift_volume::calibration::calibrate;
use voxelift_volume::cohort::{Cohort, Role};
use voxelift_volume::degrade::{Degradation, Grid, Operators};
use voxelift_volume::intensity::{Mask, Normalization};
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::resample::pad_to_scale;
use voxelift_volume::scan;
use voxelift_volume::{Scale, Volume};

use super::ValidationHead;
use crate::config::{Config, DataConfig, Mode, NamedSource, SourceOperator};
use crate::dataset::{Dataset, Scan, SourcePair, TargetScan};
use crate::error::{ModelError, Result};

/// What a run trains on and is watched by, read into memory.
#[derive(Debug)]
pub struct Prepared {
    /// The patches.
    pub dataset: Dataset,
    /// Held-out heads.
    pub validation: Vec<ValidationHead>,
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
}

/// A scan in memory, with whose it is.
struct Loaded {
    person: String,
    name: String,
    volume: Volume,
}

/// Reads every scan, checks roles, chooses the source operator and makes the pairs; `note` hears what was found.
///
/// # Errors
/// A glob that finds nothing, an unreadable scan, a person in two roles, a scan smaller than a patch.
pub fn prepare(config: &Config, note: &mut dyn FnMut(String)) -> Result<Prepared> {
    let data = &config.data;
    let cohort = cohort(data)?;
    let scale = config.scale.scale();
    let hr = load_role(&cohort, Role::Hr, data, note)?;
    let mut lr = load_role(&cohort, Role::Lr, data, note)?;
    if let Some(degrade) = data.lr.degradation() {
        let degradation = Degradation {
            grid: Grid::Scale(scale),
            ..*degrade
        };
        for (index, scan) in lr.iter_mut().enumerate() {
            scan.volume = degradation.apply(&scan.volume, seed_of(config, Role::Lr, index))?;
        }
    }
    check_spacing(&hr, &lr, scale, note);

    let (degradations, calibration_misfit) = source_degradations(config, &hr, &lr, note)?;
    let mut pairs = Vec::new();
    for scan in &hr {
        let padded = pad_to_scale(&scan.volume, scale);
        let hr_scan = patch_source(&scan.person, padded);
        for degradation in &degradations {
            // Noise is drawn anew for each patch.
            let clean = Degradation {
                noise: 0.0,
                ..*degradation
            };
            let seed = seed_of(config, Role::Hr, pairs.len());
            let lr_scan = patch_source(&scan.person, clean.apply(&scan.volume, seed)?);
            let factor = Normalization::of(&lr_scan.volume)?.factor;
            pairs.push(SourcePair {
                hr: hr_scan.clone(),
                lr: lr_scan,
                factor,
                noise: degradation.noise,
            });
        }
    }

    let mut validation = Vec::new();
    let operator = data.lr.degradation().unwrap_or(&degradations[0]);
    for (index, scan) in load_role(&cohort, Role::Validation, data, note)?
        .into_iter()
        .enumerate()
    {
        let degradation = Degradation {
            grid: Grid::Scale(scale),
            ..*operator
        };
        let lr = degradation.apply(&scan.volume, seed_of(config, Role::Validation, index))?;
        validation.push(ValidationHead::new(
            scan.name,
            pad_to_scale(&scan.volume, scale),
            lr,
        )?);
    }

    let names = |scans: &[Loaded]| scans.iter().map(|scan| scan.name.clone()).collect::<Vec<_>>();
    let (hr_scans, lr_scans, lr_spacing_mm) = (names(&hr), names(&lr), spacing_range(&lr, &pairs));
    let mut target = Vec::new();
    if config.mode == Mode::Unpaired {
        for scan in lr {
            let factor = Normalization::of(&scan.volume)?.factor;
            target.push(TargetScan {
                lr: patch_source(&scan.person, scan.volume),
                factor,
            });
        }
    }
    let dataset = Dataset::new(pairs, target, scale, config.patch.clone(), config.seed)?;
    note(format!(
        "{} HR scans of {} people, {} LR scans of {} people, {} for validation",
        hr.len(),
        dataset.source_people(),
        lr_scans.len(),
        cohort.people(Role::Lr).len(),
        validation.len()
    ));
    if dataset.source_people() == 1 && config.mode == Mode::Unpaired {
        note("one HR person: all contrastive negatives come from one head".into());
    }
    Ok(Prepared {
        dataset,
        validation,
        source_operators: degradations.iter().map(Degradation::to_string).collect(),
        calibration_misfit,
        hr_scans,
        lr_scans,
        lr_spacing_mm,
    })
}

/// Streams of the degradations' random parts, one a scan.
fn seed_of(config: &Config, role: Role, index: usize) -> u64 {
    let role = match role {
        Role::Hr => 1,
        Role::Lr => 2,
        _ => 3,
    };
    config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (role << 32) ^ index as u64
}

fn cohort(data: &DataConfig) -> Result<Cohort> {
    let mut cohort = Cohort::new();
    for names in &data.people {
        cohort.same_person(names)?;
    }
    let roles = [
        (Role::Hr, "data.hr", &data.hr[..]),
        (Role::Lr, "data.lr", data.lr.files()),
        (Role::Validation, "data.validation", &data.validation),
    ];
    for (role, key, globs) in roles {
        for glob in globs {
            for path in expand(glob, key, &data.root)? {
                cohort.add_file(role, &path)?;
            }
        }
    }
    cohort.keep_fraction(Role::Hr, data.hr_fraction)?;
    Ok(cohort)
}

const PHANTOM: &str = "phantom:";

/// The files of a glob in the order of their names, or one entry a phantom.
fn expand(text: &str, key: &str, root: &Path) -> Result<Vec<PathBuf>> {
    if let Some(seeds) = text.strip_prefix(PHANTOM) {
        let (first, last) = seeds.split_once('-').unwrap_or((seeds, seeds));
        let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>()) else {
            return Err(ModelError::config(
                key,
                text,
                "expected phantom:SEED or phantom:FIRST-LAST",
            ));
        };
        return Ok((first..=last)
            .map(|seed| PathBuf::from(format!("{PHANTOM}{seed}")))
            .collect());
    }
    let pattern = root.join(text);
    let matches = glob::glob(&pattern.to_string_lossy())
        .map_err(|e| ModelError::config(key, text, format!("not a glob: {e}")))?;
    let mut paths: Vec<PathBuf> = matches.filter_map(std::result::Result::ok).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(ModelError::data(
            key,
            format!("{} finds no file", pattern.display()),
            "at least one NIfTI file",
        ));
    }
    Ok(paths)
}

fn load_role(
    cohort: &Cohort,
    role: Role,
    data: &DataConfig,
    note: &mut dyn FnMut(String),
) -> Result<Vec<Loaded>> {
    let scans = cohort.scans(role);
    scans
        .map(|scan| {
            Ok(Loaded {
                person: scan.subject.clone(),
                ..load(&scan.path, data, note)?
            })
        })
        .collect()
}

fn load(path: &Path, data: &DataConfig, note: &mut dyn FnMut(String)) -> Result<Loaded> {
    let text = path.to_string_lossy();
    if let Some(seed) = text.strip_prefix(PHANTOM) {
        let seed = seed.parse().expect("made by `expand`");
        let config = PhantomConfig {
            seed,
            extent: data.phantom.extent,
            spacing_mm: [data.phantom.spacing_mm; 3],
        };
        return Ok(Loaded {
            person: String::new(),
            name: text.clone().into_owned(),
            volume: phantom::head(&config)?,
        });
    }
    let image = scan::read(path, &ReadOptions::default())?;
    let name = path
        .file_name()
        .map_or_else(|| text.to_string(), |name| name.to_string_lossy().into_owned());
    for warning in &image.warnings {
        note(format!("{name}: {warning}"));
    }
    Ok(Loaded {
        person: String::new(),
        name,
        volume: image.into_single()?,
    })
}

fn patch_source(person: &str, volume: Volume) -> Scan {
    let foreground = Arc::new(Mask::foreground(&volume).data().to_vec());
    Scan {
        person: person.to_owned(),
        volume: Arc::new(volume),
        foreground,
    }
}

/// Calibration asks for scans of one sampling: LR voxels `scale` times the HR ones, within a tenth.
fn check_spacing(hr: &[Loaded], lr: &[Loaded], scale: Scale, note: &mut dyn FnMut(String)) {
    let (Some(hr), Some(lr)) = (hr.first(), lr.first()) else {
        return;
    };
    let (fine, coarse) = (
        hr.volume.geometry().spacing_mm(),
        lr.volume.geometry().spacing_mm(),
    );
    if (0..3).any(|a| (coarse[a] / (fine[a] * scale.0[a] as f64) - 1.0).abs() > 0.1) {
        note(format!(
            "LR voxels of {coarse:.3?} mm are not {scale} times the HR voxels of {fine:.3?} mm: the model will learn a \
             scale of {scale} from scans sampled otherwise; bring the LR scans to {:.3?} mm with `voxelift degrade --spacing`",
            [0, 1, 2].map(|a| fine[a] * scale.0[a] as f64)
        ));
    }
}

/// The known degradations `A_s`, and the misfit of the calibrated one.
fn source_degradations(
    config: &Config,
    hr: &[Loaded],
    lr: &[Loaded],
    note: &mut dyn FnMut(String),
) -> Result<(Vec<Degradation>, Option<f64>)> {
    let scale = config.scale.scale();
    let fixed = |operators: &[Operators]| operators.iter().map(|o| Degradation::new(*o, scale)).collect();
    match &config.data.source_operator {
        SourceOperator::Named(NamedSource::Auto) => {
            let volumes = |scans: &[Loaded]| scans.iter().map(|scan| scan.volume.clone()).collect::<Vec<_>>();
            let calibration = calibrate(&volumes(hr), &volumes(lr), scale)?;
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
fn spacing_range(lr: &[Loaded], pairs: &[SourcePair]) -> [[f64; 2]; 3] {
    let mut range = [[f64::INFINITY, 0.0]; 3];
    let of_pairs = pairs.iter().map(|pair| pair.lr.volume.geometry());
    for geometry in lr.iter().map(|scan| scan.volume.geometry()).chain(of_pairs) {
        for (axis, mm) in geometry.spacing_mm().into_iter().enumerate() {
            range[axis] = [range[axis][0].min(mm), range[axis][1].max(mm)];
        }
    }
    range
}
