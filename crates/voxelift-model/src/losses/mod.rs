//! Floor 6 · Losses.
