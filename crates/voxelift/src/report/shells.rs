//! The Fourier shell correlation of every method: over all scans, and scan by scan.

use voxelift_volume::baseline::Baseline;

use super::chart::{Chart, Mark, Series};
use super::page::Page;
use super::pairs::{Pairs, Row};

/// Scans whose own curves are drawn.
const MOST_CURVES: usize = 4;

/// Where the image is said to resolve nothing finer.
const RESOLVED: f64 = 0.5;

/// A row's correlation over spatial frequency in cycles per mm, over the whole volume.
pub fn curve(row: &Row) -> Option<Vec<[f64; 2]>> {
    let fsc = row.scores().whole.fsc.as_ref()?;
    let points = fsc.cycles_per_mm.iter().zip(&fsc.correlation);
    let finite = points
        .map(|(x, y)| [*x, *y])
        .filter(|p| p.iter().all(|v| v.is_finite()));
    let points: Vec<[f64; 2]> = finite.collect();
    (!points.is_empty()).then_some(points)
}

/// A curve's value at a frequency, on the straight line between its points; none beyond them.
pub fn value_at(curve: &[[f64; 2]], x: f64) -> Option<f64> {
    let after = curve.iter().position(|p| p[0] >= x)?;
    match curve[after] {
        [at, y] if at == x => Some(y),
        _ if after == 0 => None,
        [x1, y1] => {
            let [x0, y0] = curve[after - 1];
            Some(y0 + (x - x0) / (x1 - x0) * (y1 - y0))
        }
    }
}

/// The mean of a method's curves over the frequencies that all of them have, with the least and the greatest of them as
/// a band where there are several.
fn mean_curve(method: &str, pairs: &Pairs) -> Option<Series> {
    let rows = pairs.rows().iter().filter(|row| row.method() == method);
    let curves: Vec<Vec<[f64; 2]>> = rows.filter_map(curve).collect();
    let mut series = Series {
        name: method.to_owned(),
        is_baseline: method.parse::<Baseline>().is_ok(),
        ..Series::default()
    };
    for [x, _] in curves.first()? {
        let there: Option<Vec<f64>> = curves.iter().map(|curve| value_at(curve, *x)).collect();
        let Some(values) = there else { continue };
        series
            .points
            .push([*x, values.iter().sum::<f64>() / values.len() as f64]);
        if values.len() > 1 {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            series.band.push([*x, low, high]);
        }
    }
    Some(series)
}

/// Adds the curves; `lr_nyquist` in cycles per mm is marked where it is known.
pub fn add_shells(page: &mut Page, pairs: &Pairs, lr_nyquist: Option<f64>) {
    let mark = lr_nyquist.map(|x| Mark {
        x,
        name: "LR Nyquist",
    });
    let drawn = |title: &str, series: &[Series]| {
        let chart = Chart {
            title,
            x: "spatial frequency (cycles/mm)",
            y: "correlation with the reference",
            series,
            mark,
            level: Some(RESOLVED),
            y_at_least: Some([0.0, 1.0]),
        };
        chart.html()
    };
    let scans = pairs.scans();
    let mut charts = Vec::new();
    if scans.len() > 1 {
        let methods = pairs.methods();
        let means: Vec<Series> = methods
            .into_iter()
            .filter_map(|method| mean_curve(method, pairs))
            .collect();
        if !means.is_empty() {
            charts.push(drawn(&format!("mean over {} scans", scans.len()), &means));
        }
    }
    for (title, rows) in scans.iter().take(MOST_CURVES) {
        let one = |row: &&Row| {
            Some(Series {
                name: row.method().to_owned(),
                points: curve(row)?,
                is_baseline: row.method().parse::<Baseline>().is_ok(),
                ..Series::default()
            })
        };
        let series: Vec<Series> = rows.iter().filter_map(one).collect();
        if !series.is_empty() {
            charts.push(drawn(title, &series));
        }
    }
    if charts.is_empty() {
        return;
    }
    page.heading("Fourier shell correlation");
    let place = if mark.is_some() {
        "Left of the upright dotted line the scan measured; right of it every detail was made. "
    } else {
        "The LR Nyquist frequency is not marked: the scan behind the images is not known. "
    };
    let bands = if scans.len() > 1 {
        " Bands reach from the least to the greatest of all scans."
    } else {
        ""
    };
    page.charts(
        &charts,
        &format!(
            "agreement with the reference at each frequency, over the whole volume: 1 is the same, 0 nothing in common, and no \
             sharpening lifts it. {place}Where a curve falls below the dotted line at 0.5 the image resolves nothing finer. \
             Baselines are dashed.{bands}"
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_curve_is_read_between_its_points_and_not_beyond() {
        let curve = [[0.1, 1.0], [0.3, 0.5]];
        assert!((value_at(&curve, 0.2).unwrap() - 0.75).abs() < 1e-12);
        assert_eq!([0.1, 0.3].map(|x| value_at(&curve, x)), [Some(1.0), Some(0.5)]);
        assert_eq!([0.0, 0.4].map(|x| value_at(&curve, x)), [None, None]);
    }

    #[test]
    fn the_mean_over_scans_has_a_band_and_the_frequencies_of_all() {
        let pair = |subject: &str, correlation: [f64; 3]| {
            json!({"method": "model", "subject": subject, "reference": subject,
                   "fsc": {"cycles_per_mm": [0.1, 0.2, 0.3], "correlation": correlation}})
        };
        let pairs = json!({"pairs": [pair("a", [1.0, 0.8, 0.2]), pair("b", [1.0, 0.6, 0.4])]});
        let series = mean_curve("model", &Pairs::read(pairs).unwrap()).unwrap();
        assert_eq!(series.points.len(), 3);
        assert!((series.points[1][1] - 0.7).abs() < 1e-12);
        assert_eq!(series.band[1], [0.2, 0.6, 0.8]);
        assert!(!series.is_baseline);
    }
}
