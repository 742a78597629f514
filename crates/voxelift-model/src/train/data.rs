//! From the configuration's globs to patches: people and roles, the source operator, pairs, validation heads.

use voxelift_volume::appearance::{Appearance, AppearanceRange};
use voxelift_volume::calibration::{MOST_HR, MOST_LR, calibrate};
use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::{Degradation, Grid, Operators};
use voxelift_volume::intensity::{Mask, Normalization};
use voxelift_volume::random::Stream;
use voxelift_volume::resample::pad_to_scale;
use voxelift_volume::{Scale, Volume};

use super::ValidationHead;
use super::domain::{DomainCheck, Gallery};
use super::placed;
use super::sources::{Source, cohort, sources};
use crate::cache::{self, Cache};
use crate::config::{Config, Mode, NamedSource, SourceOperator};
use crate::dataset::{Dataset, Scan, SourcePair, starts};
use crate::error::Result;

/// What a run trains on and is watched by.
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
    /// What they look like, with the noise that training adds.
    pub appearance: Option<AppearanceRange>,
    /// The heads of the self-test at the end; read when it is their turn.
    pub self_test: Vec<Source>,
    /// What makes their LR versions, one test each.
    pub tests: Vec<Degradation>,
}

/// Checks roles, chooses the source operator, reads every scan and makes the pairs, one at a time; `note` hears what
/// was found.
///
/// # Errors
/// A glob that finds nothing, an unreadable scan, a person in two roles, a scan smaller than a patch.
pub fn prepare(config: &Config, note: &mut dyn FnMut(String)) -> Result<Prepared> {
    prepare_looking(config, None, note)
}

/// As [`prepare`], and the domain check on the way: each scan is read once for both.
///
/// # Errors
/// As [`prepare`], and a scan without contrast.
pub fn prepare_and_examine(config: &Config, note: &mut dyn FnMut(String)) -> Result<(Prepared, DomainCheck)> {
    let mut gallery = Gallery::default();
    let prepared = prepare_looking(config, Some(&mut gallery), note)?;
    Ok((prepared, gallery.check()))
}

fn prepare_looking(
    config: &Config,
    mut gallery: Option<&mut Gallery>,
    note: &mut dyn FnMut(String),
) -> Result<Prepared> {
    if config.network.placed {
        return placed::prepare(config, note);
    }
    let data = &config.data;
    let cohort = cohort(data)?;
    let scale = config.scale.scale();
    let cache = match &data.cache {
        Some(folder) => Cache::folder(&data.root.join(folder))?,
        None => Cache::memory(),
    };
    let [hr, lr, heads] = [Role::Hr, Role::Lr, Role::Validation].map(|role| sources(&cohort, role));
    let (mut degradations, calibration_misfit) = source_degradations(config, &hr, &lr, note)?;
    for degradation in &mut degradations {
        degradation.shift = data.source_shift;
        degradation.check()?;
    }

    let mut pairs: Vec<SourcePair> = Vec::new();
    for scan in &hr {
        let identity = scan.identity(data, &cache)?;
        let mut whole = Reading::new(|note| scan.load(data, note));
        if let Some(gallery) = gallery.as_deref_mut() {
            gallery.look(Role::Hr, scan, whole.volume(note)?)?;
        }
        let hr_kept = cache.scan(&format!("{identity} hr, padded to {scale}"), || {
            kept(pad_to_scale(whole.volume(note)?, scale), 1.0, Vec::new())
        })?;
        let versions = versions(config, &degradations, pairs.len());
        for degradation in versions {
            // Noise is drawn anew for each patch.
            let clean = Degradation {
                noise: 0.0,
                ..degradation
            };
            let seed = seed_of(config, Role::Hr, pairs.len());
            let lr_kept = cache.scan(&described(&identity, config, &clean, seed), || {
                with_starts(&scan.person, clean.apply(whole.volume(note)?, seed)?, config)
            })?;
            let of = |kept| Scan {
                person: scan.person.clone(),
                kept,
            };
            pairs.push(SourcePair {
                hr: of(hr_kept.clone()),
                lr: of(lr_kept),
                noise: degradation.noise,
                unmeasured: None,
            });
        }
    }

    let mut target = Vec::new();
    for (index, scan) in lr.iter().enumerate() {
        let identity = scan.identity(data, &cache)?;
        let seed = seed_of(config, Role::Lr, index);
        let description = match data.lr.degradation() {
            Some(degradation) => described(&identity, config, degradation, seed),
            None => format!("{identity} lr, {}", patch_key(config)),
        };
        let mut seen = Reading::new(|note| load_lr(scan, index, config, note));
        if let Some(gallery) = gallery.as_deref_mut() {
            gallery.look(Role::Lr, scan, seen.volume(note)?)?;
        }
        let kept = cache.scan(&description, || {
            with_starts(&scan.person, seen.taken(note)?, config)
        })?;
        target.push(Scan {
            person: scan.person.clone(),
            kept,
        });
    }
    check_spacing(&pairs, &target, scale, note);
    let lr_spacing_mm = spacing_range(&target, &pairs);
    let seen = target.iter().chain(pairs.iter().map(|pair| &pair.lr));
    let drawn = pairs.iter().map(|pair| pair.noise);
    let noise = drawn.fold(config.augmentation.noise, f64::max);
    let appearance = AppearanceRange::of(seen.filter_map(|scan| scan.kept.appearance()));
    let appearance = appearance.map(|range| range.with_noise(noise));

    let mut look = |scan: &Source, whole: &Volume| match gallery.as_deref_mut() {
        Some(gallery) => gallery.look(Role::Validation, scan, whole),
        None => Ok(()),
    };
    let validation = read_heads(&heads, config, &degradations[0], &mut look, note)?;

    if config.mode == Mode::Supervised {
        target.clear();
    }
    let (patch, augmentation) = (config.patch.clone(), config.augmentation.clone());
    let dataset = Dataset::new(pairs, target, scale, patch, augmentation, config.seed);
    note(format!(
        "{} HR scans of {} people, {} LR scans of {} people, {} for validation",
        hr.len(),
        dataset.source_people(),
        lr.len(),
        cohort.people(Role::Lr).len(),
        validation.len()
    ));
    if dataset.source_people() == 1 && config.mode == Mode::Unpaired {
        note("one HR person: all contrastive negatives come from one head".into());
    }
    let self_test = [Role::Test, Role::Validation].map(|role| sources(&cohort, role));
    let self_test = self_test.into_iter().find(|heads| !heads.is_empty());
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
    Ok(Prepared {
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
    })
}

/// A scan that is read when it is first asked for, once.
struct Reading<F> {
    read: F,
    volume: Option<Volume>,
}

impl<F: Fn(&mut dyn FnMut(String)) -> Result<Volume>> Reading<F> {
    fn new(read: F) -> Self {
        Self { read, volume: None }
    }

    fn volume(&mut self, note: &mut dyn FnMut(String)) -> Result<&Volume> {
        match &mut self.volume {
            Some(volume) => Ok(volume),
            empty => Ok(empty.insert((self.read)(note)?)),
        }
    }

    /// The volume itself, which is not kept then.
    fn taken(&mut self, note: &mut dyn FnMut(String)) -> Result<Volume> {
        match self.volume.take() {
            Some(volume) => Ok(volume),
            None => (self.read)(note),
        }
    }
}

/// The first `most` validation heads of a configuration, degraded as a run degrades them: as its LR scans were, or where
/// those are real through `source`.
///
/// # Errors
/// A glob that finds nothing, an unreadable scan, a person in two roles.
pub fn validation_heads(config: &Config, source: Operators, most: usize) -> Result<Vec<ValidationHead>> {
    if config.network.placed {
        let mut heads = placed::watched(config, &mut |_| {})?;
        heads.truncate(most);
        return Ok(heads);
    }
    let mut heads = sources(&cohort(&config.data)?, Role::Validation);
    heads.truncate(most);
    let source = Degradation::new(source, config.scale.scale());
    read_heads(&heads, config, &source, &mut |_, _| Ok(()), &mut |_| {})
}

/// Heads as they are and degraded; `look` sees each of them whole.
fn read_heads(
    heads: &[Source],
    config: &Config,
    source: &Degradation,
    look: &mut dyn FnMut(&Source, &Volume) -> Result<()>,
    note: &mut dyn FnMut(String),
) -> Result<Vec<ValidationHead>> {
    let scale = config.scale.scale();
    let degradation = target_like(config, source);
    let head = |(index, scan): (usize, &Source)| {
        let whole = scan.load(&config.data, note)?;
        look(scan, &whole)?;
        let lr = degradation.apply(&whole, seed_of(config, Role::Validation, index))?;
        ValidationHead::new(scan.name.clone(), pad_to_scale(&whole, scale), lr)
    };
    heads.iter().enumerate().map(head).collect()
}

/// What makes LR versions of held-out heads as the LR scans were made, or where those are real through the known operator.
fn target_like(config: &Config, source: &Degradation) -> Degradation {
    on_the_models_grid(config, config.data.lr.degradation().unwrap_or(source))
}

fn on_the_models_grid(config: &Config, degradation: &Degradation) -> Degradation {
    Degradation {
        grid: Grid::Scale(config.scale.scale()),
        shift: 0.0,
        ..*degradation
    }
}

/// What a cached LR scan depends on beside its source.
fn described(identity: &str, config: &Config, degradation: &Degradation, seed: u64) -> String {
    let degradation = serde_json::to_string(degradation).expect("plain data");
    format!(
        "{identity} by {degradation} on scale {}, seed {seed}, {}",
        config.scale.scale(),
        patch_key(config)
    )
}

fn patch_key(config: &Config) -> String {
    format!(
        "patches of {:?} from {}",
        config.patch.extent(),
        config.patch.min_foreground
    )
}

/// The degradations of one HR scan: those chosen, then copies of them with other parameters, of heads that move.
fn versions(config: &Config, chosen: &[Degradation], first_pair: usize) -> Vec<Degradation> {
    let augmentation = &config.augmentation;
    let mut stream = Stream::new(seed_of(config, Role::Hr, first_pair), OPERATOR_STREAM);
    let copies = chosen.iter().cycle().take(augmentation.operator_copies);
    let varied = copies.map(|degradation| Degradation {
        operator: Operators(degradation.operator.0.map(|operator| {
            let spread = augmentation.operator_spread;
            operator.varied(stream.between(-spread, spread).exp())
        })),
        motion: augmentation.motion.or(degradation.motion),
        ..*degradation
    });
    let varied: Vec<Degradation> = varied.collect();
    chosen.iter().copied().chain(varied).collect()
}

/// Beyond the streams of every degradation.
const OPERATOR_STREAM: u64 = 1 << 61;

fn kept(volume: Volume, factor: f32, starts: Vec<u32>) -> Result<cache::Prepared> {
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
fn with_starts(person: &str, volume: Volume, config: &Config) -> Result<cache::Prepared> {
    let factor = Normalization::of(&volume)?.factor;
    let extent = volume.extent();
    let appearance = Some(Appearance::of(&volume)?);
    let mut prepared = cache::Prepared {
        appearance,
        ..kept(volume, factor, Vec::new())?
    };
    prepared.starts = starts(person, extent, &prepared.foreground, &config.patch)?;
    Ok(prepared)
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

/// Streams of the degradations' random parts, one a scan.
pub(super) fn seed_of(config: &Config, role: Role, index: usize) -> u64 {
    let role = match role {
        Role::Hr => 1,
        Role::Lr => 2,
        Role::Validation => 3,
        Role::Test => 4,
    };
    config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (role << 32) ^ index as u64
}

/// Calibration asks for scans of one sampling: LR voxels `scale` times the HR ones, within a tenth.
fn check_spacing(pairs: &[SourcePair], lr: &[Scan], scale: Scale, note: &mut dyn FnMut(String)) {
    let (Some(pair), Some(lr)) = (pairs.first(), lr.first()) else {
        return;
    };
    let (fine, coarse) = (pair.hr.kept.spacing_mm(), lr.kept.spacing_mm());
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
    hr: &[Source],
    lr: &[Source],
    note: &mut dyn FnMut(String),
) -> Result<(Vec<Degradation>, Option<f64>)> {
    let scale = config.scale.scale();
    let fixed = |operators: &[Operators]| operators.iter().map(|o| Degradation::new(*o, scale)).collect();
    match &config.data.source_operator {
        SourceOperator::Named(NamedSource::Auto) => {
            // No more than it looks at: the whole cohort need not fit in memory.
            let hr = hr.iter().take(MOST_HR).map(|scan| scan.load(&config.data, note));
            let hr = hr.collect::<Result<Vec<_>>>()?;
            let lr = lr.iter().take(MOST_LR).enumerate();
            let lr = lr
                .map(|(index, scan)| load_lr(scan, index, config, note))
                .collect::<Result<Vec<_>>>()?;
            let calibration = calibrate(&hr, &lr, scale)?;
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
        for (axis, mm) in scan.kept.spacing_mm().into_iter().enumerate() {
            range[axis] = [range[axis][0].min(mm), range[axis][1].max(mm)];
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::degrade::Operator;

    #[test]
    fn further_versions_vary_and_move_and_the_first_stays() {
        let mut config = Config::default();
        let chosen = [Degradation::new(Operator::GAUSSIAN, Scale::isotropic(2))];
        assert_eq!(versions(&config, &chosen, 0), chosen);
        config.augmentation.operator_copies = 3;
        config.augmentation.operator_spread = 0.3;
        config.augmentation.motion = Some(voxelift_volume::degrade::Motion::default());
        let made = versions(&config, &chosen, 0);
        assert_eq!((made.len(), made[0]), (4, chosen[0]));
        assert_eq!(made, versions(&config, &chosen, 0), "the same for the same seed");
        assert!(made[1..].iter().all(|version| version.motion.is_some()));
        let operators: Vec<String> = made.iter().map(|version| version.operator.to_string()).collect();
        for (i, operator) in operators.iter().enumerate() {
            assert!(!operators[..i].contains(operator), "{operators:?}");
        }
        assert_ne!(made, versions(&config, &chosen, 1), "another for another scan");
    }
}
