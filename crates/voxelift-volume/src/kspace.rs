//! Floor 2 · Discrete Fourier transform, truncation and zero-filling on the field-of-view grid.
