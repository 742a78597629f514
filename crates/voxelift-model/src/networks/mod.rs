//! Floor 6 · Networks.
