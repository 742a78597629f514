//! Floor 2 · Bytes <-> Volume + header; atomic writes.
