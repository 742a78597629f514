//! Pages: self-contained, well-formed, with their figures, whatever the files are called.

use std::fs;

use super::support::{Bench, text};
use super::training::CONFIG;

/// Elements that have no end.
const VOID: [&str; 4] = ["meta", "img", "br", "!doctype"];

/// Every element is closed, in order, and attributes are quoted; what stands in `script` and `style` is their own.
fn assert_well_formed(page: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a lone > in {:?}", &rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag that ends");
        let tag = &rest[start + 1..end];
        assert!(
            !tag.contains('<') && tag.matches('"').count().is_multiple_of(2),
            "{tag}"
        );
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "</{name}> closes another");
            continue;
        }
        let name = tag
            .split_whitespace()
            .next()
            .expect("a name")
            .trim_end_matches('/');
        if tag.ends_with('/') || VOID.contains(&name) {
            continue;
        }
        open.push(name.to_owned());
        if ["script", "style"].contains(&name) {
            rest = &rest[rest.find(&format!("</{name}>")).expect("its end")..];
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
}

fn assert_self_contained(page: &str) {
    for outside in [
        "http:", "https:", "//cdn", "url(", "@import", "<link", "src=\"/", "fetch(", "import(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    let sources = page.matches("src=\"").count();
    assert_eq!(sources, page.matches("src=\"data:image/png;base64,").count());
}

#[test]
fn an_evaluation_of_oddly_named_files_is_a_whole_page() {
    let bench = Bench::new();
    let odd = r#"a<b>&"c'"#;
    let [hr, lr, zero_fill] = ["hr", "lr", "z"].map(|name| format!("{name} {odd}.nii"));
    bench.phantom(&hr, [25, 28, 22], 3);
    bench.run(&["degrade", &hr, &lr]).code(0);
    // With a sidecar, which names the scan behind the image.
    bench
        .run(&[
            "upscale",
            &lr,
            "-o",
            &zero_fill,
            "--method",
            "zero-fill",
            "--consistency",
            "hard",
        ])
        .code(0);
    bench
        .run(&["upscale", &lr, "-o", "t.nii", "--method", "trilinear"])
        .code(0);
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let table = format!(
        "reference,image,subject,method\n{hr},{z},{s},zero-fill\n{hr},t.nii,{s},\"<script>alert(1)</script>\"\n",
        hr = quoted(&hr),
        z = quoted(&zero_fill),
        s = quoted(odd)
    );
    fs::write(bench.path("pairs.csv"), table).expect("written");
    bench
        .run(&["-q", "evaluate", "--pairs", "pairs.csv", "--json", "scores.json"])
        .code(0);
    bench.run(&["report", "."]).code(0);
    let page = fs::read_to_string(bench.path("report.html")).expect("a page");
    assert_well_formed(&page);
    assert_self_contained(&page);
    assert!(page.contains("a&lt;b&gt;&amp;&quot;c&#39;") && !page.contains("a<b>"));
    assert_eq!(page.matches("<script>").count(), 1, "its own script alone");
    for part in [
        "Added beyond the scan",
        "Error of zero-fill",
        "Reference",
        "LR scan",
        "LR Nyquist",
        "Fourier shell",
        "Tissue classes",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let figures = page.matches("<figure>").count();
    assert!(
        figures > 5 && figures == page.matches("How to read this").count(),
        "{figures}"
    );
    // LR, two images, the reference, two errors, what was added: three planes each, with the subject's sides.
    assert_eq!(page.matches("<img").count(), 7 * 3);
    for sides in [["R", "L", "A", "P"], ["R", "L", "S", "I"], ["A", "P", "S", "I"]] {
        let marks = ["w", "e", "n", "s"].iter().zip(sides);
        let marks: String = marks
            .map(|(at, side)| format!("<b class=\"{at}\">{side}</b>"))
            .collect();
        assert_eq!(page.matches(&marks).count(), 7, "{marks}");
    }
    assert!(page.len() < 5_000_000, "{} bytes", page.len());

    // Without the images there are the scores still.
    fs::remove_file(bench.path(&hr)).expect("removed");
    bench.run(&["report", ".", "-o", "again.html"]).code(0);
    let page = fs::read_to_string(bench.path("again.html")).expect("a page");
    assert_well_formed(&page);
    assert!(page.contains("zero-fill") && !page.contains("<img") && !page.contains("data-geometry"));
    assert_eq!(page.matches("<script>").count(), 1, "what sorts the tables alone");
}

#[test]
fn a_finished_run_shows_its_model_on_a_validation_head() {
    let bench = Bench::new();
    fs::write(bench.path("tiny.toml"), CONFIG).expect("written");
    let set = [
        "steps=20",
        "data.validation=[\"phantom:21\"]",
        "validation.every=10",
        "data.notes=\"free & <open>\"",
    ];
    let set = set.iter().flat_map(|set| ["--set", set]);
    let train: Vec<&str> = ["-q", "train", "tiny.toml", "--run", "run"]
        .into_iter()
        .chain(set)
        .collect();
    bench.run(&train).code(0);
    let page = |name: &str| fs::read_to_string(bench.path(name)).expect("a page");
    let written = page("run/report.html");
    assert_well_formed(&written);
    assert_self_contained(&written);
    for part in [
        "One subject in pictures",
        "Error of model",
        "Tile 24 against 16",
        "LR Nyquist",
        "over zero-fill",
        "cosines of embeddings",
        "free &amp; &lt;open&gt;",
        "source operator",
        "written by",
    ] {
        assert!(written.contains(part), "{part}");
    }
    // The same page again from the folder alone, and from one whose model is gone the last preview.
    bench.run(&["-q", "report", "run", "-o", "again.html"]).code(0);
    assert_eq!(written, page("again.html"));
    fs::remove_file(bench.path("run/model.safetensors")).expect("removed");
    bench.run(&["report", "run", "-o", "without.html"]).code(0);
    let without = page("without.html");
    assert_well_formed(&without);
    assert!(without.contains("The first validation head") && !without.contains("One subject in pictures"));
    // One whose heads are gone says so.
    bench.run(&train).code(0);
    let config = fs::read_to_string(bench.path("run/config.toml")).expect("a configuration");
    fs::write(
        bench.path("run/config.toml"),
        config.replace("phantom:21", "gone/*.nii"),
    )
    .expect("written");
    let said = text(
        &bench
            .run(&["report", "run", "-o", "gone.html"])
            .code(0)
            .get_output()
            .stderr,
    );
    assert!(said.contains("gone/*.nii"), "{said}");
    assert!(page("gone.html").contains("The first validation head"));
}
