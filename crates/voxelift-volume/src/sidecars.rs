//! Layer 5 · What the JSON files beside a scan say of how it was made, by the names and keys of BIDS.
//!
//! ```
//! use std::path::Path;
//! use voxelift_volume::Geometry;
//! use voxelift_volume::nifti::Header;
//! use voxelift_volume::sidecars::{named, protocol};
//!
//! let scan = Path::new("sub-01_acq-thick_T2w.nii.gz");
//! let (entities, suffix) = named(scan).expect("a name of BIDS");
//! assert_eq!((entities[0].1.as_str(), suffix.as_str()), ("01", "T2w"));
//! // The keys of the JSON files beside a scan, and the slice axis of its header; here there is the header alone.
//! let mut header = Header::new(&Geometry::axis_aligned([64, 64, 12], [3.0, 3.0, 6.0]));
//! header.dim_info = 3 << 4;
//! let protocol = protocol(scan, &header);
//! assert_eq!((protocol.axis, protocol.thickness_mm), (Some(2), None));
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::consistency::{Dimensions, Protocol};
use crate::nifti::Header;
use crate::scan::stem;

/// The file that makes a folder a BIDS data set.
pub const DESCRIPTION: &str = "dataset_description.json";

/// The keys of lengths.
const THICKNESS: &str = "SliceThickness";
const DISTANCE: &str = "SpacingBetweenSlices";

/// Folders between a scan and its data set's own: session, kind of data, subject.
const DEEPEST: usize = 4;

/// Entities and suffix of a file's name; nothing where it is not one of BIDS.
pub fn named(path: &Path) -> Option<(Vec<(String, String)>, String)> {
    let stem = stem(path);
    let stem = stem.strip_suffix(".json").unwrap_or(&stem);
    let (entities, suffix) = stem.rsplit_once('_').unwrap_or(("", stem));
    let pair = |part: &str| {
        let (key, value) = part.split_once('-')?;
        (!key.is_empty() && !value.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    let entities = entities.split('_').filter(|part| !part.is_empty()).map(pair);
    let entities: Option<Vec<_>> = entities.collect();
    (!suffix.contains('-')).then_some((entities?, suffix.to_owned()))
}

/// What the sidecars of a file say: every JSON file of its folder and of those above, up to the data set's own, whose name has
/// the same suffix and no entity that the file's has not; the nearer one counts (the inheritance principle of BIDS).
pub fn metadata(scan: &Path) -> Map<String, Value> {
    let read = |path: PathBuf| keys(&path).ok().flatten().unwrap_or_default();
    applicable(scan).into_iter().flat_map(read).collect()
}

/// What of the sidecars of a file cannot be understood, in sentences: files that are no JSON object, and lengths that are no numbers.
pub fn doubts(scan: &Path) -> Vec<String> {
    let mut doubts = Vec::new();
    for path in applicable(scan) {
        let name = path.display();
        match keys(&path) {
            Err(why) => doubts.push(format!(
                "{name}: not read, so what it says of the scan is not known: {why}"
            )),
            Ok(keys) => doubts.extend(keys.iter().flatten().filter_map(|(key, value)| {
                let meant = [THICKNESS, DISTANCE].contains(&key.as_str()) && !value.is_null();
                let expected = "expected a number of millimetres above 0, so it is not used";
                (meant && length(value).is_none()).then(|| format!("{name}: {key} = {value}: {expected}"))
            })),
        }
    }
    doubts
}

/// A length in millimetres.
fn length(value: &Value) -> Option<f64> {
    value.as_f64().filter(|mm| *mm > 0.0 && mm.is_finite())
}

/// The keys of a JSON file; nothing where it is not there.
fn keys(path: &Path) -> Result<Option<Map<String, Value>>, String> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|why| why.to_string()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why.to_string()),
    }
}

/// The sidecars of a file, the nearest last.
fn applicable(scan: &Path) -> Vec<PathBuf> {
    let own = scan.with_file_name(format!("{}.json", stem(scan)));
    let Some((entities, suffix)) = named(scan).filter(|(entities, _)| !entities.is_empty()) else {
        return vec![own];
    };
    let folders: Vec<&Path> = scan.ancestors().skip(1).take(DEEPEST).collect();
    let is_root = |folder: &&Path| folder.join(DESCRIPTION).is_file();
    let Some(root) = folders.iter().position(is_root) else {
        return vec![own];
    };
    let mut all = Vec::new();
    for folder in folders[..=root].iter().rev() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        let mut applicable: Vec<(usize, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                path.extension()
                    .is_some_and(|ending| ending == "json")
                    .then_some(())?;
                let (theirs, what) = named(&path)?;
                let within = theirs.iter().all(|entity| entities.contains(entity));
                (what == suffix && within).then_some((theirs.len(), path))
            })
            .collect();
        applicable.sort();
        all.extend(applicable.into_iter().map(|(_, path)| path));
    }
    all
}

/// What goes with a scan: the keys of its BIDS sidecars (`<stem>.json` beside it, in a data set those of the folders above too),
/// and the slice axis of its header.
pub fn protocol(scan: &Path, header: &Header) -> Protocol {
    let keys = metadata(scan);
    let of = |key: &str| keys.get(key).unwrap_or(&Value::Null);
    let slice_axis = usize::from(header.dim_info >> 4 & 3);
    Protocol {
        dimensions: match of("MRAcquisitionType").as_str() {
            Some("2D") => Some(Dimensions::Two),
            Some("3D") => Some(Dimensions::Three),
            _ => None,
        },
        thickness_mm: length(of(THICKNESS)),
        distance_mm: length(of(DISTANCE)),
        axis: slice_axis.checked_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_entities_and_a_suffix() {
        let (entities, suffix) = named(Path::new("sub-01_ses-pre_run-2_T1w.nii.gz")).expect("a name");
        let entities: Vec<String> = entities.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(entities, ["sub=01", "ses=pre", "run=2"]);
        assert_eq!(suffix, "T1w");
        assert_eq!(named(Path::new("T1w.json")), Some((Vec::new(), "T1w".to_owned())));
        assert!(named(Path::new("scan one_T1w.nii")).is_none());
        assert!(named(Path::new("sub-01.nii")).is_none());
    }

    #[test]
    fn the_nearest_sidecar_counts_and_other_suffixes_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let anat = root.join("sub-1/anat");
        fs::create_dir_all(&anat).expect("a folder");
        for (path, text) in [
            (root.join(DESCRIPTION), "{}"),
            (root.join("T1w.json"), r#"{"SliceThickness": 5, "a": 1}"#),
            (root.join("acq-x_T1w.json"), r#"{"b": 2}"#),
            (root.join("T2w.json"), r#"{"c": 3}"#),
            (root.join("sub-1/sub-1_T1w.json"), r#"{"SliceThickness": 4}"#),
            (anat.join("sub-1_T1w.json"), r#"{"d": 4}"#),
        ] {
            fs::write(path, text).expect("written");
        }
        let keys = metadata(&anat.join("sub-1_T1w.nii.gz"));
        assert_eq!(
            Value::from(keys),
            serde_json::json!({"SliceThickness": 4, "a": 1, "d": 4})
        );
        let scan = anat.join("sub-1_acq-x_T1w.nii.gz");
        assert_eq!(metadata(&scan)["b"], 2);
        // What cannot be read, or is no length, is told, and the rest counts.
        assert!(doubts(&scan).is_empty());
        fs::write(root.join("T1w.json"), r#"{"SliceThickness": "5", "a": 1}"#).expect("written");
        fs::write(anat.join("sub-1_T1w.json"), "{").expect("written");
        let told = doubts(&scan);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains(r#"SliceThickness = "5""#), "{told:?}");
        assert!(told[1].contains("not read"), "{told:?}");
        assert_eq!(metadata(&scan)["b"], 2);
    }
}
