//! The configuration's globs as scans of subjects in roles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use voxelift_volume::cohort::{Cohort, Role};
use voxelift_volume::intensity::Normalization;
use voxelift_volume::nifti::{Header, ReadOptions};
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::scan;
use voxelift_volume::{Geometry, Volume, VolumeError};

use super::{globs, suspects};
use crate::cache::{self, Cache};
use crate::config::DataConfig;
use crate::error::{ModelError, Result};

/// A scan of the cohort, not read yet.
#[derive(Clone, Debug)]
pub struct Source {
    /// The subject that it shows.
    pub subject: String,
    /// The name of its file.
    pub name: String,
    path: PathBuf,
    /// The grid whose orientation it is turned to; none where it is stored so.
    like: Option<Geometry>,
}

/// Which subject has which role, by the names of the files; nothing but folders is read.
///
/// # Errors
/// A glob that finds nothing, or a subject in two roles.
pub fn cohort(data: &DataConfig) -> Result<Cohort> {
    cohort_until(data, &AtomicBool::new(false))
}

/// As [`cohort`], given up when asked to stop.
///
/// # Errors
/// As [`cohort`], and [`ModelError::Stopped`].
pub fn cohort_until(data: &DataConfig, stop: &AtomicBool) -> Result<Cohort> {
    let mut cohort = Cohort::new();
    for names in &data.people {
        if !names.contains('+') {
            let expected = "expected at least two names of one person joined by +, as 1003+1023";
            return Err(ModelError::config("data.people", names, expected));
        }
        cohort.same_subject(names)?;
    }
    let roles = [
        (Role::Hr, "data.hr", &data.hr[..]),
        (Role::Lr, "data.lr", data.lr.files()),
        (Role::Validation, "data.validation", &data.validation),
        (Role::Test, "data.test", &data.test),
    ];
    for (role, key, globs) in roles {
        // A file that several globs of a role find is one scan.
        let mut found = BTreeSet::new();
        for glob in globs {
            for path in expand(glob, key, &data.root, stop)? {
                if found.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                    cohort.add_file(role, &path)?;
                }
            }
        }
    }
    cohort.keep_fraction(Role::Hr, data.hr_fraction)?;
    let unwatched = data.test.is_empty() && data.validation.is_empty();
    if data.leave_out && unwatched && cohort.subjects(Role::Hr).len() >= ENOUGH_TO_LEAVE_ONE_OUT {
        cohort.reassign_last(Role::Hr, Role::Test);
    }
    Ok(cohort)
}

/// HR subjects from which on one of them may be spared for the self-test.
const ENOUGH_TO_LEAVE_ONE_OUT: usize = 4;

const PHANTOM: &str = "phantom:";

/// The files of a glob in the order of their names, or one entry a phantom.
fn expand(text: &str, key: &str, root: &Path, stop: &AtomicBool) -> Result<Vec<PathBuf>> {
    if let Some(seeds) = text.strip_prefix(PHANTOM) {
        let (first, last) = seeds.split_once('-').unwrap_or((seeds, seeds));
        let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>()) else {
            return Err(ModelError::config(
                key,
                text,
                "expected phantom:SEED or phantom:FIRST-LAST",
            ));
        };
        if last < first {
            let expected = format!("expected the least seed first, as {PHANTOM}{last}-{first}");
            return Err(ModelError::config(key, text, expected));
        }
        if last - first >= MOST_PHANTOMS {
            let expected = format!("expected at most {MOST_PHANTOMS} synthetic heads");
            return Err(ModelError::config(key, text, expected));
        }
        return Ok((first..=last)
            .map(|seed| PathBuf::from(format!("{PHANTOM}{seed}")))
            .collect());
    }
    let paths = globs::find(text, key, root, stop)?;
    if paths.is_empty() {
        return Err(ModelError::data(
            key,
            format!("{} finds no file", root.join(text).display()),
            "at least one NIfTI file",
        ));
    }
    Ok(paths)
}

/// Synthetic heads that one entry may name.
const MOST_PHANTOMS: u64 = 10_000;

/// The files of globs outside of any role, each of a subject of its own.
///
/// # Errors
/// A glob that finds nothing.
pub(super) fn expanded(
    globs: &[String],
    key: &str,
    data: &DataConfig,
    stop: &AtomicBool,
) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for glob in globs {
        for path in expand(glob, key, &data.root, stop)? {
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned();
            files.push(Source {
                subject: name.clone(),
                name,
                path,
                like: None,
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
            subject: scan.subject.clone(),
            name: name.to_string_lossy().into_owned(),
            path: scan.path.clone(),
            like: None,
        }
    });
    scans.collect()
}

/// Turns scans to the orientation of the first, as training does; the names of those that were stored in another one.
///
/// # Errors
/// When a header cannot be read.
pub fn in_one_orientation(scans: &mut [Source], data: &DataConfig) -> Result<Vec<String>> {
    let mut first: Option<Geometry> = None;
    let mut turned = Vec::new();
    for scan in scans {
        let (grid, _) = scan.grid(data)?;
        let like = first.get_or_insert_with(|| grid.clone());
        if grid.canonical_axes() != like.canonical_axes() {
            scan.turn_to(like);
            turned.push(scan.name.clone());
        }
    }
    Ok(turned)
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
        let content = self.content(data)?;
        Ok(match &self.like {
            None => content,
            Some(like) => format!("{content} turned to {}", suspects::letters(like)),
        })
    }

    /// The grid and the header, which a phantom has not, as they are stored.
    pub(super) fn grid(&self, data: &DataConfig) -> Result<(Geometry, Option<Header>)> {
        if let Some(phantom) = self.phantom(data) {
            return Ok((Geometry::axis_aligned(phantom.extent, phantom.spacing_mm), None));
        }
        let header = scan::read_header(&self.path)
            .map_err(|error| ModelError::from(error).of_scan(&self.path))?
            .0;
        Ok((header.geometry(), Some(header)))
    }

    /// The size of its voxels (mm), along the axes that it is read in.
    ///
    /// # Errors
    /// When its header cannot be read.
    pub fn spacing_mm(&self, data: &DataConfig) -> Result<[f64; 3]> {
        let (grid, _) = self.grid(data)?;
        Ok(match &self.like {
            Some(like) => suspects::spacing_along(&grid, like),
            None => grid.spacing_mm(),
        })
    }

    /// Reads it from here on as if it were stored in the orientation of `like`.
    pub(super) fn turn_to(&mut self, like: &Geometry) {
        self.like = Some(like.clone());
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

    /// Reads it, in the orientation of its cohort; `note` is told what is odd about the file.
    ///
    /// # Errors
    /// When it cannot be read, with its name.
    pub fn load(&self, data: &DataConfig, note: &mut dyn FnMut(String)) -> Result<Volume> {
        let volume = match self.phantom(data) {
            Some(phantom) => phantom::head(&phantom)?,
            None => {
                let of_this = |error: VolumeError| ModelError::from(error).of_scan(&self.path);
                let image = scan::read(&self.path, &ReadOptions::default()).map_err(of_this)?;
                for warning in &image.warnings {
                    note(format!("{}: {warning}", self.name));
                }
                image.into_single().map_err(of_this)?
            }
        };
        let volume = match self.phantom(data) {
            Some(_) => volume,
            None => self.zeroed(volume, note)?,
        };
        Ok(match &self.like {
            Some(like) => suspects::turned(volume, like),
            None => volume,
        })
    }

    /// A scan without the offset of its background, which a scanner or a script may have added.
    fn zeroed(&self, volume: Volume, note: &mut dyn FnMut(String)) -> Result<Volume> {
        let scale = Normalization::of(&volume).map_err(|error| error.in_file(&self.path))?;
        if scale.zero != 0.0 {
            note(format!(
                "{}: its background lies at {}, which is taken off",
                self.name, scale.zero
            ));
        }
        if let Some(spikes) = scale.spikes_in_words(&volume) {
            note(format!("{}: {spikes}", self.name));
        }
        Ok(scale.without_zero(volume))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::nifti::{self, NiftiImage, WriteOptions};

    #[test]
    fn a_file_counts_once_and_lists_that_name_nobody_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("hr")).expect("a folder");
        for name in ["a_T1w.nii", "b_T1w.nii"] {
            std::fs::write(folder.path().join("hr").join(name), "never read").expect("written");
        }
        let of = |hr: &[&str], people: &[&str]| {
            let [hr, people] = [hr, people].map(|all| all.iter().map(|one| (*one).to_owned()).collect());
            let root = folder.path().to_owned();
            cohort(&DataConfig {
                root,
                hr,
                people,
                ..DataConfig::default()
            })
        };
        let found = of(&["hr/*.nii", "./hr/a*.nii", "hr/../hr/b_T1w.nii"], &["a+b"]).expect("a cohort");
        assert_eq!(found.scans(Role::Hr).count(), 2);
        for (hr, people, said) in [
            (&["phantom:12-11"], &[][..], "phantom:11-12"),
            (&["hr/*.nii"], &["a, b"], "joined by +"),
            (&["hr/*.nii"], &["a"], "joined by +"),
        ] {
            let refused = of(hr, people).expect_err("refused").to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn a_scan_is_read_in_the_orientation_of_its_cohort() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a_T1w.nii");
        let geometry = Geometry {
            extent: [16, 18, 20],
            world_from_voxel: [
                [0.0, 0.0, -2.0, 4.0],
                [2.0, 0.0, 0.0, -7.0],
                [0.0, -2.0, 0.0, 9.0],
            ],
        };
        let phantom = PhantomConfig {
            seed: 1,
            extent: geometry.extent,
            spacing_mm: [2.0; 3],
        };
        let head = phantom::head(&phantom).expect("a phantom");
        let stored = Volume::new(head.into_data(), geometry);
        let image = NiftiImage::from_volume(stored.clone());
        nifti::write(&path, &image, &WriteOptions::default()).expect("written");
        let mut source = Source {
            subject: "a".to_owned(),
            name: "a_T1w.nii".to_owned(),
            path,
            like: None,
        };
        let data = DataConfig::default();
        let as_stored = source.load(&data, &mut |_| ()).expect("a scan");
        assert_eq!(as_stored.geometry(), stored.geometry());
        let like = Geometry::axis_aligned([9; 3], [1.0; 3]);
        source.turn_to(&like);
        let turned = source.load(&data, &mut |_| ()).expect("a scan");
        assert_eq!(turned.extent(), [20, 16, 18]);
        assert_eq!(turned.geometry().canonical_axes(), like.canonical_axes());
        // Kept under another name than the scan as it is stored.
        let cache = Cache::folder(&folder.path().join("cache")).expect("a cache");
        let turned = source.identity(&data, &cache).expect("an identity");
        source.like = None;
        assert_ne!(turned, source.identity(&data, &cache).expect("an identity"));
    }
}
