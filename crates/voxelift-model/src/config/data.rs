//! Which scans have which role.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use voxelift_volume::degrade::{Degradation, Operator, Operators};

use super::Mode;
use crate::error::{ModelError, Result};

/// The scans of a run and their roles.
///
/// A scan is named by a glob of NIfTI files, or as `phantom:SEED` or `phantom:FIRST-LAST` for synthetic heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder that relative globs start from; itself relative to the configuration file.
    pub root: PathBuf,
    /// HR scans, in the order in which fractions take subjects.
    pub hr: Vec<String>,
    /// LR scans of other subjects.
    pub lr: LrConfig,
    /// HR scans of yet other subjects; their simulated LR versions are super-resolved and scored.
    pub validation: Vec<String>,
    /// HR scans of subjects in no other role, for the self-test at the end of the run: super-resolved from simulated LR versions
    /// and scored once, for the model's card. Without them those of `validation` are taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// How the LR versions of the self-test are made, one test each; without, as the LR scans were, or through the known
    /// operator where those are real.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test_degrade: Vec<Degradation>,
    /// Whether, without `test` and `validation`, the last of at least four HR subjects is kept out of the training for the
    /// self-test.
    #[serde(skip_serializing_if = "is_true")]
    pub leave_out: bool,
    /// Share of the HR subjects that is used, in the order of `hr`; never fewer than one subject.
    pub hr_fraction: f64,
    /// Share of each HR scan that patches are drawn from: the middle of its patches along z. For studies of scarcity.
    pub hr_slab: f64,
    /// Subjects who were scanned more than once, each as `name+name`.
    pub people: Vec<String>,
    /// The known operator `A_s` that makes `X_s` of `Y_s`; of a list each is drawn as often as it stands there.
    pub source_operator: SourceOperator,
    /// By how many HR voxels along each axis `A_s` misplaces the head: 0, but as a negative control, where half a voxel
    /// shows what mixed grid conventions cost.
    #[serde(skip_serializing_if = "is_zero")]
    pub source_shift: f64,
    /// The synthetic heads behind `phantom:SEED`.
    pub phantom: PhantomSource,
    /// Folder that keeps the prepared scans, from `root`: for cohorts larger than the memory, and for runs that share
    /// their data. Without it they are held in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// What a user of the model must know of its data (licences, contrast); kept in the model card.
    pub notes: String,
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            root: PathBuf::new(),
            hr: Vec::new(),
            lr: LrConfig::default(),
            validation: Vec::new(),
            test: Vec::new(),
            test_degrade: Vec::new(),
            leave_out: true,
            hr_fraction: 1.0,
            hr_slab: 1.0,
            people: Vec::new(),
            source_operator: SourceOperator::default(),
            source_shift: 0.0,
            phantom: PhantomSource::default(),
            cache: None,
            notes: String::new(),
        }
    }
}

/// The target scans: `lr = ["glob", ...]` where they are real, `lr = { files = [...], degrade = ... }` where they are
/// simulated from HR scans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected lr = [\"glob\", ...] for real scans, or lr = { files = [\"glob\", ...], degrade = { ... } } for simulated ones"
)]
#[non_exhaustive]
pub enum LrConfig {
    /// Real LR scans.
    Real(Vec<String>),
    /// HR scans of other subjects, degraded; their HR voxels are never shown to training.
    Simulated(SimulatedLr),
}

/// See [`LrConfig::Simulated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedLr {
    /// The HR scans.
    pub files: Vec<String>,
    /// What makes LR scans of them.
    pub degrade: Degradation,
}

impl Default for LrConfig {
    fn default() -> Self {
        Self::Real(Vec::new())
    }
}

impl LrConfig {
    /// The globs.
    pub fn files(&self) -> &[String] {
        match self {
            Self::Real(files) => files,
            Self::Simulated(simulated) => &simulated.files,
        }
    }

    /// The degradation that simulates the target domain, where it is simulated.
    pub fn degradation(&self) -> Option<&Degradation> {
        match self {
            Self::Real(_) => None,
            Self::Simulated(simulated) => Some(&simulated.degrade),
        }
    }

    pub(super) fn degradation_mut(&mut self) -> Option<&mut Degradation> {
        match self {
            Self::Real(_) => None,
            Self::Simulated(simulated) => Some(&mut simulated.degrade),
        }
    }
}

/// How `A_s` is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected source_operator = \"auto\", \"mixture\", an operator such as \"kspace\", or a list of operators"
)]
#[non_exhaustive]
pub enum SourceOperator {
    /// `"auto"`: spectral calibration against the LR scans; or `"mixture"`: several copies of each volume.
    Named(NamedSource),
    /// Several copies of each volume, one an operator.
    Several(Vec<Operators>),
    /// One operator.
    One(Operators),
}

impl SourceOperator {
    /// Whether it is one in the end, stated or calibrated.
    pub(super) fn is_one(&self) -> bool {
        match self {
            Self::Named(NamedSource::Auto) | Self::One(_) => true,
            Self::Named(NamedSource::Mixture) => false,
            Self::Several(operators) => operators.len() == 1,
        }
    }

    /// The copies of `"mixture"`.
    pub fn mixture() -> [Operators; 4] {
        [
            Operator::KSpace,
            Operator::Cubic,
            Operator::Box,
            Operator::GAUSSIAN,
        ]
        .map(Operators::isotropic)
    }
}

/// See [`SourceOperator::Named`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NamedSource {
    /// Spectral calibration.
    Auto,
    /// k-space, cubic, box and Gaussian copies of each volume.
    Mixture,
}

impl Default for SourceOperator {
    fn default() -> Self {
        Self::Named(NamedSource::Auto)
    }
}

/// The synthetic heads behind `phantom:SEED`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PhantomSource {
    /// Voxels along x, y, z.
    pub extent: [usize; 3],
    /// Millimetres between them.
    pub spacing_mm: f64,
}

impl Default for PhantomSource {
    fn default() -> Self {
        Self {
            extent: [96, 112, 96],
            spacing_mm: 1.6,
        }
    }
}

/// A path of a configuration, so that it means the same wherever the configuration is read again.
pub(super) fn absolute(path: &Path, key: &str) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| ModelError::config(key, path.display(), e.to_string()))
}

impl DataConfig {
    /// `root` as an absolute folder, so that the configuration means the same wherever it is read again.
    pub(super) fn root_from(&self, folder: &Path) -> Result<PathBuf> {
        absolute(&folder.join(&self.root), "data.root")
    }

    pub(super) fn check(&self, mode: Mode, placed: bool) -> Result<()> {
        let needed = "expected at least one glob, or phantom:SEED";
        if self.hr.is_empty() {
            return Err(ModelError::config("data.hr", "[]", needed));
        }
        if !placed
            && self.lr.files().is_empty()
            && (mode == Mode::Unpaired || self.source_operator == SourceOperator::default())
        {
            let why = "LR scans of other subjects are what the unpaired method and source_operator = \"auto\" learn from";
            return Err(ModelError::config("data.lr", "[]", format!("{needed}: {why}")));
        }
        for degradation in &self.test_degrade {
            degradation
                .check()
                .map_err(|e| ModelError::config("data.test_degrade", degradation, e.to_string()))?;
        }
        let simulated = self.lr.degradation().map(|one| ("data.lr.degrade", one));
        let tests = self.test_degrade.iter().map(|one| ("data.test_degrade", one));
        for (key, degradation) in simulated.into_iter().chain(tests) {
            if degradation.shift != 0.0 && !placed {
                let expected = "expected no shift: what a head that lies elsewhere costs is asked by data.source_shift, or by a study's test";
                return Err(ModelError::config(key, degradation, expected));
            }
        }
        if matches!(&self.source_operator, SourceOperator::Several(list) if list.is_empty()) {
            return Err(ModelError::config(
                "data.source_operator",
                "[]",
                "expected at least one operator",
            ));
        }
        Ok(())
    }
}
