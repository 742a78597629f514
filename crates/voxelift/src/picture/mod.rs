//! Floor 11 · Pictures of volumes: planes side by side, grey, with their window and labels, as PNG bytes.

mod canvas;
mod font;
mod palette;
mod section;
mod views;

use canvas::Canvas;
pub use palette::Palette;
pub use section::Plane;
use section::Section;
pub use views::{View, Views};
use voxelift_volume::Volume;

/// The intensities shown as black and as white; what lies beyond is clipped in the picture only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Shown as black.
    pub black: f32,
    /// Shown as white.
    pub white: f32,
}

impl Window {
    /// Zero to the 99.8th percentile of what is above zero: bright vessels saturate, tissue keeps its contrast.
    pub fn of(volume: &Volume) -> Self {
        let mut above: Vec<f32> = volume
            .data()
            .iter()
            .copied()
            .filter(|v| v.is_finite() && *v > 0.0)
            .collect();
        if above.is_empty() {
            return Self {
                black: 0.0,
                white: 1.0,
            };
        }
        let at = (above.len() - 1) * 998 / 1000;
        let (_, white, _) = above.select_nth_unstable_by(at, f32::total_cmp);
        Self {
            black: 0.0,
            white: *white,
        }
    }

    fn grey(self, value: f32) -> u8 {
        let share = (value - self.black) / (self.white - self.black).max(f32::MIN_POSITIVE);
        (share.clamp(0.0, 1.0) * 255.0).round() as u8
    }
}

/// One column of a montage.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Stands above it.
    pub label: &'a str,
    /// On any grid: it is shown where it is in the world.
    pub volume: &'a Volume,
    /// Its greys; stated under its label.
    pub window: Window,
}

const MARGIN: usize = 4;
const LABEL: usize = 2 * (font::HEIGHT + 3) + MARGIN;
/// A panel is enlarged by a whole number until its larger side has this many pixels.
const PANEL: usize = 160;
const PAPER: u8 = 24;
const INK: u8 = 230;
const FAINT_INK: u8 = 150;

/// Volumes side by side, a row for each plane, all at the same place in the world, as a PNG file.
///
/// The planes go through the centre of brightness of the finest volume (the last of them where several are
/// equally fine). The subject's left is at the picture's left, the front or the crown at the top.
///
/// # Panics
/// Without a column or a plane.
pub fn montage(columns: &[Column], planes: &[Plane]) -> Vec<u8> {
    assert!(
        !columns.is_empty() && !planes.is_empty(),
        "{} columns, {} planes",
        columns.len(),
        planes.len()
    );
    let voxel_mm3 = |column: &&Column| -column.volume.geometry().determinant().abs();
    let finest = columns
        .iter()
        .max_by(|a, b| voxel_mm3(a).total_cmp(&voxel_mm3(b)))
        .expect("a column")
        .volume;
    let centre = brightest_place(finest);
    let sections: Vec<Section> = planes
        .iter()
        .map(|p| Section::new(finest.geometry(), *p, centre))
        .collect();

    let side = sections
        .iter()
        .map(|s| s.width.max(s.height))
        .max()
        .expect("a plane");
    let zoom = PANEL.div_ceil(side).max(1);
    let panel_width = zoom * sections.iter().map(|s| s.width).max().expect("a plane");
    let width = MARGIN + columns.len() * (panel_width + MARGIN);
    let height = LABEL + sections.iter().map(|s| zoom * s.height + MARGIN).sum::<usize>();

    let mut canvas = Canvas::filled(width, height, PAPER);
    for (i, column) in columns.iter().enumerate() {
        let left = MARGIN + i * (panel_width + MARGIN);
        let Window { black, white } = column.window;
        let window = format!("{} .. {}", short(black), short(white));
        canvas.text(column.label, [left, MARGIN], panel_width, INK);
        canvas.text(&window, [left, MARGIN + font::HEIGHT + 3], panel_width, FAINT_INK);
        let mut top = LABEL;
        for section in &sections {
            let indent = left + (panel_width - zoom * section.width) / 2;
            let values = section.of(column.volume);
            for y in 0..zoom * section.height {
                for x in 0..zoom * section.width {
                    let value = values[y / zoom * section.width + x / zoom];
                    canvas.set(indent + x, top + y, column.window.grey(value));
                }
            }
            top += zoom * section.height + MARGIN;
        }
    }
    canvas.png()
}

/// LR, the images made from it, the reference where there is one, and the error of each image against it.
///
/// Grey values share the reference's window (the last image's without one); errors share the window of the first
/// image's. Images that are not on the reference's grid have no error column.
///
/// # Panics
/// Without an image.
pub fn comparison(lr: &Volume, images: &[(&str, &Volume)], reference: Option<&Volume>) -> Vec<u8> {
    let last = images.last().expect("an image to compare").1;
    let window = Window::of(reference.unwrap_or(last));
    let errors: Vec<(String, Volume)> = reference.map_or_else(Vec::new, |hr| {
        let same_grid = images.iter().filter(|(_, image)| image.extent() == hr.extent());
        same_grid
            .map(|(label, image)| (format!("error {label}"), absolute_error(image, hr)))
            .collect()
    });
    let mut columns = vec![Column {
        label: "LR",
        volume: lr,
        window,
    }];
    columns.extend(images.iter().map(|(label, volume)| Column {
        label,
        volume,
        window,
    }));
    columns.extend(reference.map(|volume| Column {
        label: "HR",
        volume,
        window,
    }));
    let error_window = errors.first().map_or(window, |(_, error)| Window::of(error));
    columns.extend(errors.iter().map(|(label, volume)| Column {
        label,
        volume,
        window: error_window,
    }));
    montage(&columns, &Plane::ALL)
}

/// `|image - reference|`, voxel by voxel, on the reference's grid.
///
/// # Panics
/// When the two have different numbers of voxels.
pub fn absolute_error(image: &Volume, reference: &Volume) -> Volume {
    assert_eq!(image.extent(), reference.extent(), "the error on another grid");
    let pairs = image.data().iter().zip(reference.data());
    Volume::new(
        pairs.map(|(a, b)| (a - b).abs()).collect(),
        reference.geometry().clone(),
    )
}

/// The mean voxel position, weighted by intensity.
fn brightest_place(volume: &Volume) -> [f64; 3] {
    let [nx, ny, _] = volume.extent();
    let (mut total, mut moment) = (0.0, [0.0; 3]);
    for (i, value) in volume.data().iter().enumerate() {
        let weight = f64::from(if value.is_finite() { value.max(0.0) } else { 0.0 });
        let place = [i % nx, i / nx % ny, i / (nx * ny)];
        total += weight;
        (0..3).for_each(|a| moment[a] += weight * place[a] as f64);
    }
    if total > 0.0 {
        moment.map(|m| m / total)
    } else {
        volume.extent().map(|n| (n as f64 - 1.0) / 2.0)
    }
}

/// Three digits are enough to read a window.
pub fn short(value: f32) -> String {
    match value.abs() {
        v if v == 0.0 || v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests;
