//! Line charts as SVG that takes its colours from the page.

use super::escape::escaped;

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// Stands in the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<[f64; 2]>,
    /// Something to compare with: dashed.
    pub is_floor: bool,
}

/// A place along x with a name.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// Stands beside it.
    pub name: &'static str,
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Colours of the style sheet.
const COLOURS: usize = 6;
/// More points than this are averaged: a screen has no more columns to show them in.
const POINTS: usize = 240;

/// A chart with a title, axes, a line for each series and a legend where there are several.
///
/// Points that are not finite are left out; a chart without any says so.
pub fn chart(title: &str, x_label: &str, series: &[Series]) -> String {
    marked_chart(title, x_label, series, None)
}

/// A [`chart`] with an upright line at a place of note.
pub fn marked_chart(title: &str, x_label: &str, series: &[Series], mark: Option<Mark>) -> String {
    let series: Vec<Series> = series.iter().map(thinned).collect();
    let points = || series.iter().flat_map(|s| s.points.iter());
    let title = escaped(title);
    if points().next().is_none() {
        return format!("<div class=\"chart\"><h3>{title}</h3><p>nothing was recorded</p></div>");
    }
    let [x_range, y_range] = [0, 1].map(|i| range(points().map(|p| p[i])));
    let x = |value: f64| LEFT + (value - x_range[0]) / (x_range[1] - x_range[0]) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| {
        HEIGHT - BOTTOM - (value - y_range[0]) / (y_range[1] - y_range[0]) * (HEIGHT - TOP - BOTTOM)
    };

    let mut svg = String::new();
    for tick in ticks(y_range, 5) {
        let (at, right, before) = (y(tick), WIDTH - RIGHT, LEFT - 6.0);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
        ));
        let (at, label) = (at + 4.0, label(tick, y_range));
        svg.push_str(&format!(
            "<text x=\"{before}\" y=\"{at:.1}\" text-anchor=\"end\">{label}</text>"
        ));
    }
    for tick in ticks(x_range, 6) {
        let (at, below, label) = (x(tick), HEIGHT - BOTTOM + 16.0, label(tick, x_range));
        svg.push_str(&format!(
            "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"
        ));
    }
    let (end, foot, x_label) = (WIDTH - RIGHT, HEIGHT - 3.0, escaped(x_label));
    svg.push_str(&format!(
        "<text x=\"{end}\" y=\"{foot}\" text-anchor=\"end\">{x_label}</text>"
    ));
    if let Some(Mark { x: at, name }) = mark.filter(|m| (x_range[0]..=x_range[1]).contains(&m.x)) {
        let (at, foot, name) = (x(at), HEIGHT - BOTTOM, escaped(name));
        // The name stands where there is more room.
        let (side, anchor) = if at < WIDTH / 2.0 {
            (at + 5.0, "start")
        } else {
            (at - 5.0, "end")
        };
        svg.push_str(&format!(
            "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{foot}\"/>\
             <text x=\"{side:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}</text>",
            foot - 6.0
        ));
    }
    for (i, one) in series.iter().enumerate() {
        let class = class(i, one);
        let path: Vec<String> = one
            .points
            .iter()
            .map(|p| format!("{:.1},{:.1}", x(p[0]), y(p[1])))
            .collect();
        svg.push_str(&match one.points.as_slice() {
            [p] => format!(
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"none\"/>",
                x(p[0]),
                y(p[1])
            ),
            _ => format!(
                "<polyline class=\"{class}\" points=\"{}\" fill=\"none\" stroke-width=\"2\"/>",
                path.join(" ")
            ),
        });
    }
    let legend: String = series
        .iter()
        .enumerate()
        .map(|(i, one)| {
            format!(
                "<li><span class=\"{}\"><i></i>{}</span></li>",
                class(i, one),
                escaped(&one.name)
            )
        })
        .collect();
    let legend = if series.len() > 1 {
        format!("<ul class=\"legend\">{legend}</ul>")
    } else {
        String::new()
    };
    format!(
        "<div class=\"chart\"><h3>{title}</h3>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">{svg}</svg>{legend}</div>\n"
    )
}

fn class(i: usize, series: &Series) -> String {
    format!("s{}{}", i % COLOURS, if series.is_floor { " floor" } else { "" })
}

/// The finite points, averaged in runs where there are many.
fn thinned(series: &Series) -> Series {
    let finite = |p: &&[f64; 2]| p.iter().all(|v| v.is_finite());
    let points: Vec<[f64; 2]> = series.points.iter().filter(finite).copied().collect();
    let run = points.len().div_ceil(POINTS).max(1);
    let mean = |run: &[[f64; 2]]| [0, 1].map(|i| run.iter().map(|p| p[i]).sum::<f64>() / run.len() as f64);
    Series {
        points: points.chunks(run).map(mean).collect(),
        ..series.clone()
    }
}

/// Least and greatest, with room where they are the same.
fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], v| {
        [l.min(v), h.max(v)]
    });
    let room = if high > low {
        0.0
    } else {
        low.abs().max(1.0) * 0.05
    };
    [low - room, high + room]
}

/// The distance between ticks: 1, 2 or 5 times a power of ten, for about `count` of them.
fn step([low, high]: [f64; 2], count: usize) -> f64 {
    let rough = (high - low) / count as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|f| f * power >= rough * 0.999)
        .unwrap_or(10.0);
    factor * power
}

fn ticks(range: [f64; 2], count: usize) -> Vec<f64> {
    let step = step(range, count);
    let first = (range[0] / step - 1e-6).ceil();
    let last = (range[1] / step + 1e-6).floor();
    (0..=(last - first).max(0.0) as usize)
        .map(|i| (first + i as f64) * step)
        .collect()
}

/// As many digits as the range needs.
fn label(tick: f64, range: [f64; 2]) -> String {
    let digits = (-(step(range, 5).log10().floor())).clamp(0.0, 6.0) as usize;
    let text = format!("{tick:.digits$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        "0".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[[f64; 2]]) -> Series {
        Series {
            name: "a".to_owned(),
            points: points.to_vec(),
            is_floor: false,
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks([0.0, 10.0], 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks([28.4, 30.1], 5), [28.5, 29.0, 29.5, 30.0]);
        assert_eq!(label(29.5, [28.4, 30.1]), "29.5");
        assert_eq!(label(2000.0, [0.0, 6000.0]), "2000");
        assert_eq!(label(-0.0, [-1.0, 1.0]), "0");
    }

    #[test]
    fn a_line_spans_the_plot_from_corner_to_corner() {
        let svg = chart("t", "step", &[series(&[[0.0, 1.0], [10.0, 3.0]])]);
        assert!(svg.contains("points=\"52.0,206.0 468.0,12.0\""), "{svg}");
    }

    #[test]
    fn many_points_are_averaged_and_wild_ones_left_out() {
        let mut points: Vec<[f64; 2]> = (0..1000).map(|i| [f64::from(i), f64::from(i % 2)]).collect();
        points.push([1000.0, f64::NAN]);
        let thin = thinned(&series(&points));
        assert_eq!(thin.points.len(), 200);
        assert_eq!(thin.points[0], [2.0, 0.4]);
    }

    #[test]
    fn a_mark_stands_inside_the_plot_or_not_at_all() {
        let svg = |x: f64| {
            let mark = Mark { x, name: "here" };
            marked_chart("t", "f", &[series(&[[0.0, 1.0], [10.0, 3.0]])], Some(mark))
        };
        assert!(svg(5.0).contains("x1=\"260.0\"") && svg(5.0).contains("here"));
        assert!(!svg(11.0).contains("here"));
    }

    #[test]
    fn an_empty_or_constant_chart_is_still_a_chart() {
        assert!(chart("t", "step", &[]).contains("nothing was recorded"));
        assert!(!chart("t", "step", &[series(&[[1.0, 5.0]])]).contains("NaN"));
    }
}
