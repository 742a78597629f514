//! Slices -> stacks at one distance, one for each volume of the series.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::slice::{SEPARATORS, Slice};
use crate::error::{Result, VolumeError};
use crate::volume::{Geometry, affine_fault};

/// Slices lie where a regular stack has them, up to this share of their distance.
const REGULAR: f64 = 0.01;

/// Positions are rounded to a tenth of a millimetre by some archives; up to a share of the distance.
const ROUNDED_MM: f64 = 0.1;
const ROUNDED_SHARE: f64 = 0.05;

/// Slices that are shifted against one another by less than this (as a tangent, a tenth of a degree; in mm over the stack) lie one
/// above the other, and their places were rounded.
const UPRIGHT: f64 = 0.001_75;
const UPRIGHT_MM: f64 = 0.15;

/// A series in order.
#[derive(Debug)]
pub(super) struct Series {
    /// A volume each, its slices in the order of their places.
    pub frames: Vec<Vec<Slice>>,
    pub geometry: Geometry,
    /// Time between volumes, where they are repetitions of one another, in seconds.
    pub repetition_s: Option<f64>,
    /// Whether nothing but the numbers of the images tells the volumes apart.
    pub by_number_alone: bool,
    /// Warnings about the series.
    pub warnings: Vec<String>,
}

impl Series {
    /// Puts slices in order: by their place along the stack; those at one place belong to volumes of their own, in the
    /// order of their echoes, times and acquisitions ([`SEPARATORS`]), then of their numbers.
    ///
    /// # Errors
    /// Naming what the slices do not share, where the stack is irregular, or what nothing tells apart.
    pub fn sorted(folder: &Path, mut slices: Vec<Slice>) -> Result<Self> {
        one_series(folder, &slices)?;
        let first = slices[0].clone();
        for slice in &slices {
            matches(slice, &first)?;
        }
        let [x, y] = first.along;
        let normal = [
            x[1] * y[2] - x[2] * y[1],
            x[2] * y[0] - x[0] * y[2],
            x[0] * y[1] - x[1] * y[0],
        ];
        let place = |slice: &Slice| -> f64 { (0..3).map(|i| slice.position[i] * normal[i]).sum() };
        slices.sort_by(|a, b| place(a).total_cmp(&place(b)));

        let mut places: Vec<Vec<Slice>> = Vec::new();
        for slice in slices {
            match places.last_mut() {
                // A hundredth of a millimetre: closer slices no scanner makes.
                Some(here) if place(&slice) - place(&here[0]) < 1e-2 => here.push(slice),
                _ => places.push(vec![slice]),
            }
        }
        let volumes = places[0].len();
        one_kind(folder, &places)?;
        if let Some(odd) = places.iter().find(|here| here.len() != volumes) {
            let value = format!(
                "{} slices at {:.3} mm, {volumes} at {:.3} mm",
                odd.len(),
                place(&odd[0]),
                place(&places[0][0])
            );
            let expected = "as many at each place: a slice is missing, or several scans are in the folder";
            return Err(VolumeError::malformed(folder, "the series", value, expected));
        }
        let separators = separate(folder, &mut places)?;
        let varying = |name: &'static str| separators.contains(&name);
        let mut warnings = Vec::new();
        if volumes > 1 && (varying("EchoTime") || varying("EchoNumbers")) {
            warnings.push(format!(
                "{volumes} volumes by {}: echoes, not repetitions; a model is meant for one of them",
                separators.join(", ")
            ));
        }

        let (step, tilt) = step(&places, normal)?;
        if let Some(degrees) = tilt {
            warnings.push(format!(
                "the slices are shifted against one another by {degrees:.2} degrees (gantry tilt): the sform says so, no qform can, and \
                 tools that take slices for upright (ITK, ANTs) refuse such a file"
            ));
        }
        let start = places[0][0].position;
        // DICOM's world is LPS.
        let sign = [-1.0, -1.0, 1.0];
        let world_from_voxel = std::array::from_fn(|row| {
            [
                sign[row] * x[row] * first.spacing_mm[0],
                sign[row] * y[row] * first.spacing_mm[1],
                sign[row] * step[row],
                sign[row] * start[row],
            ]
        });
        if let Some((value, expected)) = affine_fault(&world_from_voxel) {
            let field = "ImagePositionPatient and PixelSpacing";
            return Err(VolumeError::malformed(folder, field, value, expected));
        }
        let geometry = Geometry {
            extent: [first.columns, first.rows, places.len()],
            world_from_voxel,
        };
        let repeated = !["EchoTime", "EchoNumbers", "InversionTime"]
            .into_iter()
            .any(varying);
        let repetition_s = first.repetition_ms.filter(|_| repeated).map(|ms| ms / 1000.0);
        let frames = (0..volumes).map(|volume| places.iter().map(|here| here[volume].clone()).collect());
        Ok(Self {
            frames: frames.collect(),
            geometry,
            repetition_s,
            by_number_alone: volumes > 1 && separators.is_empty(),
            warnings,
        })
    }
}

/// Refuses images of several kinds where they cannot be slices of one volume: magnitude and phase, derived ones beside original ones.
fn one_kind(folder: &Path, places: &[Vec<Slice>]) -> Result<()> {
    let slices = || places.iter().flatten();
    let part = |slice: &Slice| slice.kind.split('\\').nth(2).unwrap_or_default().to_owned();
    let kinds: BTreeSet<String> = if places.iter().any(|here| here.len() > 1) {
        slices().map(|slice| slice.kind.clone()).collect()
    } else {
        slices().map(part).collect()
    };
    if kinds.len() < 2 {
        return Ok(());
    }
    let named: Vec<&str> = kinds
        .iter()
        .map(|kind| if kind.is_empty() { "none" } else { kind })
        .collect();
    let value = format!(
        "{} kinds of image by ImageType ({})",
        kinds.len(),
        named.join("; ")
    );
    let expected = "one kind: magnitude, phase and derived images in folders of their own";
    Err(VolumeError::malformed(folder, "the series", value, expected))
}

/// Orders the slices at each place, and names what tells their volumes apart beside their numbers.
///
/// # Errors
/// Where two slices at one place have the same of everything, or the echoes differ from place to place.
fn separate(folder: &Path, places: &mut [Vec<Slice>]) -> Result<Vec<&'static str>> {
    let values = |here: &[Slice], attribute: usize| {
        let mut values: Vec<Option<f64>> = here.iter().map(|slice| slice.separators[attribute]).collect();
        values.sort_by(order);
        values
    };
    let mut used = Vec::new();
    for (attribute, name) in SEPARATORS.into_iter().enumerate() {
        let first = values(&places[0], attribute);
        if places.iter().all(|here| values(here, attribute) == first) {
            if first.first() != first.last() {
                used.push(attribute);
            }
        } else if name == "EchoTime" && places[0].len() > 1 {
            let value = "not the same at each place".to_owned();
            let expected =
                "the same echoes at each place: slices are missing, or several scans are in the folder";
            return Err(VolumeError::malformed(folder, name, value, expected));
        }
    }
    let compared = |a: &Slice, b: &Slice| {
        let by = |attribute: &usize| order(&a.separators[*attribute], &b.separators[*attribute]);
        let first = used.iter().map(by).find(|ordering| ordering.is_ne());
        first.unwrap_or_else(|| a.number.cmp(&b.number))
    };
    for here in &mut *places {
        here.sort_by(compared);
        if let Some([a, b]) = here.array_windows().find(|[a, b]| compared(a, b).is_eq()) {
            let number = a
                .number
                .map_or_else(|| "none".to_owned(), |number| number.to_string());
            let value = format!("{number}, as that of {}, at the same place", a.path.display());
            let expected =
                "something that tells them apart (echo, time, acquisition, number): exported twice?";
            return Err(VolumeError::malformed(&b.path, "InstanceNumber", value, expected));
        }
    }
    Ok(used.into_iter().map(|attribute| SEPARATORS[attribute]).collect())
}

fn order(a: &Option<f64>, b: &Option<f64>) -> Ordering {
    let key = |value: &Option<f64>| value.unwrap_or(f64::NEG_INFINITY);
    key(a).total_cmp(&key(b))
}

/// From one slice to the next, in LPS mm, and by how many degrees that is not along the normal, where it is no rounding.
fn step(places: &[Vec<Slice>], normal: [f64; 3]) -> Result<([f64; 3], Option<f64>)> {
    let (first, last) = (&places[0][0], &places[places.len() - 1][0]);
    if places.len() == 1 {
        let expected = "a positive length in mm, as there is one slice only";
        let mm = first
            .step_mm
            .ok_or_else(|| VolumeError::malformed(&first.path, "SliceThickness", "missing", expected))?;
        return Ok((normal.map(|n| n * mm), None));
    }
    let gaps = places.len() as f64 - 1.0;
    let step: [f64; 3] = std::array::from_fn(|i| (last.position[i] - first.position[i]) / gaps);
    let length = step.iter().map(|s| s * s).sum::<f64>().sqrt();
    for (k, slice) in places
        .iter()
        .enumerate()
        .flat_map(|(k, here)| here.iter().map(move |slice| (k, slice)))
    {
        let off = (0..3).map(|i| slice.position[i] - first.position[i] - k as f64 * step[i]);
        let off = off.map(|d| d * d).sum::<f64>().sqrt();
        if off > (REGULAR * length).max(ROUNDED_MM.min(ROUNDED_SHARE * length)) {
            let value = format!(
                "{off:.3} mm from where slice {} of {} would lie",
                k + 1,
                places.len()
            );
            let expected = format!(
                "slices {length:.3} mm apart, all of them: a slice is missing, or the stack is irregular"
            );
            return Err(VolumeError::malformed(
                &slice.path,
                "ImagePositionPatient",
                value,
                expected,
            ));
        }
    }
    let along: f64 = (0..3).map(|i| step[i] * normal[i]).sum();
    let aside: [f64; 3] = std::array::from_fn(|i| step[i] - along * normal[i]);
    let aside = aside.iter().map(|s| s * s).sum::<f64>().sqrt();
    if aside <= UPRIGHT * along || aside * gaps <= UPRIGHT_MM {
        return Ok((normal.map(|n| n * along), None));
    }
    Ok((step, Some(aside.atan2(along).to_degrees())))
}

fn one_series(folder: &Path, slices: &[Slice]) -> Result<()> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut instances: BTreeMap<&str, &Slice> = BTreeMap::new();
    for slice in slices {
        *counts.entry(&slice.series).or_default() += 1;
        if let Some(other) = instances
            .insert(&slice.instance, slice)
            .filter(|_| !slice.instance.is_empty())
        {
            let value = format!("that of {}", other.path.display());
            return Err(VolumeError::malformed(
                &slice.path,
                "SOPInstanceUID",
                value,
                "each image once; remove the copy",
            ));
        }
    }
    if counts.len() > 1 {
        let files = counts
            .values()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let value = format!("{} series (of {files} images)", counts.len());
        let expected = "one; give each series a folder of its own";
        return Err(VolumeError::malformed(
            folder,
            "the folder's content",
            value,
            expected,
        ));
    }
    Ok(())
}

/// Refuses a slice of another size, spacing or orientation than the first.
fn matches(slice: &Slice, first: &Slice) -> Result<()> {
    let apart =
        |a: &[f64], b: &[f64], tolerance: f64| a.iter().zip(b).any(|(a, b)| (a - b).abs() > tolerance);
    let size = |slice: &Slice| [slice.columns as f64, slice.rows as f64];
    let (ours, theirs) = (slice.along, first.along);
    let differs = if size(slice) != size(first) {
        Some((
            "Columns, Rows",
            format!("{:?}", size(slice)),
            format!("{:?}", size(first)),
        ))
    } else if slice.patient != first.patient {
        // Neither of the two is named: a message goes into logs.
        Some(("PatientID", "another".to_owned(), "the same person".to_owned()))
    } else if apart(&slice.spacing_mm, &first.spacing_mm, 1e-4) {
        Some((
            "PixelSpacing",
            format!("{:?}", slice.spacing_mm),
            format!("{:?}", first.spacing_mm),
        ))
    } else if apart(ours.as_flattened(), theirs.as_flattened(), 1e-3) {
        Some((
            "ImageOrientationPatient",
            format!("{ours:?}"),
            format!("{theirs:?}"),
        ))
    } else {
        None
    };
    differs.map_or(Ok(()), |(field, value, expected)| {
        let expected = format!("{expected}, as in {}", first.path.display());
        Err(VolumeError::malformed(&slice.path, field, value, expected))
    })
}
