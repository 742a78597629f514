//! Numbers on either side of zero, a row each, as SVG that takes its colours from the page.

use std::fmt::Write;

use super::escape::escaped;

/// One row: single values, their mean and its interval.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Stands above the row.
    pub name: String,
    /// A dot each.
    pub values: Vec<f64>,
    /// A mark.
    pub mean: f64,
    /// A bar.
    pub interval: Option<[f64; 2]>,
}

const WIDTH: f64 = 480.0;
const MARGIN: f64 = 24.0;
const ROW: f64 = 38.0;
const TOP: f64 = 8.0;
const FOOT: f64 = 20.0;

/// A chart of differences; values that are not finite are left out.
pub fn spreads(title: &str, rows: &[Spread]) -> String {
    let all = rows.iter().flat_map(|row| {
        let interval = row.interval.into_iter().flatten();
        row.values.iter().copied().chain([row.mean]).chain(interval)
    });
    let (low, high) = all
        .filter(|value| value.is_finite())
        .fold((0.0, 0.0), |(low, high): (f64, f64), v| (low.min(v), high.max(v)));
    let width = if high > low { high - low } else { 1.0 };
    let x = |value: f64| MARGIN + (value - low) / width * (WIDTH - 2.0 * MARGIN);
    let height = TOP + ROW * rows.len() as f64 + FOOT;
    let foot = height - FOOT + 4.0;

    let mut svg = format!(
        "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{foot:.1}\"/>",
        x(0.0)
    );
    for (at, anchor) in [(low, "start"), (0.0, "middle"), (high, "end")] {
        // The ends are not written over the zero.
        let near_zero = at != 0.0 && (x(at) - x(0.0)).abs() < 60.0;
        if !near_zero {
            let (x, y) = (x(at), height - 4.0);
            let label = if at == 0.0 {
                "0".to_owned()
            } else {
                format!("{at:+.4}")
            };
            let _ = write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{label}</text>"
            );
        }
    }
    for (i, row) in rows.iter().enumerate() {
        let top = TOP + ROW * i as f64;
        let (text, line) = (top + 12.0, top + 25.0);
        let _ = write!(
            svg,
            "<text x=\"4\" y=\"{text:.1}\">{}: {:+.4}</text>",
            escaped(&row.name),
            row.mean
        );
        if let Some([from, to]) = row.interval {
            let _ = write!(
                svg,
                "<line class=\"s0\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke-width=\"3\"/>",
                x(from),
                x(to)
            );
        }
        for value in row.values.iter().filter(|value| value.is_finite()) {
            let _ = write!(
                svg,
                "<circle class=\"s1\" cx=\"{:.1}\" cy=\"{line:.1}\" r=\"3.5\" fill=\"none\" stroke-width=\"1.5\"/>",
                x(*value)
            );
        }
        let (above, below) = (line - 6.0, line + 6.0);
        let _ = write!(
            svg,
            "<line class=\"s0\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{above:.1}\" y2=\"{below:.1}\" stroke-width=\"3\"/>",
            x(row.mean)
        );
    }
    let title = escaped(title);
    format!(
        "<div class=\"chart\"><h3>{title}</h3><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">{svg}</svg></div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_dot_and_zero_a_line() {
        let row = Spread {
            name: "a <b>".to_owned(),
            values: vec![-1.0, 3.0, f64::NAN],
            mean: 1.0,
            interval: Some([0.0, 2.0]),
        };
        let svg = spreads("PSNR", &[row.clone(), row]);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("class=\"grid\"").count(), 1);
        assert!(svg.contains("a &lt;b&gt;: +1.0000") && !svg.contains("NaN"));
        // Zero lies a quarter of the way from -1 to 3.
        assert!(svg.contains("x1=\"132.0\" x2=\"132.0\" y1=\"8\""), "{svg}");
        assert!(!spreads("none", &[]).contains("NaN"));
    }
}
