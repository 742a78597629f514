//! Layer 0 · What is taken back where the process is asked to end before it is done: half-written files and what stands for them.
//!
//! ```
//! use voxelift_volume::undo::Undo;
//!
//! let path = std::env::temp_dir().join(format!("undo-{}", std::process::id()));
//! std::fs::write(&path, "half")?;
//! let half_written = path.clone();
//! let undo = Undo::new(move || drop(std::fs::remove_file(half_written)));
//! // A program that is asked to end here calls `undo::all()`; one that comes to the end of its work drops it, and nothing happens.
//! drop(undo);
//! assert!(path.is_file());
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), std::io::Error>(())
//! ```

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A way back by its number, which grows.
static WAYS_BACK: Mutex<BTreeMap<u64, WayBack>> = Mutex::new(BTreeMap::new());

/// How something is taken back.
pub type WayBack = Box<dyn FnOnce() + Send>;

/// Something under way that can be taken back; dropped, it stays as it is.
#[derive(Debug)]
#[must_use = "dropped at once it is never taken back"]
pub struct Undo(u64);

impl Undo {
    /// Notes how it is taken back.
    pub fn new(way_back: impl FnOnce() + Send + 'static) -> Self {
        Self::among(&mut ways_back(), Box::new(way_back))
    }

    /// Makes something and notes how it is taken back, with no moment between in which the process could be asked to end. What is made
    /// must not be noted itself.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn making<T, E>(
        make: impl FnOnce() -> Result<T, E>,
        way_back: impl FnOnce(&T) -> WayBack,
    ) -> Result<(T, Self), E> {
        let mut ways = ways_back();
        let made = make()?;
        let undo = Self::among(&mut ways, way_back(&made));
        Ok((made, undo))
    }

    fn among(ways: &mut BTreeMap<u64, WayBack>, way_back: WayBack) -> Self {
        let number = ways.last_key_value().map_or(0, |(last, _)| last + 1);
        ways.insert(number, way_back);
        Self(number)
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        ways_back().remove(&self.0);
    }
}

/// Takes back all that is under way, the latest first. For a process that ends then.
pub fn all() {
    let ways = std::mem::take(&mut *ways_back());
    ways.into_values().rev().for_each(|way_back| way_back());
}

fn ways_back() -> MutexGuard<'static, BTreeMap<u64, WayBack>> {
    WAYS_BACK.lock().unwrap_or_else(PoisonError::into_inner)
}
