//! Floor 7 · safetensors + card.
