//! Numbers on either side of zero, a row each, as SVG that takes its colours from the page.

use std::fmt::Write;

use super::axis::Axis;
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

const WIDTH: f64 = 440.0;
const MARGIN: f64 = 26.0;
const ROW: f64 = 42.0;
const TOP: f64 = 4.0;
const FOOT: f64 = 44.0;
/// Characters that a row's name has room for, beside its mean.
const NAME: usize = 46;

/// A chart of differences in what `title` names; values that are not finite are left out.
pub fn spreads(title: &str, rows: &[Spread]) -> String {
    let all = rows.iter().flat_map(|row| {
        let interval = row.interval.into_iter().flatten();
        row.values.iter().copied().chain([row.mean]).chain(interval)
    });
    let axis = Axis::over(all.filter(|value| value.is_finite()).chain([0.0]), 5).to_ticks();
    let x = |value: f64| MARGIN + axis.share(value) * (WIDTH - 2.0 * MARGIN);
    let height = TOP + ROW * rows.len() as f64 + FOOT;
    let foot = height - FOOT;

    let mut svg = String::new();
    for tick in axis.ticks() {
        let (at, class) = (x(tick), if tick == 0.0 { "axis" } else { "grid" });
        let label = match axis.label(tick) {
            label if tick > 0.0 => format!("+{label}"),
            label => label,
        };
        let _ = write!(
            svg,
            "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{foot:.1}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            foot + 17.0
        );
    }
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">difference in {}</text>",
        WIDTH / 2.0,
        height - 7.0,
        escaped(title)
    );
    for (i, row) in rows.iter().enumerate() {
        let top = TOP + ROW * i as f64;
        let (text, line, right) = (top + 14.0, top + 28.0, WIDTH - 4.0);
        let _ = write!(
            svg,
            "<text class=\"name\" x=\"4\" y=\"{text:.1}\">{}</text>\
             <text class=\"name\" x=\"{right}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>",
            escaped(&cut(&row.name)),
            format!("{:+.4}", row.mean).replace('-', "\u{2212}")
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
    let names: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {:+.4}", row.name, row.mean))
        .collect();
    let described = escaped(&names.join(", "));
    format!(
        "<div class=\"chart\"><h3>{title}</h3><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Differences in {title}: {described}\">{svg}</svg></div>"
    )
}

/// A name that does not run into the mean beside it.
fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['\u{2026}']).collect()
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
        let svg = spreads("PSNR (dB)", &[row.clone(), row]);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("class=\"axis\"").count(), 1);
        assert!(
            svg.contains("a &lt;b&gt;</text>") && svg.contains(">+1.0000</text>") && !svg.contains("NaN")
        );
        assert!(svg.contains("difference in PSNR (dB)"));
        // Zero lies a quarter of the way from -1 to 3.
        assert!(
            svg.contains("class=\"axis\" x1=\"123.0\" x2=\"123.0\" y1=\"4\""),
            "{svg}"
        );
        assert!(!spreads("none", &[]).contains("NaN"));
    }

    #[test]
    fn a_long_name_leaves_room_for_its_mean() {
        assert_eq!(cut(&"x".repeat(80)).chars().count(), NAME);
        assert_eq!(cut("short"), "short");
    }
}
