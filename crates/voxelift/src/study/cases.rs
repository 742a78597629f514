//! A test set: scans whose reference is known, degraded, and what of them is scored.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Value, json};
use voxelift_model::config::DataConfig;
use voxelift_model::model_file::ModelCard;
use voxelift_model::train::{self, Entry, Source};
use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::{Degradation, Grid, Operator, Operators};
use voxelift_volume::intensity::{Mask, label_values};
use voxelift_volume::metrics::{Mixture, default_mask, map_on};
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
    /// Its scans by content.
    pub entries: Vec<Entry>,
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
            Ok::<_, anyhow::Error>(train::sources(&cohort, Role::Hr))
        };
        let mut scans = found(data, "images")?;
        let doubt = |what: String| warn(format!("test {}: {what}", definition.name));
        let turned = train::in_one_orientation(&mut scans, data)?;
        if !turned.is_empty() {
            doubt(format!(
                "{} stored in another orientation than {}; turned to that, without loss, so that the same axes are degraded",
                turned.join(", "),
                scans[0].name
            ));
        }
        let labels = if definition.labels.is_empty() {
            Vec::new()
        } else {
            let mut of_labels = data.clone();
            of_labels.hr.clone_from(&definition.labels);
            found(&of_labels, "labels")?
        };
        anyhow::ensure!(
            labels.is_empty() || labels.len() == scans.len(),
            "test {}: {} label maps for {} scans; expected one a scan, in the same order",
            definition.name,
            labels.len(),
            scans.len()
        );
        let entries = |scans: &[Source]| {
            let entry = |scan: &Source| {
                Ok(Entry {
                    role: Role::Test,
                    subject: scan.subject.clone(),
                    path: scan.path().to_owned(),
                    content: scan.content(data)?,
                })
            };
            scans.iter().map(entry).collect::<anyhow::Result<Vec<Entry>>>()
        };
        let identities = |scans: &[Source], entries: &[Entry]| -> Vec<Value> {
            let all = scans.iter().zip(entries);
            all.map(|(scan, entry)| json!([scan.name, entry.subject, entry.content]))
                .collect()
        };
        let (of_scans, of_labels) = (entries(&scans)?, entries(&labels)?);
        let mut of = json!({
            "protocol": PROTOCOL,
            "degrade": definition.degrade,
            "seed": definition.seed,
            "classes": definition.classes,
            "scans": identities(&scans, &of_scans),
            "labels": identities(&labels, &of_labels),
        });
        // What versions before did otherwise: only such scores are computed anew.
        if !turned.is_empty() {
            of["turned"] = json!(turned);
        }
        if !labels.is_empty() {
            of["labels_by"] = json!("place");
        }
        Ok(Self {
            definition,
            scans,
            labels,
            entries: of_scans,
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

    /// In which respects the voxels of its LR scans are none that a model was trained on.
    ///
    /// # Errors
    /// When the header of a scan cannot be read.
    pub fn strange_to(&self, card: &ModelCard) -> anyhow::Result<BTreeSet<String>> {
        let Scale(scale) = self.scale();
        let mut strange = BTreeSet::new();
        for scan in &self.scans {
            let fine = scan.spacing_mm(&self.definition.data)?;
            strange.extend(card.strange_voxels([0, 1, 2].map(|axis| fine[axis] * scale[axis] as f64)));
        }
        Ok(strange)
    }

    /// Whether the LR scans hold the measured k-space itself, so that consistency with them means something.
    pub fn is_truncated(&self) -> bool {
        self.definition.degrade.operator == Operators::isotropic(Operator::KSpace)
    }

    /// Reads and degrades a scan; what is doubtful about it goes to `warn`.
    ///
    /// # Errors
    /// When it cannot be read, or its label map lies elsewhere.
    pub fn case(&self, index: usize, warn: &dyn Fn(String)) -> anyhow::Result<Case> {
        let data = &self.definition.data;
        let doubt = |what: String| warn(format!("test {}: {what}", self.definition.name));
        let reference = self.scans[index].load(data, &mut |what| doubt(what))?;
        if let Some(values) = label_values(&reference) {
            doubt(format!(
                "{}: holds {values} different values, as a mask or a label map does and no scan",
                self.scans[index].name
            ));
        }
        let degrade: &Degradation = &self.definition.degrade;
        let lr = degrade.apply(&reference, self.definition.seed + index as u64)?;
        let mut classes = Vec::new();
        if self.definition.classes {
            let (mask, _) = default_mask(&reference)?;
            classes.extend(intensity_classes(&reference, &mask));
        }
        if let Some(labels) = self.labels.get(index) {
            let read = || {
                let map = scan::read(labels.path(), &ReadOptions::default())?.into_single()?;
                map_on(reference.geometry(), &map, "label map")
            };
            let (map, how) = read().with_context(|| labels.name.clone())?;
            if map.data().iter().all(|label| *label == 0.0) {
                doubt(format!("{}: marks nothing", labels.name));
            }
            if let Some(how) = how {
                doubt(format!("{}: {how}", labels.name));
            }
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
