use super::*;

fn read(text: &str) -> Result<Study, String> {
    let written = toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_owned())?;
    let command = ["steps=3".to_owned()];
    Study::resolved(written, Vec::new(), text, Path::new("/s"), "s", &command)
}

const GOOD: &str = r#"
        base = "base.toml"
        baseline = "a"
        seeds = [1, 2]
        set = { steps = 9, loss.ssim = 0.0 }
        [[variant]]
        name = "a"
        set = { "loss.cycle" = 0.5, data.lr.degrade = { noise = 0.1 }, optimizer.halve_at = [] }
        [[variant]]
        name = "elsewhere"
        model = "runs/seed-{seed}"
        [[test]]
        name = "t"
        images = ["phantom:1"]
        degrade = { operator = "box", noise = 0.02 }
    "#;

#[test]
fn sets_become_keys_in_order_and_paths_start_at_the_study() {
    let study = read(GOOD).unwrap();
    let Origin::Trained(set) = &study.variants[0].origin else {
        panic!("a trained variant")
    };
    let mut own = set[2..5].to_vec();
    own.sort();
    assert_eq!(&set[..2], ["loss.ssim=0.0", "steps=9"]);
    assert_eq!(
        own,
        [
            "data.lr.degrade.noise=0.1",
            "loss.cycle=0.5",
            "optimizer.halve_at=[]"
        ]
    );
    assert_eq!(set[5..], ["steps=3"], "what the command line says comes last");
    assert!(matches!(&study.variants[1].origin, Origin::Model(path) if path == "/s/runs/seed-{seed}"));
    assert_eq!(study.base.as_deref(), Some(Path::new("/s/base.toml")));
    assert_eq!(study.tests[0].degrade.to_string(), "box, scale 2, noise 0.02");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (from, to, said) in [
        ("base = \"base.toml\"", "", "base is missing"),
        (
            "baseline = \"a\"",
            "baseline = \"b\"",
            "expected a variant or one of the methods without training",
        ),
        ("[1, 2]", "[1, 1]", "twice"),
        ("[1, 2]", "[]", "at least one"),
        ("\"elsewhere\"", "\"a\"", "rename one"),
        ("\"elsewhere\"", "\"zero-fill\"", "name of a baseline"),
        ("\"elsewhere\"", "\"../a\"", "expected letters"),
        ("steps = 9", "seed = 9", "listed once"),
        ("model =", "set = { steps = 1 }\nmodel =", "trained elsewhere"),
        ("model =", "study = \"s1\"\nmodel =", "exclude each other"),
        ("[\"phantom:1\"]", "[]", "images = []"),
        ("operator = \"box\"", "spacing_mm = 2.0", "spacing_mm"),
        ("operator = \"box\"", "operater = \"box\"", "operater"),
        ("seeds", "seed", "seed"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(said), "{from} -> {to}: {error}");
    }
}

#[test]
fn tests_of_another_file_come_first_and_their_paths_start_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (study, tests) = (
        folder.path().join("s.toml"),
        folder.path().join("shared/tests.toml"),
    );
    std::fs::create_dir(folder.path().join("shared")).expect("a folder");
    std::fs::write(&study, format!("tests = \"shared/tests.toml\"\n{GOOD}")).expect("a file");
    std::fs::write(&tests, "[[test]]\nname = \"first\"\nimages = [\"a.nii\"]\n").expect("a file");
    let read = Study::load(&study, &[]).expect("a study");
    let found: Vec<_> = read
        .tests
        .iter()
        .map(|test| (test.name.as_str(), test.data.root.clone()))
        .collect();
    assert_eq!(
        found,
        [
            ("first", folder.path().join("shared")),
            ("t", folder.path().to_owned())
        ]
    );
    std::fs::write(&tests, "[[test]]\nname = \"t\"\nimages = [\"a.nii\"]\n").expect("a file");
    let twice = Study::load(&study, &[]).expect_err("two of a name").to_string();
    assert!(twice.contains("test t: there are two"), "{twice}");
    std::fs::write(&tests, "[[test]]\nname = \"first\"\nimages = []\n").expect("a file");
    let refused = Study::load(&study, &[]).expect_err("no images").to_string();
    assert!(
        refused.contains("tests.toml: test first: images = []"),
        "{refused}"
    );
}

/// What the fuzz target `study` does, in the plain tests, which need no other compiler.
/// Damages studies `times` times; each is read, or refused with a reason. Answers how many were read and refused.
fn damaged(times: u64, seed: u64) -> (u64, u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
    let mut texts = vec![GOOD.to_owned()];
    for entry in std::fs::read_dir(folder).expect("the studies") {
        texts.push(std::fs::read_to_string(entry.expect("an entry").path()).expect("text"));
    }
    let words = [
        "-1",
        "1e400",
        "nan",
        "9223372036854775807",
        "[",
        "\"",
        "=",
        "{}",
        "\u{0}",
        "seeds = []",
        "\n",
    ];
    let mut stream = voxelift_volume::random::Stream::new(seed, 1);
    let mut below = |n: usize| (stream.between(0.0, n as f64) as usize).min(n - 1);
    let (mut read_whole, mut refused) = (0, 0);
    for _ in 0..times {
        let mut bytes = texts[below(texts.len())].clone().into_bytes();
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] ^= 1 << below(8),
                1 => drop(bytes.drain(at..(at + 1 + below(40)).min(bytes.len()))),
                2 => drop(bytes.splice(at..at, words[below(words.len())].bytes())),
                _ => {
                    let copied = bytes[at..(at + 60).min(bytes.len())].to_vec();
                    drop(bytes.splice(at..at, copied));
                }
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        match read(&String::from_utf8_lossy(&bytes)) {
            Ok(_) => read_whole += 1,
            Err(message) => {
                refused += 1;
                assert!(!message.is_empty());
            }
        }
    }
    (read_whole, refused)
}

#[test]
fn a_damaged_study_file_is_read_or_refused_in_one_line() {
    let (read_whole, refused) = damaged(4000, 7);
    assert!(
        read_whole > 0 && refused > 0,
        "{read_whole} read, {refused} refused"
    );
}

/// `FUZZ_SECONDS=600 cargo test --release -p voxelift --lib -- --ignored studies_for_a_while --nocapture`
#[test]
#[ignore = "as long as asked for"]
fn studies_for_a_while() {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(10);
    let (begin, mut rounds, mut whole) = (std::time::Instant::now(), 0, 0);
    while begin.elapsed().as_secs() < seconds {
        rounds += 1;
        whole += damaged(1000, 7 + rounds).0;
    }
    let said = format!(
        "{} damaged studies in {seconds} s, {whole} read, none a panic\n",
        1000 * rounds
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
}
