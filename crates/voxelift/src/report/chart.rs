//! Line charts as SVG that takes its colours from the page.

use voxelift_volume::baseline::Baseline;

use super::axis::Axis;
use super::escape::escaped;

/// One line of a chart.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Stands in the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<[f64; 2]>,
    /// Something to compare with: dashed.
    pub is_baseline: bool,
    /// Drawn lightly around the line: x, and the interval there.
    pub band: Vec<[f64; 3]>,
}

/// A place of note along x.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// Stands beside it.
    pub name: &'static str,
}

/// Lines over an axis.
#[derive(Clone, Debug, Default)]
pub struct Chart<'a> {
    /// Stands above.
    pub title: &'a str,
    /// What is along x, with its unit.
    pub x: &'a str,
    /// What is along y, with its unit.
    pub y: &'a str,
    /// The lines; a legend names them where there are several.
    pub series: &'a [Series],
    /// An upright line.
    pub mark: Option<Mark>,
    /// A level line.
    pub level: Option<f64>,
    /// What y covers at least.
    pub y_at_least: Option<[f64; 2]>,
}

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 44.0;
/// Colours of the style sheet.
const COLOURS: usize = 6;
/// More points than this are averaged: a screen has no more columns to show them in.
const POINTS: usize = 240;

impl Chart<'_> {
    /// A title, axes with ticks, a line for each series, and a legend where there are several.
    ///
    /// Points that are not finite are left out; a chart without any says so.
    pub fn html(&self) -> String {
        let series: Vec<Series> = self.series.iter().map(thinned).collect();
        let (title, points) = (escaped(self.title), || {
            series.iter().flat_map(|s| s.points.iter())
        });
        if points().next().is_none() {
            return format!("<div class=\"chart\"><h3>{title}</h3><p>nothing was recorded</p></div>");
        }
        let bands = series.iter().flat_map(|s| &s.band).flat_map(|b| [b[1], b[2]]);
        let wanted = self.y_at_least.into_iter().flatten();
        let plot = Plot {
            x: Axis::over(points().map(|p| p[0]), 6),
            y: Axis::over(points().map(|p| p[1]).chain(bands).chain(wanted), 5).to_ticks(),
        };
        let mut svg = plot.frame(self.x, self.y);
        if let Some(level) = self.level.filter(|l| (plot.y.low..=plot.y.high).contains(l)) {
            let [y, right] = [plot.down(level), WIDTH - RIGHT];
            svg.push_str(&format!(
                "<line class=\"mark\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            ));
        }
        svg.push_str(&self.mark.map_or_else(String::new, |mark| plot.mark(mark)));
        for (class, one) in classes(&series).iter().zip(&series) {
            svg.push_str(&plot.line(class, one));
        }
        let legend = if series.len() > 1 {
            legend(&series)
        } else {
            String::new()
        };
        let names: Vec<&str> = series.iter().map(|s| s.name.as_str()).collect();
        let described = escaped(&format!(
            "{}: {} over {}; lines: {}",
            self.title,
            self.y,
            self.x,
            names.join(", ")
        ));
        format!(
            "<div class=\"chart\"><h3>{title}</h3>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{described}\">{svg}</svg>{legend}</div>\n"
        )
    }
}

/// The axes of a chart.
struct Plot {
    x: Axis,
    y: Axis,
}

impl Plot {
    fn across(&self, x: f64) -> f64 {
        LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT)
    }

    fn down(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM)
    }

    fn frame(&self, x_name: &str, y_name: &str) -> String {
        let (right, foot) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut svg = String::new();
        for tick in self.y.ticks() {
            let (at, before, label) = (self.down(tick), LEFT - 7.0, self.y.label(tick));
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{before}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                at + 4.0
            ));
        }
        for tick in self.x.ticks() {
            let (at, end, below, label) = (self.across(tick), foot + 5.0, foot + 18.0, self.x.label(tick));
            svg.push_str(&format!(
                "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{foot}\" y2=\"{end}\"/>\
                 <text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"
            ));
        }
        let (middle, centre) = ((LEFT + right) / 2.0, (TOP + foot) / 2.0);
        svg.push_str(&format!(
            "<path class=\"axis\" d=\"M{LEFT} {TOP}V{foot}H{right}\"/>\
             <text class=\"name\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"name\" transform=\"translate(14 {centre}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 6.0,
            escaped(x_name),
            escaped(y_name)
        ));
        svg
    }

    fn mark(&self, mark: Mark) -> String {
        if !(self.x.low..=self.x.high).contains(&mark.x) {
            return String::new();
        }
        let (at, foot, name) = (self.across(mark.x), HEIGHT - BOTTOM, escaped(mark.name));
        // The name stands where there is more room.
        let (side, anchor) = if at < (LEFT + WIDTH) / 2.0 {
            (at + 5.0, "start")
        } else {
            (at - 5.0, "end")
        };
        format!(
            "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{foot}\"/>\
             <text x=\"{side:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}</text>",
            foot - 7.0
        )
    }

    fn line(&self, class: &str, series: &Series) -> String {
        let place = |x: f64, y: f64| format!("{:.1},{:.1}", self.across(x), self.down(y));
        let mut svg = String::new();
        if !series.band.is_empty() {
            let above = series.band.iter().map(|[x, _, high]| place(*x, *high));
            let below = series.band.iter().rev().map(|[x, low, _]| place(*x, *low));
            let around: Vec<String> = above.chain(below).collect();
            svg.push_str(&format!(
                "<g class=\"{class}\"><polygon class=\"band\" points=\"{}\"/></g>",
                around.join(" ")
            ));
        }
        let path: Vec<String> = series.points.iter().map(|p| place(p[0], p[1])).collect();
        svg.push_str(&match series.points.as_slice() {
            [p] => format!(
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"none\"/>",
                self.across(p[0]),
                self.down(p[1])
            ),
            _ => format!(
                "<polyline class=\"{class}\" points=\"{}\" fill=\"none\" stroke-width=\"2\"/>",
                path.join(" ")
            ),
        });
        svg
    }
}

fn legend(series: &[Series]) -> String {
    let items: String = classes(series)
        .iter()
        .zip(series)
        .map(|(class, one)| {
            format!(
                "<li class=\"{class}\"><i></i><span>{}</span></li>",
                escaped(&one.name)
            )
        })
        .collect();
    format!("<ul class=\"legend\">{items}</ul>")
}

/// A colour for each line. A baseline has its own in every chart; what is compared with baselines has the others in turn.
fn classes(series: &[Series]) -> Vec<String> {
    let place = |one: &Series| {
        Baseline::ALL
            .iter()
            .position(|baseline| baseline.name() == one.name)
    };
    let beside_baselines = series.iter().any(|one| place(one).is_some());
    let mut others = 0;
    let class = |one: &Series| {
        let dashed = if one.is_baseline { " baseline" } else { "" };
        let colour = place(one).map_or_else(
            || {
                others += 1;
                let turn = others - 1;
                if beside_baselines {
                    [0, COLOURS - 1][turn % 2]
                } else {
                    turn % COLOURS
                }
            },
            |place| place + 1,
        );
        format!("s{colour}{dashed}")
    };
    series.iter().map(class).collect()
}

/// The finite points, averaged in runs where there are many.
fn thinned(series: &Series) -> Series {
    let finite = |p: &&[f64; 2]| p.iter().all(|v| v.is_finite());
    let points: Vec<[f64; 2]> = series.points.iter().filter(finite).copied().collect();
    let run = points.len().div_ceil(POINTS).max(1);
    let mean = |run: &[[f64; 2]]| [0, 1].map(|i| run.iter().map(|p| p[i]).sum::<f64>() / run.len() as f64);
    let band = series.band.iter().filter(|b| b.iter().all(|v| v.is_finite()));
    Series {
        points: points.chunks(run).map(mean).collect(),
        band: band.copied().collect(),
        ..series.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[[f64; 2]]) -> Series {
        Series {
            name: "a".to_owned(),
            points: points.to_vec(),
            ..Series::default()
        }
    }

    fn html(series: &[Series], mark: Option<Mark>) -> String {
        let chart = Chart {
            title: "t",
            x: "spatial frequency (cycles/mm)",
            y: "PSNR (dB)",
            series,
            mark,
            ..Chart::default()
        };
        chart.html()
    }

    #[test]
    fn a_line_spans_the_plot_from_corner_to_corner() {
        let svg = html(&[series(&[[0.0, 1.0], [10.0, 3.0]])], None);
        assert!(svg.contains("points=\"62.0,226.0 426.0,10.0\""), "{svg}");
        assert!(svg.contains(">spatial frequency (cycles/mm)</text>") && svg.contains(">PSNR (dB)</text>"));
        assert!(!svg.contains("legend"), "one line needs no legend");
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
    fn a_baseline_has_the_same_colour_in_every_chart() {
        let named = |name: &str| Series {
            name: name.to_owned(),
            ..series(&[[0.0, 1.0]])
        };
        let colours = |names: &[&str]| classes(&names.iter().map(|name| named(name)).collect::<Vec<_>>());
        assert_eq!(colours(&["model", "cubic", "zero-fill"]), ["s0", "s3", "s1"]);
        assert_eq!(
            colours(&["zero-fill", "model alone", "model"]),
            ["s1", "s0", "s5"]
        );
        assert_eq!(colours(&["a", "b", "c"]), ["s0", "s1", "s2"]);
    }

    #[test]
    fn a_mark_stands_inside_the_plot_or_not_at_all() {
        let svg = |x: f64| {
            html(
                &[series(&[[0.0, 1.0], [10.0, 3.0]])],
                Some(Mark { x, name: "here" }),
            )
        };
        assert!(svg(5.0).contains("x1=\"244.0\"") && svg(5.0).contains("here"));
        assert!(!svg(11.0).contains("here"));
    }

    #[test]
    fn a_band_goes_there_and_back_and_widens_the_axis() {
        let mut one = series(&[[0.0, 1.0], [10.0, 3.0]]);
        one.band = vec![[0.0, 0.0, 2.0], [10.0, 2.0, 4.0]];
        let svg = html(&[one.clone(), one], None);
        assert!(
            svg.contains("class=\"band\" points=\"62.0,118.0 426.0,10.0 426.0,118.0 62.0,226.0\""),
            "{svg}"
        );
        assert!(svg.contains("<ul class=\"legend\">"));
    }

    #[test]
    fn an_empty_or_constant_chart_is_still_a_chart() {
        assert!(html(&[], None).contains("nothing was recorded"));
        assert!(!html(&[series(&[[1.0, 5.0]])], None).contains("NaN"));
    }
}
