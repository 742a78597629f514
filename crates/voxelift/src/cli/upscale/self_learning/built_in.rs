//! The built-in network for slices: what thick slices get where no method is named.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use voxelift_model::upscale::SliceUpscaler;
use voxelift_volume::Volume;
use voxelift_volume::consistency::Mode;

use super::super::super::files::{Inputs, Job};
use super::super::UpscaleArguments;
use super::{Made, Plan, plan};
use crate::terminal::Terminal;

/// Why a scan of thick slices that nobody named a method for was made finer as it was.
pub(super) const CHOSEN: &str = "the built-in network for thick slices; --method self learns from this very scan as well, which takes minutes and \
     mostly gains more";

/// The built-in network for slices, for scans of thick slices that nobody named a method for.
pub struct BuiltInForSlices {
    plan: Plan,
    /// One scan at a time: each takes all threads.
    turn: Mutex<()>,
}

impl BuiltInForSlices {
    /// Where the arguments leave the choice, and ask for nothing that the network for slices does not do.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn where_it_may(arguments: &UpscaleArguments, terminal: &Terminal) -> anyhow::Result<Option<Self>> {
        let soft = arguments.consistency.is_none_or(|mode| mode.0 == Mode::Soft);
        let plain = soft && !arguments.ensemble && !arguments.audit && arguments.tile.is_none();
        if !arguments.leaves_the_choice() || !plain {
            return Ok(None);
        }
        Ok(Some(Self {
            plan: plan(arguments, true, terminal)?,
            turn: Mutex::new(()),
        }))
    }

    /// Whether a scan is one volume of thick slices of a distance that the network knows.
    pub fn suits(&self, scan: &Path) -> bool {
        let header = voxelift_volume::scan::read_header(scan).ok();
        header.is_some_and(|(header, _)| SliceUpscaler::suits(&header.geometry(), header.frames()))
    }

    /// Whether a scan was one, before its scanner interpolated it.
    pub fn suits_as_acquired(&self, scan: &Volume, frames: usize) -> bool {
        SliceUpscaler::suits_as_acquired(scan, frames)
    }

    /// Whether an output of a batch is there already.
    ///
    /// # Errors
    /// When a file that it depends on cannot be read.
    pub fn is_done(&self, job: &Job) -> anyhow::Result<bool> {
        self.plan.is_done(job)
    }

    /// # Errors
    /// When something stands in the place of an output.
    pub fn refuse_existing(&self, job: &Job, protected: &Inputs) -> anyhow::Result<()> {
        self.plan.refuse_existing(job, protected)
    }

    /// Makes a scan finer.
    ///
    /// # Errors
    /// When it cannot be read, made finer or written.
    pub fn carry_out(
        &self,
        job: &Job,
        in_batch: bool,
        waits: bool,
        terminal: &Terminal,
    ) -> anyhow::Result<Made> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.plan.carry_out(job, in_batch, waits, terminal)
    }
}
