//! Floor 7 · Nests the parts' configs; TOML and --set, checked or refused.
