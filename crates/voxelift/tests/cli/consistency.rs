//! `upscale --consistency` and `--audit`: what is put back, what is refused, and what is written beside an output.

use std::fs;

use serde_json::Value;

use super::support::{Bench, text};
use super::training::CONFIG;

/// A model of two steps trained through `operator`, a head, and its truncated scan.
fn bench(operator: &str) -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("tiny.toml"), CONFIG).expect("written");
    let source = format!("data.source_operator=\"{operator}\"");
    bench
        .run(&[
            "-q",
            "train",
            "tiny.toml",
            "--run",
            "run",
            "--set",
            "steps=2",
            "--set",
            &source,
        ])
        .code(0);
    bench.phantom("hr.nii", [25, 28, 22], 3);
    bench
        .run(&["degrade", "hr.nii", "lr.nii", "--noise", "0.02"])
        .code(0);
    bench
}

fn json(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bench.path(name)).expect(name)).expect("JSON")
}

const UPSCALE: [&str; 5] = [
    "upscale",
    "lr.nii",
    "--model",
    "run/model.safetensors",
    "--allow-out-of-range",
];

#[test]
fn hard_meets_the_scan_and_soft_goes_part_of_the_way() {
    let bench = bench("kspace");
    let residuals = |mode: &str| {
        let out = format!("{mode}.nii");
        let said = bench.run(&[&UPSCALE[..], &["-o", &out, "--consistency", mode]].concat());
        let said = text(&said.code(0).get_output().stdout);
        let how = json(&bench, &format!("{mode}.json"))["consistency"].clone();
        assert_eq!(how["mode"], mode, "{how}");
        if mode != "off" {
            assert!(said.contains("data consistency"), "{said}");
        }
        let number = |key: &str| how[key].as_f64().unwrap_or(f64::NAN);
        [number("residual_before"), number("residual_after")]
    };
    let ([_, _], [before, hard], [again, soft]) = (residuals("off"), residuals("hard"), residuals("soft"));
    assert_eq!(before, again);
    assert!(
        before > 1e-4 && hard <= 1e-5 && soft <= before,
        "{before} {hard} {soft}"
    );
    assert_ne!(bench.read("off.nii").data(), bench.read("hard.nii").data());

    // The zero-filled scan meets itself already.
    bench
        .run(&[
            "upscale",
            "lr.nii",
            "-o",
            "z.nii",
            "--method",
            "zero-fill",
            "--consistency",
            "hard",
        ])
        .code(0);
    let how = json(&bench, "z.json");
    assert!(
        how["consistency"]["residual_before"].as_f64().expect("a number") < 1e-6,
        "{how}"
    );
}

#[test]
fn an_audit_says_what_was_added_and_draws_it_on_the_grid_of_the_output() {
    let bench = bench("kspace");
    let audited = [&UPSCALE[..], &["-o", "sr.nii", "--audit", "--like", "hr.nii"]].concat();
    let said = text(&bench.run(&audited).code(0).get_output().stdout);
    assert_eq!(said.matches("audit: ").count(), 3, "{said}");
    let hr = bench.read("hr.nii");
    for map in ["sr.nii", "sr_null-space.nii.gz", "sr_null-space-spread.nii.gz"] {
        assert_eq!(bench.read(map).geometry(), hr.geometry(), "{map}");
    }
    let found = json(&bench, "sr_audit.json");
    assert_eq!(found["data_consistency"][0]["operator"], "kspace");
    assert_eq!(found["ensemble"]["members"], 8);
    assert!(
        found["null_space"]["energy"].as_f64().expect("a number") > 0.0,
        "{found}"
    );
    let agreement = found["ensemble"]["beyond_nyquist"]["agreement"]
        .as_f64()
        .expect("a number");
    assert!((0.0..=1.0).contains(&agreement), "{found}");

    // The answer is that without an audit, and the members' mean is the ensemble's.
    bench
        .run(&[&UPSCALE[..], &["-o", "plain.nii", "--like", "hr.nii"]].concat())
        .code(0);
    assert_eq!(bench.read("plain.nii").data(), bench.read("sr.nii").data());
    for (out, more) in [
        ("mean.nii", &["--ensemble", "--audit"][..]),
        ("ensemble.nii", &["--ensemble"]),
    ] {
        bench
            .run(&[&UPSCALE[..], &["-o", out, "--like", "hr.nii"], more].concat())
            .code(0);
    }
    let (a, b) = (bench.read("mean.nii"), bench.read("ensemble.nii"));
    let peak = a.data().iter().copied().fold(0.0, f32::max);
    assert!(
        a.data()
            .iter()
            .zip(b.data())
            .all(|(a, b)| (a - b).abs() < 1e-5 * peak)
    );

    // None of its files is written over.
    fs::remove_file(bench.path("sr.nii")).expect("removed");
    fs::remove_file(bench.path("sr.json")).expect("removed");
    bench.refuses(2, &audited, &["sr_null-space.nii.gz", "--force"]);
}

#[test]
fn what_made_a_scan_is_stated_or_known_and_not_the_card_of_a_model() {
    let bench = bench("mixture");
    bench
        .run(&[&UPSCALE[..], &["-o", "sr.nii", "--audit"]].concat())
        .code(0);
    let found = json(&bench, "sr_audit.json");
    let operators = found["data_consistency"].as_array().expect("a list");
    assert!(
        operators.len() > 1 && operators.iter().all(|o| o["residual"].is_f64()),
        "{found}"
    );
    let made_by = |out: &str, more: &[&str]| {
        let asked = [&UPSCALE[..], &["-o", out, "--consistency", "hard"], more].concat();
        let said = text(&bench.run(&asked).code(0).get_output().stdout);
        let how = json(&bench, &out.replace(".nii", ".json"));
        let operators = how["acquired"]["operators"]
            .as_str()
            .expect("operators")
            .to_owned();
        assert_eq!(how["consistency"]["operator"], operators.as_str(), "{how}");
        assert!(said.contains(&format!("acquired: {operators} (")), "{said}");
        let residual = how["consistency"]["residual_after"].as_f64().expect("a number");
        assert!(residual <= 1e-5, "{out}: {residual}");
        operators
    };
    assert_eq!(made_by("auto.nii", &[]), "kspace");
    assert_eq!(made_by("box.nii", &["--acquired", "box"]), "box");
    let stated = ["--acquired", "kspace/kspace/slice:gaussian,6"];
    let spacing = bench.read("lr.nii").geometry().spacing_mm()[2];
    let share = 6.0 / spacing;
    assert_eq!(
        made_by("slices.nii", &stated),
        format!("kspace/kspace/slice:gaussian,{share}")
    );
    // What goes with the scan is believed, and another statement makes another output.
    let bids =
        format!(r#"{{"MRAcquisitionType": "2D", "SliceThickness": 3, "SpacingBetweenSlices": {spacing}}}"#);
    fs::write(bench.path("lr.json"), bids).expect("written");
    assert!(made_by("bids.nii", &[]).contains("slice:gaussian"));
    assert_ne!(bench.read("auto.nii").data(), bench.read("box.nii").data());
    // A thickness that cannot be is not, and it is told what to do.
    let absurd =
        format!(r#"{{"MRAcquisitionType": "2D", "SliceThickness": 300, "SpacingBetweenSlices": {spacing}}}"#);
    fs::write(bench.path("lr.json"), absurd).expect("written");
    let words = ["lr.nii", "SliceThickness 300 mm", "--acquired"];
    bench.refuses(1, &["upscale", "lr.nii", "-o", "absurd.nii"], &words);
    fs::remove_file(bench.path("lr.json")).expect("removed");

    // Interpolations have their measurement put back as well.
    bench
        .run(&[
            "upscale",
            "lr.nii",
            "-o",
            "c.nii",
            "--method",
            "cubic",
            "--consistency",
            "hard",
            "--acquired",
            "box",
        ])
        .code(0);
    assert_eq!(json(&bench, "c.json")["method"], "cubic");
}
