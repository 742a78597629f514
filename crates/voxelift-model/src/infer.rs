//! Floor 8 · SuperResolver: Volume -> Volume by tiles.
