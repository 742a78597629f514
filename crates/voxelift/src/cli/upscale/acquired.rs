//! `--acquired`: what made a scan, as stated, or as far as what goes with the file says.

use std::fs;
use std::path::Path;

use serde_json::Value;
use voxelift_volume::consistency::{Dimensions, Protocol};
use voxelift_volume::nifti::Header;

use super::sidecar;

/// What goes with a scan: the keys of a BIDS sidecar (`<stem>.json` beside it), and the slice axis of its header.
pub fn protocol(scan: &Path, header: &Header) -> Protocol {
    let text = fs::read(sidecar::beside(scan)).ok();
    let keys: Value = text
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let length = |key: &str| keys[key].as_f64().filter(|mm| *mm > 0.0 && mm.is_finite());
    let slice_axis = usize::from(header.dim_info >> 4 & 3);
    Protocol {
        dimensions: match keys["MRAcquisitionType"].as_str() {
            Some("2D") => Some(Dimensions::Two),
            Some("3D") => Some(Dimensions::Three),
            _ => None,
        },
        thickness_mm: length("SliceThickness"),
        distance_mm: length("SpacingBetweenSlices"),
        axis: slice_axis.checked_sub(1),
    }
}
