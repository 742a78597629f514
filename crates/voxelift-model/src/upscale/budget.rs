//! How much memory the work on a scan takes, the tile that fits, and how many scans go on side by side.

use std::sync::{Condvar, Mutex, PoisonError};

use voxelift_volume::Geometry;

use super::error::{Result, UpscaleError};
use crate::memory;

/// What decides how much memory a scan takes.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Voxels of a volume.
    pub input: usize,
    /// Voxels of the finest volume that is made of it.
    pub output: usize,
    /// Bytes a voxel of that volume, beside the volume itself.
    pub beside: usize,
    /// The model's part, where there is one.
    pub network: Option<NetworkWork>,
}

/// What decides how much memory a tile takes.
#[derive(Clone, Copy, Debug)]
pub struct NetworkWork {
    /// Voxel counts of the scan.
    pub extent: [usize; 3],
    /// The tile asked for, in voxels along a side.
    pub tile: usize,
    /// Features of the network.
    pub n_feats: usize,
    /// SR voxels per voxel.
    pub sub_voxels: usize,
}

/// The process itself and the buffers of a thread, measured on two threads (`docs/performance.md`).
const PROCESS: u64 = 24 << 20;
const THREAD: u64 = 6 << 20;
/// Bytes a voxel of the finest volume, beside that volume, measured: with a model; with transforms or interpolation in its
/// place; what data consistency, the cut of a model's grid to that of another whole scale (before data consistency, and more than that), an
/// audit, and another grid than that of a whole scale add.
const MODEL: usize = 1;
const NO_MODEL: usize = 12;
const CONSISTENCY: usize = 16;
const CUT: usize = 22;
const AUDIT: usize = 72;
const OTHER_GRID: usize = 32;
/// Feature maps of a tile that are alive at once, measured: 5.3 with 16 features.
const MAPS: usize = 6;
/// No tile is made smaller than this: channel attention would average over too little.
const LEAST_TILE: usize = 16;

impl Work {
    /// Bytes that the volumes take.
    fn volumes(&self) -> u64 {
        (2 * 4 * self.input + (4 + self.beside) * self.output) as u64
    }

    /// Bytes in all, with tiles of another side.
    pub(super) fn with_tile(&self, tile: usize) -> u64 {
        let of_tile = self.network.map_or(0, |network| {
            let voxels: usize = network.extent.iter().map(|n| tile.min(*n)).product();
            voxels * 4 * (MAPS * network.n_feats + 2 * network.sub_voxels)
        });
        self.volumes() + of_tile as u64
    }
}

/// What scans may take together.
#[derive(Debug)]
pub struct Budget {
    /// As asked for, or half of what the machine can still give.
    bytes: u64,
    asked_for: bool,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// A scan's share of a [`Budget`], given back when it is dropped.
pub struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    /// So many bytes for the whole program, or half of what the machine can still give.
    ///
    /// # Errors
    /// When what is asked for does not even hold the program.
    pub fn new(asked_for: Option<u64>) -> Result<Self> {
        let process = process();
        let bytes = match asked_for {
            Some(given) => given.checked_sub(process).ok_or(UpscaleError::MemoryOfProgram {
                given,
                least: 2 * process,
            })?,
            None => memory::available().unwrap_or(u64::MAX) / 2,
        };
        Ok(Self {
            bytes,
            asked_for: asked_for.is_some(),
            taken: Mutex::new(0),
            freed: Condvar::new(),
        })
    }

    /// Whether so much was asked for, and no more.
    pub fn is_limited(&self) -> bool {
        self.asked_for
    }

    /// The tile that fits: the one asked for, or a smaller one where memory is limited.
    ///
    /// # Errors
    /// When the memory is less than the scan takes with the smallest.
    pub fn tile(&self, work: &Work) -> Result<Option<usize>> {
        let asked_for = work.network.map(|network| network.tile);
        let wanted = work.with_tile(asked_for.unwrap_or(0));
        if !self.asked_for {
            return match memory::expect_room("this scan", wanted) {
                Ok(()) => Ok(asked_for),
                Err(what) => Err(UpscaleError::NoRoom(what)),
            };
        }
        if wanted <= self.bytes {
            return Ok(asked_for);
        }
        let smaller = (LEAST_TILE..asked_for.unwrap_or(0))
            .rev()
            .filter(|tile| tile.is_multiple_of(4));
        let mut fitting = smaller.filter(|tile| work.with_tile(*tile) <= self.bytes);
        fitting.next().map(Some).ok_or_else(|| {
            let least = asked_for.map_or(0, |tile| tile.min(LEAST_TILE));
            UpscaleError::Memory {
                given: self.bytes + process(),
                needed: work.with_tile(least) + process(),
            }
        })
    }

    /// Waits as [`Budget::share`] for trials, all of which are made, and for the work that takes least of several, one of which is to
    /// come after them.
    ///
    /// # Errors
    /// As [`Budget::tile`], where there is no room for a trial, or for none of the works.
    ///
    /// # Panics
    /// Without any work.
    pub fn share_of_trials(
        &self,
        trials: impl Iterator<Item = Work>,
        works: impl Iterator<Item = Work>,
    ) -> Result<Share<'_>> {
        let takes = |work: &Work| {
            let tile = work.network.map_or(0, |network| network.tile);
            work.with_tile(if self.asked_for {
                tile.min(LEAST_TILE)
            } else {
                tile
            })
        };
        let least = works.min_by_key(takes).expect("one at least");
        let most = trials.chain([least]).max_by_key(takes).expect("one at least");
        let tile = self.tile(&most)?;
        Ok(self.share(&most, tile))
    }

    /// Waits until a scan fits beside the others; one that never fits goes alone.
    pub fn share(&self, work: &Work, tile: Option<usize>) -> Share<'_> {
        let bytes = work.with_tile(tile.unwrap_or(0));
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken > 0 && taken.saturating_add(bytes) > self.bytes {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
        Share { budget: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.budget.freed.notify_all();
    }
}

/// Bytes that are taken whatever the scan.
fn process() -> u64 {
    PROCESS + THREAD * rayon::current_num_threads() as u64
}

/// What is done to a scan beside the making of finer voxels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// Data consistency.
    pub consistent: bool,
    /// The grid that a model makes is cut to that of another whole scale.
    pub cut: bool,
    /// An audit.
    pub audited: bool,
    /// The output is brought onto another grid than that of a whole scale.
    pub placed: bool,
}

impl Extras {
    /// Bytes that the work takes for each voxel of the finest volume, beside that volume.
    pub fn bytes(self, has_model: bool) -> usize {
        let part = |is: bool, bytes: usize| if is { bytes } else { 0 };
        (if has_model { MODEL } else { NO_MODEL })
            + part(self.cut, CUT).max(part(self.consistent, CONSISTENCY))
            + part(self.audited, AUDIT)
            + part(self.placed, OTHER_GRID)
    }
}

/// Voxels of a grid.
pub fn voxels(grid: &Geometry) -> usize {
    grid.extent.iter().product()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work {
        input: 80 * 96 * 80,
        output: 8 * 80 * 96 * 80,
        beside: MODEL,
        network: Some(NetworkWork {
            extent: [80, 96, 80],
            tile: 48,
            n_feats: 16,
            sub_voxels: 8,
        }),
    };

    #[test]
    fn the_tile_shrinks_until_it_fits_and_not_without_being_asked() {
        let budget = |megabytes: u64| Budget {
            bytes: megabytes << 20,
            asked_for: true,
            taken: Mutex::new(0),
            freed: Condvar::new(),
        };
        assert_eq!(budget(4000).tile(&WORK).unwrap(), Some(48));
        let tile = budget(60).tile(&WORK).unwrap().expect("a tile");
        assert!(
            (LEAST_TILE..48).contains(&tile) && tile.is_multiple_of(4),
            "{tile}"
        );
        assert!(WORK.with_tile(tile) <= 60 << 20 && WORK.with_tile(tile + 4) > 60 << 20);
        assert!(budget(20).tile(&WORK).unwrap_err().to_string().contains("needs"));
        let free = Budget {
            asked_for: false,
            ..budget(20)
        };
        assert_eq!(free.tile(&WORK).unwrap(), Some(48));
    }

    #[test]
    fn one_of_several_that_fits_is_enough_and_the_least_is_named_where_none_does() {
        let large = Work {
            beside: MODEL + AUDIT,
            ..WORK
        };
        let no_model = Work {
            beside: NO_MODEL,
            network: None,
            ..WORK
        };
        let budget = |bytes: u64, asked_for: bool| Budget {
            bytes,
            asked_for,
            taken: Mutex::new(0),
            freed: Condvar::new(),
        };
        let works = || [large, WORK, no_model].into_iter();
        let none = || std::iter::empty();
        let least = WORK.with_tile(LEAST_TILE);
        let fits = budget(least, true);
        let share = fits.share_of_trials(none(), works()).expect("room for one");
        assert_eq!(
            (share.bytes, *fits.taken.lock().expect("no panic")),
            (least, least)
        );
        drop(share);
        let needed = |budget: &Budget, trials: &[Work]| {
            let share = budget.share_of_trials(trials.iter().copied(), works());
            match share.map(|share| share.bytes) {
                Err(UpscaleError::Memory { needed, .. }) => needed - process(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(needed(&budget(least - 1, true), &[]), least);
        // Of trials all are made, and a small one takes less than what comes after it.
        let small = Work {
            input: 8,
            output: 64,
            ..no_model
        };
        assert!(fits.share_of_trials([small].into_iter(), works()).is_ok());
        assert_eq!(needed(&fits, &[small, large]), large.with_tile(LEAST_TILE));
        // Not asked for, tiles stay as they are.
        let share = budget(1, false)
            .share_of_trials(none(), works())
            .map(|share| share.bytes);
        assert_eq!(share.ok(), Some(WORK.with_tile(48).min(no_model.with_tile(0))));
    }

    #[test]
    fn scans_wait_for_one_another_and_one_that_never_fits_goes_alone() {
        let budget = Budget {
            bytes: 2 * WORK.with_tile(48),
            asked_for: true,
            taken: Mutex::new(0),
            freed: Condvar::new(),
        };
        let alive = Mutex::new((0, 0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let _share = budget.share(&WORK, Some(48));
                    let count = |change: i32| {
                        let mut alive = alive.lock().expect("no panic");
                        alive.0 += change;
                        alive.1 = alive.1.max(alive.0);
                    };
                    count(1);
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    count(-1);
                });
            }
        });
        assert_eq!(alive.into_inner().expect("no panic"), (0, 2));
        let small = Budget { bytes: 1, ..budget };
        drop(small.share(&WORK, Some(48)));
    }
}
