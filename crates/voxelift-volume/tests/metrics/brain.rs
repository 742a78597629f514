//! The scores to quote: over the brain alone.

use voxelift_volume::metrics::{EvaluateOptions, Scores, brain_mask, evaluate};
use voxelift_volume::{Geometry, Volume};

#[test]
fn the_brain_is_scored_without_the_ringing_around_it_and_the_dilated_mask_beside_it() {
    // A ball of ones in zeros; the image rings in the two voxels around it, which the dilated mask holds.
    let radius = |i: usize| {
        let [x, y, z] = [i % 24, i / 24 % 24, i / 576].map(|n| n as f64 - 11.5);
        (x * x + y * y + z * z).sqrt()
    };
    let made = |of: &dyn Fn(f64) -> f32| {
        let data = (0..24 * 24 * 24).map(|i| of(radius(i)));
        Volume::new(data.collect(), Geometry::axis_aligned([24; 3], [1.0; 3]))
    };
    let reference = made(&|r| if r < 7.0 { 1.0 } else { 0.0 });
    let image = made(&|r| {
        if r < 7.0 {
            0.99
        } else if r < 8.0 {
            0.2
        } else {
            0.0
        }
    });
    let options = EvaluateOptions::default();
    let scores = evaluate(&reference, &image, None, &options).expect("one grid");
    let brain = scores.brain.as_ref().expect("voxels above 5 %");
    assert!((brain.psnr_db - 40.0).abs() < 1e-3, "{}", brain.psnr_db);
    assert!(scores.masked.psnr_db < 20.0, "{}", scores.masked.psnr_db);
    assert_eq!(scores.headline(), brain);
    assert_eq!(scores.headline_region(), "in the brain");
    assert!(scores.brain_mask.contains("5 %") && scores.brain_voxels < Some(scores.mask_voxels));
    // A mask that is given is both.
    let (given, _) = brain_mask(&reference);
    let by_hand = evaluate(&reference, &image, Some(&given), &options).expect("one grid");
    assert_eq!(by_hand.brain.as_ref(), Some(&by_hand.masked));
    assert_eq!(by_hand.masked.psnr_db, brain.psnr_db);
    assert_eq!(by_hand.headline_region(), "in the mask");
    // What an earlier version wrote has no brain, and is quoted from the mask.
    let mut json = serde_json::to_value(&scores).expect("JSON");
    json.as_object_mut().expect("an object").remove("brain");
    let read: Scores = serde_json::from_value(json).expect("scores");
    assert_eq!(read.headline().psnr_db, scores.masked.psnr_db);
    assert_eq!(read.headline_region(), "in the mask");
}

#[test]
fn the_brain_is_the_same_where_intensities_are_shifted_or_spike() {
    let data: Vec<f32> = (0..24 * 24 * 24)
        .map(|i| {
            let inside = [i % 24, i / 24 % 24, i / 576].iter().all(|n| (6..18).contains(n));
            if inside { 100.0 + (i % 7) as f32 } else { 0.0 }
        })
        .collect();
    let volume = |data: Vec<f32>| Volume::new(data, Geometry::axis_aligned([24; 3], [1.0; 3]));
    let plain = brain_mask(&volume(data.clone())).0;
    assert_eq!(plain.count(), 12 * 12 * 12);
    let shifted = brain_mask(&volume(data.iter().map(|v| v - 1000.0).collect())).0;
    assert_eq!(shifted.data(), plain.data(), "air at -1000");
    let mut spiked = data;
    spiked[24 * (24 * 12 + 12) + 12] = 1e6;
    assert_eq!(brain_mask(&volume(spiked)).0.data(), plain.data(), "a hot voxel");
}
