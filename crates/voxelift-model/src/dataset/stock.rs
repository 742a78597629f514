//! Pairs that are made while the run goes on: a few at a time, each used for a while and then replaced.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::SourcePair;
use crate::error::Result;

/// Makes pair number `n`, the same whenever it is asked.
pub type Maker = Box<dyn Fn(u64) -> Result<SourcePair> + Send + Sync>;

/// Pairs made before they are asked for.
const AHEAD: u64 = 2;

/// At step `s` the pairs `s / every` to `s / every + slots - 1`: which they are depends on the step alone, so that a run that
/// goes on draws what it would have drawn.
pub struct Stock {
    make: Maker,
    slots: u64,
    every: u64,
    shelf: Mutex<Shelf>,
    changed: Condvar,
}

#[derive(Default)]
struct Shelf {
    /// None while it is being made.
    pairs: BTreeMap<u64, Option<Arc<SourcePair>>>,
    /// The first pair that is in use.
    first: u64,
    closed: bool,
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Stock of {} pairs, one replaced every {} steps",
            self.slots, self.every
        )
    }
}

impl Stock {
    /// A stock of `slots` pairs, one of them replaced after every `every` steps.
    ///
    /// # Panics
    /// When either is 0.
    pub fn new(make: Maker, slots: usize, every: u64) -> Self {
        assert!(slots > 0 && every > 0, "{slots} slots, {every} steps");
        Self {
            make,
            slots: slots as u64,
            every,
            shelf: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The pairs of a step, in order.
    ///
    /// # Errors
    /// Those of the maker.
    pub fn at(&self, step: u64) -> Result<Vec<Arc<SourcePair>>> {
        let first = step / self.every;
        {
            let mut shelf = self.shelf();
            shelf.first = first;
            shelf.pairs.retain(|number, _| *number >= first);
        }
        self.changed.notify_all();
        (first..first + self.slots)
            .map(|number| self.get(number))
            .collect()
    }

    /// Makes the pairs of the steps from `first` to `last` before they are asked for, until [`Stock::close`].
    pub fn keep_ahead(&self, first: u64, last: u64) {
        for number in first / self.every..last / self.every + self.slots {
            let mut shelf = self.shelf();
            while !shelf.closed && number >= shelf.first + self.slots + AHEAD {
                shelf = self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner);
            }
            let (closed, gone) = (shelf.closed, number < shelf.first);
            drop(shelf);
            if closed {
                return;
            }
            // Whoever needs the pair makes it again, and tells why it cannot be made.
            if !gone && self.get(number).is_err() {
                return;
            }
        }
    }

    /// Ends [`Stock::keep_ahead`].
    pub fn close(&self) {
        self.shelf().closed = true;
        self.changed.notify_all();
    }

    fn get(&self, number: u64) -> Result<Arc<SourcePair>> {
        let mut shelf = self.shelf();
        loop {
            match shelf.pairs.get(&number) {
                Some(Some(pair)) => return Ok(Arc::clone(pair)),
                Some(None) => shelf = self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner),
                None => break,
            }
        }
        shelf.pairs.insert(number, None);
        drop(shelf);
        let made = (self.make)(number).map(Arc::new);
        let mut shelf = self.shelf();
        match &made {
            Ok(pair) => shelf.pairs.insert(number, Some(Arc::clone(pair))),
            Err(_) => shelf.pairs.remove(&number),
        };
        drop(shelf);
        self.changed.notify_all();
        made
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
