//! The tissues of a synthetic head, and how much of each there is at a place.

/// Fractions of cerebrospinal fluid, grey, white and deep grey matter, summing to one.
pub(super) type Fractions = [f64; 4];

pub(super) const CSF: usize = 0;
pub(super) const GREY: usize = 1;
pub(super) const WHITE: usize = 2;
pub(super) const DEEP: usize = 3;
