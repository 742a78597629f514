//! The page of an evaluation.

use voxelift_model::run::RunDir;

use super::exhibit::Exhibit;
use super::page::Page;
use super::pairs::Pairs;
use super::run::add_training;
use super::scores::add_scores;

/// A page from the scores of one image or of many pairs, with one subject in pictures where there is one, or else a montage.
///
/// # Errors
/// When the folder of the training run behind it is given and cannot be read.
pub fn of_evaluation(
    title: &str,
    pairs: &Pairs,
    exhibit: Option<&Exhibit>,
    montage: Option<&[u8]>,
    run: Option<&RunDir>,
) -> anyhow::Result<String> {
    let mut page = Page::new(title, "Images against their references.");
    page.facts(&pairs.facts());
    page.notes(&pairs.notes());
    match (exhibit, montage) {
        (Some(exhibit), _) => exhibit.show(&mut page),
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
    add_scores(&mut page, pairs, exhibit.and_then(Exhibit::lr_nyquist));
    if let Some(run) = run {
        add_training(&mut page, run)?;
    }
    Ok(page.html())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn html(scores: &Value) -> String {
        of_evaluation("t", &Pairs::read(scores.clone()).unwrap(), None, None, None).unwrap()
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
        // A person counts once, so there is no interval; two people have one, and a gain each.
        assert!(!page.contains("<small>"));
        let page = html(
            &json!({"pairs": [pair("zero-fill", "a", 29.0, 0.2), pair("zero-fill", "b", 31.0, 0.2),
            pair("model", "a", 30.0, 0.1), pair("model", "b", 33.0, 0.1)]}),
        );
        assert!(page.contains("31.50<small>[30.00, 33.00]</small>"), "{page}");
        assert!(page.contains("+1.00") && page.contains("+2.00"), "{page}");
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
}
