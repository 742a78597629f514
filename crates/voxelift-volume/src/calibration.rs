//! Floor 4 · Which known operator makes HR scans look like LR ones, by their spectra.
