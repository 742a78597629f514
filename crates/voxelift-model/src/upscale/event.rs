//! Events while a scan is made finer.

use crate::self_learning;

/// Events while a scan is made finer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A warning for whoever uses the output, in a sentence.
    Warning(String),
    /// Something about how thick slices were made that is not sure.
    Doubt(Doubt),
    /// A detail for those who want to know more.
    Detail(String),
    /// A model is at work.
    Tiles {
        /// The mirroring of the scan that it is at, from 0, where an audit takes them one by one.
        mirroring: Option<usize>,
        /// Tiles that are done.
        done: usize,
        /// Tiles in all.
        of: usize,
    },
    /// A network learns from the scan's slices.
    Learning(self_learning::Event),
    /// A network for slices is at work.
    Planes {
        /// Planes that are done.
        done: usize,
        /// Planes in all.
        of: usize,
    },
}

/// Something about how thick slices were made that is not sure.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Doubt {
    /// The distance of the slices is another in the scan's header than beside it.
    Distance {
        /// Beside it.
        stated_mm: f64,
        /// In the header, which counts.
        apart_mm: f64,
    },
    /// Too few slices hold the head to find how thick they are.
    TooFewSlices {
        /// Their distance, which is assumed.
        apart_mm: f64,
    },
    /// The axes of the scan differ by more than a slice profile.
    NoProfile {
        /// Of the profile that fits best.
        misfit: f64,
        /// The distance of the slices, which is assumed as their thickness.
        apart_mm: f64,
    },
}
