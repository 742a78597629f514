//! Floor 3 · Scores, one file a family.
