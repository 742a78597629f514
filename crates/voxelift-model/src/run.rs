//! Floor 7 · RunDir and records: the only room that knows a run folder's file names.
