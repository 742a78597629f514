//! What each tissue looks like.

use super::SynthesisConfig;
use crate::error::{Result, VolumeError};
use crate::random::Stream;
use crate::volume::Volume;

/// Labels above it lie outside of the brain.
const EXTRA_CEREBRAL: f32 = 500.0;
/// Labels below it have a look of their own.
const LABELS: usize = 1024;
/// Voxels left around the head.
const MARGIN: usize = 4;

/// FreeSurfer's labels of the right half, and those of the left half whose look they share.
const RIGHT: [(u16, u16); 17] = [
    (41, 2),
    (42, 3),
    (43, 4),
    (44, 5),
    (46, 7),
    (47, 8),
    (49, 10),
    (50, 11),
    (51, 12),
    (52, 13),
    (53, 17),
    (54, 18),
    (58, 26),
    (60, 28),
    (62, 30),
    (137, 136),
    (164, 163),
];

/// The mean and the texture of each label.
pub(super) struct Palette {
    pub stripped: bool,
    looks: Vec<[f64; 2]>,
}

impl Palette {
    pub fn drawn(config: &SynthesisConfig, stream: &mut Stream) -> Self {
        let stripped = stream.uniform() < config.stripped;
        let mut look = || {
            [
                stream.between(0.02, 1.0),
                // Squared, so that smooth tissues are frequent.
                config.texture * stream.uniform().powi(2),
            ]
        };
        let mut looks: Vec<[f64; 2]> = (0..LABELS).map(|_| look()).collect();
        for (right, left) in RIGHT {
            looks[usize::from(right)] = looks[usize::from(left)];
        }
        // Air.
        looks[0] = [0.0, 0.0];
        Self { stripped, looks }
    }

    pub fn mean(&self, tissue: f32) -> f32 {
        self.looks[tissue as usize][0] as f32
    }

    pub fn texture(&self, tissue: f32) -> f64 {
        self.looks[tissue as usize][1]
    }
}

/// The labels that are painted, cut to the box that holds them and some air.
///
/// # Errors
/// When the map holds anything but whole numbers from 0 on, or nothing.
pub(super) fn tissues(labels: &Volume, stripped: bool) -> Result<Volume> {
    let wrong = |value: f32| !(0.0..LABELS as f32).contains(&value) || value.fract() != 0.0;
    if let Some(value) = labels.data().iter().copied().find(|value| wrong(*value)) {
        let expected = format!("expected a map of whole labels from 0 to {}", LABELS - 1);
        return Err(VolumeError::argument("label map", value, expected));
    }
    let painted = |label: f32| label != 0.0 && !(stripped && label > EXTRA_CEREBRAL);
    let extent = labels.extent();
    let (mut low, mut high) = (extent, [0; 3]);
    for (i, label) in labels.data().iter().enumerate() {
        if painted(*label) {
            let at = [
                i % extent[0],
                i / extent[0] % extent[1],
                i / (extent[0] * extent[1]),
            ];
            for a in 0..3 {
                low[a] = low[a].min(at[a]);
                high[a] = high[a].max(at[a] + 1);
            }
        }
    }
    if high == [0; 3] {
        return Err(VolumeError::argument(
            "label map",
            "background alone",
            "expected the labels of a head",
        ));
    }
    let start = low.map(|l| l.saturating_sub(MARGIN));
    let size = std::array::from_fn(|a| (high[a] + MARGIN).min(extent[a]) - start[a]);
    let cut = labels.crop(start, size);
    Ok(cut.map(|label| if painted(label) { label } else { 0.0 }))
}
