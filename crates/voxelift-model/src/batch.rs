//! Floor 4 · Volumes <-> Tensor<5>.
