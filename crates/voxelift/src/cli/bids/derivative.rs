//! The data set that is written: names, sidecars and descriptions of its files.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use voxelift_volume::files::write_atomically;
use voxelift_volume::scan::stem;
use voxelift_volume::sidecars::DESCRIPTION;
use voxelift_volume::{Geometry, words};

use super::dataset::RawScan;

/// The version of the standard that the names and keys follow.
const BIDS_VERSION: &str = "1.10.0";
/// What no validator knows.
const IGNORED: &str = "*.html\ngroup_*.tsv\nwork\n";

/// Where the output of a scan goes within the data set, once its voxels are known.
pub fn name(scan: &RawScan, grid: &Geometry) -> PathBuf {
    let [before, after] = around_resolution(scan);
    scan.folder()
        .join(format!("{before}{}{after}", label(grid.spacing_mm())))
}

/// The name of an output before and after the label of its voxel size.
fn around_resolution(scan: &RawScan) -> [String; 2] {
    let entities: String = scan
        .entities
        .iter()
        .map(|(key, value)| format!("{key}-{value}_"))
        .collect();
    [
        format!("{entities}res-"),
        format!("_desc-sr_{}.nii.gz", scan.suffix),
    ]
}

/// Outputs of the same scan with other voxels that were made of another content of it than the one that `how` speaks of.
///
/// # Errors
/// When the folder cannot be read.
pub fn outdated(scan: &RawScan, out: &Path, how: &Value) -> anyhow::Result<Vec<PathBuf>> {
    let folder = out.join(scan.folder());
    let [before, after] = around_resolution(scan);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let voxels = name
            .strip_prefix(&before)
            .and_then(|rest| rest.strip_suffix(&after));
        if voxels.is_none_or(|label| label.contains('_')) {
            continue;
        }
        let description = path.with_file_name(format!("{}.json", stem(&path)));
        let keys: Value = fs::read(description)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let source = &keys["VoxeliftProvenance"]["source_sha256"];
        if source.is_string() && *source != how["source_sha256"] {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Voxel sizes as a label, which has letters and digits only: `0p7mm`, `0p5x0p5x1mm`.
fn label(spacing: [f64; 3]) -> String {
    let texts = spacing.map(|mm| words::number((mm * 1000.0).round() / 1000.0).replace('.', "p"));
    if texts.iter().all(|text| *text == texts[0]) {
        format!("{}mm", texts[0])
    } else {
        format!("{}mm", texts.join("x"))
    }
}

/// The sidecar of an output: what BIDS asks for, what of the scan's own still holds, and how it was made.
pub fn sidecar(scan: &RawScan, raw: &Geometry, fine: &Geometry, root: &Path, how: &Value) -> Value {
    // What speaks of slices and of the file's making does not hold for the finer grid.
    const DROPPED: [&str; 6] = [
        "SliceThickness",
        "SpacingBetweenSlices",
        "SliceTiming",
        "SliceEncodingDirection",
        "ConversionSoftware",
        "ConversionSoftwareVersion",
    ];
    let mut keys: Map<String, Value> = scan
        .metadata
        .iter()
        .filter(|(key, _)| !DROPPED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let path = scan.path.strip_prefix(root).unwrap_or(&scan.path);
    keys.entry("SkullStripped").or_insert(json!(false));
    keys.insert(
        "Resolution".into(),
        json!(format!(
            "Super-resolved to voxels of {}; the scan has voxels of {}",
            words::millimetres(fine.spacing_mm()),
            words::millimetres(raw.spacing_mm())
        )),
    );
    keys.insert(
        "Description".into(),
        json!("Made finer by voxelift; detail beyond what the scan measured is likely, not seen"),
    );
    keys.insert("Sources".into(), json!([format!("bids:raw:{}", path.display())]));
    keys.insert("VoxeliftProvenance".into(), how.clone());
    Value::Object(keys)
}

/// Writes the description of the data set, unless one of this program's making is there already.
///
/// # Errors
/// When the folder belongs to something else, or a file cannot be written.
pub fn describe(out: &Path, raw: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let path = out.join(DESCRIPTION);
    let (out, raw) = (out.canonicalize()?, raw.canonicalize()?);
    if let Ok(text) = fs::read_to_string(&path) {
        let there: Value = serde_json::from_str(&text).unwrap_or_default();
        if there["GeneratedBy"][0]["Name"] != "voxelift" {
            bail!("{}: is another data set's; name another OUT_DIR", path.display());
        }
        return Ok(());
    }
    let link = link(&raw, &out);
    let description = json!({
        "Name": "Super-resolved anatomical scans",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{
            "Name": "voxelift",
            "Version": env!("CARGO_PKG_VERSION"),
            "Description": "Super-resolution of NIfTI volumes; what was not measured is drawn, not seen",
        }],
        "SourceDatasets": [{"URL": link}],
        "DatasetLinks": {"raw": link},
        "HowToAcknowledge": "Not a medical device. Cite the scans' own data set.",
    });
    put(&path, &description)?;
    let readme = "Super-resolved anatomical scans, made by `voxelift bids` from the raw data set next to which this one lies.\n\n\
                  Each `*_desc-sr_*.nii.gz` has a sidecar that says how it was made (`VoxeliftProvenance`) and from what (`Sources`).\n\
                  A network draws what is likely; what it draws may not be there. Not a medical device.\n";
    write_atomically(&out.join("README.md"), true, |file| {
        file.write_all(readme.as_bytes())
    })?;
    write_atomically(&out.join(".bidsignore"), true, |file| {
        file.write_all(IGNORED.as_bytes())
    })?;
    Ok(())
}

/// # Errors
/// When it cannot be written.
pub fn put(path: &Path, what: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(what).expect("plain data");
    Ok(write_atomically(path, true, |out| writeln!(out, "{text}"))?)
}

/// The raw data set as seen from the derivative: relative where the one lies within the other's folder or beside it.
fn link(raw: &Path, out: &Path) -> String {
    let (from, to): (Vec<Component>, Vec<Component>) =
        (out.components().collect(), raw.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.len() - common;
    if up <= 2 {
        let parts = std::iter::repeat_n("..".to_owned(), up).chain(
            to[common..]
                .iter()
                .map(|part| part.as_os_str().to_string_lossy().into_owned()),
        );
        return parts.collect::<Vec<_>>().join("/");
    }
    format!("file://{}", raw.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_letters_and_digits_only() {
        assert_eq!(label([0.7; 3]), "0p7mm");
        assert_eq!(label([1.0; 3]), "1mm");
        assert_eq!(label([0.5, 0.5, 1.0]), "0p5x0p5x1mm");
        assert_eq!(label([0.937_5; 3]), "0p938mm");
    }

    #[test]
    fn the_raw_data_set_is_found_from_the_derivative() {
        let link = |raw: &str, out: &str| link(Path::new(raw), Path::new(out));
        assert_eq!(link("/d/ds", "/d/ds/derivatives/voxelift"), "../..");
        assert_eq!(link("/d/ds", "/d/voxelift"), "../ds");
        assert_eq!(link("/d/ds", "/e/f/g/voxelift"), "file:///d/ds");
    }
}
