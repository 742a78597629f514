//! A cohort four times larger than the memory it may take, trained through the cache folder. Alone in its process, whose
//! memory it measures.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use voxelift_model::cache::{Cache, Prepared};
use voxelift_model::config::Config;
use voxelift_model::dataset::{Dataset, Scan, SourcePair, starts};
use voxelift_model::device::DeviceChoice;
use voxelift_model::memory;
use voxelift_model::run::RunDir;
use voxelift_model::train::{self, Outcome, train};
use voxelift_volume::{Geometry, Scale, Volume};

const CONFIG: &str = r#"
    mode = "supervised"
    steps = 12
    [data]
    hr = ["made:here"]
    source_operator = "kspace"
    [patch]
    size = 8
    batch = 4
    [network]
    n_feats = 4
    n_resgroups = 1
    n_resblocks = 1
"#;

/// Scans of the cohort, and the voxels along each side of an HR one: 10 MiB in memory.
const SCANS: usize = 24;
const SIDE: usize = 128;

fn scan(number: usize, side: usize, config: &Config, is_lr: bool) -> Prepared {
    let geometry = Geometry::axis_aligned([side; 3], [1.0; 3]);
    let voxels = geometry.voxels();
    let foreground = vec![true; voxels];
    let starts = if is_lr {
        starts("made", [side; 3], &foreground, &config.patch).expect("room for a patch")
    } else {
        Vec::new()
    };
    Prepared {
        volume: Volume::new(
            (0..voxels)
                .map(|i| ((i * 31 + number) % 97) as f32 / 97.0)
                .collect(),
            geometry,
        ),
        foreground,
        starts,
        factor: 1.0,
        appearance: None,
    }
}

#[test]
fn a_cohort_four_times_the_memory_is_trained() {
    let Some(before) = memory::resident() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config::from_text(CONFIG, "made", Path::new("."), &[])
        .expect("a valid configuration")
        .config;
    let cache = Cache::folder(&folder.path().join("cache")).expect("a cache");
    let pairs = (0..SCANS).map(|number| {
        let of = |side: usize, is_lr: bool| Scan {
            subject: number.to_string(),
            cached: cache
                .scan(&format!("{number} {side}"), || {
                    Ok(scan(number, side, &config, is_lr))
                })
                .expect("kept"),
        };
        SourcePair {
            hr: of(SIDE, false),
            lr: of(SIDE / 2, true),
            noise: 0.0,
            unmeasured: None,
        }
    });
    let pairs = pairs.collect();
    let dataset = Dataset::new(
        pairs,
        vec![],
        Scale::isotropic(2),
        config.patch.clone(),
        config.augmentation.clone(),
        config.seed,
    );
    let prepared = train::Prepared {
        dataset,
        validation: Vec::new(),
        source_operators: Vec::new(),
        calibration_misfit: None,
        hr_scans: Vec::new(),
        lr_scans: Vec::new(),
        lr_spacing_mm: [[1.0; 2]; 3],
        appearance: None,
        self_test: Vec::new(),
        tests: Vec::new(),
        warnings: Vec::new(),
        inventory: train::Inventory::default(),
        findings: train::Findings::default(),
    };
    let (device, _) = DeviceChoice::Cpu.open().expect("a device");
    let run = RunDir::create(&folder.path().join("run")).expect("a run folder");
    let outcome = train(
        &config,
        &run,
        &prepared,
        &device,
        &AtomicBool::new(false),
        &mut |_| Ok(()),
    );
    assert_eq!(outcome.expect("a run"), Outcome::Done);
    let cohort = (SCANS * SIDE.pow(3) * 5) as u64;
    let taken = memory::peak().expect("told") - before;
    assert!(
        4 * taken <= cohort,
        "{} MiB taken by a run on a cohort of {} MiB",
        taken >> 20,
        cohort >> 20
    );
}
