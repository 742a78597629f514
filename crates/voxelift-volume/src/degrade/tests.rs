use super::*;
use crate::kspace;
use crate::resample;

fn parse(json: &str) -> std::result::Result<Degradation, serde_json::Error> {
    serde_json::from_str(json)
}

/// A volume without symmetry: a few waves and a step.
fn picture(extent: [usize; 3]) -> Volume {
    let mut volume = Volume::filled(0.0, Geometry::axis_aligned(extent, [1.0, 0.9, 1.2]));
    let [nx, ny, _] = extent;
    for (i, voxel) in volume.data_mut().iter_mut().enumerate() {
        let [x, y, z] = [i % nx, i / nx % ny, i / nx / ny].map(|v| v as f32);
        *voxel = 3.0 + (0.9 * x).sin() + (0.4 * y + 0.2 * z).cos() + if x + y > z + 6.0 { 1.5 } else { 0.0 };
    }
    volume
}

fn difference(a: &Volume, b: &Volume) -> f64 {
    assert_eq!(a.extent(), b.extent());
    a.data()
        .iter()
        .zip(b.data())
        .map(|(x, y)| f64::from((x - y).abs()))
        .fold(0.0, f64::max)
}

#[test]
fn a_configuration_is_read_checked_and_written_back() {
    assert_eq!(parse("{}").unwrap(), Degradation::default());
    let text = r#"{"operator":["kspace","kspace","slice:box,0.8"],"scale":[2,2,4],"noise":0.03,"motion":{"events":2}}"#;
    let read = parse(text).unwrap();
    assert_eq!(read.grid, Grid::Scale(Scale([2, 2, 4])));
    assert_eq!(
        read.motion,
        Some(Motion {
            events: 2,
            ..Motion::default()
        })
    );
    assert_eq!(parse(&serde_json::to_string(&read).unwrap()).unwrap(), read);
    assert_eq!(
        read.to_string(),
        "kspace/kspace/slice:box,0.8, scale 2,2,4, 2 motions of 1 mm and 1 degrees, noise 0.03"
    );
    for (wrong, words) in [
        (r#"{"operater":"kspace"}"#, "operater"),
        (r#"{"operator":"sinc"}"#, "sinc"),
        (r#"{"operator":3}"#, "operator"),
        (r#"{"scale":2,"spacing_mm":2}"#, "spacing_mm"),
        (r#"{"scale":0}"#, "scale"),
        (r#"{"scale":[2,2]}"#, "list of three"),
        (r#"{"noise":-0.1}"#, "noise"),
        (r#"{"noise":3}"#, "noise"),
        (r#"{"motion":{"event":2}}"#, "event"),
        (r#"{"ghosting":{"ghosts":1}}"#, "ghosts"),
    ] {
        let error = parse(wrong).unwrap_err().to_string();
        assert!(error.contains(words), "{wrong}: {error}");
    }
}

#[test]
fn scale_pads_and_spacing_does_not() {
    let hr = picture([13, 10, 9]);
    let by_scale = Degradation::new(Operator::KSpace, Scale([2, 2, 1]))
        .apply(&hr, 0)
        .unwrap();
    assert_eq!(by_scale, kspace::truncate(&hr.mirrored([14, 10, 9]), [7, 5, 9]));
    assert!((by_scale.geometry().spacing_mm()[0] - 2.0).abs() < 1e-12);
    let grid = Grid::SpacingMm([2.0, 1.8, 1.2]);
    let by_spacing = Degradation {
        grid,
        ..Degradation::default()
    }
    .apply(&hr, 0)
    .unwrap();
    assert_eq!(by_spacing, kspace::truncate(&hr, [7, 5, 9]));
    let finer = Degradation {
        grid: Grid::SpacingMm([2.0, 0.5, 2.0]),
        ..Degradation::default()
    };
    let error = finer.apply(&hr, 0).unwrap_err().to_string();
    assert!(error.contains("along y") && error.contains("0.5"), "{error}");
}

#[test]
fn operators_that_mean_the_same_do_the_same() {
    let hr = picture([12, 16, 10]);
    let to = [6, 8, 5];
    let by = |text: &str| text.parse::<Operators>().unwrap().apply(&hr, to);
    assert!(difference(&by("window:1,0"), &by("kspace")) < 1e-5);
    assert!(difference(&by("slice:box,1"), &by("box")) < 1e-6);
    assert!(difference(&by("slice:gaussian,1.17741"), &by("gaussian:0.5")) < 1e-5);
    let along_z_last = resample::box_down(&kspace::truncate(&hr, [6, 8, 10]), to);
    assert!(difference(&by("kspace/kspace/box"), &along_z_last) < 1e-5);
    assert!(difference(&by("box/kspace/box"), &by("kspace")) > 0.05);
}

#[test]
fn every_operator_keeps_a_blob_where_it_is() {
    let geometry = Geometry::axis_aligned([40, 41, 42], [1.0, 0.8, 1.1]);
    let centre = geometry.world([19.3, 20.1, 21.6]);
    let mut hr = Volume::filled(0.0, geometry.clone());
    for i in 0..hr.data().len() {
        let p = geometry.world([i % 40, i / 40 % 41, i / 1640].map(|v| v as f64));
        let squared: f64 = (0..3).map(|a| ((p[a] - centre[a]) / 3.6).powi(2)).sum();
        hr.data_mut()[i] = (100.0 * (-0.5 * squared).exp()) as f32;
    }
    for text in [
        "kspace",
        "window:0.8,0.3",
        "cubic",
        "gaussian:0.5",
        "box",
        "slice:box,0.7",
        "slice:gaussian,1.1",
    ] {
        for scale in [Scale([2, 2, 2]), Scale([1, 2, 3])] {
            let lr = Degradation::new(text.parse::<Operators>().unwrap(), scale)
                .apply(&hr, 0)
                .unwrap();
            let [nx, ny, _] = lr.extent();
            let (mut sum, mut moment) = (0.0, [0.0; 3]);
            for (i, &value) in lr.data().iter().enumerate() {
                let p = lr
                    .geometry()
                    .world([i % nx, i / nx % ny, i / nx / ny].map(|v| v as f64));
                sum += f64::from(value);
                (0..3).for_each(|a| moment[a] += f64::from(value) * p[a]);
            }
            for a in 0..3 {
                let off = (moment[a] / sum - centre[a]) / lr.geometry().spacing_mm()[a];
                assert!(
                    off.abs() < 0.01,
                    "{text}, scale {scale}: axis {a} off by {off} voxels"
                );
            }
        }
    }
}

#[test]
fn a_shift_moves_the_head_and_not_the_grid() {
    let hr = picture([12, 10, 8]);
    let whole = effects::shifted(&hr, 1.0);
    let [nx, ny, nz] = hr.extent();
    for (x, y, z) in [(0, 0, 0), (3, 4, 5), (11, 9, 7)] {
        let from = [(x + nx - 1) % nx, (y + ny - 1) % ny, (z + nz - 1) % nz];
        assert!((whole.at([x, y, z]) - hr.at(from)).abs() < 1e-4);
    }
    let half = Degradation {
        shift: 0.5,
        ..Degradation::default()
    };
    let (shifted, unshifted) = (
        half.apply(&hr, 0).unwrap(),
        Degradation::default().apply(&hr, 0).unwrap(),
    );
    assert_eq!(shifted.geometry(), unshifted.geometry());
    assert!(difference(&shifted, &unshifted) > 0.05);
    assert_eq!(half.to_string(), "kspace, scale 2, shifted by 0.5 voxels");
    assert_eq!(parse(&serde_json::to_string(&half).unwrap()).unwrap(), half);
    let back = effects::shifted(&effects::shifted(&smooth([12, 10, 8]), 0.5), -0.5);
    assert!(difference(&back, &smooth([12, 10, 8])) < 1e-4);
}

/// Nothing at the highest frequency of any axis, which a shift by a part of a voxel cannot keep.
fn smooth(extent: [usize; 3]) -> Volume {
    kspace::filter(&picture(extent), |_, f| if f < 0.49 { 1.0 } else { 0.0 })
}

#[test]
fn noise_has_the_moments_of_rice() {
    let sigma = 0.2;
    let mut nothing = vec![0f32; 100_000];
    rician(&mut nothing, sigma, &mut Stream::new(1, 0));
    let mean = nothing.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
    assert!(
        (mean - sigma * (std::f64::consts::PI / 2.0).sqrt()).abs() < 2e-3,
        "{mean}"
    );
    let mut bright = vec![1.5f32; 100_000];
    rician(&mut bright, sigma, &mut Stream::new(1, 0));
    let square = bright.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e5;
    assert!((square - (2.25 + 2.0 * sigma * sigma)).abs() < 0.01, "{square}");
}

#[test]
fn a_seed_names_one_acquisition_for_any_number_of_threads() {
    let hr = picture([14, 12, 10]);
    let all = Degradation {
        bias_field: 0.2,
        motion: Some(Motion::default()),
        ghosting: Some(Ghosting::default()),
        noise: 0.05,
        ..Degradation::default()
    };
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| all.apply(&hr, seed).unwrap())
    };
    assert_eq!(on(1, 3), on(4, 3));
    assert!(difference(&on(1, 3), &on(1, 4)) > 0.05);
    let silent = Degradation {
        noise: 0.05,
        ..Degradation::default()
    };
    assert!(
        silent
            .apply(&Volume::filled(0.0, hr.geometry().clone()), 0)
            .is_err()
    );
}

#[test]
fn ghosts_are_faint_copies_at_parts_of_the_field_of_view() {
    let mut hr = Volume::filled(0.0, Geometry::axis_aligned([4, 24, 4], [1.0; 3]));
    let at = hr.index([1, 5, 2]);
    hr.data_mut()[at] = 12.0;
    let settings = Ghosting {
        ghosts: 3,
        intensity: 0.5,
        axis: Axis::Y,
    };
    let ghosted = effects::ghosting(&hr, &settings);
    // Lines 3, 6, ... lose half: minus 12 * 0.5 / 3 at each third of the field of view, and the mean kept.
    for (y, expected) in [(5, 12.0 - 2.0), (13, -2.0), (21, -2.0), (0, 0.0)] {
        let value = f64::from(ghosted.at([1, y, 2]));
        assert!((value - (expected + 6.0 / 24.0)).abs() < 1e-5, "y {y}: {value}");
    }
    assert_eq!(ghosted.at([0, 5, 2]), 0.0);
}

#[test]
fn a_head_at_rest_does_not_change_and_one_that_moves_keeps_its_mean() {
    let hr = picture([16, 18, 14]);
    let at_rest = Motion {
        translation_mm: 0.0,
        rotation_deg: 0.0,
        ..Motion::default()
    };
    let still = effects::motion(&hr, &at_rest, 9, &mut Stream::new(1, 0));
    assert!(difference(&still, &hr) < 1e-4);
    let moved = effects::motion(&hr, &Motion::default(), 9, &mut Stream::new(1, 0));
    assert!(difference(&moved, &hr) > 0.05);
    let sum = |v: &Volume| v.data().iter().map(|&x| f64::from(x)).sum::<f64>();
    assert!((sum(&moved) / sum(&hr) - 1.0).abs() < 1e-5);
}

#[test]
fn the_receive_field_is_smooth_and_as_strong_as_asked() {
    let flat = Volume::filled(2.0, Geometry::axis_aligned([24; 3], [1.0; 3]));
    let mut variance = 0.0;
    for seed in 0..12 {
        let field = effects::bias_field(flat.clone(), 0.2, &mut Stream::new(seed, 0));
        let logs: Vec<f64> = field.data().iter().map(|&v| f64::from(v / 2.0).ln()).collect();
        variance += logs.iter().map(|l| l * l).sum::<f64>() / logs.len() as f64 / 12.0;
        let along_rows = logs
            .chunks(24)
            .flat_map(|row| row.windows(2).map(|w| (w[0] - w[1]).abs()));
        // Four waves of at most 0.8 cycles over the field of view, all at their steepest.
        let steepest = 0.2 * 8f64.sqrt() * std::f64::consts::TAU * 0.8 / 24.0;
        assert!(along_rows.fold(0.0, f64::max) < steepest, "seed {seed}");
    }
    assert!((variance.sqrt() - 0.2).abs() < 0.06, "{}", variance.sqrt());
    let nothing = effects::bias_field(
        Volume::filled(0.0, flat.geometry().clone()),
        0.2,
        &mut Stream::new(0, 0),
    );
    assert!(nothing.data().iter().all(|&v| v == 0.0));
}

#[test]
fn operators_agree_with_numpy() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/degrade.json")).unwrap();
    let extent = |key: &str| -> [usize; 3] { serde_json::from_value(golden[key].clone()).unwrap() };
    let voxels = |value: &serde_json::Value| -> Vec<f32> { serde_json::from_value(value.clone()).unwrap() };
    let geometry = Geometry::axis_aligned(extent("extent"), [1.0; 3]);
    let hr = Volume::new(voxels(&golden["hr"]), geometry.clone());
    let operators = golden["operators"].as_object().unwrap();
    assert_eq!(operators.len(), 6);
    for (text, lr) in operators {
        let done = text.parse::<Operators>().unwrap().apply(&hr, extent("to"));
        let expected = Volume::new(voxels(lr), geometry.with_extent(extent("to")));
        assert!(
            difference(&done, &expected) < 2e-5,
            "{text}: {}",
            difference(&done, &expected)
        );
    }
    let settings = Ghosting {
        ghosts: 2,
        intensity: 0.4,
        axis: Axis::Z,
    };
    let expected = Volume::new(voxels(&golden["ghosts"]), geometry);
    assert!(difference(&effects::ghosting(&hr, &settings), &expected) < 2e-5);
}

#[test]
fn single_slices_keep_their_brightness_and_odd_extents_get_no_dark_edge() {
    let slice = Volume::filled(469.0, Geometry::axis_aligned([32, 33, 1], [1.0, 1.0, 5.0]));
    let kinds = [
        "kspace",
        "cubic",
        "box",
        "gaussian",
        "slice:box,1.2",
        "window:0.9,0.2",
    ];
    for kind in kinds {
        let operator: Operator = kind.parse().unwrap();
        for grid in [Grid::Scale(Scale::isotropic(2)), Grid::SpacingMm([2.0; 3])] {
            let degradation = Degradation {
                grid,
                ..Degradation::new(operator, Scale::isotropic(2))
            };
            let lr = degradation.apply(&slice, 0).unwrap();
            assert_eq!(lr.extent(), [16, 17, 1], "{kind}");
            let off = lr.data().iter().map(|v| (v - 469.0).abs()).fold(0.0, f32::max);
            assert!(off < 0.01, "{kind} on {grid:?}: {off}");
        }
    }
}

#[test]
fn noise_and_receive_field_act_above_the_zero_of_a_shifted_scan() {
    let geometry = Geometry::axis_aligned([24, 24, 24], [1.0; 3]);
    let ball = |i: usize| {
        let at = [i % 24, i / 24 % 24, i / 576].map(|v| (v as f64 - 11.5).powi(2));
        if at.iter().sum::<f64>() < 81.0 { 500.0 } else { 0.0 }
    };
    let plain = Volume::new((0..13_824).map(ball).collect(), geometry.clone());
    let shifted = plain.clone().map(|v| v - 700.0);
    let degradation = Degradation {
        noise: 0.05,
        bias_field: 0.2,
        ..Degradation::default()
    };
    let (a, b) = (
        degradation.apply(&plain, 7).unwrap(),
        degradation.apply(&shifted, 7).unwrap(),
    );
    for (a, b) in a.data().iter().zip(b.data()) {
        assert!((a - 700.0 - b).abs() < 0.01, "{a} {b}");
    }
}
