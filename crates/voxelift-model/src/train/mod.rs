//! Floor 9 · The training loop.
