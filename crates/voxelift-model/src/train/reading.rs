//! The scans of a role, read and prepared side by side as far as memory allows; remarks about them keep their order.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use voxelift_volume::Volume;
use voxelift_volume::cohort::Role;

use super::domain::{Gallery, Looked};
use super::scans::goes_on;
use super::sources::Source;
use crate::error::{ModelError, Result};
use crate::memory;

/// Bytes for each voxel of a scan while it is prepared: the scan, its copies with other voxels, its masks and its spectrum.
const BYTES: u64 = 64;

/// Remarks about scans while they are prepared, in the order of the scans.
pub(super) struct Remarks<'a> {
    /// What is odd about a file.
    pub note: &'a mut dyn FnMut(String),
    /// What does not belong there.
    pub warnings: &'a mut Vec<String>,
    /// Where the scans are looked at as a cohort.
    pub gallery: &'a mut Option<Gallery>,
}

/// How a scan of a place in its role is read; the last argument is told what is odd about the file.
pub(super) type Read<'a> = dyn Fn(&Source, usize, &mut dyn FnMut(String)) -> Result<Volume> + Sync + 'a;

/// A scan under preparation, read when it is first asked for, once.
pub(super) struct Reading<'a> {
    /// Which it is.
    pub scan: &'a Source,
    /// Its place in its role.
    pub index: usize,
    read: &'a Read<'a>,
    volume: Option<Volume>,
    notes: Vec<String>,
    warning: Option<String>,
}

impl Reading<'_> {
    /// The volume.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn volume(&mut self) -> Result<&Volume> {
        let volume = match self.volume.take() {
            Some(volume) => volume,
            None => (self.read)(self.scan, self.index, &mut |text| self.notes.push(text))?,
        };
        Ok(self.volume.insert(volume))
    }

    /// The volume itself, which is not kept then.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn taken(&mut self) -> Result<Volume> {
        self.volume()?;
        Ok(self.volume.take().expect("just read"))
    }

    /// The volume where something asked for it.
    pub fn seen(&self) -> Option<&Volume> {
        self.volume.as_ref()
    }

    /// Says why it may not belong there.
    pub fn warn(&mut self, warning: Option<String>) {
        self.warning = warning;
    }
}

/// Reads each scan by `read` and makes what is wanted of it, several at a time; `voxels` are those of the largest.
///
/// # Errors
/// The first, with its scan's name, or when asked to stop, which is looked at before each scan.
pub(super) fn each<T: Send>(
    (role, scans): (Role, &[Source]),
    voxels: usize,
    read: &Read<'_>,
    stop: &AtomicBool,
    remarks: &mut Remarks<'_>,
    make: impl Fn(&mut Reading<'_>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let at_once = memory::side_by_side(BYTES * voxels as u64);
    let examine = remarks.gallery.is_some();
    let mut all = Vec::with_capacity(scans.len());
    for (number, together) in scans.chunks(at_once).enumerate() {
        let one = |(place, scan): (usize, &Source)| {
            let mut reading = Reading {
                scan,
                index: number * at_once + place,
                read,
                volume: None,
                notes: Vec::new(),
                warning: None,
            };
            let mut work = || {
                goes_on(stop)?;
                let looked = match examine {
                    true => Some(Looked::at(role, scan, reading.volume()?)?),
                    false => None,
                };
                Ok((looked, make(&mut reading)?))
            };
            let made = work().map_err(|error: ModelError| error.of_scan(scan.path()));
            (reading.notes, reading.warning, made)
        };
        let made: Vec<_> = together.par_iter().enumerate().map(one).collect();
        for (notes, warning, made) in made {
            notes.into_iter().for_each(&mut *remarks.note);
            let (looked, made) = made?;
            remarks.warnings.extend(warning);
            if let (Some(gallery), Some(looked)) = (&mut remarks.gallery, looked) {
                gallery.add(looked);
            }
            all.push(made);
        }
    }
    Ok(all)
}
