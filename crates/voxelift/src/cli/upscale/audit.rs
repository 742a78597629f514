//! `--audit`: what of one answer was measured, what the model added, and how sure it is of that.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use voxelift_model::infer::MIRRORINGS;
use voxelift_volume::audit::{Ensemble, EnsembleAgreement, NullSpace, residual};
use voxelift_volume::files::write_atomically;
use voxelift_volume::intensity::foreground_peak;
use voxelift_volume::nifti::{Header, WriteOptions};
use voxelift_volume::{Geometry, Volume};

use super::super::files;
use super::method::Model;
use super::target::Target;
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
        let named = |ending: &str| output.with_file_name(format!("{}_{ending}", files::stem(output)));
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

/// Lets the model answer to every mirroring of the scan: the answer that was asked for, which is the first or the mean
/// of them, and how far they agree.
///
/// # Errors
/// When the model cannot take the scan.
pub fn gather(
    model: &Model,
    scan: &Volume,
    target: &Target,
    tile: Option<usize>,
    name: &str,
    terminal: &Terminal,
) -> anyhow::Result<(Volume, EnsembleAgreement)> {
    let first = model.member(scan, target, tile, 0, name, terminal)?;
    let mut ensemble = Ensemble::new(first.geometry(), scan.extent());
    ensemble.add(&first);
    for mirroring in 1..MIRRORINGS {
        ensemble.add(&model.member(scan, target, tile, mirroring, name, terminal)?);
    }
    let agreement = ensemble.agreement();
    let answer = if model.averages() {
        agreement.mean.clone()
    } else {
        first
    };
    Ok((answer, agreement))
}

/// An audit, to be written beside its output.
pub struct Audit {
    found: Value,
    null_space: Volume,
    spread: Volume,
}

impl Audit {
    /// Looks at the answer as it will be written, on the model's own grid.
    ///
    /// # Errors
    /// When answer and scan do not cover the same field of view.
    pub fn of(
        model: &Model,
        agreement: EnsembleAgreement,
        answer: &Volume,
        scan: &Volume,
    ) -> anyhow::Result<Self> {
        let residuals = model.operators()?.into_iter().map(|operator| {
            let residual = residual(&operator, answer, scan)?;
            Ok(json!({"operator": operator.to_string(), "residual": residual}))
        });
        let residuals: Vec<Value> = residuals.collect::<anyhow::Result<_>>()?;
        let null_space = NullSpace::of(answer, scan.extent());
        let peak = f64::from(foreground_peak(scan)?);
        let spread = agreement
            .spread
            .data()
            .iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>();
        let spread_rms = (spread / agreement.spread.data().len() as f64).sqrt();
        let found = json!({
            "data_consistency": residuals,
            "ensemble": agreement,
            "null_space": {
                "of": "k-space truncation to the scan's grid",
                "energy": null_space.energy,
                "rms": null_space.rms,
                "largest": null_space.largest,
                "spread_rms": spread_rms,
                "foreground_p995": peak,
            },
        });
        Ok(Self {
            found,
            null_space: null_space.map,
            spread: agreement.spread,
        })
    }

    /// What was found, in lines for people.
    pub fn lines(&self) -> Vec<String> {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let consistency = self.found["data_consistency"].as_array().into_iter().flatten();
        let mut lines: Vec<String> = consistency
            .map(|one| {
                let operator = one["operator"].as_str().unwrap_or_default();
                format!(
                    "audit: brought down again by {operator} it differs from the scan by {:.2e} of its norm",
                    number(&one["residual"])
                )
            })
            .collect();
        let (beyond, null_space) = (
            &self.found["ensemble"]["beyond_nyquist"],
            &self.found["null_space"],
        );
        let agreement = beyond["agreement"].as_f64().map_or_else(
            || "nothing to agree on".to_owned(),
            |a| format!("agreement {a:.3}"),
        );
        lines.push(format!(
            "audit: beyond the scan's Nyquist frequency {:.3} % of the energy; {MIRRORINGS} mirrorings: {agreement}",
            100.0 * number(&beyond["energy"])
        ));
        let peak = number(&null_space["foreground_p995"]);
        lines.push(format!(
            "audit: added to what was measured: {:.2} % of the foreground's peak (rms), {:.1} % at most; spread over the mirrorings {:.2} %",
            100.0 * number(&null_space["rms"]) / peak,
            100.0 * number(&null_space["largest"]) / peak,
            100.0 * number(&null_space["spread_rms"]) / peak,
        ));
        lines
    }

    /// Writes the three files.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(
        mut self,
        files: &AuditFiles,
        place: &Place,
        input: &Path,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        let maps = [(self.null_space, &files.null_space), (self.spread, &files.spread)];
        for (map, path) in maps {
            let (placed, _) = place.target.placed(map, place.grid);
            files::write(path, &place.header, [Ok(placed)], &place.write, terminal)?;
        }
        let name = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        self.found["source"] = json!(input.to_string_lossy());
        self.found["voxelift"] = json!(env!("CARGO_PKG_VERSION"));
        self.found["null_space"]["map"] = json!(name(&files.null_space));
        self.found["null_space"]["spread"] = json!(name(&files.spread));
        let text = serde_json::to_string_pretty(&self.found)?;
        write_atomically(&files.json, place.write.force, |out| writeln!(out, "{text}"))?;
        Ok(())
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
