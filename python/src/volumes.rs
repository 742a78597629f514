//! Volumes between Python and Rust; what is done to them without a network.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use serde_json::json;
use voxelift_volume::degrade::{Degradation, Grid, Operators};
use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{self, EvaluateOptions};
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::{Geometry, Scale, Volume, scan, sidecars};

use crate::{VoxeliftError, refused};

/// Voxels of each volume, x fastest; their counts along x, y, z; the world position (mm, RAS+) of a voxel index.
pub type Arrays<'py> = (Vec<Bound<'py, PyArray1<f32>>>, [usize; 3], [[f64; 4]; 3]);

/// Voxels of each volume as they come from Python.
pub type Frames<'py> = Vec<PyReadonlyArray1<'py, f32>>;

/// The grid of arrays.
pub fn geometry(extent: [usize; 3], affine: [[f64; 4]; 3]) -> PyResult<Geometry> {
    if extent.contains(&0) || affine.iter().flatten().any(|v| !v.is_finite()) {
        return Err(VoxeliftError::new_err(format!(
            "a volume of {extent:?} voxels with the affine {affine:?}; expected at least one voxel along each axis and finite numbers"
        )));
    }
    Ok(Geometry {
        extent,
        world_from_voxel: affine,
    })
}

/// Arrays as volumes: one copy.
pub fn volumes(frames: &Frames<'_>, extent: [usize; 3], affine: [[f64; 4]; 3]) -> PyResult<Vec<Volume>> {
    let grid = geometry(extent, affine)?;
    let volume = |frame: &PyReadonlyArray1<'_, f32>| {
        let data = frame.as_slice()?;
        if data.len() != grid.voxels() || data.iter().any(|v| !v.is_finite()) {
            return Err(VoxeliftError::new_err(format!(
                "{} voxels for a grid of {extent:?}, all of them finite, are expected; set NaN and infinite ones to 0 first",
                grid.voxels()
            )));
        }
        Ok(Volume::new(data.to_vec(), grid.clone()))
    };
    frames.iter().map(volume).collect()
}

/// Volumes as arrays: no copy.
pub fn arrays<'py>(py: Python<'py>, volumes: Vec<Volume>) -> Arrays<'py> {
    let grid = volumes[0].geometry().clone();
    let frames = volumes
        .into_iter()
        .map(|volume| volume.into_data().into_pyarray(py));
    (frames.collect(), grid.extent, grid.world_from_voxel)
}

/// Reads a scan as the program does; behind the arrays, as JSON, what its sidecars say of its slices and what is odd about it.
#[pyfunction]
pub fn read(py: Python<'_>, path: PathBuf) -> PyResult<(Arrays<'_>, String)> {
    let image = py
        .detach(|| scan::read(&path, &ReadOptions::default()))
        .map_err(refused)?;
    let protocol = sidecars::protocol(&path, &image.header);
    let beside = json!({
        "thickness_mm": protocol.thickness_mm,
        "distance_mm": protocol.distance_mm,
        "axis": protocol.axis,
        "two_dimensional": protocol.dimensions.map(|d| d == voxelift_volume::consistency::Dimensions::Two),
        "warnings": image.warnings,
    });
    Ok((arrays(py, image.frames), beside.to_string()))
}

/// Simulates a low-resolution acquisition of each volume; the n-th takes the n-th seed.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn degrade<'py>(
    py: Python<'py>,
    frames: Frames<'py>,
    extent: [usize; 3],
    affine: [[f64; 4]; 3],
    scale: &str,
    spacing: Option<[f64; 3]>,
    operator: &str,
    noise: f64,
    seed: u64,
) -> PyResult<Arrays<'py>> {
    let volumes = volumes(&frames, extent, affine)?;
    let grid = match spacing {
        Some(spacing) => Grid::SpacingMm(spacing),
        None => Grid::Scale(Scale::parse(scale).map_err(refused)?),
    };
    let degradation = Degradation {
        operator: operator.parse::<Operators>().map_err(refused)?,
        grid,
        noise,
        ..Degradation::default()
    };
    let degraded = py.detach(|| {
        degradation.check()?;
        let seeded = volumes.iter().zip(seed..);
        seeded
            .map(|(volume, seed)| degradation.apply(volume, seed))
            .collect::<voxelift_volume::Result<Vec<_>>>()
    });
    Ok(arrays(py, degraded.map_err(refused)?))
}

/// Scores an image against its reference, as `evaluate --json` does; as JSON.
#[pyfunction]
pub fn evaluate(
    py: Python<'_>,
    reference: (Frames<'_>, [usize; 3], [[f64; 4]; 3]),
    image: (Frames<'_>, [usize; 3], [[f64; 4]; 3]),
    mask: Option<Frames<'_>>,
    data_range: Option<f64>,
    measured_spacing: Option<[f64; 3]>,
) -> PyResult<String> {
    let one = |(frames, extent, affine): (Frames<'_>, _, _)| {
        let mut volumes = volumes(&frames, extent, affine)?;
        match volumes.len() {
            1 => Ok(volumes.remove(0)),
            n => Err(VoxeliftError::new_err(format!(
                "{n} volumes; one is scored at a time"
            ))),
        }
    };
    let extent = reference.1;
    let (reference, image) = (one(reference)?, one(image)?);
    let mask = match mask {
        Some(frames) => {
            let flat = frames
                .first()
                .map(|frame| frame.as_slice())
                .transpose()?
                .unwrap_or_default();
            if flat.len() != reference.data().len() {
                return Err(VoxeliftError::new_err(
                    "the mask has other voxels than the reference",
                ));
            }
            Some(Mask::new(flat.iter().map(|v| *v != 0.0).collect(), extent))
        }
        None => None,
    };
    let options = EvaluateOptions {
        data_range,
        measured_spacing_mm: measured_spacing,
        ..EvaluateOptions::default()
    };
    let scores = py
        .detach(|| metrics::evaluate(&reference, &image, mask.as_ref(), &options))
        .map_err(refused)?;
    Ok(json!(scores).to_string())
}
