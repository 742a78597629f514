//! What must hold whatever the image: grids, orientations, threads, and what the spectral scores promise.

use voxelift_volume::intensity::Mask;
use voxelift_volume::kspace::{Complex, Spectrum, truncate, zero_fill};
use voxelift_volume::metrics::{
    Detail, EvaluateOptions, Pair, Scores, data_consistency, evaluate, label_agreement, mask_on,
    shell_correlation,
};
use voxelift_volume::{Geometry, Turn, Volume, VolumeError, VoxelMap};

use crate::made::volumes;

const EXTENT: [usize; 3] = [47, 52, 45];

fn scored(reference: &Volume, image: &Volume, mask: Option<&Mask>) -> Scores {
    evaluate(reference, image, mask, &EvaluateOptions::default()).unwrap()
}

#[test]
fn evaluate_speaks_the_promised_json() {
    let (reference, image, mask) = volumes(EXTENT, [1.0; 3]);
    let scores = evaluate(&reference, &image, Some(&mask), &EvaluateOptions::default()).unwrap();
    let json = serde_json::to_value(&scores).unwrap();
    let same = [
        "psnr_db",
        "psnr_p995_db",
        "ssim",
        "nrmse",
        "ssim_slice",
        "ms_ssim",
    ];
    for key in same {
        assert!(json[key].is_f64(), "{key} in {json:#}");
        assert!(json["masked"][key].is_f64(), "masked {key} in {json:#}");
    }
    assert!(
        json["data_range"].is_f64() && json["mask"] == "given" && json["voxels"] == 47 * 52 * 45,
        "{json:#}"
    );

    let identical = evaluate(&reference, &reference, None, &EvaluateOptions::default()).unwrap();
    let json = serde_json::to_value(&identical).unwrap();
    assert!(
        json["psnr_db"].is_null() && json["masked"]["psnr_db"].is_null(),
        "{json:#}"
    );
    assert!(json["ssim"] == 1.0 && json["nrmse"] == 0.0, "{json:#}");
    assert!(json["mask"].as_str().unwrap().contains("Otsu"), "{json:#}");
}

#[test]
fn scores_are_the_same_on_one_thread_and_on_many() {
    let (reference, image, mask) = volumes(EXTENT, [1.0; 3]);
    let options = EvaluateOptions {
        measured_spacing_mm: Some([2.0; 3]),
        ..EvaluateOptions::default()
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| evaluate(&reference, &image, Some(&mask), &options).unwrap())
    };
    assert_eq!(on(1), on(5));
}

/// A volume stored with its axes exchanged and one reversed, at the same place in the world.
fn turned(volume: &Volume) -> Volume {
    let [nx, ny, nz] = volume.extent();
    let mut data = Vec::with_capacity(volume.data().len());
    for x in 0..nx {
        for z in 0..nz {
            data.extend((0..ny).map(|y| volume.at([x, ny - 1 - y, z])));
        }
    }
    let a = volume.geometry().world_from_voxel;
    let affine = a.map(|r| [-r[1], r[2], r[0], r[3] + r[1] * (ny - 1) as f64]);
    Volume::new(
        data,
        Geometry {
            extent: [ny, nz, nx],
            world_from_voxel: affine,
        },
    )
}

#[test]
fn the_storage_orientation_does_not_matter() {
    let (reference, image, mask) = volumes(EXTENT, [1.0, 1.1, 0.9]);
    let inside = mask.data().iter().map(|&m| f32::from(u8::from(m))).collect();
    let inside = turned(&Volume::new(inside, reference.geometry().clone()));
    let upright = EvaluateOptions {
        measured_spacing_mm: Some([2.0, 2.2, 0.9]),
        ..EvaluateOptions::default()
    };
    let lying = EvaluateOptions {
        measured_spacing_mm: Some([2.2, 0.9, 2.0]),
        ..EvaluateOptions::default()
    };
    let expected = evaluate(&reference, &image, Some(&mask), &upright).unwrap();
    let got = evaluate(
        &turned(&reference),
        &turned(&image),
        Some(&Mask::above(&inside, 0.5)),
        &lying,
    )
    .unwrap();
    assert_eq!(got, expected);
}

#[test]
fn whole_voxel_offsets_are_cropped_and_said() {
    let (reference, image, mask) = volumes(EXTENT, [1.0; 3]);
    let start = [3, 0, 2];
    let longer = image.padded([50, 52, 45]).crop(start, [47, 51, 43]);
    let scores = scored(&reference, &longer, Some(&mask));
    assert_eq!(scores.voxels, 44 * 51 * 43);
    assert!(
        scores.notes[0].contains("cropped to the [44, 51, 43] voxels"),
        "{:?}",
        scores.notes
    );
    let part = [44, 51, 43];
    let expected = Pair::new(
        &reference.crop(start, part),
        &image.crop(start, part),
        &Mask::above(&reference.crop(start, part), -1.0),
    );
    let got = Pair::new(&reference, &longer, &mask).unwrap();
    assert_eq!(got.image().data(), expected.as_ref().unwrap().image().data());
    assert_eq!(got.reference(), expected.unwrap().reference());
}

#[test]
fn other_grids_are_refused_by_name() {
    let (reference, image, mask) = volumes(EXTENT, [1.0; 3]);
    let moved = |map: VoxelMap| Volume::new(image.data().to_vec(), image.geometry().resampled(EXTENT, &map));
    let shifted = moved(VoxelMap {
        scale: [1.0; 3],
        offset: [0.5, 0.0, 0.0],
    });
    let stretched = moved(VoxelMap {
        scale: [1.0, 1.01, 1.0],
        offset: [0.0; 3],
    });
    let far = moved(VoxelMap {
        scale: [1.0; 3],
        offset: [0.0, 0.0, 60.0],
    });
    let mut tilted = image.clone().geometry().clone();
    tilted.world_from_voxel[2][0] = 0.01;
    let tilted = Volume::new(image.data().to_vec(), tilted);
    for (image, field) in [
        (shifted, "origin"),
        (stretched, "spacing"),
        (far, "origin"),
        (tilted, "axis"),
    ] {
        let error = evaluate(&reference, &image, Some(&mask), &EvaluateOptions::default()).unwrap_err();
        assert!(
            matches!(error, VolumeError::GridMismatch { .. }) && error.to_string().contains(field),
            "{error}"
        );
    }
}

#[test]
fn unusable_input_is_refused_in_one_line() {
    let (reference, image, mask) = volumes([20, 20, 20], [1.0; 3]);
    let grid = || reference.geometry().clone();
    let flat = Volume::filled(3.0, grid());
    let mut broken = image.clone();
    broken.data_mut()[17] = f32::NAN;
    let empty = Mask::above(&reference, f32::MAX);
    let small = Mask::new(vec![true; 8], [2, 2, 2]);
    let plain = EvaluateOptions::default();
    let range = EvaluateOptions {
        data_range: Some(-1.0),
        ..plain.clone()
    };
    let fine = EvaluateOptions {
        measured_spacing_mm: Some([0.5, 2.0, 2.0]),
        ..plain.clone()
    };
    let cases = [
        (evaluate(&flat, &image, None, &plain), "the same value everywhere"),
        (evaluate(&flat, &image, Some(&mask), &plain), "3 everywhere"),
        (
            evaluate(&reference, &broken, Some(&mask), &plain),
            "1 voxels are NaN",
        ),
        (evaluate(&reference, &image, Some(&empty), &plain), "empty"),
        (
            evaluate(&reference, &image, Some(&small), &plain),
            "[2, 2, 2] of the mask",
        ),
        (
            evaluate(&reference, &image, Some(&mask), &range),
            "data-range = -1",
        ),
        (
            evaluate(&reference, &image, Some(&mask), &fine),
            "measured spacing",
        ),
    ];
    for (result, said) in cases {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn small_and_flat_volumes_leave_scores_out_instead_of_failing() {
    for extent in [[60, 60, 1], [9, 30, 12], [4, 4, 4]] {
        let (reference, image, mask) = volumes(extent, [1.0; 3]);
        let scores = scored(&reference, &image, Some(&mask));
        assert!(
            scores.whole.psnr_db.is_finite() && scores.whole.ssim.is_none(),
            "{extent:?}"
        );
        assert!(!scores.notes.is_empty(), "{extent:?}");
    }
    let (reference, image, mask) = volumes([60, 60, 1], [1.0; 3]);
    assert!(
        scored(&reference, &image, Some(&mask)).whole.ssim_slice.is_some(),
        "one slice is enough for a slice score"
    );
}

#[test]
fn the_intensity_match_undoes_a_scaling_and_an_offset() {
    let (reference, _, mask) = volumes(EXTENT, [1.0; 3]);
    let scaled = reference.clone().map(|v| 0.5 * v - 7.0);
    let options = EvaluateOptions {
        detail: Detail::Headline,
        ..EvaluateOptions::default()
    };
    let scores = evaluate(&reference, &scaled, Some(&mask), &options).unwrap();
    for region in [&scores.whole, &scores.masked] {
        assert!((region.matched.slope - 2.0).abs() < 1e-5 && (region.matched.intercept - 14.0).abs() < 1e-3);
        assert!(
            region.psnr_db < 20.0 && region.matched.psnr_db > 100.0,
            "{region:?}"
        );
        assert!(region.matched.ssim.unwrap() > 0.999_999, "{region:?}");
        assert_eq!(region.haarpsi, None, "headline scores only");
    }
}

/// Noise that is added beyond the measured frequencies and has nothing in common with the reference there raises the
/// index by its share of energy, and detail that is right but too strong does not.
#[test]
fn the_hallucination_index_is_the_share_of_invented_energy() {
    let (reference, _, _) = volumes(EXTENT, [1.0; 3]);
    // A cube of zeros around it: the taper over the faces then changes nothing.
    let reference = reference.padded([64, 70, 62]);
    let reference = {
        let mut centred = Volume::filled(0.0, reference.geometry().clone());
        for z in 0..45 {
            for y in 0..52 {
                let (from, to) = (reference.index([0, y, z]), centred.index([8, y + 9, z + 8]));
                let row = reference.data()[from..from + 47].to_vec();
                centred.data_mut()[to..to + 47].copy_from_slice(&row);
            }
        }
        centred
    };
    let unmeasured = |f: [f64; 3]| f.iter().any(|f| f.abs() > 0.25);
    let with = |factor: &(dyn Fn([f64; 3]) -> Complex<f64> + Sync)| {
        let mut spectrum = Spectrum::of(&reference);
        spectrum.scale_by(|f| {
            if unmeasured(f) {
                factor(f)
            } else {
                Complex::from(1.0)
            }
        });
        spectrum.into_volume(reference.geometry().clone())
    };
    let beyond = |image: &Volume| {
        let mask = Mask::above(&reference, -1e9);
        let pair = Pair::new(&reference, image, &mask).unwrap();
        // Over the mask, which is everything: no taper at all.
        shell_correlation(&pair, Some([2.0; 3]))
            .unwrap()
            .masked
            .beyond_nyquist
            .unwrap()
    };
    // Added at a right angle to every bin of the reference, odd in f: real in space and orthogonal to it exactly.
    let sign = |f: [f64; 3]| f.iter().find(|f| **f != 0.0).map_or(0.0, |f| f.signum());
    for share in [0.0_f64, 0.1, 0.5, 2.0] {
        let scores = beyond(&with(&|f| Complex::new(1.0, share.sqrt() * sign(f))));
        assert!(
            (scores.hallucination_index - share).abs() < 0.02 * share + 1e-3,
            "{share}: {scores:?}"
        );
        assert!(
            (scores.correlation - (1.0 + share).powf(-0.5)).abs() < 0.02,
            "{share}: {scores:?}"
        );
    }
    let strong = beyond(&with(&|_| Complex::from(1.5)));
    assert!(
        strong.hallucination_index < 1e-4 && strong.gain > 0.99,
        "{strong:?}"
    );
    let nothing = beyond(&with(&|_| Complex::from(0.0)));
    assert!(
        nothing.hallucination_index < 1e-6 && nothing.gain.abs() < 1e-3,
        "{nothing:?}"
    );
}

#[test]
fn data_consistency_is_zero_for_zero_fill_and_feels_half_a_voxel() {
    let (reference, _, _) = volumes([48, 52, 45], [1.0; 3]);
    let lr = truncate(&reference, [24, 26, 45]);
    let filled = zero_fill(&lr, reference.extent());
    assert!(data_consistency(&filled, &lr).unwrap() < 1e-6);
    assert!(data_consistency(&reference, &lr).unwrap() < 1e-6);
    // What a measurement holds in the unpaired plane of an even side cannot be kept by a real image: it does not count.
    let mut unpaired = lr.clone();
    unpaired
        .data_mut()
        .iter_mut()
        .enumerate()
        .for_each(|(i, v)| *v += if i % 2 == 0 { 9.0 } else { -9.0 });
    let filled = zero_fill(&unpaired, reference.extent());
    assert!(data_consistency(&filled, &unpaired).unwrap() < 1e-6);
    let mut moved = Spectrum::of(&reference);
    moved.scale_by(|f| Complex::from_polar(1.0, std::f64::consts::PI * f[0]));
    let moved = moved.into_volume(reference.geometry().clone());
    assert!(data_consistency(&moved, &lr).unwrap() > 0.01);
    let elsewhere = Volume::new(
        lr.data().to_vec(),
        Geometry::axis_aligned(lr.extent(), [2.0, 2.0, 1.0]),
    );
    assert!(
        data_consistency(&reference, &elsewhere)
            .unwrap_err()
            .to_string()
            .contains("field of view")
    );
}

#[test]
fn labels_agree_by_dice() {
    let volume = |data: &[f32]| {
        Volume::new(
            data.to_vec(),
            Geometry::axis_aligned([data.len(), 1, 1], [1.0; 3]),
        )
    };
    let scores = label_agreement(&volume(&[0., 1., 1., 1., 7.]), &volume(&[1., 1., 1., 0., 7.])).unwrap();
    assert_eq!(
        scores.iter().map(|s| s.class.as_str()).collect::<Vec<_>>(),
        ["1", "7"]
    );
    assert!(
        (scores[0].dice - 2.0 / 3.0).abs() < 1e-12 && scores[1].dice == 1.0,
        "{scores:?}"
    );
    let half = label_agreement(&volume(&[1.0, 0.5]), &volume(&[1.0, 1.0]));
    assert!(half.unwrap_err().to_string().contains("0.5"));
}

#[test]
fn an_image_scores_the_same_in_each_of_its_48_storage_orders() {
    let (reference, image, mask) = volumes([24, 27, 22], [1.0, 0.9, 1.3]);
    let options = EvaluateOptions {
        detail: Detail::Headline,
        ..EvaluateOptions::default()
    };
    let inside = mask.data().iter().map(|&m| f32::from(u8::from(m))).collect();
    let inside = Volume::new(inside, reference.geometry().clone());
    let expected = evaluate(&reference, &image, Some(&mask), &options).unwrap();
    for from in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for signs in 0..8 {
            let flipped = [0, 1, 2].map(|axis| signs >> axis & 1 == 1);
            let turn = Turn { from, flipped };
            let got = evaluate(&reference, &turn.applied_to(&image), Some(&mask), &options).unwrap();
            assert_eq!(got, expected, "{turn:?}");
            let (mask_here, how) = mask_on(reference.geometry(), &turn.applied_to(&inside)).unwrap();
            assert_eq!((mask_here, how), (mask.clone(), None), "{turn:?}");
        }
    }
}

#[test]
fn little_in_common_is_refused_and_half_a_mask_is_told() {
    let (reference, image, mask) = volumes(EXTENT, [1.0; 3]);
    let shifted = |voxels: f64| {
        let offset = [0.0, 0.0, voxels];
        let map = VoxelMap {
            scale: [1.0; 3],
            offset,
        };
        Volume::new(image.data().to_vec(), image.geometry().resampled(EXTENT, &map))
    };
    for voxels in [44.0, 36.0, -40.0] {
        let error = evaluate(
            &reference,
            &shifted(voxels),
            Some(&mask),
            &EvaluateOptions::default(),
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("they share") && error.contains("field of view"),
            "{error}"
        );
    }
    let half = scored(&reference, &shifted(20.0), Some(&mask));
    assert!((0.4..0.8).contains(&half.mask_share), "{}", half.mask_share);
    assert!(
        half.notes.iter().any(|note| note.contains("of the mask lies in")),
        "{:?}",
        half.notes
    );
    // A piece of the image is all there.
    let piece = scored(&reference, &image.crop([10, 10, 10], [20; 3]), Some(&mask));
    assert!(piece.mask_share < 0.3 && piece.voxels == 8000);
    assert_eq!(scored(&reference, &image, Some(&mask)).mask_share, 1.0);
}

#[test]
fn a_mask_lands_nearest_in_the_world_or_is_refused() {
    let (reference, _, mask) = volumes([24, 27, 22], [1.0; 3]);
    let inside: Vec<f32> = mask.data().iter().map(|&m| f32::from(u8::from(m))).collect();
    let placed = |offset: f64| {
        let map = VoxelMap {
            scale: [1.0; 3],
            offset: [offset, 0.0, 0.0],
        };
        Volume::new(inside.clone(), reference.geometry().resampled([24, 27, 22], &map))
    };
    let (near, how) = mask_on(reference.geometry(), &placed(0.3)).unwrap();
    assert_eq!(near, mask);
    assert!(how.is_some());
    for far in [100.0, 18.0] {
        let error = mask_on(reference.geometry(), &placed(far))
            .unwrap_err()
            .to_string();
        assert!(error.contains("the mask"), "{error}");
    }
    let fine = Volume::filled(1.0, reference.geometry().with_extent([48, 54, 44]));
    assert_eq!(
        mask_on(reference.geometry(), &fine).unwrap().0.count(),
        24 * 27 * 22
    );
}

#[test]
fn the_brain_alone_has_the_scores_that_it_has_beside_the_others() {
    let (reference, image, mask) = volumes(EXTENT, [1.0; 3]);
    let alone = EvaluateOptions {
        detail: Detail::Brain,
        measured_spacing_mm: Some([2.0; 3]),
        ..EvaluateOptions::default()
    };
    let full = EvaluateOptions {
        detail: Detail::Full,
        ..alone.clone()
    };
    for mask in [None, Some(&mask)] {
        let [alone, full] =
            [&alone, &full].map(|options| evaluate(&reference, &image, mask, options).unwrap());
        let brain = alone.brain.clone().expect("scores of the brain");
        assert!(
            brain.fsim.is_some() && brain.fsc.is_some() && brain.hfen.is_some(),
            "{brain:?}"
        );
        assert_eq!(alone.brain, full.brain, "{mask:?}");
        assert_eq!(
            (&alone.brain_mask, alone.brain_voxels),
            (&full.brain_mask, full.brain_voxels)
        );
        assert_eq!(alone.whole.psnr_db, full.whole.psnr_db);
        assert_eq!(alone.whole.fsim, None, "not computed");
    }
}
