//! What stands before the first step: scans in their roles, pairs and held-out scans, of a model of a fixed scale or a placed one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::Operators;

use super::data::{self, Prepared};
use super::domain::DomainCheck;
use super::findings::Findings;
use super::inventory::Inventory;
use super::sources::{Source, cohort_until, expanded, sources};
use super::validate::ValidationScan;
use super::{checkpoint, placed};
use crate::config::Config;
use crate::error::Result;
use crate::run::RunDir;

/// Checks roles, chooses the source operator, reads every scan and makes the pairs, one at a time; `note` is told what
/// was found.
///
/// # Errors
/// A glob that finds nothing, an unreadable scan, a subject in two roles, a scan smaller than a patch.
pub fn prepare(config: &Config, note: &mut dyn FnMut(String)) -> Result<Prepared> {
    Ok(prepare_until(config, None, false, &AtomicBool::new(false), note)?.0)
}

/// As [`prepare`], and with `examine` the domain check on the way: each scan is read once for both. What was found out before
/// is taken from `run`, the folder of an earlier part of the run; `stop` is looked at between two scans.
///
/// # Errors
/// As [`prepare`], a scan without contrast, and [`ModelError::Stopped`](crate::error::ModelError::Stopped).
pub fn prepare_until(
    config: &Config,
    run: Option<&Path>,
    examine: bool,
    stop: &AtomicBool,
    note: &mut dyn FnMut(String),
) -> Result<(Prepared, DomainCheck)> {
    if config.network.placed {
        return Ok((placed::prepare(config, stop, note)?, DomainCheck::default()));
    }
    let findings = run.map(Findings::read).unwrap_or_default();
    let (mut prepared, found) = data::prepare(config, findings, examine, stop, note)?;
    let mut seen = BTreeSet::new();
    prepared.warnings.retain(|warning| seen.insert(warning.clone()));
    Ok((prepared, found))
}

/// The scans that a run of this configuration learns from and is watched by, by content; nothing is prepared.
///
/// # Errors
/// A glob that finds nothing, a subject or a content in two roles, a file that cannot be read.
pub fn inventory(config: &Config, stop: &AtomicBool) -> Result<Inventory> {
    let data = &config.data;
    let cohort = cohort_until(data, stop)?;
    let of_role = |role| match role {
        Role::Lr if config.network.placed => expanded(&config.placed.labels, "placed.labels", data, stop),
        role => Ok(sources(&cohort, role)),
    };
    let mut roles = Vec::new();
    for role in [Role::Hr, Role::Lr, Role::Validation, Role::Test] {
        roles.push((role, of_role(role)?));
    }
    let roles: Vec<(Role, &[Source])> = roles.iter().map(|(role, scans)| (*role, &scans[..])).collect();
    Inventory::of(&roles, data, stop)
}

/// The scans that a run in a folder has used, by the newest of its checkpoints that can be read; nothing where none can.
pub fn inventory_of_run(run: &RunDir) -> Option<Inventory> {
    let checkpoints = run.list_checkpoints().ok()?.into_iter();
    let mut read = checkpoints.filter_map(|(_, path)| checkpoint::read_inventory(&path).ok());
    read.find(|inventory| !inventory.scans.is_empty())
}

/// The first `most` validation scans of a configuration, degraded as a run degrades them: as its LR scans were, or where
/// those are real through `source`.
///
/// # Errors
/// A glob that finds nothing, an unreadable scan, a subject in two roles.
pub fn validation_scans(config: &Config, source: Operators, most: usize) -> Result<Vec<ValidationScan>> {
    if !config.network.placed {
        return data::watched(config, source, most);
    }
    let mut scans = placed::watched(config, &AtomicBool::new(false), &mut |_| {})?;
    scans.truncate(most);
    Ok(scans)
}
