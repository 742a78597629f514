//! `--audit`: the files beside an output that say what of it was measured, what the model added, and how sure it is of that.

use std::path::{Path, PathBuf};

use serde_json::json;
use voxelift_model::upscale::Audit;
use voxelift_volume::Geometry;
use voxelift_volume::files::write_atomically;
use voxelift_volume::nifti::{Header, WriteOptions};
use voxelift_volume::scan;
use voxelift_volume::target::Target;

use super::super::files;
use crate::terminal::Terminal;

/// The files beside an output that an audit writes.
#[derive(Clone, Debug)]
pub struct AuditFiles {
    /// What was found.
    pub json: PathBuf,
    /// What the model added to the measured frequencies.
    pub null_space: PathBuf,
    /// The standard deviation of that over the ensemble.
    pub spread: PathBuf,
}

impl AuditFiles {
    /// Beside an output.
    pub fn beside(output: &Path) -> Self {
        let named = |ending: &str| output.with_file_name(format!("{}_{ending}", scan::stem(output)));
        Self {
            json: named("audit.json"),
            null_space: named("null-space.nii.gz"),
            spread: named("null-space-spread.nii.gz"),
        }
    }

    /// All of them.
    pub fn all(&self) -> [&PathBuf; 3] {
        [&self.json, &self.null_space, &self.spread]
    }

    /// The maps among them.
    pub fn maps(&self) -> [&PathBuf; 2] {
        [&self.null_space, &self.spread]
    }
}

/// Where the maps of an audit lie.
pub struct Place<'a> {
    /// The grid that was asked for.
    pub target: &'a Target,
    /// The same, of this scan.
    pub grid: &'a Geometry,
    /// The header of the output.
    pub header: Header,
    /// How files are written; maps are float32 whatever the output is.
    pub write: WriteOptions,
}

/// Writes the three files.
///
/// # Errors
/// When one cannot be written.
pub fn write(
    audit: Audit,
    files: &AuditFiles,
    place: &Place<'_>,
    input: &Path,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let mut found = serde_json::to_value(&audit)?;
    found["source"] = json!(input.to_string_lossy());
    found["voxelift"] = json!(env!("CARGO_PKG_VERSION"));
    found["null_space"]["map"] = json!(name(&files.null_space));
    found["null_space"]["spread"] = json!(name(&files.spread));
    let maps = [
        (audit.map, &files.null_space),
        (audit.ensemble.spread, &files.spread),
    ];
    for (map, path) in maps {
        let (placed, _) = place.target.placed(map, place.grid);
        files::write(path, &place.header, [Ok(placed)], &place.write, terminal)?;
    }
    let text = serde_json::to_string_pretty(&found)?;
    write_atomically(&files.json, place.write.force, |out| writeln!(out, "{text}"))?;
    Ok(())
}
