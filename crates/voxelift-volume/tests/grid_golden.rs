//! The grid's operators against numpy, scipy, scikit-image and Pillow: numbers from
//! `scripts/reference/grid_golden.py`.

use serde::Deserialize;
use voxelift_volume::intensity::{Mask, percentile};
use voxelift_volume::resample::{self, Interpolation};
use voxelift_volume::volume::Affine;
use voxelift_volume::{Geometry, Volume, kspace};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    oblique_source: Affine,
    oblique_target: Affine,
    mask: MaskCase,
}

#[derive(Deserialize)]
struct Case {
    operator: String,
    from: [usize; 3],
    to: [usize; 3],
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct MaskCase {
    extent: [usize; 3],
    values: Vec<f32>,
    otsu: Vec<u8>,
    largest: Vec<u8>,
    dilated: Vec<u8>,
    percentile_99_5: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/grid.json")).expect("the committed golden numbers")
}

/// The volume of the script's `texture`.
fn texture(geometry: Geometry) -> Volume {
    let data = (0..geometry.voxels())
        .map(|i| ((i * 2_654_435_761) % 1000) as f32 / 1000.0)
        .collect();
    Volume::new(data, geometry)
}

#[test]
fn operators_agree_with_the_reference() {
    let golden = golden();
    for Case {
        operator,
        from,
        to,
        values,
    } in &golden.cases
    {
        let volume = texture(Geometry {
            extent: *from,
            world_from_voxel: golden.oblique_source,
        });
        let like = Geometry {
            extent: *to,
            world_from_voxel: golden.oblique_target,
        };
        let made = match operator.as_str() {
            "truncate" => kspace::truncate(&volume, *to),
            "zero_fill" => kspace::zero_fill(&volume, *to),
            "trilinear" => resample::resize(&volume, *to, Interpolation::Trilinear),
            "bspline" => resample::resize(&volume, *to, Interpolation::CubicBSpline),
            "lanczos" => resample::resize(&volume, *to, Interpolation::Lanczos4),
            "cubic_down" => resample::cubic_down(&volume, *to),
            "box_down" => resample::box_down(&volume, *to),
            "gaussian_down" => resample::gaussian_down(&volume, *to, 0.5),
            "like_trilinear" => resample::resample_like(&volume, &like, Interpolation::Trilinear),
            "like_bspline" => resample::resample_like(&volume, &like, Interpolation::CubicBSpline),
            other => panic!("no operator {other}"),
        };
        assert_eq!(made.data().len(), values.len(), "{operator}");
        for (index, (got, expected)) in made.data().iter().zip(values).enumerate() {
            let off = (f64::from(*got) - expected).abs();
            assert!(
                off < 1e-6,
                "{operator} {from:?} -> {to:?}: {got}, not {expected} at {index}"
            );
        }
    }
}

#[test]
fn masks_agree_with_the_reference() {
    let MaskCase {
        extent,
        mut values,
        otsu,
        largest,
        dilated,
        percentile_99_5,
    } = golden().mask;
    let volume = Volume::new(values.clone(), Geometry::axis_aligned(extent, [1.0; 3]));
    let mask = Mask::otsu(&volume);
    let component = mask.largest_component();
    for (name, got, expected) in [
        ("otsu", &mask, otsu),
        ("largest", &component, largest),
        ("dilated", &component.dilated(2), dilated),
    ] {
        let expected: Vec<bool> = expected.into_iter().map(|inside| inside == 1).collect();
        assert!(got.data() == expected, "{name}: {} voxels inside", got.count());
    }
    let got = percentile(&mut values, 99.5).expect("values");
    assert!(
        (got - percentile_99_5).abs() < 1e-6,
        "{got}, not {percentile_99_5}"
    );
}
