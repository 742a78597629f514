//! Killed in every phase (preparing, stepping, saving, validating, testing itself, exporting), a run ends in the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use super::support::{Bench, spawned};
use super::training::CONFIG;

/// Validates and saves at every other step, so that each phase takes its share of the time.
fn bench() -> Bench {
    let bench = Bench::new();
    let config = CONFIG
        .replace("[patch]", "validation = [\"phantom:21\"]\n[patch]")
        .replace("source_operator = \"kspace\"\n", "")
        .replace("every = 0", "every = 2")
        .replace("every = 1", "every = 2");
    fs::write(bench.path("c.toml"), config).expect("written");
    bench
}

const TRAIN: [&str; 4] = ["train", "c.toml", "--run", "run"];

/// Where a process was when it was killed, by the last that it said.
fn phase(said: &str) -> &'static str {
    let is = |word: &str| said.contains(word);
    if is("self-test on") {
        "exporting"
    } else if is("self-test: ") {
        "testing itself"
    } else if is("validation after") {
        "after a validation"
    } else if is("training ") {
        "stepping, saving, validating"
    } else {
        "preparing"
    }
}

/// Kills a run `times` times, each after another share of the time that a whole one takes; whenever one ends, its model is
/// compared and the next begins. Answers how often it was killed in which phase, and how many runs ended.
fn killed(times: usize) -> (BTreeMap<&'static str, usize>, usize) {
    let bench = bench();
    let run = bench.path("run");
    let begin = Instant::now();
    let ended = spawned(&bench, &TRAIN).wait_with_output().expect("an end");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let whole = begin.elapsed();
    let model = fs::read(run.join("model.safetensors")).expect("a model");
    fs::remove_dir_all(&run).expect("removed");
    let (mut phases, mut kills, mut ends, mut draw) = (BTreeMap::new(), 0, 0, 0.5_f64);
    let compare = |ends: usize| {
        let again = fs::read(run.join("model.safetensors")).expect("a model");
        assert!(again == model, "run {ends} ended in other bytes");
        fs::remove_dir_all(&run).expect("removed");
    };
    while kills < times {
        // The golden ratio's multiples lie evenly, in no order.
        draw = (draw + 0.618_033_988_749_895).fract();
        let mut child = spawned(&bench, &TRAIN);
        let deadline = Instant::now() + whole.mul_f64(0.05 + 0.9 * draw);
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            ended = child.try_wait().expect("a state");
        }
        if ended.is_none() {
            let _ = child.kill();
            let mut said = String::new();
            child
                .stderr
                .take()
                .expect("piped")
                .read_to_string(&mut said)
                .expect("text");
            *phases.entry(phase(&said)).or_insert(0) += 1;
            kills += 1;
        }
        if child.wait().expect("an end").success() {
            ends += 1;
            compare(ends);
        }
    }
    let ended = spawned(&bench, &TRAIN).wait_with_output().expect("an end");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    compare(ends + 1);
    (phases, ends + 1)
}

#[test]
fn a_run_killed_in_any_phase_ends_in_the_bytes_of_one_that_was_not() {
    let (phases, _) = killed(8);
    assert!(phases.len() > 1, "{phases:?}");
}

/// The long version, for once: `cargo test --release --test cli -- --ignored three_hundred --nocapture`.
#[test]
#[ignore = "takes many minutes"]
fn three_hundred_kills_end_in_one_hash() {
    let begin = Instant::now();
    let (phases, ends) = killed(300);
    let said = format!(
        "300 kills in {:.0} s, {ends} runs ended, all in one hash; by phase {phases:?}\n",
        begin.elapsed().as_secs_f64()
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
}
