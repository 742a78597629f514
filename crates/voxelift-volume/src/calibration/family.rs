//! The operators that a calibration tries.

use crate::degrade::{Operator, Profile};

/// Operators tried on all axes at once: each is simulated on whole volumes, so they are few.
pub(super) fn isotropic() -> Vec<Operator> {
    let window = |(cutoff, edge)| Operator::Window { cutoff, edge };
    let mut family = vec![Operator::KSpace, Operator::Cubic, Operator::Box];
    family.extend([0.3, 0.37, 0.45, 0.55, 0.7, 0.85].map(|sigma| Operator::Gaussian { sigma }));
    family.extend([(1.0, 0.4), (0.9, 0.2), (0.8, 0.2), (0.7, 0.2)].map(window));
    family
}

/// Operators tried along one axis while the others stay.
pub(super) fn along_an_axis() -> Vec<Operator> {
    let mut family = vec![Operator::KSpace, Operator::Cubic, Operator::Box];
    family.extend([0.2, 0.3, 0.37, 0.45, 0.55, 0.7, 0.85].map(|sigma| Operator::Gaussian { sigma }));
    let thick = |thickness| Operator::Slice {
        profile: Profile::Box,
        thickness,
    };
    family.extend([0.8, 1.25, 1.6].map(thick));
    for cutoff in [0.6, 0.7, 0.8, 0.9, 1.0] {
        family.extend([0.0, 0.2, 0.4].map(|edge| Operator::Window { cutoff, edge }));
    }
    // A hard window at the Nyquist frequency is plain truncation.
    family.retain(|o| {
        *o != Operator::Window {
            cutoff: 1.0,
            edge: 0.0,
        }
    });
    family
}
