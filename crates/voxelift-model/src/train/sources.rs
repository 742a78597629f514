//! The configuration's globs as scans of people in roles.

use std::path::{Path, PathBuf};

use voxelift_volume::Volume;
use voxelift_volume::cohort::{Cohort, Role};
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::scan;

use crate::cache::{self, Cache};
use crate::config::DataConfig;
use crate::error::{ModelError, Result};

/// A scan of the cohort, not read yet.
#[derive(Clone, Debug)]
pub struct Source {
    /// Whose head it is.
    pub person: String,
    /// The name of its file.
    pub name: String,
    path: PathBuf,
}

/// Who plays which role, by the names of the files; nothing but folders is read.
///
/// # Errors
/// A glob that finds nothing, or a person in two roles.
pub fn cohort(data: &DataConfig) -> Result<Cohort> {
    let mut cohort = Cohort::new();
    for names in &data.people {
        cohort.same_person(names)?;
    }
    let roles = [
        (Role::Hr, "data.hr", &data.hr[..]),
        (Role::Lr, "data.lr", data.lr.files()),
        (Role::Validation, "data.validation", &data.validation),
        (Role::Test, "data.test", &data.test),
    ];
    for (role, key, globs) in roles {
        for glob in globs {
            for path in expand(glob, key, &data.root)? {
                cohort.add_file(role, &path)?;
            }
        }
    }
    cohort.keep_fraction(Role::Hr, data.hr_fraction)?;
    let unwatched = data.test.is_empty() && data.validation.is_empty();
    if data.leave_out && unwatched && cohort.people(Role::Hr).len() >= ENOUGH_TO_LEAVE_ONE_OUT {
        cohort.reassign_last(Role::Hr, Role::Test);
    }
    Ok(cohort)
}

/// HR people from which on one of them may be spared for the self-test.
const ENOUGH_TO_LEAVE_ONE_OUT: usize = 4;

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

/// The files of globs outside of any role, each of a subject of its own.
///
/// # Errors
/// A glob that finds nothing.
pub(super) fn expanded(globs: &[String], key: &str, data: &DataConfig) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for glob in globs {
        for path in expand(glob, key, &data.root)? {
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned();
            files.push(Source {
                person: name.clone(),
                name,
                path,
            });
        }
    }
    Ok(files)
}

/// The scans of a role, in order.
pub fn sources(cohort: &Cohort, role: Role) -> Vec<Source> {
    let scans = cohort.scans(role).map(|scan| {
        let name = scan.path.file_name().unwrap_or(scan.path.as_os_str());
        Source {
            person: scan.subject.clone(),
            name: name.to_string_lossy().into_owned(),
            path: scan.path.clone(),
        }
    });
    scans.collect()
}

impl Source {
    /// Which synthetic head it is, where it is one.
    fn phantom(&self, data: &DataConfig) -> Option<PhantomConfig> {
        let text = self.path.to_string_lossy();
        let seed = text.strip_prefix(PHANTOM)?.parse().expect("made by `expand`");
        Some(PhantomConfig {
            seed,
            extent: data.phantom.extent,
            spacing_mm: [data.phantom.spacing_mm; 3],
        })
    }

    /// [`Source::content`], which only a cache folder asks for.
    pub(super) fn identity(&self, data: &DataConfig, cache: &Cache) -> Result<String> {
        if cache.is_memory() {
            return Ok(String::new());
        }
        self.content(data)
    }

    /// Where it is; `phantom:SEED` for a synthetic head.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the scan is by content, whatever its name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn content(&self, data: &DataConfig) -> Result<String> {
        let version = env!("CARGO_PKG_VERSION");
        if let Some(phantom) = self.phantom(data) {
            return Ok(format!("{version} {phantom:?}"));
        }
        Ok(format!("{version} {}", cache::content(&self.path)?))
    }

    /// Reads it; `note` hears what is odd about the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(&self, data: &DataConfig, note: &mut dyn FnMut(String)) -> Result<Volume> {
        if let Some(phantom) = self.phantom(data) {
            return Ok(phantom::head(&phantom)?);
        }
        let image = scan::read(&self.path, &ReadOptions::default())?;
        for warning in &image.warnings {
            note(format!("{}: {warning}", self.name));
        }
        Ok(image.into_single()?)
    }
}
