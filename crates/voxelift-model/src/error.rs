//! Floor 0 · Every way a configuration, a model or a run can be wrong.
