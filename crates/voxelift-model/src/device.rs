//! Floor 4 · DeviceChoice -> burn Device; the only room naming a backend.
