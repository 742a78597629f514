//! Bad input: one line that says what is wrong, the right exit code, and nothing left behind.

use crate::support::Bench;
use voxelift_volume::{Geometry, Volume};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.phantom("head.nii", [16, 14, 12], 1);
    bench.phantom("head.nii.gz", [16, 14, 12], 1);
    let whole = std::fs::read(bench.path("head.nii.gz")).expect("a file");
    std::fs::write(bench.path("truncated.nii.gz"), &whole[..whole.len() / 2]).expect("a file");
    let mut magic = std::fs::read(bench.path("head.nii")).expect("a file");
    magic[344..348].copy_from_slice(b"nope");
    std::fs::write(bench.path("magic.nii"), magic).expect("a file");
    let config = "[data]\nhr = [\"phantom:1-2\"]\nlr = [\"phantom:3-4\"]\n";
    std::fs::write(bench.path("tiny.toml"), config).expect("a file");
    bench
}

#[test]
fn arguments_are_refused_with_exit_code_2() {
    let bench = bench();
    let cases: &[(&[&str], &[&str])] = &[
        (&["degrade", "head.nii"], &["OUT"]),
        (&["frobnicate"], &["frobnicate"]),
        (
            &["upscale", "head.nii", "-o", "out.nii", "--scal", "2"],
            &["'--scal' found; a similar argument exists: '--scale'; see"],
        ),
        (
            &["upscale", "head.nii", "-o", "out.nii", "--overwrite"],
            &["'--overwrite' found; see `voxelift --help`"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "--scale", "2,2"],
            &["--scale", "2,2", "one whole number or three"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "--scale", "2", "--spacing", "4"],
            &["--scale", "--spacing"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "--spacing", "-1"],
            &["--spacing", "-1"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "--operator", "magic"],
            &["magic", "kspace"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "--noise", "3"],
            &["--noise", "3", "fraction"],
        ),
        (&["degrade", "head.nii", "out.png"], &["out.png", ".nii.gz"]),
        (
            &["degrade", "head.nii", "head.nii", "--force"],
            &["head.nii", "never overwritten"],
        ),
        (
            &["degrade", "head.nii", "head.nii.gz"],
            &["head.nii.gz", "--force"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "--spacing", "1"],
            &["spacing", "2.5"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "--threads", "0"],
            &["--threads", "0"],
        ),
        (
            &["degrade", "head.nii", "out.nii", "-q", "-v"],
            &["--quiet", "--verbose"],
        ),
        (
            &["upscale", "head.nii", "-o", "out.nii", "--method", "nearest"],
            &["nearest", "zero-fill"],
        ),
        (
            &[
                "upscale", "head.nii", "-o", "out.nii", "--method", "cubic", "--model", "m",
            ],
            &["--model", "cubic"],
        ),
        (
            &[
                "upscale", "head.nii", "-o", "out.nii", "--method", "cubic", "--audit",
            ],
            &["--audit", "cubic"],
        ),
        (
            &[
                "upscale",
                "head.nii",
                "-o",
                "out.nii",
                "--method",
                "cubic",
                "--consistency",
                "hard",
                "--acquired",
                "slice:hat,3",
            ],
            &["acquired", "slice:hat,3", "slice:gaussian,MM"],
        ),
        (
            &[
                "upscale",
                "head.nii",
                "-o",
                "out.nii",
                "--method",
                "cubic",
                "--spacing",
                "5",
            ],
            &["spacing", "degrade"],
        ),
        (
            &[
                "upscale", "head.nii", "-o", "out.nii", "--method", "cubic", "--dtype", "int64",
            ],
            &["int64", "float32"],
        ),
        (
            &[
                "upscale",
                "head.nii",
                "magic.nii",
                "-o",
                "head.nii.gz",
                "--method",
                "cubic",
            ],
            &["head.nii.gz", "folder"],
        ),
        (
            &["train", "none.toml", "--run", "run", "--device", "gpu"],
            &["--device", "gpu", "auto, cpu, cuda:N or wgpu:N"],
        ),
        (
            &["train", "tiny.toml", "--run", "run", "--device", "cuda:77"],
            &["device cuda:77", "choose", "cpu"],
        ),
        (
            &["train", "tiny.toml", "--run", "run", "--device", "wgpu:77"],
            &["device wgpu:77", "choose", "cpu"],
        ),
        (
            &["train", "tiny.toml", "--run", "run", "--precision", "f16"],
            &["--precision", "f16", "f32 or bf16"],
        ),
        (&["evaluate", "--reference", "head.nii"], &["--image"]),
        (&["evaluate"], &["--reference"]),
        (
            &[
                "evaluate",
                "--reference",
                "head.nii",
                "--image",
                "head.nii",
                "--data-range",
                "-3",
            ],
            &["--data-range", "-3"],
        ),
        (
            &[
                "evaluate",
                "--reference",
                "head.nii",
                "--image",
                "head.nii",
                "--json",
                "head.nii",
            ],
            &["head.nii", "never overwritten"],
        ),
    ];
    for (arguments, words) in cases {
        bench.refuses(2, arguments, words);
    }
}

#[test]
fn data_fails_with_exit_code_1_naming_the_file() {
    let bench = bench();
    let flat = Geometry::axis_aligned([4; 3], [1.0; 3]);
    bench.write("constant.nii", &Volume::filled(3.0, flat.clone()));
    let mut other = flat;
    other.world_from_voxel[0][3] = 0.3;
    bench.write("shifted.nii", &Volume::filled(3.0, other));
    std::fs::write(bench.path("wrong.csv"), "truth,guess\na,b\n").expect("a file");
    std::fs::write(bench.path("empty.csv"), "reference,image\n").expect("a file");
    std::fs::create_dir(bench.path("folder")).expect("a folder");
    let cases: &[(&[&str], &[&str])] = &[
        (&["info", "missing.nii"], &["missing.nii", "No such file"]),
        (&["info", "truncated.nii.gz"], &["truncated.nii.gz"]),
        (&["info", "magic.nii"], &["magic.nii", "magic"]),
        (&["info", "folder"], &["folder"]),
        (&["info", "head.nii", "--max-voxels", "10"], &["head.nii", "10"]),
        (&["degrade", "missing.nii", "out.nii"], &["missing.nii"]),
        (&["degrade", "truncated.nii.gz", "out.nii"], &["truncated.nii.gz"]),
        (
            &["upscale", "magic.nii", "-o", "out.nii", "--method", "cubic"],
            &["magic.nii", "magic"],
        ),
        (
            &[
                "upscale",
                "head.nii",
                "-o",
                "out.nii",
                "--method",
                "cubic",
                "--like",
                "missing.nii",
            ],
            &["missing.nii"],
        ),
        // It is the model that is wrong, and not the option.
        (
            &[
                "upscale",
                "head.nii",
                "-o",
                "out.nii",
                "--model",
                "wrong.csv",
                "--allow-no-gain",
            ],
            &["wrong.csv", "safetensors"],
        ),
        (
            &["evaluate", "--reference", "head.nii", "--image", "shifted.nii"],
            &["spacing", "--like"],
        ),
        (
            &[
                "evaluate",
                "--reference",
                "constant.nii",
                "--image",
                "constant.nii",
            ],
            &["constant.nii", "same value"],
        ),
        (
            &[
                "evaluate",
                "--reference",
                "constant.nii",
                "--image",
                "shifted.nii",
                "--data-range",
                "1",
            ],
            &["constant"],
        ),
        (
            &["evaluate", "--pairs", "wrong.csv"],
            &["wrong.csv", "reference,image"],
        ),
        (&["evaluate", "--pairs", "empty.csv"], &["empty.csv", "no pair"]),
        (&["evaluate", "--pairs", "missing.csv"], &["missing.csv"]),
        (&["report", "folder"], &["folder", "config.toml"]),
    ];
    for (arguments, words) in cases {
        bench.refuses(1, arguments, words);
    }
}

#[test]
fn nan_voxels_are_zeroed_with_a_warning_or_refused() {
    let bench = Bench::new();
    let mut head = bench.phantom("head.nii", [12; 3], 2);
    head.data_mut()[700] = f32::NAN;
    bench.write("nan.nii", &head);
    bench.refuses(
        1,
        &[
            "upscale", "nan.nii", "-o", "out.nii", "--method", "cubic", "--nan", "error",
        ],
        &["nan.nii"],
    );
    let assert = bench
        .run(&["-q", "upscale", "nan.nii", "-o", "out.nii", "--method", "cubic"])
        .code(0);
    assert!(crate::support::text(&assert.get_output().stderr).contains("voxelift: warning: nan.nii"));
    assert!(bench.read("out.nii").data().iter().all(|v| v.is_finite()));
}
