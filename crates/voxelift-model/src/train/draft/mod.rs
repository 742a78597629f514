//! A first configuration for a user's own scans: which subject has which role, by which factor the scans differ, and how large a patch
//! they allow.

mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use voxelift_volume::cohort::subject_of;
use voxelift_volume::scan;
use voxelift_volume::{Geometry, Scale};

use super::{globs, suspects};
use crate::config::Config;
use crate::error::{ModelError, Result};

/// HR subjects from which on two of them are for validation.
const MANY: usize = 6;
/// Voxel sizes within this share of one another are alike.
const ALIKE: f64 = 0.1;
/// LR voxels of a patch along each side, where the scans are as large.
const PATCH: usize = 16;
/// The least that training takes.
const SMALLEST_PATCH: usize = 4;

/// What is drafted from.
#[derive(Clone, Debug, Default)]
pub struct DraftOptions {
    /// Globs of HR scans; none for synthetic heads.
    pub hr: Vec<String>,
    /// Globs of LR scans; none where they are to be simulated from some of the HR subjects.
    pub lr: Vec<String>,
    /// HR voxels per LR voxel, where LR scans are simulated.
    pub scale: Option<Scale>,
    /// Whether a GPU is there: a larger network.
    pub gpu: bool,
}

/// A configuration with its comments, and notes about it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// TOML.
    pub text: String,
    /// What was left out, and what to look into.
    pub notes: Vec<String>,
    /// What was found, in a line for each domain.
    pub found: Vec<String>,
}

/// One scan that may be trained on.
#[derive(Clone, Debug)]
struct Found {
    path: PathBuf,
    subject: String,
    grid: Geometry,
}

/// Which subject has which role, and the numbers that follow from the scans.
#[derive(Clone, Debug)]
struct Roles {
    hr: Vec<PathBuf>,
    validation: Vec<PathBuf>,
    lr: Vec<PathBuf>,
    /// Whether the LR scans are HR ones that are degraded.
    simulated: bool,
    scale: Scale,
    patch: usize,
}

/// Looks at the scans' names and headers and drafts the configuration of a run, to be kept as a file in `folder`; globs start at
/// the current folder.
///
/// # Errors
/// When the globs find too little to train on, or the HR scans are no finer than the LR ones.
pub fn draft(folder: &Path, options: &DraftOptions, stop: &AtomicBool) -> Result<Draft> {
    let folder = absolute(folder)?;
    let mut draft = if options.hr.is_empty() {
        if !options.lr.is_empty() {
            return Err(few("HR scans", "none given", "HR scans beside the LR scans"));
        }
        Draft {
            text: text::of_phantoms(options),
            notes: Vec::new(),
            found: vec!["synthetic heads in every role, no file needed".to_owned()],
        }
    } else {
        of_scans(&folder, options, stop)?
    };
    // What is written must run as it is.
    let resolved = Config::from_text(&draft.text, "the drafted configuration", &folder, &[])?;
    let cohort = super::sources::cohort_until(&resolved.config.data, stop)?;
    if cohort
        .subjects(voxelift_volume::cohort::Role::Validation)
        .is_empty()
    {
        draft.notes.push(
            "no subject is left to watch the run by: it ends after its steps, and its card shows no score"
                .to_owned(),
        );
    }
    Ok(draft)
}

fn of_scans(folder: &Path, options: &DraftOptions, stop: &AtomicBool) -> Result<Draft> {
    let mut notes = Vec::new();
    let hr = look(&options.hr, "HR scans", stop, &mut notes)?;
    let lr = look(&options.lr, "LR scans", stop, &mut notes)?;
    let Some(first) = hr.first().map(|found| found.grid.clone()) else {
        return Err(few("HR scans", "none that can be read", "see the warnings"));
    };
    if lr.is_empty() && !options.lr.is_empty() {
        return Err(few("LR scans", "none that can be read", "see the warnings"));
    }
    let (hr, fine) = alike(hr, &first, "HR", &mut notes);
    let (lr, coarse) = alike(lr, &first, "LR", &mut notes);
    let mut found = vec![described("HR", &hr, fine)];
    let roles = match coarse {
        Some(coarse) => {
            found.push(described("LR", &lr, Some(coarse)));
            let fine = fine.expect("HR scans were found");
            real(hr, lr, factors(fine, coarse, &mut notes)?, &mut notes)?
        }
        None => {
            let scale = options.scale.unwrap_or(Scale::isotropic(2));
            simulated(hr, scale)?
        }
    };
    let text = text::of_roles(&roles, folder, options);
    Ok(Draft { text, notes, found })
}

/// The scans that globs find, with their headers; what is no scan is left out with a note.
fn look(texts: &[String], key: &str, stop: &AtomicBool, notes: &mut Vec<String>) -> Result<Vec<Found>> {
    let here = absolute(Path::new("."))?;
    let mut paths = Vec::new();
    for text in texts {
        let found = if here.join(text).is_dir() {
            let deep = format!("{}/**/*", glob::Pattern::escape(text.trim_end_matches('/')));
            let mut inside = globs::find(&deep, key, &here, stop)?;
            inside.retain(|path| scan::is_image(path));
            inside
        } else {
            globs::find(text, key, &here, stop)?
        };
        if found.is_empty() {
            return Err(few(key, &format!("{text} finds no file"), "at least one scan"));
        }
        paths.extend(found);
    }
    paths.sort();
    paths.dedup();
    let mut scans = Vec::new();
    for path in paths {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ModelError::Stopped);
        }
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let header = match scan::read_header(&path) {
            Ok((header, _)) => header,
            Err(error) => {
                notes.push(format!("left out: {error}"));
                continue;
            }
        };
        if path.to_str().is_none() {
            notes.push(format!(
                "left out: {}: a name that is no UTF-8 cannot stand in a configuration",
                path.display()
            ));
        } else if let Some(why) = suspects::named_label_map(&name, Some(&header)) {
            notes.push(format!("left out: {why}"));
        } else if header.frames() > 1 {
            notes.push(format!(
                "left out: {name}: holds {} volumes; training takes scans of one",
                header.frames()
            ));
        } else {
            scans.push(Found {
                subject: subject_of(&path),
                grid: header.geometry(),
                path,
            });
        }
    }
    Ok(scans)
}

/// The scans with the voxels that most of them have, along the axes of `like`, and these; the others are left out with a note.
fn alike(
    scans: Vec<Found>,
    like: &Geometry,
    domain: &str,
    notes: &mut Vec<String>,
) -> (Vec<Found>, Option<[f64; 3]>) {
    if scans.is_empty() {
        return (scans, None);
    }
    let spacing = |found: &Found| suspects::spacing_along(&found.grid, like);
    let median = [0, 1, 2].map(|axis| {
        let mut sizes: Vec<f64> = scans.iter().map(|found| spacing(found)[axis]).collect();
        sizes.sort_by(f64::total_cmp);
        sizes[sizes.len() / 2]
    });
    let near = |found: &Found| (0..3).all(|a| (spacing(found)[a] / median[a] - 1.0).abs() <= ALIKE);
    let (alike, others): (Vec<_>, Vec<_>) = scans.into_iter().partition(near);
    for found in others {
        let own = suspects::spacing_along(&found.grid, like);
        notes.push(format!(
            "left out: {}: {domain} voxels of {} mm where most have {} mm; finer ones can be degraded to that",
            found.path.display(),
            text::sizes(own),
            text::sizes(median)
        ));
    }
    (alike, Some(median))
}

fn described(domain: &str, scans: &[Found], spacing: Option<[f64; 3]>) -> String {
    let subjects: BTreeSet<&str> = scans.iter().map(|found| found.subject.as_str()).collect();
    let plural = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    let sizes = spacing.map_or_else(String::new, |mm| format!(", voxels of {} mm", text::sizes(mm)));
    format!(
        "{domain}: {} of {}{sizes}",
        plural(scans.len(), "scan"),
        plural(subjects.len(), "subject")
    )
}

/// Whole factors between the domains' voxels.
fn factors(fine: [f64; 3], coarse: [f64; 3], notes: &mut Vec<String>) -> Result<Scale> {
    let ratios = [0, 1, 2].map(|a| coarse[a] / fine[a]);
    let whole = ratios.map(|ratio| ratio.round().max(1.0));
    let voxels = format!(
        "HR voxels of {} mm, LR voxels of {} mm",
        text::sizes(fine),
        text::sizes(coarse)
    );
    if whole == [1.0; 3] || ratios.iter().any(|ratio| *ratio < 1.0 - ALIKE) {
        return Err(few(
            "scans",
            &voxels,
            "HR scans that are finer than the LR scans along at least one axis and coarser along none; did the HR and the LR scans change places?",
        ));
    }
    if let Some(factor) = whole.iter().find(|factor| **factor > 8.0) {
        let expected = format!(
            "a factor of at most 8 between them, not {factor}; degrade the HR scans to larger voxels first"
        );
        return Err(few("scans", &voxels, &expected));
    }
    if (0..3).any(|a| (ratios[a] / whole[a] - 1.0).abs() > ALIKE) {
        let wanted = [0, 1, 2].map(|a| fine[a] * ratios[a].ceil());
        notes.push(format!(
            "{voxels}: no whole factors; degrade the LR scans to voxels of {} mm first, and draft again from those",
            wanted.map(|mm| format!("{mm:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()).join(" x ")
        ));
    }
    Ok(Scale(whole.map(|factor| factor as usize)))
}

/// Real LR scans: no subject may be in both domains.
fn real(hr: Vec<Found>, lr: Vec<Found>, scale: Scale, notes: &mut Vec<String>) -> Result<Roles> {
    let subjects =
        |scans: &[Found]| -> BTreeSet<String> { scans.iter().map(|found| found.subject.clone()).collect() };
    let (in_hr, in_lr) = (subjects(&hr), subjects(&lr));
    let both: Vec<&String> = in_hr.intersection(&in_lr).collect();
    let (mut only_hr, mut only_lr) = (in_hr.len() - both.len(), in_lr.len() - both.len());
    let mut into_lr = BTreeSet::new();
    for subject in &both {
        // Each goes where fewer are.
        if only_lr < only_hr {
            into_lr.insert((*subject).clone());
            only_lr += 1;
        } else {
            only_hr += 1;
        }
    }
    if !both.is_empty() {
        let (n, to_lr) = (both.len(), into_lr.len());
        notes.push(format!(
            "{n} subject(s) have scans in both domains, and nobody may be in two roles: the HR scans of {} and the LR scans of {to_lr} of them are used",
            n - to_lr
        ));
    }
    let lr: Vec<Found> = lr
        .into_iter()
        .filter(|found| !in_hr.contains(&found.subject) || into_lr.contains(&found.subject))
        .collect();
    let hr: Vec<Found> = hr
        .into_iter()
        .filter(|found| !into_lr.contains(&found.subject))
        .collect();
    if hr.is_empty() || lr.is_empty() {
        return Err(few(
            "scans",
            &format!("{} HR and {} LR scans of different subjects", hr.len(), lr.len()),
            "at least one of each",
        ));
    }
    let smallest = smallest(&hr, scale).min(smallest_lr(&lr, &hr[0].grid));
    let (hr, validation) = with_validation(hr);
    roles(hr, validation, lr, false, scale, smallest)
}

/// LR scans that are simulated from the second half of the subjects.
fn simulated(hr: Vec<Found>, scale: Scale) -> Result<Roles> {
    let mut subjects: Vec<String> = hr.iter().map(|found| found.subject.clone()).collect();
    subjects.sort();
    subjects.dedup();
    if subjects.len() < 2 {
        return Err(few(
            "HR scans",
            &format!("of {} subject", subjects.len()),
            "scans of at least two subjects, since LR scans are simulated from subjects whose HR scans training does not see; or LR scans beside them",
        ));
    }
    let smallest = smallest(&hr, scale);
    let into_lr = &subjects[subjects.len().div_ceil(2)..];
    let (lr, hr): (Vec<_>, Vec<_>) = hr.into_iter().partition(|found| into_lr.contains(&found.subject));
    let (hr, validation) = with_validation(hr);
    roles(hr, validation, lr, true, scale, smallest)
}

/// The last HR subjects are for validation: two of many, one of some, none of one.
fn with_validation(hr: Vec<Found>) -> (Vec<Found>, Vec<Found>) {
    let subjects: BTreeSet<String> = hr.iter().map(|found| found.subject.clone()).collect();
    let watching = match subjects.len() {
        0 | 1 => 0,
        n if n < MANY => 1,
        _ => 2,
    };
    let last: BTreeSet<String> = subjects.into_iter().rev().take(watching).collect();
    hr.into_iter().partition(|found| !last.contains(&found.subject))
}

fn roles(
    hr: Vec<Found>,
    validation: Vec<Found>,
    lr: Vec<Found>,
    simulated: bool,
    scale: Scale,
    smallest: usize,
) -> Result<Roles> {
    if smallest < SMALLEST_PATCH {
        return Err(few(
            "scans",
            &format!("the shortest axis has {smallest} LR voxels"),
            "at least 4 along each axis; a single thick-slice scan can be made finer from its own slices, without any training of yours",
        ));
    }
    let paths = |scans: Vec<Found>| scans.into_iter().map(|found| found.path).collect();
    Ok(Roles {
        hr: paths(hr),
        validation: paths(validation),
        lr: paths(lr),
        simulated,
        scale,
        patch: smallest.min(PATCH),
    })
}

/// LR voxels along the shortest axis of HR scans once they are degraded.
fn smallest(hr: &[Found], scale: Scale) -> usize {
    let like = &hr[0].grid;
    let shortest = hr.iter().flat_map(|found| {
        let extent = suspects::along(found.grid.extent, &found.grid, like);
        [0, 1, 2].map(|axis| extent[axis].div_ceil(scale.0[axis]))
    });
    shortest.min().unwrap_or(0)
}

fn smallest_lr(lr: &[Found], like: &Geometry) -> usize {
    lr.iter()
        .flat_map(|found| suspects::along(found.grid.extent, &found.grid, like))
        .min()
        .unwrap_or(0)
}

fn few(what: &str, value: &str, expected: &str) -> ModelError {
    ModelError::data(what, value, expected)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| ModelError::data(path.display().to_string(), error.to_string(), "a folder"))
}
