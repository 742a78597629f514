use super::*;
use crate::cache::Prepared;
use burn::tensor::Tensor;
use voxelift_volume::{Geometry, Volume};

fn ramp(subject: &str, extent: [usize; 3]) -> Scan {
    let geometry = Geometry::axis_aligned(extent, [1.0; 3]);
    let voxels = geometry.voxels();
    let foreground = vec![true; voxels];
    Scan {
        subject: subject.into(),
        cached: CachedScan::in_memory(Prepared {
            volume: Volume::new((0..voxels).map(|i| i as f32).collect(), geometry),
            starts: starts(subject, extent, &foreground, &config(false)).expect("room for a patch"),
            foreground,
            factor: 1.0,
            appearance: None,
        }),
    }
}

fn pair(subject: &str) -> SourcePair {
    SourcePair {
        hr: ramp(subject, [16, 12, 10]),
        lr: ramp(subject, [8, 6, 5]),
        noise: 0.0,
        unmeasured: None,
    }
}

fn dataset(subjects: &[&str], patch: PatchConfig, augmentation: AugmentationConfig, seed: u64) -> Dataset {
    let pairs = subjects.iter().map(|subject| pair(subject)).collect();
    Dataset::new(pairs, vec![], Scale::isotropic(2), patch, augmentation, seed)
}

fn config(flip: bool) -> PatchConfig {
    PatchConfig {
        size: 4,
        batch: 3,
        min_foreground: 0.25,
        flip: [flip; 3],
    }
}

#[test]
fn an_hr_patch_starts_at_the_scaled_index_of_its_lr_patch() {
    let data = dataset(&["a"], config(false), AugmentationConfig::default(), 3);
    let batch = data.batch(0, &Device::flex()).expect("in memory");
    let first = |t: Tensor<5>| -> Vec<f32> {
        (0..3)
            .map(|n| t.clone().slice([n..n + 1, 0..1, 0..1, 0..1, 0..1]).into_scalar())
            .collect()
    };
    for (lr, hr) in first(batch.lr_source).into_iter().zip(first(batch.hr_source)) {
        let (lr, hr) = (lr as usize, hr as usize);
        let (x, y, z) = (lr % 8, lr / 8 % 6, lr / 48);
        assert_eq!(hr, (2 * z * 12 + 2 * y) * 16 + 2 * x);
    }
}

#[test]
fn a_batch_depends_on_seed_and_step_alone() {
    let make = |seed| dataset(&["a", "b"], config(true), AugmentationConfig::default(), seed);
    let voxels = |d: &Dataset, step| d.draw(step).expect("in memory").hr_source;
    assert_eq!(voxels(&make(1), 7), voxels(&make(1), 7));
    assert_ne!(voxels(&make(1), 7), voxels(&make(1), 8));
    assert_ne!(voxels(&make(1), 7), voxels(&make(2), 7));
}

#[test]
fn subjects_are_spread_over_a_batch() {
    let mut stream = Stream::new(5, 0);
    for _ in 0..20 {
        let chosen = spread(&["a", "a", "a", "b", "c"], 3, &mut stream);
        let mut subjects: Vec<bool> = chosen.iter().map(|&i| i < 3).collect();
        subjects.sort_unstable();
        assert_eq!(subjects, [false, false, true], "one draw a subject: {chosen:?}");
    }
}

#[test]
fn augmentation_turns_and_shades_both_sides_alike() {
    let all = AugmentationConfig {
        rotate: true,
        gamma: 0.2,
        bias_field: 0.2,
        noise: 0.0,
        ..AugmentationConfig::default()
    };
    let plain = dataset(&["a"], config(false), AugmentationConfig::default(), 3);
    let turned = AugmentationConfig {
        gamma: 0.0,
        bias_field: 0.0,
        ..all.clone()
    };
    let turned = dataset(&["a"], config(false), turned, 3);
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..20 {
        let drawn = turned.draw(step).expect("in memory");
        // Whatever way the axes turned, LR voxels still name the HR voxels they cover.
        for (patch, lr) in drawn.lr_source.chunks(64).enumerate() {
            let hr = &drawn.hr_source[patch * 512..][..512];
            for (i, value) in lr.iter().enumerate() {
                let at = *value as usize;
                let (x, y, z) = (at % 8, at / 8 % 6, at / 48);
                let corner = ((i / 16) * 2 * 8 + (i / 4 % 4) * 2) * 8 + (i % 4) * 2;
                assert_eq!(hr[corner] as usize, (2 * z * 12 + 2 * y) * 16 + 2 * x);
            }
            seen.insert((lr[1] - lr[0]) as i64);
        }
    }
    assert_eq!(seen, [1, 8, 48].into(), "x ran along each axis of the file");
    let (a, b) = (
        plain.draw(0).unwrap(),
        dataset(&["a"], config(false), all, 3).draw(0).unwrap(),
    );
    assert_ne!(a.lr_source, b.lr_source);
    assert_eq!(a.lr_source.len(), b.lr_source.len());
}

#[test]
fn background_patches_are_not_drawn() {
    let mut inside = vec![false; 8 * 6 * 5];
    inside[0] = true;
    let few = PatchConfig {
        min_foreground: 1.0 / 64.0,
        ..config(false)
    };
    assert_eq!(starts("a", [8, 6, 5], &inside, &few).unwrap(), [0]);
    let message = starts("a", [8, 6, 5], &inside, &config(false))
        .unwrap_err()
        .to_string();
    assert!(message.contains("min_foreground"), "{message}");
}

#[test]
fn a_volume_smaller_than_a_patch_is_refused() {
    let large = PatchConfig {
        size: 7,
        ..config(false)
    };
    let message = starts("a", [8, 6, 5], &[true; 240], &large)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("[8, 6, 5]") && message.contains("patch.size"),
        "{message}"
    );
}
