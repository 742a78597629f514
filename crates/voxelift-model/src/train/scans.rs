//! The scans of a cohort in their roles, looked at by their headers before the first is read.

use std::sync::atomic::{AtomicBool, Ordering};

use voxelift_volume::cohort::{Cohort, Role};

use super::sources::{Source, sources};
use super::suspects::{self, Looked};
use crate::config::Config;
use crate::error::{ModelError, Result};

/// The scans of every role, each to be read in the orientation of the first HR scan.
pub(super) struct Scans {
    pub hr: Vec<Source>,
    pub lr: Vec<Source>,
    pub validation: Vec<Source>,
    pub test: Vec<Source>,
    /// Voxels of the largest of them all.
    pub largest: usize,
}

impl Scans {
    /// # Errors
    /// When a header cannot be read.
    pub fn of(
        cohort: &Cohort,
        config: &Config,
        stop: &AtomicBool,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let data = &config.data;
        let [mut hr, mut lr, mut validation, mut test] =
            [Role::Hr, Role::Lr, Role::Validation, Role::Test].map(|role| sources(cohort, role));
        let scale = config.scale.scale();
        let (mut looked, mut largest) = (Vec::new(), 0);
        let mut first = None;
        let roles = [
            (Role::Hr, &mut hr),
            (Role::Lr, &mut lr),
            (Role::Validation, &mut validation),
            (Role::Test, &mut test),
        ];
        for (role, scan) in roles
            .into_iter()
            .flat_map(|(role, scans)| scans.iter_mut().map(move |scan| (role, scan)))
        {
            goes_on(stop)?;
            let (grid, header) = scan.grid(data)?;
            largest = largest.max(grid.voxels());
            warnings.extend(suspects::named_label_map(&scan.name, header.as_ref()));
            let like = first.get_or_insert_with(|| grid.clone());
            let is_turned = grid.canonical_axes() != like.canonical_axes();
            if is_turned {
                scan.turn_to(like);
            }
            let mut spacing_mm = suspects::spacing_along(&grid, like);
            if role == Role::Lr && data.lr.degradation().is_some() {
                spacing_mm = [0, 1, 2].map(|a| spacing_mm[a] * scale.0[a] as f64);
            }
            looked.push(Looked {
                role,
                name: scan.name.clone(),
                spacing_mm,
                turned_from: is_turned.then(|| suspects::letters(&grid)),
            });
        }
        warnings.extend(suspects::warnings(&looked, scale));
        Ok(Self {
            hr,
            lr,
            validation,
            test,
            largest,
        })
    }
}

/// # Errors
/// When asked to stop.
pub(super) fn goes_on(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        return Err(ModelError::Stopped);
    }
    Ok(())
}
