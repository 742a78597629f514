//! An audit: what of one output was measured, what the model added, and how sure it is of that.

use std::fmt;

use serde::Serialize;
use voxelift_volume::Volume;
use voxelift_volume::audit::{Ensemble, EnsembleAgreement, NullSpace, residual};
use voxelift_volume::intensity::foreground_peak;
use voxelift_volume::target::Target;

use super::error::Result;
use super::event::Event;
use super::model::Model;
use crate::infer::MIRRORINGS;

/// Applies the model to every mirroring of the scan: the output that was asked for, which is the first or the mean
/// of them, and how far they agree. The scan measured so many voxels: where its scanner interpolated, fewer than it has.
///
/// # Errors
/// When the model cannot take the scan.
pub fn gather(
    model: &Model,
    scan: &Volume,
    measured: [usize; 3],
    target: &Target,
    tile: Option<usize>,
    hear: &mut dyn FnMut(Event),
) -> Result<(Volume, EnsembleAgreement)> {
    let first = model.member(scan, target, tile, 0, hear)?;
    let mut ensemble = Ensemble::new(first.geometry(), measured);
    ensemble.add(&first);
    for mirroring in 1..MIRRORINGS {
        ensemble.add(&model.member(scan, target, tile, mirroring, hear)?);
    }
    let agreement = ensemble.agreement();
    let output = if model.averages() {
        agreement.mean.clone()
    } else {
        first
    };
    Ok((output, agreement))
}

/// An audit of one output.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// How far the output degraded again differs from the scan, for each operator that the model was trained through.
    pub data_consistency: Vec<Residual>,
    /// How far the outputs for the mirrorings of the scan agree.
    pub ensemble: EnsembleAgreement,
    /// What the model added to what was measured.
    pub null_space: Added,
    /// The same, voxel by voxel, on the model's own grid.
    #[serde(skip)]
    pub map: Volume,
}

/// How far an output that is degraded again differs from its scan.
#[derive(Clone, Debug, Serialize)]
pub struct Residual {
    /// The operator that degrades it.
    pub operator: String,
    /// The norm of the difference over that of the scan.
    pub residual: f64,
}

/// What a model added to what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Added {
    /// What is taken for the measurement.
    pub of: &'static str,
    /// The share of the output's energy.
    pub energy: f64,
    /// Root mean square, in the scan's units.
    pub rms: f64,
    /// The largest magnitude, in the scan's units.
    pub largest: f64,
    /// Root mean square of its standard deviation over the mirrorings.
    pub spread_rms: f64,
    /// The peak of the scan's foreground (99.5th percentile).
    pub foreground_p995: f64,
}

impl Audit {
    /// Looks at the output as it will be written, on the model's own grid.
    ///
    /// # Errors
    /// When output and scan do not cover the same field of view.
    pub fn of(model: &Model, agreement: EnsembleAgreement, output: &Volume, scan: &Volume) -> Result<Self> {
        let residuals = model.operators()?.into_iter().map(|operator| {
            Ok(Residual {
                residual: residual(&operator, output, scan)?,
                operator: operator.to_string(),
            })
        });
        let data_consistency = residuals.collect::<Result<_>>()?;
        let null_space = NullSpace::of(output, scan.extent());
        let peak = f64::from(foreground_peak(scan)?);
        let spread = agreement.spread.data();
        let power: f64 = spread.iter().map(|v| f64::from(*v).powi(2)).sum();
        Ok(Self {
            data_consistency,
            null_space: Added {
                of: "k-space truncation to the scan's grid",
                energy: null_space.energy,
                rms: null_space.rms,
                largest: null_space.largest,
                spread_rms: (power / spread.len() as f64).sqrt(),
                foreground_p995: peak,
            },
            ensemble: agreement,
            map: null_space.map,
        })
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.data_consistency {
            writeln!(
                f,
                "audit: degraded again by {} it differs from the scan by {:.2e} of its norm",
                one.operator, one.residual
            )?;
        }
        let beyond = &self.ensemble.beyond_nyquist;
        let agreement = beyond.agreement.map_or_else(
            || "nothing to agree on".to_owned(),
            |a| format!("agreement {a:.3}"),
        );
        writeln!(
            f,
            "audit: beyond the scan's Nyquist frequency {:.3} % of the energy; {MIRRORINGS} mirrorings: {agreement}",
            100.0 * beyond.energy
        )?;
        let added = &self.null_space;
        let percent = 100.0 / added.foreground_p995;
        write!(
            f,
            "audit: added to what was measured: {:.2} % of the foreground's peak (rms), {:.1} % at most; spread over the mirrorings {:.2} %",
            added.rms * percent,
            added.largest * percent,
            added.spread_rms * percent,
        )
    }
}
