//! The domain check: whether these scans can be trained on together, before the first step.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use voxelift_volume::Volume;
use voxelift_volume::appearance::CONTRAST;
use voxelift_volume::cohort::Role;
use voxelift_volume::likeness::{SAME_SUBJECT, WORTH_MOVING};
use voxelift_volume::portrait::Portrait;

use super::scans::goes_on;
use super::sources::Source;
use crate::error::Result;

/// Mean difference of the foreground's percentiles (over its 99.5th) from which two domains differ in contrast.
/// T1-weighted heads of three scanners lie 0.04 to 0.13 apart, T2-weighted ones 0.19 to 0.31 from them; FLAIR (0.03 to 0.1) is not
/// distinguished from T1 this way.
const OTHER_CONTRAST: f64 = 0.16;
/// Noise (over the 99.5th percentile, and with it the finest texture: clean heads of 2 mm have 0.045) that is worth a warning
/// where it is also twice that of the other domain.
const NOISY: f64 = 0.08;
/// Shares of foreground that differ by this factor: a stripped head beside a whole one, or another part of the body.
const OTHER_SHARE: f64 = 3.0;

/// What the domain check found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DomainCheck {
    /// One line a role.
    pub lines: Vec<String>,
    /// What to think about before trusting the run, each with what to do.
    pub warnings: Vec<String>,
}

/// A scan, the subject that its name gives, and what it looks like.
pub(super) struct Looked {
    role: Role,
    subject: String,
    name: String,
    portrait: Portrait,
}

/// The scans of a cohort as they are looked at while they are prepared.
#[derive(Default)]
pub(super) struct Gallery {
    looked: Vec<Looked>,
}

impl Looked {
    /// A scan, as training will see it.
    ///
    /// # Errors
    /// When it has no contrast.
    pub fn at(role: Role, scan: &Source, volume: &Volume) -> Result<Self> {
        Ok(Self {
            role,
            subject: scan.subject.clone(),
            name: scan.name.clone(),
            portrait: Portrait::of(volume)?,
        })
    }
}

impl Gallery {
    /// One more.
    pub fn add(&mut self, looked: Looked) {
        self.looked.push(looked);
    }

    /// Compares the domains, and the subjects by content.
    ///
    /// # Errors
    /// When asked to stop.
    pub fn check(&self, stop: &AtomicBool) -> Result<DomainCheck> {
        let mut check = DomainCheck::default();
        for (role, title) in ROLES {
            let of_role: Vec<&Looked> = self.looked.iter().filter(|l| l.role == role).collect();
            if !of_role.is_empty() {
                check.lines.push(line(title, &of_role));
                check.warnings.extend(interpolated(title, &of_role));
            }
        }
        check.warnings.extend(domains(&self.looked));
        check.warnings.extend(subjects(&self.looked, MOVED_PAIRS, stop)?);
        Ok(check)
    }
}

const ROLES: [(Role, &str); 3] = [
    (Role::Hr, "HR"),
    (Role::Lr, "LR"),
    (Role::Validation, "validation"),
];

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
    sum / f64::from(count.max(1))
}

/// Least to greatest, once where they are equal as written.
fn range(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), v| (l.min(v), h.max(v)));
    let (low, high) = (format!("{low:.digits$}"), format!("{high:.digits$}"));
    if low == high { low } else { format!("{low}-{high}") }
}

fn line(title: &str, scans: &[&Looked]) -> String {
    let subjects: BTreeSet<&str> = scans.iter().map(|l| l.subject.as_str()).collect();
    let along = |of: &dyn Fn(&Looked, usize) -> f64, digits| {
        let [x, y, z] = [0, 1, 2].map(|a| range(scans.iter().map(|l| of(l, a)), digits));
        if x == y && y == z {
            x
        } else {
            [x, y, z].join(" x ")
        }
    };
    let counted = |n: usize, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
    let resolution = |l: &Looked, a: usize| l.portrait.resolution[a];
    format!(
        "{title}: {} of {}; voxels {} mm, resolved {} mm; field of view {} mm, {:.0} % foreground; median {:.2} of the \
         peak, noise {:.3}",
        counted(scans.len(), "scan", "scans"),
        counted(subjects.len(), "subject", "subjects"),
        along(&|l, a| resolution(l, a).spacing_mm, 2),
        along(
            &|l, a| resolution(l, a).present_mm.unwrap_or(resolution(l, a).spacing_mm),
            2
        ),
        along(&|l, a| l.portrait.field_of_view_mm[a], 0),
        100.0 * mean(scans.iter().map(|l| l.portrait.appearance.foreground)),
        mean(
            scans
                .iter()
                .map(|l| l.portrait.appearance.contrast[CONTRAST.len() / 2])
        ),
        mean(scans.iter().map(|l| l.portrait.appearance.noise)),
    )
}

/// Axes along which the scanner interpolated.
fn interpolated(title: &str, scans: &[&Looked]) -> Vec<String> {
    let of_axis = |axis: usize| {
        let found: Vec<&&Looked> = scans
            .iter()
            .filter(|l| l.portrait.resolution[axis].is_interpolated())
            .collect();
        let first = found.first()?.portrait.resolution[axis];
        let present = mean(
            found
                .iter()
                .filter_map(|l| l.portrait.resolution[axis].present_mm),
        );
        Some(format!(
            "{title}: {} of {} scans are interpolated along {} of the file: voxels of {:.2} mm, but nothing finer than {present:.1} mm \
             ({} among them): they teach that blur; degrade them to {present:.1} mm or more along this axis",
            found.len(),
            scans.len(),
            ["x", "y", "z"][axis],
            first.spacing_mm,
            found[0].name
        ))
    };
    (0..3).filter_map(of_axis).collect()
}

/// Differences between the HR and the LR domain that are not of resolution.
fn domains(looked: &[Looked]) -> Vec<String> {
    let of = |role: Role, value: &dyn Fn(&Portrait) -> f64| {
        mean(
            looked
                .iter()
                .filter(|l| l.role == role)
                .map(|l| value(&l.portrait)),
        )
    };
    let mut warnings = Vec::new();
    if ![Role::Hr, Role::Lr]
        .iter()
        .all(|role| looked.iter().any(|l| l.role == *role))
    {
        return warnings;
    }
    let off = mean((0..CONTRAST.len()).map(|i| {
        let percentile = |p: &Portrait| p.appearance.contrast[i];
        (of(Role::Hr, &percentile) - of(Role::Lr, &percentile)).abs()
    }));
    if off > OTHER_CONTRAST {
        warnings.push(format!(
            "HR and LR differ in contrast: the foreground's percentiles lie {off:.2} of the peak apart (T1-weighted scans of three scanners: below \
             {OTHER_CONTRAST}); train on one contrast, or the model will paint the one in the colours of the other"
        ));
    }
    let (hr, lr) = (
        of(Role::Hr, &|p| p.appearance.noise),
        of(Role::Lr, &|p| p.appearance.noise),
    );
    if lr > NOISY && lr > 2.0 * hr {
        warnings.push(format!(
            "LR scans are noisy: {lr:.3} of the peak against {hr:.3} in HR; let source_operator = \"auto\" find the noise, or set \
             augmentation.noise"
        ));
    }
    let (hr, lr) = (
        of(Role::Hr, &|p| p.appearance.foreground),
        of(Role::Lr, &|p| p.appearance.foreground),
    );
    if (hr / lr).max(lr / hr) > OTHER_SHARE {
        warnings.push(format!(
            "HR scans are {:.0} % foreground, LR scans {:.0} %: is one of them skull-stripped, or of another part of the body? Prepare both \
             alike",
            100.0 * hr,
            100.0 * lr
        ));
    }
    warnings
}

/// Pairs of scans that are looked at with motion at most; how long they take has not been measured.
const MOVED_PAIRS: usize = 2000;

/// Subjects by content: one subject under two names. At most `most` pairs are looked at with motion.
///
/// # Errors
/// When asked to stop, which is looked at before each pair.
fn subjects(looked: &[Looked], most: usize, stop: &AtomicBool) -> Result<Vec<String>> {
    let pairs = looked.iter().enumerate().flat_map(|(i, one)| {
        let others = looked[..i].iter().filter(|other| other.subject != one.subject);
        others.map(move |other| (other, one))
    });
    // Pairs grow with the square of the scans: of a large cohort only those that are most alike as they lie are looked at with motion.
    let pairs: Vec<(&Looked, &Looked)> = pairs.collect();
    let worth_moving = pairs.into_par_iter().filter_map(|(other, one)| {
        let at_rest = goes_on(stop).map(|()| one.portrait.likeness.at_rest(&other.portrait.likeness));
        let worth = |at_rest: &f64| *at_rest >= WORTH_MOVING;
        at_rest
            .map(|at_rest| worth(&at_rest).then_some((at_rest, (other, one))))
            .transpose()
    });
    let (pairs, left_out) = most_alike(worth_moving.collect::<Result<_>>()?, most);
    let alike = pairs.into_par_iter().filter_map(|(other, one)| {
        if let Err(stopped) = goes_on(stop) {
            return Some(Err(stopped));
        }
        let likeness = one.portrait.likeness.with(&other.portrait.likeness);
        if likeness < SAME_SUBJECT {
            return None;
        }
        let what = if one.role == other.role {
            "counts twice"
        } else {
            "is in two roles, and scores will flatter"
        };
        Some(Ok(format!(
            "{} ({}) and {} ({}) show one subject (likeness {likeness:.3}, one subject from {SAME_SUBJECT} on): who {what}; name them in \
             data.people as \"{}+{}\", or leave one out",
            other.name, other.role, one.name, one.role, other.subject, one.subject
        )))
    });
    let mut warnings: Vec<String> = alike.collect::<Result<_>>()?;
    if left_out > 0 {
        warnings.push(format!(
            "of the pairs of scans that are alike as they lie the {most} most alike were looked at closely for one subject under two names, {left_out} were not: see to it that data.people names who \
             was scanned twice"
        ));
    }
    Ok(warnings)
}

/// At most so many, those with the largest numbers, and how many are left out.
fn most_alike<T>(mut pairs: Vec<(f64, T)>, most: usize) -> (Vec<T>, usize) {
    let left_out = pairs.len().saturating_sub(most);
    if left_out > 0 {
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        pairs.truncate(most);
    }
    (pairs.into_iter().map(|(_, pair)| pair).collect(), left_out)
}

#[cfg(test)]
mod tests {
    use voxelift_volume::phantom::{PhantomConfig, head};

    use super::*;
    use crate::error::ModelError;

    /// Scans of two subjects, each under as many names as there are scans of it.
    fn looked(subjects: [u64; 2], each: usize) -> Vec<Looked> {
        let of = |(name, seed): (usize, u64)| {
            let phantom = PhantomConfig {
                seed,
                extent: [32; 3],
                spacing_mm: [5.5; 3],
            };
            Looked {
                role: Role::Hr,
                subject: format!("s{name}"),
                name: format!("s{name}_T1w.nii"),
                portrait: Portrait::of(&head(&phantom).expect("a phantom")).expect("contrast"),
            }
        };
        let seeds = subjects.iter().flat_map(|seed| std::iter::repeat_n(*seed, each));
        seeds.enumerate().map(of).collect()
    }

    #[test]
    fn no_more_pairs_are_looked_at_closely_than_there_may_be() {
        let looked = looked([1, 2], 2);
        let of = |most: usize| subjects(&looked, most, &AtomicBool::new(false)).expect("goes on");
        let all = of(usize::MAX);
        assert!(
            all.len() == 2 && all.iter().all(|said| said.contains("show one subject")),
            "{all:?}"
        );
        let one = of(1);
        assert_eq!(one.len(), 2, "{one:?}");
        assert!(
            one[0].contains("show one subject") && one[1].contains("the 1 most alike"),
            "{one:?}"
        );
        assert!(of(0).iter().all(|said| said.contains("the 0 most alike")));
    }

    #[test]
    fn a_look_that_is_asked_to_stop_ends_before_the_first_pair() {
        let looked = looked([1, 2], 1);
        let gallery = Gallery { looked };
        let check = |stop: bool| gallery.check(&AtomicBool::new(stop));
        assert!(check(false).is_ok());
        assert!(matches!(check(true), Err(ModelError::Stopped)));
    }

    #[test]
    fn the_most_alike_are_looked_at_and_the_others_counted() {
        let pairs = vec![(0.8, "b"), (0.7, "c"), (0.9, "a")];
        assert_eq!(most_alike(pairs.clone(), 2), (vec!["a", "b"], 1));
        assert_eq!(most_alike(pairs, 3), (vec!["b", "c", "a"], 0));
    }
}
