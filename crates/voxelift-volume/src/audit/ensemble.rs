//! How far the members of an ensemble agree, frequency by frequency and voxel by voxel.
//!
//! With `X_m` the spectra of M members and `X` that of their mean, on a set S of frequencies
//!
//! ```text
//! energy     E = 1/M sum_m sum_S |X_m|^2
//! of mean    A = sum_S |X|^2
//! agreement  (M A / E - 1) / (M - 1)
//! ```
//!
//! The agreement is the mean over all pairs of different members of `Re sum_S X_m conj(X_n)`, over E: the pairs' Fourier
//! shell correlation with one common denominator, 1 where all members are the same and 0 on average where they are
//! independent. Noise of energy N that each member adds to a common signal of energy C, independently of the others,
//! leaves `C / (C + N)`: the disagreement is its share of the energy.
//!
//! Source: Unser, Trus, Steven, *Ultramicroscopy* 1987 (spectral signal-to-noise ratio of a set of aligned images);
//! Penczek, *J. Struct. Biol.* 2002 (its relation to the FSC of Harauz, van Heel 1986); Lim et al., *EDSR*, CVPRW 2017
//! (the self-ensemble). Members are tapered by half a cosine at each face before the transform.
//!
//! Limits: all members come from one network and one scan. What it invents in every mirroring agrees; a low agreement
//! says that a detail cannot be trusted, a high one does not say that it can. An operator that commutes with
//! mirroring, such as zero-filling, agrees perfectly whatever it does.

use serde::Serialize;

use crate::consistency::unmeasured;
use crate::kspace::{ShellGrid, Spectrum, bin_at};
use crate::metrics::Taper;
use crate::volume::{Geometry, Volume};

/// A shell with less than this share of all energy holds rounding noise.
const NEGLIGIBLE: f64 = 1e-12;

/// The members of an ensemble, added one after the other; none of them is kept.
pub struct Ensemble {
    grid: Geometry,
    measured: [usize; 3],
    shells: ShellGrid,
    taper: Taper,
    members: usize,
    sum: Vec<f64>,
    /// Of the members' parts in the null space of the measurement.
    added: Vec<f64>,
    added_squared: Vec<f64>,
    energy: Shells,
}

/// Energy on each shell: of all its frequencies, and of those beyond the measured ones.
struct Shells {
    all: Vec<f64>,
    beyond: Vec<f64>,
}

/// What the members of an ensemble share.
#[derive(Clone, Debug, Serialize)]
pub struct EnsembleAgreement {
    /// How many members.
    pub members: usize,
    /// The shells' radii, up to the lowest Nyquist frequency of the axes.
    pub cycles_per_mm: Vec<f64>,
    /// The members' mean energy on each shell, in units of their whole energy.
    pub energy: Vec<f64>,
    /// Their agreement on each shell; `null` where there is hardly any energy.
    pub agreement: Vec<Option<f64>>,
    /// The lowest Nyquist frequency of the scan's axes: shells beyond it are in part not measured.
    pub lr_nyquist_cycles_per_mm: f64,
    /// Over the frequencies that the scan does not hold.
    pub beyond_nyquist: BeyondNyquist,
    /// The members' mean.
    #[serde(skip)]
    pub mean: Volume,
    /// Standard deviation over the members of what each added to the measured frequencies, voxel by voxel.
    #[serde(skip)]
    pub spread: Volume,
}

/// The frequencies outside the box that the scan measured, and below the Nyquist frequency of the finer grid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BeyondNyquist {
    /// The members' mean energy there, in units of their whole energy.
    pub energy: f64,
    /// Their agreement there; `null` where there is hardly any energy.
    pub agreement: Option<f64>,
    /// The energy there that they do not share, in units of their whole energy.
    pub disagreeing_energy: f64,
}

impl Ensemble {
    /// An empty ensemble on `grid`, of a scan of `measured` voxels over the same field of view.
    pub fn new(grid: &Geometry, measured: [usize; 3]) -> Self {
        let shells = ShellGrid::new(grid.extent, grid.spacing_mm());
        let zeros = || vec![0.0; grid.voxels()];
        Self {
            measured,
            taper: Taper::of_faces(grid.extent),
            members: 0,
            sum: zeros(),
            added: zeros(),
            added_squared: zeros(),
            energy: Shells::none(&shells),
            grid: grid.clone(),
            shells,
        }
    }

    /// Adds a member.
    ///
    /// # Panics
    /// When it has another extent.
    pub fn add(&mut self, member: &Volume) {
        assert_eq!(member.extent(), self.grid.extent, "a member of another size");
        self.members += 1;
        for (sum, v) in self.sum.iter_mut().zip(member.data()) {
            *sum += f64::from(*v);
        }
        let added = unmeasured(member, self.measured);
        let sums = self.added.iter_mut().zip(&mut self.added_squared);
        for ((sum, squares), v) in sums.zip(added.data()) {
            *sum += f64::from(*v);
            *squares += f64::from(*v).powi(2);
        }
        let energy = self.shells_of(member);
        self.energy.add(&energy);
    }

    /// What the members share.
    ///
    /// # Panics
    /// With fewer than two members.
    pub fn agreement(&self) -> EnsembleAgreement {
        let members = self.members as f64;
        assert!(self.members > 1, "the agreement of {} members", self.members);
        let mean = self.sum.iter().map(|sum| (sum / members) as f32).collect();
        let mean = Volume::new(mean, self.grid.clone());
        let of_mean = self.shells_of(&mean);
        let total: f64 = self.energy.all.iter().sum::<f64>() / members;
        let share = |energy: f64| {
            if total > 0.0 {
                energy / members / total
            } else {
                0.0
            }
        };
        let agreement = |of_mean: f64, energy: f64| {
            (share(energy) > NEGLIGIBLE)
                .then(|| (members * of_mean / (energy / members) - 1.0) / (members - 1.0))
        };
        let curve = 1..=self.shells.last();
        let (beyond, beyond_of_mean) = (
            self.energy.beyond.iter().sum::<f64>(),
            of_mean.beyond.iter().sum::<f64>(),
        );
        let agreed = agreement(beyond_of_mean, beyond);
        let measured_mm = self.measured_mm();
        let spread = self.added.iter().zip(&self.added_squared).map(|(sum, squares)| {
            let variance = (squares - sum * sum / members) / (members - 1.0);
            variance.max(0.0).sqrt() as f32
        });
        EnsembleAgreement {
            members: self.members,
            cycles_per_mm: curve.clone().map(|shell| self.shells.radius(shell)).collect(),
            energy: curve.clone().map(|shell| share(self.energy.all[shell])).collect(),
            agreement: curve
                .map(|shell| agreement(of_mean.all[shell], self.energy.all[shell]))
                .collect(),
            lr_nyquist_cycles_per_mm: measured_mm
                .map(|mm| 0.5 / mm)
                .into_iter()
                .fold(f64::INFINITY, f64::min),
            beyond_nyquist: BeyondNyquist {
                energy: share(beyond),
                agreement: agreed,
                disagreeing_energy: share(beyond) * agreed.map_or(0.0, |agreed| 1.0 - agreed),
            },
            spread: Volume::new(spread.collect(), self.grid.clone()),
            mean,
        }
    }

    fn measured_mm(&self) -> [f64; 3] {
        let (spacing, extent) = (self.grid.spacing_mm(), self.grid.extent);
        std::array::from_fn(|a| spacing[a] * extent[a] as f64 / self.measured[a] as f64)
    }

    fn shells_of(&self, volume: &Volume) -> Shells {
        let measured_mm = self.measured_mm();
        let spectrum = Spectrum::of(&self.taper.applied_to(volume));
        let mut shells = Shells::none(&self.shells);
        for (i, value) in spectrum.data().iter().enumerate() {
            let bin = bin_at(self.grid.extent, i);
            let (shell, energy) = (self.shells.shell(bin), value.norm_sqr());
            shells.all[shell] += energy;
            if self.shells.is_beyond(bin, measured_mm) {
                shells.beyond[shell] += energy;
            }
        }
        shells
    }
}

impl Shells {
    fn none(shells: &ShellGrid) -> Self {
        Self {
            all: vec![0.0; shells.count()],
            beyond: vec![0.0; shells.count()],
        }
    }

    fn add(&mut self, other: &Self) {
        let sums = self.all.iter_mut().chain(&mut self.beyond);
        sums.zip(other.all.iter().chain(&other.beyond))
            .for_each(|(sum, more)| *sum += more);
    }
}
