//! Floor 3 · Overlapping tiles, weights summing to one.
