//! Floor 12 · The command line.
