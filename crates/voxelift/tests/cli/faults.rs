//! What cost somebody a file, or was said of what was not so.

use std::fs;

use serde_json::Value;
use voxelift_volume::Volume;

use super::support::{Bench, text};

/// A scan, and the same with another brightness.
fn bench() -> Bench {
    let bench = Bench::new();
    let head = bench.phantom("a.nii", [16, 18, 16], 1);
    bench.write("b.nii", &head.map(|v| 0.9 * v + 1.0));
    bench
}

/// Exit code and all that was said.
fn said(bench: &Bench, arguments: &[&str]) -> (i32, String) {
    let assert = bench.run(arguments);
    let output = assert.get_output();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().expect("an exit code"), said)
}

#[test]
fn scores_and_pages_are_never_written_over_an_input() {
    let bench = bench();
    fs::write(bench.path("t.csv"), "reference,image\na.nii,b.nii\n").expect("written");
    fs::create_dir(bench.path("run")).expect("a folder");
    fs::write(bench.path("run/model.safetensors"), "weights").expect("written");
    let one = ["evaluate", "--reference", "a.nii", "--image", "b.nii", "--force"];
    let many = ["evaluate", "--pairs", "t.csv", "--force"];
    for (arguments, file) in [
        (&one[..], ["--json", "a.nii"]),
        (&one, ["--json", "./b.nii"]),
        (&many, ["--json", "a.nii"]),
        (&many, ["--csv", "t.csv"]),
        (&many, ["--csv", "b.nii"]),
    ] {
        bench.refuses(2, &[arguments, &file[..]].concat(), &["never overwritten"]);
    }
    bench.refuses(
        2,
        &["report", "run", "-o", "run/model.safetensors", "--force"],
        &["model.safetensors", ".html"],
    );
}

#[cfg(unix)]
#[test]
fn a_socket_that_is_named_as_output_stays() {
    use std::os::unix::fs::FileTypeExt;
    let bench = bench();
    let _socket = std::os::unix::net::UnixListener::bind(bench.path("s.json")).expect("a socket");
    let (code, said) = said(
        &bench,
        &[
            "evaluate",
            "--reference",
            "a.nii",
            "--image",
            "b.nii",
            "--json",
            "s.json",
            "--force",
        ],
    );
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("a device, a pipe or a socket"), "{said}");
    let there = fs::metadata(bench.path("s.json")).expect("still there");
    assert!(there.file_type().is_socket());
}

#[test]
fn rows_that_count_twice_or_not_at_all_are_told() {
    let bench = bench();
    let table =
        |rows: &str| fs::write(bench.path("t.csv"), format!("reference,image\n{rows}")).expect("written");
    let pairs = ["evaluate", "--pairs", "t.csv"];
    table("a.nii,b.nii\na.nii,\n");
    bench.refuses(1, &pairs, &["t.csv", "row 2", "image is empty"]);
    table("a.nii,b.nii\na.nii,a.nii\na.nii,b.nii\n");
    let (code, said) = said(&bench, &pairs);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("rows 1 and 3 below the header are the same pair"),
        "{said}"
    );
    assert!(said.contains("a.nii: the same as its reference"), "{said}");
}

#[test]
fn a_grid_elsewhere_is_refused_and_one_at_the_edge_told() {
    let bench = bench();
    let moved = |name: &str, by: f64| {
        let mut geometry = bench.read("a.nii").geometry().with_extent([32, 36, 32]);
        geometry.world_from_voxel[0][3] += by;
        bench.write(name, &Volume::filled(1.0, geometry));
    };
    moved("far.nii", 200.0);
    moved("edge.nii", 36.0);
    let like = [
        "upscale",
        "a.nii",
        "-o",
        "o.nii",
        "--method",
        "trilinear",
        "--like",
    ];
    bench.refuses(
        2,
        &[&like[..], &["far.nii"]].concat(),
        &["outside the scan's field of view"],
    );
    let (code, said) = said(&bench, &[&like[..], &["edge.nii"]].concat());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("in common with the grid"), "{said}");
}

#[test]
fn a_sidecar_never_tells_of_an_output_that_is_gone() {
    let bench = bench();
    let model = [
        "upscale",
        "a.nii",
        "-o",
        "o.nii",
        "--method",
        "trilinear",
        "--consistency",
        "hard",
        "--labels",
        "a.nii",
        "--anonymise",
    ];
    fs::create_dir(bench.path("SECRET")).expect("a folder");
    fs::copy(bench.path("a.nii"), bench.path("SECRET/a.nii")).expect("copied");
    let mut there = model;
    there[1] = "SECRET/a.nii";
    assert_eq!(said(&bench, &there).0, 0);
    let sidecar = fs::read(bench.path("o.json")).expect("a sidecar");
    let how: Value = serde_json::from_slice(&sidecar).expect("JSON");
    assert_eq!(how["source"], "a.nii", "without its folder");
    let plain = [
        "upscale",
        "a.nii",
        "-o",
        "o.nii",
        "--method",
        "trilinear",
        "--force",
    ];
    let (code, told) = said(&bench, &plain);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("o_labels.nii.gz: goes with an earlier o.nii"),
        "{told}"
    );
    assert!(!bench.path("o.json").exists(), "it told of another output");
    // Neither does `degrade` leave one behind, and a file of somebody else's stays.
    assert_eq!(said(&bench, &[&model[..], &["--force"]].concat()).0, 0);
    assert_eq!(said(&bench, &["degrade", "a.nii", "o.nii", "--force"]).0, 0);
    assert!(!bench.path("o.json").exists(), "it told of another output");
    fs::write(bench.path("o.json"), "{\"theirs\": 1}").expect("written");
    assert_eq!(said(&bench, &["degrade", "a.nii", "o.nii", "--force"]).0, 0);
    assert!(bench.path("o.json").exists());
}

#[test]
fn numbers_out_of_range_are_refused_as_what_they_are() {
    let bench = bench();
    let upscale = ["upscale", "a.nii", "-o", "o.nii", "--method", "trilinear"];
    for (option, value, word) in [
        ("--scale", "-1", "one whole number"),
        ("--spacing", "1e300", "0.001 to 10000"),
        ("--threads", "-1", "1..=1024"),
        ("--max-voxels", "-1", "--max-voxels"),
    ] {
        bench.refuses(2, &[&upscale[..], &[option, value]].concat(), &[value, word]);
    }
    for range in ["1e300", "1e-300", "0", "nan"] {
        let evaluate = [
            "evaluate",
            "--reference",
            "a.nii",
            "--image",
            "b.nii",
            "--data-range",
            range,
        ];
        bench.refuses(2, &evaluate, &["--data-range", "positive number"]);
    }
    // An input that is not there is not blamed on the output.
    bench.refuses(1, &["upscale", "none", "-o", "out"], &["none", "cannot open"]);
}

#[test]
fn cells_that_a_spreadsheet_would_compute_are_made_inert() {
    let bench = bench();
    let rows = "reference,image,subject\na.nii,b.nii,\"=HYPERLINK(\"\"x\"\")\"\n";
    fs::write(bench.path("t.csv"), rows).expect("written");
    assert_eq!(
        said(&bench, &["evaluate", "--pairs", "t.csv", "--csv", "s.csv"]).0,
        0
    );
    let scores = fs::read_to_string(bench.path("s.csv")).expect("scores");
    assert!(
        scores.contains("'=HYPERLINK") && !scores.contains(",\"=") && !scores.contains(",="),
        "{scores}"
    );
}

#[test]
fn a_mask_of_fractions_is_told() {
    let bench = bench();
    let head = bench.read("a.nii");
    let most = head.data().iter().copied().fold(0.0, f32::max);
    bench.write("p.nii", &head.clone().map(|v| v / most));
    bench.write("m.nii", &head.map(|v| f32::from(u8::from(v > 0.0))));
    let masked = |mask: &str| {
        let words = [
            "-q",
            "evaluate",
            "--reference",
            "a.nii",
            "--image",
            "b.nii",
            "--mask",
            mask,
        ];
        let (code, said) = said(&bench, &words);
        assert_eq!(code, 0, "{said}");
        said.contains("every voxel above 0 counts")
    };
    assert!(masked("p.nii") && !masked("m.nii"));
}

/// A file of many voxels that are not there on the disk, and a shell that gives the program less memory than they take.
#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_told_before_the_work() {
    let bench = bench();
    let mut header = fs::read(bench.path("a.nii")).expect("a scan")[..352].to_vec();
    let dim: Vec<u8> = [3_i16, 400, 400, 400, 1, 1, 1, 1]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    header[40..56].copy_from_slice(&dim);
    fs::write(bench.path("big.nii"), header).expect("written");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(bench.path("big.nii"))
        .expect("there");
    file.set_len(352 + 4 * 400_u64.pow(3)).expect("a sparse file");
    let limited = |kib: u64, arguments: &str| {
        let script = format!("ulimit -v {kib}; exec \"$0\" {arguments}");
        let program = assert_cmd::cargo::cargo_bin("voxelift");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .arg(program)
            .current_dir(bench.path(""))
            .output()
            .expect("a shell");
        (output.status.code(), text(&output.stderr))
    };
    for arguments in [
        "evaluate --reference big.nii --image big.nii",
        "upscale big.nii -o o.nii --method trilinear",
    ] {
        let (code, said) = limited(2_000_000, arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("MiB of memory") && said.contains("are left"),
            "{said}"
        );
    }
    let (code, said) = limited(400_000, "info --threads 1 a.nii");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("`ulimit -v` lets the program take 390 MiB"),
        "{said}"
    );
}

#[test]
fn a_page_is_made_of_scores_alone() {
    let bench = bench();
    fs::create_dir(bench.path("e")).expect("a folder");
    for nothing in ["null", "{}", "{\"pairs\": []}", "{\"pairs\": [{}]}"] {
        fs::write(bench.path("e/scores.json"), nothing).expect("written");
        bench.refuses(
            1,
            &["report", "e"],
            &["e/scores.json", "voxelift evaluate --json"],
        );
    }
}
