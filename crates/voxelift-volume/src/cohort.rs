//! Floor 3 · Subject -> role.
