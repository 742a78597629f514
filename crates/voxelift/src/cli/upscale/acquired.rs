//! `--acquired`: what made a scan, as stated, or as far as what goes with the file says.

use std::path::Path;

use serde_json::Value;
use voxelift_volume::consistency::{Dimensions, Protocol};
use voxelift_volume::nifti::Header;

use super::super::bids::metadata;

/// What goes with a scan: the keys of its BIDS sidecars (`<stem>.json` beside it, in a data set those of the folders above too),
/// and the slice axis of its header.
pub fn protocol(scan: &Path, header: &Header) -> Protocol {
    let keys = metadata(scan);
    let of = |key: &str| keys.get(key).unwrap_or(&Value::Null);
    let length = |key: &str| of(key).as_f64().filter(|mm| *mm > 0.0 && mm.is_finite());
    let slice_axis = usize::from(header.dim_info >> 4 & 3);
    Protocol {
        dimensions: match of("MRAcquisitionType").as_str() {
            Some("2D") => Some(Dimensions::Two),
            Some("3D") => Some(Dimensions::Three),
            _ => None,
        },
        thickness_mm: length("SliceThickness"),
        distance_mm: length("SpacingBetweenSlices"),
        axis: slice_axis.checked_sub(1),
    }
}
