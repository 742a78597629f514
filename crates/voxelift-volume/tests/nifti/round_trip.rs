//! Whatever is written comes back, in every type, byte order and container.

use std::fs;

use proptest::prelude::*;
use voxelift_volume::Volume;
use voxelift_volume::nifti::{Datatype, NiftiImage, OutputType, ReadOptions, WriteOptions, read, write};

use super::builder::{ORDER, Plan, file, gzip};

fn plan() -> impl Strategy<Value = Plan> {
    let shape = prop::collection::vec(1_i64..5, 1..6);
    let kind = (any::<bool>(), any::<bool>(), prop::sample::select(ORDER.to_vec()));
    let scaling = prop_oneof![Just((1.0, 0.0)), Just((0.0, 9.0)), (-3.0..3.0, -100.0..100.0)];
    (shape, kind, scaling, 0_usize..70, any::<u64>()).prop_map(
        |(dim, (two, big, datatype), scaling, gap, seed)| {
            // A multiplicative generator is enough to fill a few voxels with values all over the type.
            let count = dim.iter().product::<i64>() as u64;
            let (least, most) = datatype.integer_range().unwrap_or((-1e6, 1e6));
            let stored = (1..=count).map(|k| {
                let fraction =
                    (seed | 1).wrapping_mul(k.wrapping_mul(0x9e37_79b9_7f4a_7c15)) as f64 / u64::MAX as f64;
                let value = least + fraction * (most - least);
                if datatype.integer_range().is_some() {
                    value.round()
                } else {
                    f64::from(value as f32)
                }
            });
            let stored = stored.collect();
            let srow = [
                0.5,
                0.1,
                -0.2,
                -31.5,
                0.0,
                -1.25,
                0.3,
                42.0,
                0.2,
                0.05,
                3.0,
                seed as f64 / 1e18,
            ];
            Plan {
                two,
                big,
                datatype,
                dim,
                scaling,
                srow,
                gap,
                stored,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_container_gives_the_voxels(plan in plan(), split in 0.0..1.0) {
        let folder = tempfile::tempdir().unwrap();
        let single = plan.single();
        let cut = (split * single.len() as f64) as usize;
        let members = [gzip(&single[..cut]), gzip(&single[cut..])].concat();
        let mut image = vec![0; plan.gap];
        image.extend(plan.voxels());
        let header = plan.header(true);
        file(folder.path(), "d.img", &image);
        file(folder.path(), "e.img.gz", &gzip(&image));
        let paths = [
            file(folder.path(), "a.nii", &single),
            file(folder.path(), "b.nii.gz", &gzip(&single)),
            file(folder.path(), "c.nii.gz", &members),
            file(folder.path(), "d.hdr", &header),
            file(folder.path(), "e.hdr.gz", &gzip(&header)),
        ];
        for path in paths {
            let image = read(&path, &ReadOptions::default()).unwrap();
            let voxels: Vec<f32> = image.frames.iter().flat_map(Volume::data).copied().collect();
            prop_assert_eq!(&voxels, &plan.expected(), "{}", path.display());
            prop_assert_eq!(image.header.datatype, plan.datatype);
            let affine = image.frames[0].geometry().world_from_voxel;
            for (ours, theirs) in affine.as_flattened().iter().zip(plan.srow) {
                let held = if plan.two { theirs } else { f64::from(theirs as f32) };
                prop_assert_eq!(*ours, held);
            }
        }
    }
}

proptest! {
    // Each case waits for the disk four times.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_write_comes_back_and_writes_the_same_bytes(plan in plan(), gz in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let image = read(&file(folder.path(), "a.nii", &plan.single()), &ReadOptions::default()).unwrap();
        let suffix = if gz { "nii.gz" } else { "nii" };
        for (dtype, name) in [(OutputType::Float32, "f"), (OutputType::Same, "s")] {
            let (first, second) = [1, 2].map(|k| folder.path().join(format!("{name}{k}.{suffix}"))).into();
            let options = WriteOptions { dtype, ..WriteOptions::default() };
            let report = write(&first, &image, &options).unwrap();
            let again = read(&first, &ReadOptions::default()).unwrap();
            prop_assert!(again.warnings.iter().all(|w| w.contains("2^24")), "{:?}", again.warnings);
            // 64-bit integers are written in 32 bits, and f32 does not hold every 32-bit integer.
            let exact = dtype == OutputType::Float32 || plan.datatype.bytes() < 4
                || plan.datatype.integer_range().is_none();
            if exact {
                prop_assert_eq!(&again.frames, &image.frames);
                prop_assert_eq!(report.clamped, 0);
                write(&second, &again, &options).unwrap();
                prop_assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
            }
            let carried = |image: &NiftiImage| {
                let mut header = image.header.clone();
                header.datatype = Datatype::Float32;
                header.scaling = None;
                // One or two axes are written as three.
                header.spacing_mm = image.header.geometry().spacing_mm();
                header
            };
            prop_assert_eq!(carried(&again), carried(&image));
        }
    }
}
