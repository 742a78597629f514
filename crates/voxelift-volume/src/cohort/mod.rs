//! Layer 3 · Subject -> role: a subject belongs to one role only, however many scans there are.
//!
//! ```
//! use voxelift_volume::cohort::{Cohort, Role};
//!
//! let mut cohort = Cohort::new();
//! cohort.add_file(Role::Hr, "hr/sub-01_T1w.nii.gz".as_ref())?;
//! cohort.add_file(Role::Lr, "lr/sub-02_T1w.nii.gz".as_ref())?;
//! assert_eq!(cohort.subjects(Role::Hr).len(), 1);
//! // A second scan of a subject that is trained on cannot be one to test on.
//! let error = cohort.add_file(Role::Test, "test/sub-01_run-2_T1w.nii.gz".as_ref()).unwrap_err();
//! assert!(error.to_string().contains("in two roles"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod subject;

pub use subject::subject_of;

use crate::error::{Result, VolumeError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// What a subject's scans are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The source domain: HR scans to train on.
    Hr,
    /// The target domain: LR scans to train on, or HR scans of which training sees only a degraded version.
    Lr,
    /// For choosing weights, steps and the best checkpoint.
    Validation,
    /// Reported, never tuned on.
    Test,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hr => "hr",
            Self::Lr => "lr",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// One file of a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The subject, under the first of the names that the subject goes by.
    pub subject: String,
    /// What it is used for.
    pub role: Role,
    /// Where it is.
    pub path: PathBuf,
}

/// The scans of a study and their roles.
///
/// An unpaired method that has seen a test subject's scan, or one subject in both of its domains, measures
/// something other than it claims: such a cohort cannot be built.
#[derive(Clone, Debug, Default)]
pub struct Cohort {
    scans: Vec<Scan>,
    /// Other names of a subject -> the first name.
    first_names: BTreeMap<String, String>,
    /// Every name that was declared, and every name that a scan was added under.
    declared: BTreeSet<String>,
    met: BTreeSet<String>,
}

impl Cohort {
    /// A cohort without scans.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares names that mean one subject, as `1003+1023`; a single name declares nothing.
    ///
    /// # Errors
    /// An empty name, or names whose scans are already in two roles.
    pub fn same_subject(&mut self, names: &str) -> Result<()> {
        let names: Vec<&str> = names.split('+').map(str::trim).collect();
        if names.iter().any(|n| n.is_empty()) {
            return Err(VolumeError::argument(
                "same subject",
                names.join("+"),
                "give names joined by +, as 1003+1023",
            ));
        }
        self.declared.extend(names.iter().map(|name| (*name).to_owned()));
        let first = self.subject(names[0]);
        let others: Vec<String> = names[1..]
            .iter()
            .map(|n| self.subject(n))
            .filter(|n| *n != first)
            .collect();
        let role_of = |subject: &str| self.scans.iter().find(|s| s.subject == subject);
        if let Some(earlier) = role_of(&first).or_else(|| others.iter().find_map(|o| role_of(o))) {
            for other in others.iter().filter_map(|o| role_of(o)) {
                check_roles(earlier, other)?;
            }
        }
        for other in &others {
            for name in self.first_names.values_mut().filter(|n| *n == other) {
                name.clone_from(&first);
            }
            self.first_names.insert(other.clone(), first.clone());
            for scan in self.scans.iter_mut().filter(|s| s.subject == *other) {
                scan.subject.clone_from(&first);
            }
        }
        Ok(())
    }

    /// Gives a subject's scan a role.
    ///
    /// # Errors
    /// When the subject, under any declared name, has another role.
    pub fn add(&mut self, subject: &str, role: Role, path: impl Into<PathBuf>) -> Result<()> {
        let scan = Scan {
            subject: self.subject(subject),
            role,
            path: path.into(),
        };
        if let Some(earlier) = self.scans.iter().find(|s| s.subject == scan.subject) {
            check_roles(earlier, &scan)?;
        }
        self.scans.push(scan);
        self.met.insert(subject.to_owned());
        Ok(())
    }

    /// Gives a file a role, the subject taken from its name ([`subject_of`]).
    ///
    /// # Errors
    /// Those of [`Cohort::add`].
    pub fn add_file(&mut self, role: Role, path: &Path) -> Result<()> {
        self.add(&subject_of(path), role, path)
    }

    /// The scans of a role, in the order in which they were added.
    pub fn scans(&self, role: Role) -> impl Iterator<Item = &Scan> {
        self.scans.iter().filter(move |s| s.role == role)
    }

    /// The subjects of a role, each once, in the order in which they were added.
    pub fn subjects(&self, role: Role) -> Vec<&str> {
        let mut subjects: Vec<&str> = Vec::new();
        for scan in self.scans(role) {
            if !subjects.contains(&scan.subject.as_str()) {
                subjects.push(&scan.subject);
            }
        }
        subjects
    }

    /// The names declared by [`Cohort::same_subject`] under which no scan was ever added: misspelt, they join nobody.
    pub fn names_without_scans(&self) -> Vec<&str> {
        self.declared.difference(&self.met).map(String::as_str).collect()
    }

    /// Keeps only a share of a role's subjects (all scans of each): the first ones, see [`fraction`].
    ///
    /// # Errors
    /// Those of [`fraction`].
    pub fn keep_fraction(&mut self, role: Role, share: f64) -> Result<()> {
        let subjects = self.subjects(role);
        let chosen: Vec<String> = fraction(&subjects, share)?
            .iter()
            .map(|p| (*p).to_owned())
            .collect();
        self.scans
            .retain(|s| s.role != role || chosen.contains(&s.subject));
        Ok(())
    }

    /// Gives all scans of the last subject of a role another role; nothing where no subject has it.
    pub fn reassign_last(&mut self, from: Role, to: Role) {
        let Some(last) = self.subjects(from).last().map(|subject| (*subject).to_owned()) else {
            return;
        };
        let of_last = self.scans.iter_mut().filter(|scan| scan.subject == last);
        of_last.for_each(|scan| scan.role = to);
    }

    fn subject(&self, name: &str) -> String {
        self.first_names
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    }
}

fn check_roles(first: &Scan, second: &Scan) -> Result<()> {
    if first.role == second.role {
        return Ok(());
    }
    let place = |s: &Scan| format!("{} ({})", s.role, s.path.display());
    Err(VolumeError::SubjectInTwoRoles {
        subject: first.subject.clone(),
        first: place(first),
        second: place(second),
    })
}

/// The first `share` of an ordered pool, rounded, but at least one: the pools of smaller shares lie within those
/// of larger ones, so that a comparison over shares adds subjects and never exchanges them.
///
/// # Errors
/// A share outside `(0, 1]`, or an empty pool.
pub fn fraction<T>(pool: &[T], share: f64) -> Result<&[T]> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(VolumeError::argument(
            "fraction",
            share,
            "expected above 0 and at most 1",
        ));
    }
    if pool.is_empty() {
        return Err(VolumeError::argument(
            "pool",
            "empty",
            "a fraction of nobody is nobody; add scans",
        ));
    }
    let count = (share * pool.len() as f64).round() as usize;
    Ok(&pool[..count.clamp(1, pool.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_in_two_roles_is_refused_with_both_files() {
        let mut cohort = Cohort::new();
        cohort
            .add_file(Role::Hr, Path::new("a/oasis-1003_T1w.nii.gz"))
            .unwrap();
        cohort
            .add_file(Role::Hr, Path::new("a/oasis-1003_T2w.nii.gz"))
            .unwrap();
        let wrong = cohort
            .add_file(Role::Test, Path::new("b/oasis-1003_T1w.nii.gz"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            wrong,
            "subject oasis-1003 is in two roles: hr (a/oasis-1003_T1w.nii.gz) and test \
             (b/oasis-1003_T1w.nii.gz); a subject belongs to one role only; where two data sets number their subjects alike, give the \
             files of one of them other names"
        );
        assert_eq!(cohort.subjects(Role::Hr), ["oasis-1003"]);
        assert_eq!(cohort.scans(Role::Test).count(), 0);
    }

    #[test]
    fn one_subject_under_two_names_has_one_role() {
        let mut cohort = Cohort::new();
        cohort.same_subject("1003+1023").unwrap();
        cohort.same_subject("1023 + 1043").unwrap();
        cohort.add("1043", Role::Test, "a").unwrap();
        cohort.add("1003", Role::Test, "b").unwrap();
        assert_eq!(cohort.subjects(Role::Test), ["1003"]);
        assert!(cohort.add("1023", Role::Hr, "c").is_err());
        assert!(cohort.same_subject("1003+").is_err());
        assert_eq!(cohort.names_without_scans(), ["1023"]);
    }

    #[test]
    fn names_joined_afterwards_are_checked_too() {
        let mut cohort = Cohort::new();
        cohort.add("a", Role::Hr, "1").unwrap();
        cohort.add("b", Role::Lr, "2").unwrap();
        cohort.add("c", Role::Lr, "3").unwrap();
        assert!(cohort.same_subject("a+b").is_err());
        assert!(cohort.same_subject("d+a+c").is_err());
        cohort.same_subject("b+c").unwrap();
        assert_eq!(cohort.subjects(Role::Lr), ["b"]);
    }

    #[test]
    fn fractions_are_nested_and_never_empty() {
        let pool: Vec<usize> = (0..10).collect();
        for (share, expected) in [(0.1, 1), (0.3, 3), (0.25, 3), (1.0, 10), (1e-3, 1)] {
            assert_eq!(fraction(&pool, share).unwrap(), &pool[..expected], "{share}");
        }
        assert_eq!(fraction(&pool[..4], 0.1).unwrap().len(), 1);
        for wrong in [0.0, -0.1, 1.1, f64::NAN] {
            assert!(fraction(&pool, wrong).is_err(), "{wrong}");
        }
        assert!(fraction(&pool[..0], 0.5).is_err());
    }

    #[test]
    fn a_fraction_counts_subjects_not_scans() {
        let mut cohort = Cohort::new();
        for (subject, path) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1"), ("d", "d1")] {
            cohort.add(subject, Role::Hr, path).unwrap();
        }
        cohort.add("e", Role::Lr, "e1").unwrap();
        cohort.keep_fraction(Role::Hr, 0.5).unwrap();
        let chosen: Vec<_> = cohort
            .scans(Role::Hr)
            .map(|s| s.path.display().to_string())
            .collect();
        assert_eq!(chosen, ["a1", "a2", "b1"]);
        assert_eq!(cohort.subjects(Role::Lr), ["e"]);
    }
}
