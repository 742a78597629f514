//! Scans of every kind through the commands: other formats, label maps, factors of their own for each axis, the linter.

use std::fs;

use crate::support::{Bench, oblique, text};
use voxelift_volume::nifti::{self, Datatype, NiftiImage, OutputType, ReadOptions, WriteOptions};
use voxelift_volume::{Geometry, Volume};

fn image(bench: &Bench, name: &str) -> NiftiImage {
    nifti::read(&bench.path(name), &ReadOptions::default()).expect("a readable file")
}

/// A label map of blocks, on a grid of its own: finer than the scan, turned and mirrored.
fn labels(of: &Geometry) -> Volume {
    let centre = of.world(of.extent.map(|n| (n as f64 - 1.0) / 2.0));
    let extent = [30, 44, 36];
    let mut world_from_voxel = [[0.0, 0.0, -1.7, 0.0], [-1.6, 0.1, 0.0, 0.0], [0.1, 1.5, 0.0, 0.0]];
    let middle = Geometry {
        extent,
        world_from_voxel,
    }
    .world(extent.map(|n| (n as f64 - 1.0) / 2.0));
    (0..3).for_each(|row| world_from_voxel[row][3] = centre[row] - middle[row]);
    let geometry = Geometry {
        extent,
        world_from_voxel,
    };
    let label = |i: usize| [0.0, 2.0, 17.0, 251.0][(i % 30 / 7 + i / 30 % 44 / 5 + i / 1320 / 6) % 4];
    Volume::new((0..geometry.voxels()).map(label).collect(), geometry)
}

fn write_as(bench: &Bench, name: &str, volume: &Volume, datatype: Datatype) {
    let mut image = NiftiImage::from_volume(volume.clone());
    image.header.datatype = datatype;
    image.header.intent.code = 1002;
    let options = WriteOptions {
        dtype: OutputType::Same,
        ..WriteOptions::default()
    };
    nifti::write(&bench.path(name), &image, &options).expect("a written file");
}

#[test]
fn labels_land_on_the_sr_grid_nearest_in_the_world() {
    let bench = Bench::new();
    let head = bench.phantom("plain.nii", [14, 12, 10], 1);
    bench.write("lr.nii", &Volume::new(head.into_data(), oblique([14, 12, 10])));
    let map = labels(&oblique([14, 12, 10]));
    write_as(&bench, "seg.nii.gz", &map, Datatype::Uint8);
    let upscale = ["upscale", "lr.nii", "-o", "sr.nii", "--method", "cubic"];
    bench
        .run(&[&upscale[..], &["--spacing", "1.5", "--labels", "seg.nii.gz"]].concat())
        .code(0);
    let (sr, seg) = (image(&bench, "sr.nii"), image(&bench, "sr_labels.nii.gz"));
    assert_eq!(seg.frames[0].geometry(), sr.frames[0].geometry());
    assert_eq!(
        (seg.header.datatype, seg.header.intent.code, seg.header.scaling),
        (Datatype::Uint8, 1002, None)
    );
    let (grid, mut seen) = (sr.frames[0].geometry(), [0; 252]);
    for (i, got) in seg.frames[0].data().iter().enumerate() {
        let [nx, ny, _] = grid.extent;
        let voxel = [i % nx, i / nx % ny, i / (nx * ny)];
        let place = map.geometry().voxel(grid.world(voxel.map(|v| v as f64)));
        // Halfway between two voxels either is the nearest.
        if place.iter().any(|p| ((p - p.floor()) - 0.5).abs() < 1e-4) {
            continue;
        }
        let inside = (0..3).all(|a| place[a] > -0.5 && place[a] < map.extent()[a] as f64 - 0.5);
        let expected = if inside {
            map.at(place.map(|p| p.round() as usize))
        } else {
            0.0
        };
        assert_eq!(*got, expected, "{voxel:?} at {place:?}");
        seen[*got as usize] += 1;
    }
    assert!(
        [0, 2, 17, 251].iter().all(|label| seen[*label] > 100),
        "every label is there"
    );

    bench.refuses(
        2,
        &[&upscale[..], &["--force", "--labels", "sr.nii"]].concat(),
        &["sr.nii"],
    );
    let to = [
        "upscale", "lr.nii", "-o", "b.nii", "--method", "cubic", "--labels",
    ];
    bench.phantom("c.nii", [8; 3], 2);
    let two = [
        "upscale",
        "lr.nii",
        "c.nii",
        "-o",
        "d",
        "--method",
        "cubic",
        "--labels",
        "seg.nii.gz",
    ];
    bench.refuses(2, &two, &["--labels", "one IN"]);
    let mut far = map.geometry().clone();
    far.world_from_voxel[0][3] += 500.0;
    write_as(
        &bench,
        "far.nii",
        &Volume::new(map.data().to_vec(), far),
        Datatype::Uint8,
    );
    bench.refuses(
        1,
        &[&to[..], &["far.nii"]].concat(),
        &["far.nii", "field of view"],
    );
    // Most of a map that lies elsewhere is not in the output, which is told.
    let mut beside = map.geometry().clone();
    for row in &mut beside.world_from_voxel {
        row[3] += 8.0 * (row[0] + row[1]);
    }
    write_as(
        &bench,
        "beside.nii",
        &Volume::new(map.data().to_vec(), beside),
        Datatype::Uint8,
    );
    let assert = bench.run(&[&to[..], &["beside.nii"]].concat()).code(0);
    let told = text(&assert.get_output().stderr);
    assert!(
        told.contains("of its labelled voxels lie in the scan's field of view"),
        "{told}"
    );
    for made in ["b.nii", "b.json", "b_labels.nii.gz"] {
        let _ = fs::remove_file(bench.path(made));
    }
    let large = map.map(|v| v * 1e13);
    write_as(&bench, "large.nii", &large, Datatype::Float64);
    bench.refuses(1, &[&to[..], &["large.nii"]].concat(), &["large.nii", "2^48"]);
}

#[test]
fn a_label_map_is_no_scan() {
    let bench = Bench::new();
    let head = bench.phantom("head.nii", [24, 26, 24], 1);
    let map = head.clone().map(|v| (v / 100.0).floor().clamp(0.0, 9.0));
    bench.write("map.nii", &map);
    let thick = Volume::new(
        map.data().to_vec(),
        Geometry::axis_aligned([24, 26, 24], [1.0, 1.0, 4.0]),
    );
    bench.write("thick.nii", &thick);
    bench.write("mask.nii", &map.map(|v| v.min(1.0)));
    // Of more labels than that the header alone tells.
    write_as(&bench, "many.nii", &head, Datatype::Int16);
    let many = ["upscale", "many.nii", "-o", "finer.nii", "--method", "cubic"];
    let told = text(&bench.run(&many).code(0).get_output().stderr);
    assert!(told.contains("its header says that it holds labels"), "{told}");
    for name in ["map.nii", "mask.nii", "thick.nii"] {
        bench.refuses(
            1,
            &["upscale", name, "-o", "no.nii"],
            &[name, "label map", "--labels", "trilinear"],
        );
        let chosen = [
            "upscale",
            name,
            "-o",
            "yes.nii",
            "--method",
            "trilinear",
            "--force",
        ];
        let told = text(&bench.run(&chosen).code(0).get_output().stderr);
        assert!(told.contains("label map"), "{told}");
    }
}

#[test]
fn codes_that_f32_would_round_come_through_unchanged() {
    let bench = Bench::new();
    let head = bench.phantom("lr.nii", [6, 5, 4], 1);
    let small = head.map(|v| f32::from(u8::from(v > 0.0)));
    let code = |i: usize| [0, 576_073_732, -2_147_483_645, 16_777_217][i % 4];
    write_as(&bench, "codes.nii", &small, Datatype::Int32);
    // Put into the bytes, which no f32 has touched.
    let path = bench.path("codes.nii");
    let mut bytes = fs::read(&path).expect("a file");
    let at = bytes.len() - 4 * 120;
    (0..120).for_each(|i| bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&i32::to_le_bytes(code(i))));
    fs::write(&path, bytes).expect("written");
    let upscale = [
        "upscale",
        "lr.nii",
        "-o",
        "sr.nii",
        "--method",
        "cubic",
        "--labels",
        "codes.nii",
    ];
    let said = text(&bench.run(&upscale).code(0).get_output().stderr);
    assert!(!said.contains("rounded"), "{said}");
    let part = |part| {
        let options = ReadOptions {
            part,
            ..ReadOptions::default()
        };
        nifti::read(&bench.path("sr_labels.nii.gz"), &options).expect("labels")
    };
    let (upper, lower) = (part(nifti::Part::Upper), part(nifti::Part::Lower));
    assert_eq!(upper.header.datatype, Datatype::Int32);
    for k in 0..8 {
        for j in 0..10 {
            for i in 0..12 {
                let got = [&upper, &lower].map(|image| f64::from(image.frames[0].at([i, j, k])));
                let expected = f64::from(code(i / 2 + 6 * (j / 2) + 30 * (k / 2)));
                assert_eq!(got[0] * nifti::BASE + got[1], expected, "{i} {j} {k}");
            }
        }
    }
}

#[test]
fn an_oblique_int16_scan_keeps_type_code_and_place() {
    let bench = Bench::new();
    let head = bench.phantom("plain.nii", [14, 12, 10], 3).map(f32::round);
    let mut made = NiftiImage::from_volume(Volume::new(head.into_data(), oblique([14, 12, 10])));
    made.header.datatype = Datatype::Int16;
    made.header.sform.as_mut().expect("an sform").code = 4;
    made.header.qform = None;
    let same = WriteOptions {
        dtype: OutputType::Same,
        ..WriteOptions::default()
    };
    nifti::write(&bench.path("lr.nii.gz"), &made, &same).expect("a written file");
    let upscale = [
        "upscale",
        "lr.nii.gz",
        "-o",
        "sr.nii.gz",
        "--method",
        "lanczos",
        "--dtype",
        "same",
    ];
    bench
        .run(&[&upscale[..], &["--spacing", "1.1,1.3,0.7"]].concat())
        .code(0);
    let sr = image(&bench, "sr.nii.gz");
    assert_eq!(sr.header.datatype, Datatype::Int16);
    assert_eq!(
        (sr.header.sform.map(|s| s.code), sr.header.qform),
        (Some(4), None)
    );
    let (from, to) = (oblique([14, 12, 10]), sr.header.geometry());
    let outer = |geometry: &Geometry, corner: usize| {
        let edge = |axis: usize| [-0.5, geometry.extent[axis] as f64 - 0.5][corner >> axis & 1];
        geometry.world(std::array::from_fn(edge))
    };
    for corner in 0..8 {
        let (a, b) = (outer(&from, corner), outer(&to, corner));
        assert!((0..3).all(|i| (a[i] - b[i]).abs() < 1e-4), "{a:?} {b:?}");
    }
    let (a, b) = (from.spacing_mm(), to.spacing_mm());
    assert!(
        (0..3).all(|i| b[i] < a[i] && (b[i] - [1.1, 1.3, 0.7][i]).abs() < 0.1),
        "{a:?} {b:?}"
    );
}

#[test]
fn a_grid_too_large_is_refused_before_it_is_made() {
    let bench = Bench::new();
    bench.phantom("a.nii", [12; 3], 4);
    let upscale = ["upscale", "a.nii", "-o", "b.nii", "--method", "trilinear"];
    bench.refuses(
        2,
        &[&upscale[..], &["--spacing", "0.001"]].concat(),
        &["a.nii", "--max-voxels"],
    );
    bench.refuses(
        2,
        &[&upscale[..], &["--max-voxels", "10000"]].concat(),
        &["[24, 24, 24]", "10000"],
    );
    bench
        .run(&[&upscale[..], &["--max-voxels", "13824"]].concat())
        .code(0);
}

#[test]
fn an_mgh_file_goes_through_and_comes_out_as_nifti() {
    let bench = Bench::new();
    let head = bench.phantom("a.nii", [12, 10, 8], 5);
    let mut bytes: Vec<u8> = [1, 12, 10, 8, 1, 3, 0]
        .iter()
        .flat_map(|n: &i32| n.to_be_bytes())
        .collect();
    bytes.extend([0, 1]);
    // The phantom's own grid: its centre is where FreeSurfer's half extent points.
    let geometry = head.geometry();
    let centre = geometry.world([6.0, 5.0, 4.0]);
    let cosines = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let floats = geometry.spacing_mm().into_iter().chain(cosines).chain(centre);
    floats.for_each(|f| bytes.extend((f as f32).to_be_bytes()));
    bytes.resize(284, 0);
    head.data().iter().for_each(|v| bytes.extend(v.to_be_bytes()));
    fs::write(bench.path("head.mgh"), bytes).expect("a file");
    for (input, output) in [("a.nii", "a_sr.nii"), ("head.mgh", "m_sr.nii")] {
        bench
            .run(&["upscale", input, "-o", output, "--method", "cubic"])
            .code(0);
    }
    let (from_nifti, from_mgh) = (bench.read("a_sr.nii"), bench.read("m_sr.nii"));
    assert_eq!(from_mgh.data(), from_nifti.data());
    let corner = |v: &Volume| v.geometry().world([-0.5; 3]);
    let (a, b) = (corner(&from_nifti), corner(&from_mgh));
    assert!((0..3).all(|i| (a[i] - b[i]).abs() < 1e-4), "{a:?} {b:?}");
    let said = text(&bench.run(&["info", "head.mgh"]).code(0).get_output().stdout);
    assert!(
        said.contains("12 x 10 x 8 voxels of 2.5 x 2.5 x 2.5 mm"),
        "{said}"
    );
}

#[cfg(feature = "dicom")]
#[test]
fn a_dicom_series_goes_through_and_leaves_the_person_behind() {
    use crate::series::{PERSON, Plan, folder};
    let bench = Bench::new();
    let stack: Vec<Plan> = (0..4)
        .map(|k| Plan::slice(k, [-10.0, -20.0, 30.0 + 4.5 * k as f64]))
        .collect();
    let series = folder(&stack);
    let series = series.path().to_str().expect("UTF-8");
    bench
        .run(&["upscale", series, "-o", "sr.nii", "--method", "trilinear"])
        .code(0);
    let sr = bench.read("sr.nii");
    assert_eq!(sr.extent(), [6, 4, 8]);
    // The outer corner of the first voxel: DICOM's world is mirrored in x and y.
    let corner = sr.geometry().world([-0.5; 3]);
    let expected = [10.0 + 0.75, 20.0 + 1.25, 30.0 - 2.25];
    assert!(
        (0..3).all(|i| (corner[i] - expected[i]).abs() < 1e-4),
        "{corner:?}"
    );
    // Constant along the last axis but for the slice's number: 100 a slice.
    assert_eq!(sr.at([0, 0, 0]), 0.0);
    assert!((sr.at([0, 0, 7]) - 300.0).abs() < 1e-3);
    let said = bench.run(&["info", series, "--json"]).code(0);
    for bytes in [
        &fs::read(bench.path("sr.nii")).expect("a file"),
        &said.get_output().stdout,
    ] {
        assert!(
            !bytes.windows(3).any(|w| w == &PERSON.as_bytes()[..3]),
            "the person's name"
        );
    }
    bench.refuses(1, &["degrade", ".", "lr.nii"], &["without DICOM images"]);
}

#[test]
fn the_doctor_finds_mends_and_says_so_with_its_exit_code() {
    let bench = Bench::new();
    bench.phantom("clean.nii", [12; 3], 6);
    let said = text(&bench.run(&["doctor", "clean.nii"]).code(0).get_output().stdout);
    assert_eq!(said, "clean.nii: clean\n");
    let mut bytes = fs::read(bench.path("clean.nii")).expect("a file");
    bytes[112..116].copy_from_slice(&f32::NAN.to_le_bytes());
    bytes.extend([0; 9]);
    fs::write(bench.path("ill.nii"), bytes).expect("a file");
    let said = text(
        &bench
            .run(&["doctor", "clean.nii", "ill.nii"])
            .code(3)
            .get_output()
            .stdout,
    );
    for part in [
        "clean.nii: clean",
        "ill.nii: 2 finding(s)",
        "scl_slope is NaN",
        "9 bytes behind",
    ] {
        assert!(said.contains(part), "{said}");
    }
    bench.run(&["doctor", "ill.nii", "--fix", "well.nii.gz"]).code(0);
    bench.run(&["doctor", "well.nii.gz"]).code(0);
    assert_eq!(bench.read("well.nii.gz").data(), bench.read("clean.nii").data());
    bench
        .run(&["doctor", "clean.nii", "ill.nii", "--fix", "out"])
        .code(0);
    assert!(bench.path("out/ill_mended.nii.gz").is_file());
    bench.refuses(
        2,
        &["doctor", "ill.nii", "--fix", "well.nii.gz"],
        &["well.nii.gz", "--force"],
    );
    bench.refuses(
        2,
        &["doctor", "ill.nii", "--fix", "ill.nii", "--force"],
        &["never overwritten"],
    );
    bench.refuses(1, &["doctor", "missing.nii"], &["missing.nii"]);
}

/// Training with a factor for each axis, and what comes of it.
#[test]
fn each_axis_may_have_a_factor_of_its_own() {
    let bench = Bench::new();
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/tiny.toml");
    let hr = bench.phantom("hr.nii", [32, 36, 32], 7);
    for (scale, degraded) in [("2,2,1", [16, 18, 32]), ("1,1,4", [32, 36, 8])] {
        let (run, lr) = (format!("run{scale}"), format!("lr{scale}.nii"));
        let set = format!("scale=[{scale}]");
        let phantom = "data.phantom={ extent = [32, 36, 32], spacing_mm = 2.5 }";
        let train = [
            "train", tiny, "--run", &run, "--set", &set, "--set", "steps=3", "--set", phantom,
        ];
        bench.run(&train).code(0);
        bench.run(&["degrade", "hr.nii", &lr, "--scale", scale]).code(0);
        assert_eq!(bench.read(&lr).extent(), degraded);
        let (model, sr) = (format!("{run}/model.safetensors"), format!("sr{scale}.nii"));
        bench.run(&["upscale", &lr, "-o", &sr, "--model", &model]).code(0);
        assert_eq!(
            bench.read(&sr).geometry(),
            hr.geometry(),
            "the scale is undone: {scale}"
        );
        let psnr_db = |image: &str| {
            let scores = bench.run(&[
                "evaluate",
                "--reference",
                "hr.nii",
                "--image",
                image,
                "--json",
                "-",
            ]);
            let scores: serde_json::Value =
                serde_json::from_slice(&scores.code(0).get_output().stdout).expect("JSON");
            scores["psnr_db"].as_f64().expect("a number")
        };
        let linear = format!("linear{scale}.nii");
        bench
            .run(&[
                "upscale",
                &lr,
                "-o",
                &linear,
                "--method",
                "trilinear",
                "--like",
                "hr.nii",
            ])
            .code(0);
        // Three steps teach nothing, but the model stands on Lanczos: axes mixed up would cost many decibels.
        let (model, floor) = (psnr_db(&sr), psnr_db(&linear));
        assert!(model > floor - 1.0, "{scale}: {model} dB, trilinear {floor} dB");
        // Another spacing than the model's own is reached from it.
        let other = format!("other{scale}.nii");
        let model = format!("{run}/model.safetensors");
        bench
            .run(&[
                "upscale",
                &lr,
                "-o",
                &other,
                "--model",
                &model,
                "--spacing",
                "2.1",
            ])
            .code(0);
        let near = bench.read(&other).geometry().spacing_mm();
        assert!(near.iter().all(|mm| (mm - 2.1).abs() < 0.1), "{near:?}");
    }
}

#[test]
fn volumes_are_looked_at_one_by_one() {
    let bench = Bench::new();
    let head = bench.phantom("plain.nii", [24, 28, 22], 1);
    let n = head.data().len() as f32;
    let mean = head.data().iter().sum::<f32>() / n;
    let deviation = (head.data().iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
    let scored = head.clone().map(|v| (v - mean) / deviation);
    let mut four = NiftiImage::from_volume(head.clone());
    four.header.extra_extent = vec![3];
    four.frames = vec![head.clone().map(|_| 0.0), head.clone(), scored];
    nifti::write(&bench.path("four.nii"), &four, &WriteOptions::default()).unwrap();
    let upscale = ["upscale", "four.nii", "-o", "sr.nii", "--allow-out-of-range"];
    let assert = bench.run(&upscale).code(0);
    let said = text(&assert.get_output().stderr);
    assert!(said.contains("volume 1 of 3: is 0 everywhere"), "{said}");
    let sr = image(&bench, "sr.nii");
    assert!(sr.frames[0].data().iter().all(|v| *v == 0.0));
    let peak = head.data().iter().copied().fold(0.0, f32::max);
    for (a, b) in sr.frames[1].data().iter().zip(sr.frames[2].data()) {
        assert!((a - (b * deviation + mean)).abs() < 0.01 * peak, "{a} {b}");
    }
    // A phase map among them is refused by its number.
    four.frames[2] = Volume::new(
        (0..head.data().len())
            .map(|i| (i * 7919 % 8192) as f32 - 4096.0)
            .collect(),
        head.geometry().clone(),
    );
    nifti::write(&bench.path("phase.nii"), &four, &WriteOptions::default()).unwrap();
    let assert = bench
        .run(&["upscale", "phase.nii", "-o", "no.nii", "--allow-out-of-range"])
        .code(1);
    let said = text(&assert.get_output().stderr);
    assert!(
        said.contains("volume 3 of 3") && said.contains("magnitude"),
        "{said}"
    );
    assert!(!bench.path("no.nii").exists());
}

#[test]
fn tables_of_spreadsheets_are_read() {
    let bench = Bench::new();
    let head = bench.phantom("hr.nii", [24, 28, 22], 1);
    bench.write("sr.nii", &head.map(|v| v * 0.9));
    for (name, delimiter, start) in [
        ("a.csv", ";", "\u{feff}"),
        ("b.csv", "\t", ""),
        ("c.csv", ",", ""),
    ] {
        let table =
            format!("{start}reference,image,subject\r\nhr.nii,sr.nii,one\r\n").replace(',', delimiter);
        fs::write(bench.path(name), table).unwrap();
        bench.run(&["evaluate", "--pairs", name]).code(0);
    }
}

#[test]
fn a_spike_is_refused_where_the_program_chooses_and_told_where_it_spreads() {
    let bench = Bench::new();
    let mut head = bench.phantom("head.nii", [24, 26, 24], 1);
    let middle = head.data().len() / 2;
    head.data_mut()[middle] = 1e6;
    bench.write("hot.nii", &head);
    let upscale = ["upscale", "hot.nii", "-o", "o.nii"];
    let words = [
        "hot.nii",
        "1 voxel lies far beyond the rest, at 1000000",
        "--method trilinear",
    ];
    bench.refuses(1, &upscale, &words);
    let said = |more: &[&str]| {
        let assert = bench.run(&[&upscale, more, &["--force"]].concat()).code(0);
        text(&assert.get_output().stderr)
    };
    for more in [
        &["--method", "zero-fill"][..],
        &["--method", "lanczos"],
        &["--method", "trilinear", "--consistency", "hard"],
    ] {
        assert!(said(more).contains("it spreads over the output"), "{more:?}");
    }
    assert!(!said(&["--method", "trilinear"]).contains("spreads"));
}

#[test]
fn fill_values_are_refused_or_told() {
    let bench = Bench::new();
    let head = bench.phantom("head.nii", [24, 26, 24], 1);
    let mut filled = head.clone();
    filled.data_mut()[..24 * 26 * 3].fill(-32768.0);
    bench.write("filled.nii", &filled);
    let words = ["filled.nii", "hold exactly -32768", "fill value"];
    bench.refuses(1, &["upscale", "filled.nii", "-o", "o.nii"], &words);
    let said = |arguments: &[&str], code: i32| {
        let assert = bench.run(arguments).code(code);
        let output = assert.get_output();
        text(&output.stdout) + &text(&output.stderr)
    };
    let ringing = said(
        &["upscale", "filled.nii", "-o", "o.nii", "--method", "zero-fill"],
        0,
    );
    assert!(ringing.contains("it spreads over the output"), "{ringing}");
    assert!(said(&["doctor", "filled.nii"], 3).contains("hold exactly -32768"));
    let flattered = said(
        &[
            "-q",
            "evaluate",
            "--reference",
            "filled.nii",
            "--image",
            "head.nii",
        ],
        0,
    );
    assert!(
        flattered.contains("a fill value makes the data range"),
        "{flattered}"
    );
}
