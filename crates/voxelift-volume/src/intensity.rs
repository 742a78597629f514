//! Floor 2 · Normalisation of intensities with an exact inverse; foreground masks.
