//! Floor 2 · Seeded synthetic heads.
