//! What stands before the first step: scans in their roles, pairs and held-out scans, of a model of a fixed scale or a placed one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use voxelift_volume::degrade::Operators;

use super::data::{self, Prepared};
use super::domain::DomainCheck;
use super::findings::Findings;
use super::placed;
use super::validate::ValidationScan;
use crate::config::Config;
use crate::error::Result;

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
