//! The same three planes of several volumes, each as a picture of its own, cut to what there is to see.

use voxelift_volume::Volume;

use super::canvas::Canvas;
use super::palette::Palette;
use super::section::{Plane, Section};
use super::{Window, brightest_place};

/// Pixels around the head.
const MARGIN: usize = 4;

/// Brighter than this share of white counts as something to see.
const VISIBLE: u8 = 10;

/// Three planes through one place of the world.
#[derive(Clone, Debug)]
pub struct Views {
    planes: Vec<(Plane, Section, Cut)>,
}

/// The part of a section that is shown.
#[derive(Clone, Copy, Debug)]
struct Cut {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// One plane of one volume.
#[derive(Clone, Debug)]
pub struct View {
    /// Which plane.
    pub plane: Plane,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// A PNG file.
    pub png: Vec<u8>,
}

impl Views {
    /// The planes through the centre of brightness of a volume, on its voxels, cut to where it is not dark.
    pub fn through(volume: &Volume) -> Self {
        let (centre, window) = (brightest_place(volume), Window::of(volume));
        let planes = Plane::ALL.map(|plane| {
            let section = Section::new(volume.geometry(), plane, centre);
            let cut = Cut::around(&section, &section.of(volume), window);
            (plane, section, cut)
        });
        Self {
            planes: planes.to_vec(),
        }
    }

    /// The planes of a volume, on whatever grid.
    pub fn of(&self, volume: &Volume, window: Window, palette: Palette) -> Vec<View> {
        let view = |(plane, section, cut): &(Plane, Section, Cut)| {
            let values = section.of(volume);
            let mut canvas = Canvas::filled(cut.width, cut.height, 0);
            for y in 0..cut.height {
                for x in 0..cut.width {
                    let value = values[(cut.top + y) * section.width + cut.left + x];
                    canvas.set(x, y, window.grey(value));
                }
            }
            let png = match palette {
                Palette::Grey => canvas.png(),
                coloured => canvas.indexed_png(&coloured.colours()),
            };
            View {
                plane: *plane,
                width: cut.width,
                height: cut.height,
                png,
            }
        };
        self.planes.iter().map(view).collect()
    }
}

impl Cut {
    fn around(section: &Section, values: &[f32], window: Window) -> Self {
        let whole = [section.width, section.height];
        let (mut low, mut high) = (whole, [0; 2]);
        for (i, value) in values.iter().enumerate() {
            if window.grey(*value) > VISIBLE {
                let at = [i % section.width, i / section.width];
                for a in 0..2 {
                    low[a] = low[a].min(at[a]);
                    high[a] = high[a].max(at[a] + 1);
                }
            }
        }
        if (0..2).any(|a| low[a] >= high[a]) {
            (low, high) = ([0; 2], whole);
        }
        let low = low.map(|v| v.saturating_sub(MARGIN));
        let high: [usize; 2] = std::array::from_fn(|a| (high[a] + MARGIN).min(whole[a]));
        Self {
            left: low[0],
            top: low[1],
            width: high[0] - low[0],
            height: high[1] - low[1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::Geometry;

    #[test]
    fn all_volumes_are_cut_alike_to_where_the_first_is_not_dark() {
        let fine = Geometry::axis_aligned([40, 36, 32], [1.0; 3]);
        let mut head = Volume::filled(0.0, fine.clone());
        for i in 0..fine.voxels() {
            let at = [i % 40, i / 40 % 36, i / 1440];
            if (0..3).all(|a| (12..20).contains(&at[a])) {
                head.data_mut()[i] = 100.0;
            }
        }
        let views = Views::through(&head);
        let coarse = Volume::filled(50.0, fine.with_extent([20, 18, 16]));
        for volume in [&head, &coarse] {
            for palette in [Palette::Grey, Palette::Heat] {
                let shown = views.of(volume, Window::of(&head), palette);
                assert_eq!(shown.len(), 3);
                for view in shown {
                    assert_eq!((view.width, view.height), (16, 16), "{:?}", view.plane);
                    assert_eq!(&view.png[1..4], b"PNG");
                }
            }
        }
        // Nothing to see: all of it is shown.
        let empty = Views::through(&Volume::filled(0.0, fine));
        let window = Window {
            black: 0.0,
            white: 1.0,
        };
        assert_eq!(empty.of(&head, window, Palette::Grey)[0].width, 40);
    }
}
