//! Floor 2 · Interpolation on the field-of-view grid.
