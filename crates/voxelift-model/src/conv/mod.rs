//! Floor 4 · The convolution op.
