//! A test set: scans whose reference is known, degraded, and what of them is scored.

use anyhow::Context;
use serde_json::{Value, json};
use voxelift_model::config::DataConfig;
use voxelift_model::train::{self, Source};
use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::{Degradation, Grid, Operator, Operators};
use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{Mixture, default_mask};
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::{Scale, Volume, scan};

use super::definition::TestDefinition;

/// Changes with what is scored and how: scores of another number are computed anew.
const PROTOCOL: u32 = 3;

/// A test set, none of its scans read yet.
#[derive(Clone, Debug)]
pub struct TestSet {
    /// As it was written.
    pub definition: TestDefinition,
    /// Its scans, in order.
    pub scans: Vec<Source>,
    labels: Vec<Source>,
    /// Everything but the method that the scores depend on.
    pub of: Value,
}

/// A scan as it is tested.
#[derive(Clone, Debug)]
pub struct Case {
    /// The reference.
    pub reference: Volume,
    /// What the methods get.
    pub lr: Volume,
    /// Parts of the reference that are scored by themselves.
    pub classes: Vec<(String, Mask)>,
}

impl TestSet {
    /// Finds the scans and their subjects, and reads what identifies them; what is doubtful about them goes to `warn`.
    ///
    /// # Errors
    /// A glob that finds nothing, label maps that are not one a scan, or a file that cannot be read.
    pub fn find(definition: TestDefinition, warn: impl Fn(String)) -> anyhow::Result<Self> {
        let data = &definition.data;
        // A test's globs stand in the place of a training's.
        let found = |data: &DataConfig, key: &str| {
            let cohort = train::cohort(data).with_context(|| format!("test {}: {key}", definition.name))?;
            let unknown = train::unknown_people(&cohort);
            Ok::<_, anyhow::Error>((train::sources(&cohort, Role::Hr), unknown))
        };
        let (scans, unknown) = found(data, "images")?;
        if let Some(unknown) = unknown {
            warn(format!("test {}: {unknown}", definition.name));
        }
        let labels = if definition.labels.is_empty() {
            Vec::new()
        } else {
            let mut of_labels = data.clone();
            of_labels.hr.clone_from(&definition.labels);
            found(&of_labels, "labels")?.0
        };
        anyhow::ensure!(
            labels.is_empty() || labels.len() == scans.len(),
            "test {}: {} label maps for {} scans; expected one a scan, in the same order",
            definition.name,
            labels.len(),
            scans.len()
        );
        let identities = |scans: &[Source]| {
            let all = scans
                .iter()
                .map(|scan| Ok(json!([scan.name, scan.subject, scan.content(data)?])));
            all.collect::<anyhow::Result<Vec<Value>>>()
        };
        let of = json!({
            "protocol": PROTOCOL,
            "degrade": definition.degrade,
            "seed": definition.seed,
            "classes": definition.classes,
            "scans": identities(&scans)?,
            "labels": identities(&labels)?,
        });
        Ok(Self {
            definition,
            scans,
            labels,
            of,
        })
    }

    /// HR voxels per LR voxel.
    pub fn scale(&self) -> Scale {
        match self.definition.degrade.grid {
            Grid::Scale(scale) => scale,
            Grid::SpacingMm(_) => unreachable!("refused when the study was read"),
        }
    }

    /// Whether the LR scans hold the measured k-space itself, so that consistency with them means something.
    pub fn is_truncated(&self) -> bool {
        self.definition.degrade.operator == Operators::isotropic(Operator::KSpace)
    }

    /// Reads and degrades a scan.
    ///
    /// # Errors
    /// When it cannot be read, or a label map lies on another grid.
    pub fn case(&self, index: usize) -> anyhow::Result<Case> {
        let data = &self.definition.data;
        let reference = self.scans[index].load(data, &mut |_| {})?;
        let degrade: &Degradation = &self.definition.degrade;
        let lr = degrade.apply(&reference, self.definition.seed + index as u64)?;
        let mut classes = Vec::new();
        if self.definition.classes {
            let (mask, _) = default_mask(&reference)?;
            classes.extend(intensity_classes(&reference, &mask));
        }
        if let Some(labels) = self.labels.get(index) {
            let map = scan::read(labels.path(), &ReadOptions::default())?.into_single()?;
            anyhow::ensure!(
                map.extent() == reference.extent(),
                "{}: extent {:?}; expected that of {}, {:?}",
                labels.name,
                map.extent(),
                self.scans[index].name,
                reference.extent()
            );
            classes.extend(labelled(&map));
        }
        Ok(Case {
            reference,
            lr,
            classes,
        })
    }
}

/// The voxels of each of the reference's three intensity classes, from dark to bright.
fn intensity_classes(reference: &Volume, mask: &Mask) -> Vec<(String, Mask)> {
    let Some(mixture) = Mixture::fitted(reference, mask) else {
        return Vec::new();
    };
    let voxels = || reference.data().iter().zip(mask.data());
    let of = |class: usize| {
        let inside = voxels().map(|(v, m)| *m && mixture.class_of(f64::from(*v)) == class);
        Mask::new(inside.collect(), reference.extent())
    };
    let names = ["dark", "middle", "bright"].into_iter().enumerate();
    names
        .map(|(class, name)| (name.to_owned(), of(class)))
        .filter(|(_, mask)| mask.count() > 0)
        .collect()
}

/// The voxels of each label but 0.
fn labelled(map: &Volume) -> Vec<(String, Mask)> {
    let mut labels: Vec<f32> = map.data().iter().copied().filter(|v| *v != 0.0).collect();
    labels.sort_by(f32::total_cmp);
    labels.dedup();
    let of = |label: f32| {
        let inside = map.data().iter().map(|v| *v == label).collect();
        (format!("label {label}"), Mask::new(inside, map.extent()))
    };
    labels.into_iter().map(of).collect()
}
