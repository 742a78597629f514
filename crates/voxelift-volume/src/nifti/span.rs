//! The range of the values to be written, from which the scale of a whole-number type follows.

use crate::volume::Volume;

/// The range of the finite values, zero included, and whether all are whole.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub least: f64,
    pub most: f64,
    pub whole: bool,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            least: 0.0,
            most: 0.0,
            whole: true,
        }
    }
}

impl Span {
    pub fn take_in(&mut self, frame: &Volume) {
        for value in frame
            .data()
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .map(f64::from)
        {
            self.least = self.least.min(value);
            self.most = self.most.max(value);
            self.whole &= value.fract() == 0.0;
        }
    }
}
