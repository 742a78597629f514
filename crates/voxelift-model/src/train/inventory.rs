//! Which scans a run has seen, by content: what tells a resumed run that its data changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use voxelift_volume::cohort::Role;

use super::scans::goes_on;
use super::sources::Source;
use crate::config::DataConfig;
use crate::error::{ModelError, Result};

/// A scan in its role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// What it is used for.
    pub role: Role,
    /// The subject that it shows.
    pub subject: String,
    /// Where it is, from `data.root`.
    pub path: PathBuf,
    /// What it holds: the hash of its content.
    pub content: String,
}

impl Entry {
    /// What it holds, whichever version of the program looked: that stands before a space.
    fn held(&self) -> &str {
        self.content
            .split_once(' ')
            .map_or(&*self.content, |(_, held)| held)
    }
}

/// The scans of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Those that it uses now.
    pub scans: Vec<Entry>,
    /// Those that an earlier part of it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Entry>,
}

/// Changes that are listed one by one; of further ones only the number is given.
const TOLD: usize = 8;

impl Inventory {
    /// Hashes the scans of all roles.
    ///
    /// # Errors
    /// When one cannot be read, or holds what a scan of another role holds; when asked to stop, which is looked at before each.
    pub fn of(roles: &[(Role, &[Source])], data: &DataConfig, stop: &AtomicBool) -> Result<Self> {
        let all = roles
            .iter()
            .flat_map(|(role, sources)| sources.iter().map(move |scan| (*role, scan)));
        let entry = |(role, scan): (Role, &Source)| {
            goes_on(stop)?;
            let path = scan.path();
            Ok(Entry {
                role,
                subject: scan.subject.clone(),
                path: path.strip_prefix(&data.root).unwrap_or(path).to_owned(),
                content: scan.content(data)?,
            })
        };
        let scans = all.collect::<Vec<_>>().into_par_iter().map(entry);
        let inventory = Self {
            scans: scans.collect::<Result<_>>()?,
            earlier: Vec::new(),
        };
        match inventory.in_two_roles() {
            Some([a, b]) => Err(ModelError::data(
                a.path.display().to_string(),
                format!(
                    "holds the same as {}, and is {} where that is {}",
                    b.path.display(),
                    a.role,
                    b.role
                ),
                "each scan in one role, or the scores mean nothing: leave one out",
            )),
            None => Ok(inventory),
        }
    }

    /// Two scans of one content in two roles, under whatever names.
    fn in_two_roles(&self) -> Option<[&Entry; 2]> {
        let mut first: BTreeMap<&str, &Entry> = BTreeMap::new();
        self.scans.iter().find_map(|scan| {
            let earlier = *first.entry(&scan.content).or_insert(scan);
            (earlier.role != scan.role).then_some([scan, earlier])
        })
    }

    /// The same run's inventory with what `then`, its state in a checkpoint, had used; and what changed since, a sentence each.
    ///
    /// # Errors
    /// When a subject, or a scan by its content, has another role than in the earlier part of the run: its scores would be of a
    /// subject that was trained on, or its training of one that the run was chosen by.
    pub fn after(mut self, then: &Self, run: &Path) -> Result<(Self, Vec<String>)> {
        let earlier: Vec<&Entry> = then.scans.iter().chain(&then.earlier).collect();
        for now in &self.scans {
            let other = earlier.iter().find(|before| {
                let same = before.subject == now.subject || before.held() == now.held();
                same && before.role != now.role
            });
            if let Some(before) = other {
                return Err(ModelError::Run {
                    path: run.to_owned(),
                    what: format!(
                        "{} is {} now, and the earlier part of this run had {} as {}: a subject stays in its role, or the scores mean \
                         nothing; choose another run folder, or bring it back to its role",
                        now.path.display(),
                        now.role,
                        before.path.display(),
                        before.role
                    ),
                });
            }
        }
        let changes = self.changes(then).into_iter();
        let changes = changes
            .map(|change| format!("the data changed since the earlier part of this run: {change}; going on with the new data"))
            .collect();
        let here: BTreeSet<&str> = self.scans.iter().map(Entry::held).collect();
        let gone = earlier.into_iter().filter(|before| !here.contains(before.held()));
        self.earlier = gone.cloned().collect::<BTreeSet<_>>().into_iter().collect();
        Ok((self, changes))
    }

    /// Which scans are others than those of `then`, in words.
    pub fn changes(&self, then: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        // A scan is known by its place first: a copy of another one in its stead is a change.
        let (mut new, mut left): (Vec<&Entry>, Vec<&Entry>) = (Vec::new(), then.scans.iter().collect());
        for now in &self.scans {
            let here = left
                .iter()
                .position(|before| before.role == now.role && before.path == now.path);
            match here.map(|at| left.swap_remove(at)) {
                Some(before) if before.held() == now.held() => {}
                Some(_) => changes.push((now, "holds other voxels or another header")),
                None => new.push(now),
            }
        }
        for now in new {
            let moved = left
                .iter()
                .position(|before| before.role == now.role && before.held() == now.held());
            match moved {
                Some(at) => drop(left.swap_remove(at)),
                None => changes.push((now, "was added")),
            }
        }
        left.sort();
        changes.extend(left.into_iter().map(|before| (before, "is gone")));
        let mut changes: Vec<String> = changes
            .into_iter()
            .map(|(scan, what)| format!("{} ({}) {what}", scan.path.display(), scan.role))
            .collect();
        let more = changes.len().saturating_sub(TOLD);
        changes.truncate(TOLD);
        if more > 0 {
            changes.push(format!("and {more} more changed"));
        }
        changes
    }

    /// Its scans that a model learns from, and none that it is watched or tested by.
    pub fn of_training(mut self) -> Self {
        self.scans.retain(|scan| matches!(scan.role, Role::Hr | Role::Lr));
        self
    }

    /// The first of its scans that is one of `others`, by content, as a path in either.
    pub fn in_common<'a>(&'a self, others: &'a [Entry]) -> Option<[&'a Path; 2]> {
        self.scans.iter().find_map(|scan| {
            let other = others.iter().find(|other| other.held() == scan.held())?;
            Some([scan.path.as_path(), other.path.as_path()])
        })
    }

    /// The names of all scans that the run has used in a role, each once: those of now, then those of before.
    pub fn names(&self, role: Role) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for scan in self
            .scans
            .iter()
            .chain(&self.earlier)
            .filter(|scan| scan.role == role)
        {
            let name = scan
                .path
                .file_name()
                .unwrap_or(scan.path.as_os_str())
                .to_string_lossy();
            if self.earlier.is_empty() || !names.iter().any(|earlier| *earlier == name) {
                names.push(name.into_owned());
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::{cohort, sources};
    use super::*;

    fn entry(role: Role, subject: &str, content: &str) -> Entry {
        Entry {
            role,
            subject: subject.to_owned(),
            path: format!("{role}/{subject}_T1w.nii.gz").into(),
            content: content.to_owned(),
        }
    }

    fn inventory(scans: &[Entry]) -> Inventory {
        Inventory {
            scans: scans.to_vec(),
            earlier: Vec::new(),
        }
    }

    fn after(now: &[Entry], then: &Inventory) -> std::result::Result<(Inventory, Vec<String>), String> {
        inventory(now)
            .after(then, Path::new("run"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_subject_or_a_content_in_another_role_is_refused_even_after_it_was_left_out() {
        let then = inventory(&[entry(Role::Hr, "a", "1"), entry(Role::Validation, "v", "2")]);
        for moved in [entry(Role::Validation, "a", "9"), entry(Role::Test, "b", "1")] {
            let message = after(&[moved], &then).unwrap_err();
            assert!(
                message.contains("stays in its role") && message.contains("hr"),
                "{message}"
            );
        }
        let (without, _) = after(&[entry(Role::Validation, "v", "2")], &then).unwrap();
        assert!(after(&[entry(Role::Validation, "a", "1")], &without).is_err());
        assert!(
            after(&[entry(Role::Hr, "a", "1")], &without).is_ok(),
            "back in its own role"
        );
    }

    #[test]
    fn hashing_ends_before_the_first_scan_where_it_is_asked_to_stop() {
        let data = DataConfig {
            hr: vec!["phantom:1".to_owned()],
            ..DataConfig::default()
        };
        let hr = sources(&cohort(&data).expect("a cohort"), Role::Hr);
        let of = |stop: bool| Inventory::of(&[(Role::Hr, &hr)], &data, &AtomicBool::new(stop));
        assert_eq!(of(false).expect("goes on").scans.len(), 1);
        assert!(matches!(of(true), Err(ModelError::Stopped)));
    }

    #[test]
    fn one_content_under_two_names_is_found_in_two_roles() {
        let scans = [
            entry(Role::Hr, "a", "1"),
            entry(Role::Hr, "b", "1"),
            entry(Role::Validation, "somebody", "1"),
        ];
        assert!(inventory(&scans[..2]).in_two_roles().is_none());
        let all = inventory(&scans);
        let [a, b] = all.in_two_roles().unwrap();
        assert_eq!([&a.subject, &b.subject], ["somebody", "a"]);
    }

    #[test]
    fn changed_added_and_missing_scans_are_told_and_moved_ones_are_not() {
        let then = inventory(&[
            entry(Role::Hr, "a", "1"),
            entry(Role::Hr, "b", "2"),
            entry(Role::Lr, "c", "3"),
        ]);
        let mut renamed = entry(Role::Lr, "d", "3");
        renamed.path = "elsewhere/d.nii".into();
        let now = [
            entry(Role::Hr, "a", "1"),
            entry(Role::Hr, "b", "8"),
            entry(Role::Hr, "e", "9"),
            renamed,
        ];
        let (merged, changes) = after(&now, &then).unwrap();
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert!(
            changes[0].contains("hr/b_T1w.nii.gz (hr) holds other"),
            "{changes:?}"
        );
        assert!(
            changes[1].contains("hr/e_T1w.nii.gz (hr) was added"),
            "{changes:?}"
        );
        assert_eq!(merged.earlier, [entry(Role::Hr, "b", "2")]);
        let (merged, changes) = after(&now[..2], &merged).unwrap();
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert_eq!(merged.earlier.len(), 3);
        assert_eq!(
            merged.names(Role::Hr),
            ["a_T1w.nii.gz", "b_T1w.nii.gz", "e_T1w.nii.gz"]
        );
        assert!(after(&now[..2], &merged).unwrap().1.is_empty(), "told once");
    }

    #[test]
    fn a_copy_of_a_scan_in_the_place_of_another_is_a_change() {
        let then = inventory(&[entry(Role::Lr, "a", "1"), entry(Role::Lr, "b", "2")]);
        let (_, changes) = after(&[entry(Role::Lr, "a", "2"), entry(Role::Lr, "b", "2")], &then).unwrap();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(
            changes[0].contains("lr/a_T1w.nii.gz (lr) holds other"),
            "{changes:?}"
        );
        let three = ["a", "b", "c"].map(|name| entry(Role::Lr, name, if name == "a" { "1" } else { "2" }));
        let (_, changes) = after(&three, &then).unwrap();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(
            changes[0].contains("lr/c_T1w.nii.gz (lr) was added"),
            "{changes:?}"
        );
        let (_, changes) = after(&then.scans, &inventory(&three)).unwrap();
        assert!(
            changes.len() == 1 && changes[0].contains("lr/c_T1w.nii.gz (lr) is gone"),
            "{changes:?}"
        );
    }
}
