//! Floor 5 · Draws patches, reproducibly from (seed, step).
