//! Volumes side by side, a row for each plane, with the subject's sides, a scale bar, and a bar of greys for each column.

use voxelift_volume::Volume;

use super::canvas::Canvas;
use super::section::{Plane, Section};
use super::window::{Window, bar_mm, short};
use super::{absolute_error, brightest_place, font};

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

pub(super) const MARGIN: usize = 6;
/// A panel is enlarged by a whole number until its larger side has this many pixels.
pub(super) const PANEL: usize = 224;
/// Pixels of the screen for one of the font.
const SIZE: usize = 2;
/// A line of text with the room below it.
const LINE: usize = font::HEIGHT * SIZE + 6;
const BAR: usize = 8;
/// Label, bar of greys, and the values at its ends.
pub(super) const HEAD: usize = 2 * LINE + BAR + MARGIN;
const PAPER: u8 = 24;
const INK: u8 = 235;
const FAINT_INK: u8 = 170;

/// What every montage says above its pictures.
const HOW: &str = "Axial, coronal, sagittal; radiological: the subject's left (L) is on the right.";

/// Volumes side by side, a row for each plane, all at the same place in the world, as a PNG file.
///
/// The planes go through the centre of brightness of the finest volume (the last of them where several are
/// equally fine). The subject's left is at the picture's right, the front or the crown at the top, and letters say so,
/// from the affine. `caption` stands above, in as many lines as it needs.
///
/// # Panics
/// Without a column or a plane.
pub fn montage(caption: &str, columns: &[Column], planes: &[Plane]) -> Vec<u8> {
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
    let lines = wrapped(caption, (width - 2 * MARGIN) / (font::ADVANCE * SIZE));
    let top_of_head = MARGIN + lines.len() * LINE;
    let top_of_panels = top_of_head + HEAD;
    let height = top_of_panels + sections.iter().map(|s| zoom * s.height + MARGIN).sum::<usize>();

    let mut canvas = Canvas::filled(width, height, PAPER);
    for (i, line) in lines.iter().enumerate() {
        canvas.text(line, [MARGIN, MARGIN + i * LINE], width, SIZE, INK);
    }
    for (i, column) in columns.iter().enumerate() {
        let left = MARGIN + i * (panel_width + MARGIN);
        head(&mut canvas, column, [left, top_of_head], panel_width);
        let mut top = top_of_panels;
        for section in &sections {
            let indent = left + (panel_width - zoom * section.width) / 2;
            let values = section.of(column.volume);
            for y in 0..zoom * section.height {
                for x in 0..zoom * section.width {
                    let value = values[y / zoom * section.width + x / zoom];
                    canvas.set(indent + x, top + y, column.window.grey(value));
                }
            }
            let panel = [zoom * section.width, zoom * section.height];
            sides(&mut canvas, section, [indent, top], panel);
            if i == 0 {
                scale(&mut canvas, section.pixel_mm / zoom as f64, [indent, top], panel);
            }
            top += zoom * section.height + MARGIN;
        }
    }
    canvas.png()
}

/// The label of a column, its greys from black to white, and the values at their ends.
fn head(canvas: &mut Canvas, column: &Column, [left, top]: [usize; 2], width: usize) {
    canvas.text(column.label, [left, top], width, SIZE, INK);
    for x in 0..width {
        let grey = (x * 255 / (width - 1).max(1)) as u8;
        canvas.fill([left + x, top + LINE], [1, BAR], grey);
    }
    let Window { black, white } = column.window;
    let below = top + LINE + BAR + 4;
    canvas.text(&short(black), [left, below], width, SIZE, FAINT_INK);
    let white = short(white);
    let start = left + width.saturating_sub(white.chars().count() * font::ADVANCE * SIZE);
    canvas.text(&white, [start, below], width, SIZE, FAINT_INK);
}

/// The subject's sides at the middle of each edge.
fn sides(canvas: &mut Canvas, section: &Section, [left, top]: [usize; 2], [width, height]: [usize; 2]) {
    let [west, east, north, south] = section.edges().letters;
    let long = |text: &str| text.chars().count() * font::ADVANCE * SIZE;
    let tall = font::HEIGHT * SIZE;
    let (right, bottom) = (
        (left + width).saturating_sub(long(&east) + 1),
        (top + height).saturating_sub(tall + 3),
    );
    let (middle, centre) = (top + height / 2 - tall / 2, left + width / 2);
    for (text, at) in [
        (&west, [left + 3, middle]),
        (&east, [right, middle]),
        (&north, [centre - long(&north) / 2, top + 3]),
        (&south, [centre - long(&south) / 2, bottom]),
    ] {
        shadowed(canvas, text, at);
    }
}

/// A bar of a round number of millimetres at the lower left.
fn scale(canvas: &mut Canvas, pixel_mm: f64, [left, top]: [usize; 2], [width, height]: [usize; 2]) {
    let long = bar_mm(width as f64 * pixel_mm);
    let pixels = (long / pixel_mm).round() as usize;
    let foot = (top + height).saturating_sub(8);
    canvas.fill([left + 5, foot - 1], [pixels + 2, 5], 0);
    canvas.fill([left + 6, foot], [pixels, 3], INK);
    shadowed(
        canvas,
        &format!("{long} mm"),
        [left + 6, foot.saturating_sub(font::HEIGHT * SIZE + 5)],
    );
}

/// Text that is legible on black and on white.
fn shadowed(canvas: &mut Canvas, text: &str, [x, y]: [usize; 2]) {
    for [across, down] in [[0, 1], [2, 1], [1, 0], [1, 2], [0, 0], [2, 2], [0, 2], [2, 0]] {
        let at = [(x + across).saturating_sub(1), (y + down).saturating_sub(1)];
        canvas.text(text, at, usize::MAX, SIZE, 0);
    }
    canvas.text(text, [x, y], usize::MAX, SIZE, INK);
}

/// Words in lines of at most so many characters; a longer word has a line of its own.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// LR, the images made from it, the reference where there is one, and the error of each image against it.
///
/// Grey values share the reference's window (the last image's without one); errors share the window of the first
/// image's. Images that are not on the reference's grid have no error column. `title` begins the caption.
///
/// # Panics
/// Without an image.
pub fn comparison(
    title: &str,
    lr: &Volume,
    images: &[(&str, &Volume)],
    reference: Option<&Volume>,
) -> Vec<u8> {
    let last = images.last().expect("an image to compare").1;
    let window = Window::of(reference.unwrap_or(last));
    let errors: Vec<(String, Volume)> = reference.map_or_else(Vec::new, |hr| {
        let same_grid = images.iter().filter(|(_, image)| image.extent() == hr.extent());
        same_grid
            .map(|(label, image)| (format!("error {label}"), absolute_error(image, hr)))
            .collect()
    });
    let mut columns = vec![Column {
        label: "LR scan",
        volume: lr,
        window,
    }];
    columns.extend(images.iter().map(|(label, volume)| Column {
        label,
        volume,
        window,
    }));
    columns.extend(reference.map(|volume| Column {
        label: "reference",
        volume,
        window,
    }));
    let error_window = errors.first().map_or(window, |(_, error)| Window::of(error));
    columns.extend(errors.iter().map(|(label, volume)| Column {
        label,
        volume,
        window: error_window,
    }));
    let units = if errors.is_empty() {
        "Greys in the units of the scan."
    } else {
        "Greys and errors (brighter is worse) in the units of the scan."
    };
    montage(&format!("{title} {HOW} {units}"), &columns, &Plane::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_wrapped_at_words() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("one-two-three four", 9), ["one-two-three", "four"]);
    }
}
