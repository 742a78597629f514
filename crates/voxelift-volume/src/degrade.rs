//! Floor 3 · HR volume -> LR acquisition.
