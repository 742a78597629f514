//! Slices -> stacks at one distance, one for each volume of the series.

use std::collections::BTreeMap;
use std::path::Path;

use super::slice::Slice;
use crate::error::{Result, VolumeError};
use crate::volume::{Geometry, affine_fault};

/// Slices lie where a regular stack has them, up to this share of their distance.
const REGULAR: f64 = 0.01;

/// A series in order.
#[derive(Debug)]
pub(super) struct Series {
    /// A volume each, its slices in the order of their places.
    pub frames: Vec<Vec<Slice>>,
    pub geometry: Geometry,
    /// Time between volumes, where they are repetitions of one another, in seconds.
    pub repetition_s: Option<f64>,
}

impl Series {
    /// Puts slices in order: by their place along the stack; those at one place belong to volumes of their own, in the
    /// order of their numbers.
    ///
    /// # Errors
    /// Naming what the slices do not share, or where the stack is irregular.
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
        slices.sort_by(|a, b| place(a).total_cmp(&place(b)).then(a.number.cmp(&b.number)));

        let mut places: Vec<Vec<Slice>> = Vec::new();
        for slice in slices {
            match places.last_mut() {
                // A hundredth of a millimetre: closer slices no scanner makes.
                Some(here) if place(&slice) - place(&here[0]) < 1e-2 => here.push(slice),
                _ => places.push(vec![slice]),
            }
        }
        for here in &mut places {
            here.sort_by_key(|slice| slice.number);
        }
        let volumes = places[0].len();
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

        let step = step(&places, normal)?;
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
        let one_echo = places
            .iter()
            .flatten()
            .all(|slice| slice.echo_ms == first.echo_ms);
        let repetition_s = first.repetition_ms.filter(|_| one_echo).map(|ms| ms / 1000.0);
        let frames = (0..volumes).map(|volume| places.iter().map(|here| here[volume].clone()).collect());
        Ok(Self {
            frames: frames.collect(),
            geometry,
            repetition_s,
        })
    }
}

/// From one slice to the next, in LPS mm.
fn step(places: &[Vec<Slice>], normal: [f64; 3]) -> Result<[f64; 3]> {
    let (first, last) = (&places[0][0], &places[places.len() - 1][0]);
    if places.len() == 1 {
        let expected = "a positive length in mm, as there is one slice only";
        let mm = first
            .step_mm
            .ok_or_else(|| VolumeError::malformed(&first.path, "SliceThickness", "missing", expected))?;
        return Ok(normal.map(|n| n * mm));
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
        if off > REGULAR * length {
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
    Ok(step)
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
    } else if apart(&slice.spacing_mm, &first.spacing_mm, 1e-4) {
        Some((
            "PixelSpacing",
            format!("{:?}", slice.spacing_mm),
            format!("{:?}", first.spacing_mm),
        ))
    } else if apart(ours.as_flattened(), theirs.as_flattened(), 1e-4) {
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
