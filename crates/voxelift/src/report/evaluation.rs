//! The page of an evaluation, and that of a demo, which holds two of them.

use voxelift_model::run::RunDir;

use super::exhibit::Exhibit;
use super::page::Page;
use super::pairs::Pairs;
use super::run::add_training;
use super::scores::add_scores;

/// Scored images, and those of one subject to look at.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The scores.
    pub pairs: Pairs,
    /// The images, where they are at hand.
    pub exhibit: Option<Exhibit>,
    /// A picture in their place.
    pub montage: Option<Vec<u8>>,
}

/// Scored images, and how the first of them was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The scores and the images.
    pub evaluated: Evaluated,
    /// By what, and why by that.
    pub by: Option<String>,
    /// The gain over a baseline, in dB, that was to be expected from the scan alone.
    pub expected: Option<(f64, String)>,
    /// What the model's card says to its users.
    pub notes: Option<String>,
}

/// A page from the scores of one image or of many pairs, with one subject in pictures where there is one, or else a montage.
///
/// # Errors
/// When the folder of the training run behind it is given and cannot be read.
pub fn of_evaluation(title: &str, evaluated: &Evaluated, run: Option<&RunDir>) -> anyhow::Result<String> {
    let mut page = Page::new(title, "Images against their references.");
    add_evaluated(&mut page, evaluated, 1.0);
    if let Some(run) = run {
        add_training(&mut page, run)?;
    }
    Ok(page.html())
}

/// The page of a demo: what the built-in model did with a real scan, then what a model did that was trained on synthetic ones.
///
/// # Errors
/// When the folder of the training run is given and cannot be read.
pub fn of_demo(built_in: &Made, trained: &Evaluated, run: Option<&RunDir>) -> anyhow::Result<String> {
    let mut page = Page::new(
        "voxelift demo",
        "What the built-in model does with a real scan; then the whole way from scans to a model of one's own, on synthetic heads.",
    );
    page.part("The built-in model on a real scan");
    page.paragraph(
        "A T1-weighted brain of 1 mm that no model in the program was trained on (rordenlab/niimath-bitmap, CC0) was brought to 2 mm by \
         k-space truncation, as if it had been scanned so, and made finer again by `voxelift upscale` without any option. The \
         reference is the scan of 1 mm, which the program did not see.",
    );
    let expected = built_in.expected.as_ref().map(|(gain, baseline)| {
        format!("{gain:+.2} dB PSNR over {baseline}, measured on the 2 mm scan alone, before any reference is known")
    });
    let facts = [
        ("made by", &built_in.by),
        ("expected gain", &expected),
        ("about the model", &built_in.notes),
    ];
    let known = facts
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.clone()?)));
    page.facts(&known.collect::<Vec<_>>());
    add_evaluated(&mut page, &built_in.evaluated, 0.8);
    page.part("A model of one's own, trained here on synthetic heads");
    page.paragraph(
        "Three synthetic heads in high resolution and four others in low resolution, which the scanner blurred in a way that training \
         was not told; no pair of the same head. The training is a short one, to show the way: scans and hours make a model.",
    );
    add_evaluated(&mut page, trained, 0.2);
    if let Some(run) = run {
        add_training(&mut page, run)?;
    }
    Ok(page.html())
}

/// Facts, pictures and scores; the pictures take a share of the room that a page has for them.
fn add_evaluated(page: &mut Page, evaluated: &Evaluated, share: f64) {
    let Evaluated {
        pairs,
        exhibit,
        montage,
    } = evaluated;
    page.facts(&pairs.facts());
    page.notes(&pairs.notes());
    match (exhibit, montage) {
        (Some(exhibit), _) => exhibit.show_within(page, share),
        (None, Some(png)) => {
            page.heading("Pictures");
            page.picture(
                png,
                "montage of the low resolution, each method, the reference and the errors",
                "rows are an axial, a coronal and a sagittal plane, with the subject's sides at their edges (radiological: the \
                 subject's left is on the right). Grey pictures share one window, errors another; brighter errors are worse.",
            );
        }
        (None, None) => {}
    }
    add_scores(page, pairs, exhibit.as_ref().and_then(Exhibit::lr_nyquist));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn evaluated(scores: &Value) -> Evaluated {
        Evaluated {
            pairs: Pairs::read(scores.clone()).unwrap(),
            exhibit: None,
            montage: None,
        }
    }

    fn html(scores: &Value) -> String {
        of_evaluation("t", &evaluated(scores), None).unwrap()
    }

    #[test]
    fn the_best_method_of_each_row_is_marked_whichever_way_is_better() {
        let pair = |method: &str, subject: &str, psnr: f64, nrmse: f64| {
            let own = json!({"psnr_db": psnr, "nrmse": nrmse});
            json!({"method": method, "subject": subject, "psnr_db": psnr, "nrmse": nrmse, "masked": own})
        };
        let pairs = [
            pair("zero-fill", "a", 29.0, 0.2),
            pair("model", "a", 30.0, 0.1),
            pair("model", "a", 32.0, 0.1),
        ];
        let page = html(&json!({"pairs": pairs}));
        assert!(
            page.contains("PSNR (dB) ↑</th><td>29.00</td><td class=\"best\">31.00</td>"),
            "{page}"
        );
        assert!(
            page.contains("NRMSE ↓</th><td>0.2000</td><td class=\"best\">0.1000</td>"),
            "{page}"
        );
        // A subject counts once, so there is no interval; two subjects have one, and a gain each.
        assert!(!page.contains("<small>"));
        let page = html(
            &json!({"pairs": [pair("zero-fill", "a", 29.0, 0.2), pair("zero-fill", "b", 31.0, 0.2),
            pair("model", "a", 30.0, 0.1), pair("model", "b", 33.0, 0.1)]}),
        );
        assert!(page.contains("31.50<small>[30.00, 33.00]</small>"), "{page}");
        assert!(page.contains("+1.00") && page.contains("+2.00"), "{page}");
    }

    #[test]
    fn equals_are_marked_alike_and_not_at_all_where_all_are_equal() {
        let pair = |method: &str, psnr: f64, nrmse: f64| json!({"method": method, "subject": "a", "psnr_db": psnr, "nrmse": nrmse, "masked": {"psnr_db": psnr, "nrmse": nrmse}});
        let pairs = [
            pair("a", 30.001, 0.2),
            pair("b", 30.003, 0.2),
            pair("c", 29.0, 0.2),
        ];
        let page = html(&json!({"pairs": pairs}));
        let best = "<td class=\"best\">30.00</td>";
        assert!(page.contains(&format!("{best}{best}<td>29.00</td>")), "{page}");
        assert!(
            page.contains("<td>0.2000</td><td>0.2000</td><td>0.2000</td>"),
            "{page}"
        );
    }

    #[test]
    fn one_image_is_a_page_too() {
        let page =
            html(&json!({"psnr_db": 30.0, "mask": "given", "masked": {}, "notes": ["cropped & said"]}));
        assert!(page.contains("30.00") && page.contains("given") && !page.contains("Every image"));
        assert!(page.contains("Good to know") && page.contains("cropped &amp; said"));
    }

    #[test]
    fn shells_and_tissue_have_a_place() {
        let curve = json!({"cycles_per_mm": [0.1, 0.2, 0.3], "correlation": [1.0, 0.9, 0.4]});
        let tissue = json!([{"class": "dark", "dice": 0.81234, "volume_difference": -0.05, "voxels": 9}]);
        let page = html(&json!({"psnr_db": 30.0, "fsc": curve, "tissue": tissue, "masked": {}}));
        assert!(
            page.contains("<svg") && page.contains("0.8123") && page.contains("-5.0 %"),
            "{page}"
        );
    }

    #[test]
    fn a_demo_begins_with_the_real_scan_and_says_what_was_expected_of_it() {
        let scores = |psnr: f64| json!({"psnr_db": psnr, "masked": {}, "notes": ["a note"]});
        let made = Made {
            evaluated: evaluated(&scores(30.25)),
            by: Some("the built-in model".to_owned()),
            expected: Some((0.987, "zero-fill".to_owned())),
            notes: None,
        };
        let page = of_demo(&made, &evaluated(&scores(20.75)), None).unwrap();
        let places = [
            "on a real scan</h2>",
            "CC0",
            "+0.99 dB PSNR over zero-fill",
            "30.25",
            "trained here on synthetic",
            "20.75",
        ]
        .map(|part| page.find(part).unwrap_or_else(|| panic!("{part} in {page}")));
        assert!(places.is_sorted(), "{places:?}");
        // Nothing is called by the same name twice.
        let mut names: Vec<&str> = page
            .split("aria-label=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(all > 3 && names.len() == all, "{names:?}");
    }
}
