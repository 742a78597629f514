//! Every command on generated files, and on real ones where they are.

use crate::support::{Bench, oblique, shared_data, skipped, text};
use serde_json::Value;
use voxelift_volume::Volume;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn help_and_version_go_to_stdout() {
    let bench = Bench::new();
    let help = text(&bench.run(&["--help"]).code(0).get_output().stdout);
    for command in ["info", "degrade", "upscale", "evaluate", "report"] {
        assert!(help.contains(command), "{help}");
    }
    let version = text(&bench.run(&["-V"]).code(0).get_output().stdout);
    assert_eq!(version.trim(), concat!("voxelift ", env!("CARGO_PKG_VERSION")));
    bench.run(&[]).code(2);
}

#[test]
fn info_says_grid_type_and_intensities() {
    let bench = Bench::new();
    bench.phantom("head.nii.gz", [24, 28, 20], 1);
    let said = text(&bench.run(&["info", "head.nii.gz"]).code(0).get_output().stdout);
    for part in [
        "24 x 28 x 20 voxels of 2.5 x 2.5 x 2.5 mm",
        "RAS",
        "float32",
        "foreground",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = json(
        &bench
            .run(&["info", "--json", "head.nii.gz"])
            .code(0)
            .get_output()
            .stdout,
    );
    assert_eq!(said["extent"], serde_json::json!([24, 28, 20]));
    assert_eq!(said["orientation"], "RAS");
    let p995 = said["foreground_p995"].as_f64().expect("a number");
    assert!(
        p995 > 50.0 && p995 < said["max"].as_f64().expect("a number"),
        "{said}"
    );
}

#[test]
fn every_parity_of_size_goes_down_up_and_is_scored() {
    let bench = Bench::new();
    for parity in 0..8 {
        let extent: [usize; 3] = std::array::from_fn(|a| [24, 26, 22][a] + (parity >> a & 1));
        let hr = bench.phantom("hr.nii", extent, 2);
        bench.run(&["degrade", "hr.nii", "lr.nii"]).code(0);
        assert_eq!(bench.read("lr.nii").extent(), extent.map(|n| n.div_ceil(2)));

        let psnr_db = |method: &str, image: &str| {
            bench
                .run(&["upscale", "lr.nii", "-o", image, "--method", method])
                .code(0);
            let scores = bench
                .run(&[
                    "evaluate",
                    "--reference",
                    "hr.nii",
                    "--image",
                    image,
                    "--json",
                    "-",
                ])
                .code(0);
            let scores = json(&scores.get_output().stdout);
            assert_eq!(
                scores["voxels"],
                hr.data().len(),
                "the reference is covered: {extent:?}"
            );
            scores["psnr_db"].as_f64().expect("a number")
        };
        // Half a voxel off would cost zero-fill several decibels, far more than its lead.
        let (zero_fill, trilinear) = (psnr_db("zero-fill", "sr.nii"), psnr_db("trilinear", "linear.nii"));
        assert!(
            zero_fill > trilinear + 0.5,
            "{extent:?}: zero-fill {zero_fill} dB, trilinear {trilinear} dB"
        );

        bench
            .run(&[
                "upscale",
                "lr.nii",
                "-o",
                "like.nii",
                "--method",
                "zero-fill",
                "--like",
                "hr.nii",
            ])
            .code(0);
        let (like, sr) = (bench.read("like.nii"), bench.read("sr.nii"));
        assert_eq!(like.geometry(), hr.geometry());
        assert_eq!(
            like.data(),
            sr.crop([0; 3], extent).data(),
            "the same voxels, bit for bit"
        );
        for file in ["hr.nii", "lr.nii", "sr.nii", "linear.nii", "like.nii"] {
            std::fs::remove_file(bench.path(file)).expect("a removable file");
        }
    }
}

#[test]
fn every_method_and_grid_stays_where_the_head_is() {
    let bench = Bench::new();
    let mut head = bench.phantom("plain.nii", [30, 28, 26], 3);
    head = Volume::new(head.into_data(), oblique([30, 28, 26]));
    bench.write("hr.nii.gz", &head);
    bench
        .run(&["degrade", "hr.nii.gz", "lr.nii.gz", "--spacing", "4"])
        .code(0);
    for method in ["zero-fill", "lanczos", "trilinear", "cubic"] {
        let out = format!("{method}.nii.gz");
        bench
            .run(&[
                "upscale",
                "lr.nii.gz",
                "-o",
                &out,
                "--method",
                method,
                "--like",
                "hr.nii.gz",
            ])
            .code(0);
        let scores = bench
            .run(&[
                "evaluate",
                "--reference",
                "hr.nii.gz",
                "--image",
                &out,
                "--json",
                "-",
            ])
            .code(0);
        let psnr_db = json(&scores.get_output().stdout)["psnr_db"]
            .as_f64()
            .expect("a number");
        assert!(psnr_db > 20.0, "{method}: {psnr_db} dB");
    }
    bench
        .run(&[
            "upscale",
            "lr.nii.gz",
            "-o",
            "fine.nii",
            "--method",
            "cubic",
            "--spacing",
            "1.9,1.9,4",
        ])
        .code(0);
    let (lr, fine) = (bench.read("lr.nii.gz"), bench.read("fine.nii"));
    assert_eq!(fine.extent()[2], lr.extent()[2]);
    for corner in [[-0.5; 3], [0.0; 3].map(|_: f64| 0.5)] {
        let edge = |v: &Volume| {
            let voxel = std::array::from_fn(|a| {
                if corner[a] < 0.0 {
                    -0.5
                } else {
                    v.extent()[a] as f64 - 0.5
                }
            });
            v.geometry().world(voxel)
        };
        let (a, b) = (edge(&lr), edge(&fine));
        assert!(
            (0..3).all(|i| (a[i] - b[i]).abs() < 1e-3),
            "the field of view stays: {a:?} {b:?}"
        );
    }
}

#[test]
fn operators_scales_noise_and_types_are_taken() {
    let bench = Bench::new();
    bench.phantom("hr.nii", [24, 24, 24], 4);
    for operator in ["kspace", "cubic", "gaussian", "box"] {
        let out = format!("{operator}.nii");
        bench
            .run(&[
                "degrade",
                "hr.nii",
                &out,
                "--operator",
                operator,
                "--scale",
                "2,2,1",
                "--dtype",
                "int16",
            ])
            .code(0);
        let said = json(&bench.run(&["info", "--json", &out]).code(0).get_output().stdout);
        assert_eq!(said["extent"], serde_json::json!([12, 12, 24]));
        assert_eq!(said["datatype"], "int16");
    }
    let noisy = |out: &str, seed: &str| {
        bench
            .run(&["degrade", "hr.nii", out, "--noise", "0.05", "--seed", seed])
            .code(0);
        std::fs::read(bench.path(out)).expect("a file")
    };
    let first = noisy("a.nii", "1");
    assert_eq!(first, noisy("b.nii", "1"), "the same seed, the same bytes");
    assert_ne!(first, noisy("c.nii", "2"));
}

#[test]
fn threads_do_not_change_a_byte() {
    let bench = Bench::new();
    bench.phantom("hr.nii", [33, 30, 27], 5);
    let mut made = Vec::new();
    for threads in ["1", "3"] {
        let (lr, sr) = (format!("lr{threads}.nii.gz"), format!("sr{threads}.nii.gz"));
        bench
            .run(&["degrade", "hr.nii", &lr, "--noise", "0.02", "--threads", threads])
            .code(0);
        bench
            .run(&[
                "upscale",
                &lr,
                "-o",
                &sr,
                "--method",
                "lanczos",
                "--threads",
                threads,
            ])
            .code(0);
        let scores = bench.run(&[
            "evaluate",
            "--reference",
            "hr.nii",
            "--image",
            &sr,
            "--json",
            "-",
            "--threads",
            threads,
        ]);
        made.push((
            std::fs::read(bench.path(&sr)).expect("a file"),
            scores.code(0).get_output().stdout.clone(),
        ));
    }
    assert!(made[0] == made[1]);
}

#[test]
fn a_batch_goes_into_a_folder_and_one_failure_is_told() {
    let bench = Bench::new();
    bench.phantom("a.nii", [12; 3], 6);
    bench.phantom("b.nii.gz", [12; 3], 7);
    std::fs::write(bench.path("broken.nii"), b"nothing of the kind").expect("a file");
    let upscale = [
        "upscale",
        "a.nii",
        "broken.nii",
        "b.nii.gz",
        "-o",
        "out",
        "--method",
        "cubic",
    ];
    let assert = bench.run(&upscale).code(3);
    let said = text(&assert.get_output().stdout);
    assert!(
        said.contains("a_sr.nii.gz") && said.contains("b_sr.nii.gz") && said.contains("failed: "),
        "{said}"
    );
    let names = || {
        let entries = std::fs::read_dir(bench.path("out")).expect("the folder");
        let mut names: Vec<_> = entries
            .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    };
    // Each with its sidecar; the one that failed leaves nothing.
    assert_eq!(names(), ["a_sr.json", "a_sr.nii.gz", "b_sr.json", "b_sr.nii.gz"]);
    bench
        .run(&[
            "upscale", "a.nii", "b.nii.gz", "-o", "out", "--method", "cubic", "--force",
        ])
        .code(0);
    bench
        .run(&[
            "upscale",
            "broken.nii",
            "missing.nii",
            "-o",
            "out2",
            "--method",
            "cubic",
        ])
        .code(1);
}

#[test]
fn a_four_dimensional_file_goes_through_volume_by_volume() {
    use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
    let bench = Bench::new();
    let (a, b) = (
        bench.phantom("a.nii", [12, 10, 8], 8),
        bench.phantom("b.nii", [12, 10, 8], 9),
    );
    let mut image = NiftiImage::from_volume(a.clone());
    image.header.extra_extent = vec![2];
    image.frames.push(b);
    nifti::write(&bench.path("both.nii"), &image, &WriteOptions::default()).expect("a written file");
    bench
        .run(&[
            "upscale",
            "both.nii",
            "-o",
            "both_sr.nii",
            "--method",
            "zero-fill",
        ])
        .code(0);
    bench
        .run(&["upscale", "a.nii", "-o", "a_sr.nii", "--method", "zero-fill"])
        .code(0);
    let both = nifti::read(&bench.path("both_sr.nii"), &ReadOptions::default()).expect("a readable file");
    assert_eq!(both.frames.len(), 2);
    assert_eq!(both.frames[0].data(), bench.read("a_sr.nii").data());
}

#[test]
fn pairs_are_scored_and_summed_up_by_method_and_person() {
    let bench = Bench::new();
    let mut table = String::from("reference, image, subject, method\n");
    for (seed, subject) in [(10, "ann"), (11, "ann"), (12, "bob")] {
        let hr = format!("hr{seed}.nii");
        bench.phantom(&hr, [32; 3], seed);
        bench.run(&["degrade", &hr, &format!("lr{seed}.nii")]).code(0);
        for method in ["zero-fill", "trilinear"] {
            let out = format!("{method}{seed}.nii");
            bench
                .run(&[
                    "upscale",
                    &format!("lr{seed}.nii"),
                    "-o",
                    &out,
                    "--method",
                    method,
                ])
                .code(0);
            table.push_str(&format!("{hr}, {out}, {subject}, {method}\n"));
        }
    }
    std::fs::write(bench.path("pairs.csv"), &table).expect("a file");
    let said = text(
        &bench
            .run(&[
                "evaluate",
                "--pairs",
                "pairs.csv",
                "--json",
                "e/scores.json",
                "--csv",
                "e/scores.csv",
            ])
            .code(0)
            .get_output()
            .stdout,
    );
    for word in ["zero-fill", "trilinear", "PSNR", "sliced Wasserstein"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let scores = json(&std::fs::read(bench.path("e/scores.json")).expect("a file"));
    assert_eq!(scores["pairs"].as_array().expect("pairs").len(), 6);
    assert_eq!(
        scores["summary"]["zero-fill"]["masked"]["psnr_db"]["people"], 2,
        "a person scanned twice counts once"
    );
    let distance = |method: &str| {
        let set = &scores["summary"][method]["set"];
        assert_eq!((&set["images"], &set["references"]), (&3.into(), &3.into()));
        set["sliced_wasserstein"].as_f64().expect("a distance")
    };
    assert!(
        0.0 < distance("zero-fill") && distance("zero-fill") < distance("trilinear"),
        "the blurrier set is further away"
    );

    // The same numbers as rows, in the order of the table, on one thread too.
    let rows = std::fs::read_to_string(bench.path("e/scores.csv")).expect("a file");
    let of_pair: Vec<&str> = rows
        .lines()
        .filter(|line| line.contains(",masked,psnr_db,"))
        .collect();
    assert_eq!(of_pair.len(), 6);
    for (row, pair) in of_pair.iter().zip(scores["pairs"].as_array().expect("pairs")) {
        assert!(row.contains(pair["image"].as_str().expect("a name")), "{row}");
        let value: f64 = row
            .rsplit(',')
            .next()
            .and_then(|v| v.parse().ok())
            .expect("a number");
        // serde_json reads a number to within its last digit.
        let expected = pair["masked"]["psnr_db"].as_f64().expect("a score");
        assert!((value - expected).abs() < 1e-9, "{value}, {expected} in the JSON");
    }
    let one = [
        "--threads",
        "1",
        "evaluate",
        "--pairs",
        "pairs.csv",
        "--json",
        "one.json",
    ];
    bench.run(&one).code(0);
    let [one, many] = ["one.json", "e/scores.json"].map(|name| std::fs::read(bench.path(name)).ok());
    assert_eq!(one, many);
    bench.refuses(
        2,
        &["evaluate", "--pairs", "pairs.csv", "--csv", "e/scores.csv"],
        &["e/scores.csv", "--force"],
    );

    // A page from that folder.
    bench.run(&["report", "e", "-o", "page.html"]).code(0);
    let page = std::fs::read_to_string(bench.path("page.html")).expect("a page");
    assert!(page.contains("How to read this") && page.contains("trilinear"));
    assert!(!page.contains("http:") && !page.contains("https:"));

    // Methods on other references than one another do not compare.
    let all: Vec<&str> = table.lines().collect();
    std::fs::write(bench.path("some.csv"), all[..all.len() - 1].join("\n")).expect("a file");
    let told = text(
        &bench
            .run(&["evaluate", "--pairs", "some.csv"])
            .code(0)
            .get_output()
            .stderr,
    );
    assert!(
        told.contains("not scored on the same references") && told.contains("2 of 3"),
        "{told}"
    );

    // Nor do images in other regions of one reference than one another.
    let masked =
        "reference,image,mask,method\nhr10.nii,hr10.nii,even.nii,one\nhr10.nii,hr10.nii,odd.nii,two\n";
    std::fs::write(bench.path("masked.csv"), masked).expect("a file");
    let whole = bench.read("hr10.nii");
    for (name, which) in [("even.nii", 0), ("odd.nii", 1)] {
        let half = (0..whole.data().len()).map(|at| f32::from(at % 2 == which));
        bench.write(name, &Volume::new(half.collect(), whole.geometry().clone()));
    }
    let said = bench.run(&["evaluate", "--pairs", "masked.csv"]).code(0);
    let told = text(&said.get_output().stderr);
    assert!(told.contains("different regions of hr10.nii"), "{told}");

    // One row that cannot be scored is told, the others are.
    std::fs::write(
        bench.path("pairs.csv"),
        table + "hr10.nii, missing.nii, cid, zero-fill\n",
    )
    .expect("a file");
    let assert = bench.run(&["evaluate", "--pairs", "pairs.csv"]).code(3);
    assert!(text(&assert.get_output().stderr).contains("missing.nii"));
}

#[test]
fn a_run_folder_becomes_a_page() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("run")).expect("a folder");
    std::fs::write(bench.path("run/config.toml"), "seed = 1\n").expect("a file");
    let scores = r#"{"psnr_db":30.5,"ssim":0.9,"masked_psnr_db":25.25,"masked_ssim":0.8}"#;
    let log = format!(
        "{}\n{}\n",
        r#"{"kind":"step","step":1,"seconds":0.5,"learning_rate":0.001,"terms":{"reconstruction":0.2}}"#,
        format_args!(r#"{{"kind":"validation","step":1,"scores":{{"sr":{scores},"zero_fill":{scores}}}}}"#),
    );
    std::fs::write(bench.path("run/log.jsonl"), log).expect("a file");
    bench.run(&["report", "run"]).code(0);
    let page = std::fs::read_to_string(bench.path("run/report.html")).expect("a page");
    for part in ["25.25", "reconstruction", "zero-fill", "seed = 1", "<svg"] {
        assert!(page.contains(part), "{part} is missing");
    }
}

#[test]
fn a_real_spine_goes_down_up_and_is_scored() {
    let Some(data) = shared_data() else {
        skipped("no shared data");
        return;
    };
    let bench = Bench::new();
    let spine = data.join("val/other/sct-spine_T1w_1mm_crop.nii.gz");
    let spine = spine.to_str().expect("UTF-8");
    bench.run(&["degrade", spine, "lr.nii.gz"]).code(0);
    let score = |method: &str| {
        let out = format!("{method}.nii.gz");
        bench
            .run(&["upscale", "lr.nii.gz", "-o", &out, "--method", method])
            .code(0);
        let scores = bench
            .run(&["evaluate", "--reference", spine, "--image", &out, "--json", "-"])
            .code(0);
        json(&scores.get_output().stdout)["psnr_db"]
            .as_f64()
            .expect("a number")
    };
    let (zero_fill, trilinear) = (score("zero-fill"), score("trilinear"));
    assert!(
        zero_fill > trilinear + 0.5,
        "zero-fill {zero_fill} dB, trilinear {trilinear} dB"
    );
}

#[test]
fn the_quick_demo_does_the_whole_main_job_and_owns_only_its_folder() {
    let bench = Bench::new();
    let said = text(
        &bench
            .run(&["demo", "--quick", "--out", "d"])
            .code(0)
            .get_output()
            .stdout,
    );
    for part in ["PSNR", "model", "zero-fill", "trilinear"] {
        assert!(said.contains(part), "{said}");
    }
    let page = std::fs::read_to_string(bench.path("d/report.html")).expect("a page");
    assert!(
        page.contains("Training curves") && page.contains("data:image/png"),
        "scores, curves and pictures"
    );
    let built_in = std::fs::read_to_string(bench.path("d/built-in/sr.json")).expect("a sidecar");
    assert!(built_in.contains("built-in model"), "{built_in}");
    // The page begins with a real scan, on which the built-in model is better than every baseline.
    let places = [
        "on a real scan</h2>",
        "expected gain",
        "trained here on synthetic heads</h2>",
        "Training curves",
    ];
    let places = places.map(|part| page.find(part).unwrap_or_else(|| panic!("{part}")));
    assert!(
        places.is_sorted() && page.len() < 5_000_000,
        "{places:?}, {} bytes",
        page.len()
    );
    assert!(!page.contains("http:") && !page.contains("https:"));
    let scores = json(&std::fs::read(bench.path("d/built-in/scores.json")).expect("scores"));
    let psnr = |method: &str| {
        let pairs = scores["pairs"].as_array().expect("pairs");
        let pair = pairs.iter().find(|pair| pair["method"] == method);
        pair.and_then(|pair| pair["brain"]["psnr_db"].as_f64())
            .unwrap_or_else(|| panic!("{method} in {scores}"))
    };
    for baseline in ["zero-fill", "lanczos", "trilinear", "cubic"] {
        let (own, other) = (psnr("model"), psnr(baseline));
        assert!(own > other + 0.9, "{own} against {other} of {baseline}");
    }
    let (hr, sr) = (bench.read("d/hr.nii.gz"), bench.read("d/sr.nii.gz"));
    assert_eq!(sr.extent(), hr.extent().map(|n| n.next_multiple_of(2)));

    // The model alone is enough: another tile, the ensemble, another grid; and it refuses what it was not trained for.
    let model = "d/run/model.safetensors";
    let card = json(
        &bench
            .run(&["info", "--model", model, "--json"])
            .code(0)
            .get_output()
            .stdout,
    );
    assert_eq!(card["scale"], serde_json::json!([2, 2, 2]));
    let upscale = [
        "upscale",
        "d/lr.nii.gz",
        "--model",
        model,
        "-o",
        "e.nii.gz",
        "--like",
        "d/hr.nii.gz",
    ];
    bench
        .run(&[&upscale[..], &["--tile", "12", "--ensemble"]].concat())
        .code(0);
    assert_eq!(bench.read("e.nii.gz").geometry(), hr.geometry());
    let sidecar = json(&std::fs::read(bench.path("e.json")).expect("a sidecar"));
    assert_eq!(
        (&sidecar["tile"], &sidecar["ensemble"]),
        (&serde_json::json!(12), &serde_json::json!(true))
    );
    bench.refuses(
        2,
        &[
            "upscale",
            "d/lr.nii.gz",
            "--model",
            model,
            "-o",
            "f.nii",
            "--scale",
            "3",
        ],
        &["--scale 3"],
    );
    bench.refuses(
        1,
        &["upscale", "d/hr.nii.gz", "--model", model, "-o", "f.nii"],
        &["d/hr.nii.gz", "3.8", "7.6"],
    );
    bench.refuses(
        1,
        &["upscale", "d/lr.nii.gz", "--model", "d/hr.nii.gz", "-o", "f.nii"],
        &["d/hr.nii.gz"],
    );

    // A second demo replaces the first, and nothing else.
    bench.run(&["demo", "--quick", "--out", "d"]).code(0);
    std::fs::remove_file(bench.path("d/.voxelift-demo")).expect("the mark");
    bench.refuses(
        2,
        &["demo", "--quick", "--out", "d"],
        &["not the folder of a demo"],
    );
}

#[test]
fn voxels_of_another_size_are_not_compared_where_one_file_says_no_place() {
    let bench = Bench::new();
    let head = bench.phantom("head.nii", [24; 3], 3);
    let unplaced = |name: &str, larger: f64| {
        let mut geometry = head.geometry().clone();
        geometry.world_from_voxel = geometry.world_from_voxel.map(|row| row.map(|v| v * larger));
        bench.write(name, &Volume::new(head.data().to_vec(), geometry));
        let mut bytes = std::fs::read(bench.path(name)).expect("a file");
        // qform_code and sform_code.
        bytes[252..256].fill(0);
        std::fs::write(bench.path(name), bytes).expect("a file");
    };
    unplaced("same.nii", 1.0);
    unplaced("other.nii", 2.0);
    let against = |image| ["evaluate", "--reference", "head.nii", "--image", image];
    bench.run(&against("same.nii")).code(0);
    let refused = bench.run(&against("other.nii")).code(1);
    let said = text(&refused.get_output().stderr);
    assert!(
        said.contains("2.5 x 2.5 x 2.5 mm and 5 x 5 x 5 mm; give both a place"),
        "{said}"
    );
}
