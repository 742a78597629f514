//! The same slices of several volumes, a stack for each plane, cut to what there is to see.

use voxelift_volume::Volume;

use super::canvas::Canvas;
use super::palette::Palette;
use super::section::{Edges, Plane, Section, voxel_axis};
use super::{Window, brightest_place};

/// Pixels around what is shown.
const MARGIN: usize = 4;

/// Brighter than this share of white counts as something to see.
const VISIBLE: u8 = 10;

/// Steps from black to white in a stack: fewer than a screen shows, and a third of the bytes, since noise is what fills
/// them.
const GREYS: usize = 64;
/// The same of a map.
const COLOURS: usize = 32;

/// Slices through one volume's grid, along its three planes.
#[derive(Clone, Debug)]
pub struct Stacks {
    frames: Vec<(Frame, Vec<Section>)>,
    world: [[f64; 4]; 3],
}

/// Where the pixels of a plane's slices are.
///
/// Places are given along the grid's axes nearest to left-right, back-front and foot-head, in millimetres from the
/// edge of the field of view that is the subject's left, back or foot.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Which plane.
    pub plane: Plane,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// The side of a pixel, in millimetres.
    pub pixel_mm: f64,
    /// What is at the edges.
    pub edges: Edges,
    /// Where the left and the upper edge of the picture are, along the axes of its columns and rows; columns and rows
    /// go down from there.
    pub origin_mm: [f64; 2],
    /// Where the slices are, along the axis through the plane, ascending.
    pub depths_mm: Vec<f64>,
    /// The slice through the centre of brightness.
    pub begin: usize,
    left: usize,
    top: usize,
}

impl Stacks {
    /// At most `most` slices of each plane, evenly over where a volume is not dark, one of them through its centre of
    /// brightness.
    pub fn through(volume: &Volume, most: usize) -> Self {
        let (centre, seen) = (brightest_place(volume), Seen::of(volume));
        let frames = Plane::ALL.map(|plane| seen.frame(volume, plane, centre, most.max(1)));
        Self {
            frames: frames.to_vec(),
            world: world_from_mm(volume),
        }
    }

    /// The planes.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().map(|(frame, _)| frame)
    }

    /// World millimetres (RAS+) from the places of the frames: three rows of four numbers.
    pub fn world_from_mm(&self) -> [[f64; 4]; 3] {
        self.world
    }

    /// The slices of a volume on whatever grid: for each plane one PNG file, the first slice at the top, in 64 greys or 32
    /// colours of a map.
    pub fn of(&self, volume: &Volume, window: Window, palette: Palette) -> Vec<Vec<u8>> {
        let levels = match palette {
            Palette::Grey => GREYS,
            Palette::Heat | Palette::Signed => COLOURS,
        };
        let colours = palette.colours();
        let shown: Vec<[u8; 3]> = (0..levels)
            .map(|i| colours[(255 * i + (levels - 1) / 2) / (levels - 1)])
            .collect();
        let sheet = |(frame, sections): &(Frame, Vec<Section>)| {
            let mut canvas = Canvas::filled(frame.width, frame.height * sections.len(), 0);
            for (i, section) in sections.iter().enumerate() {
                let values = section.of(volume);
                for y in 0..frame.height {
                    for x in 0..frame.width {
                        let value = values[(frame.top + y) * section.width + frame.left + x];
                        let level = usize::from(window.grey(value)) * (levels - 1);
                        canvas.set(x, i * frame.height + y, ((level + 127) / 255) as u8);
                    }
                }
            }
            canvas.indexed_png(&shown)
        };
        self.frames.iter().map(sheet).collect()
    }
}

/// World millimetres from millimetres along the grid's axes, from the left, back and foot of the field of view.
fn world_from_mm(volume: &Volume) -> [[f64; 4]; 3] {
    let grid = volume.geometry();
    let (spacing, extent) = (grid.spacing_mm(), volume.extent());
    let axes = [0, 1, 2].map(|world| voxel_axis(grid, world));
    let world = |mm: [f64; 3]| {
        let mut voxel = [0.0; 3];
        for ((axis, reversed), mm) in axes.into_iter().zip(mm) {
            let along = mm / spacing[axis] - 0.5;
            voxel[axis] = if reversed {
                extent[axis] as f64 - 1.0 - along
            } else {
                along
            };
        }
        grid.world(voxel)
    };
    let origin = world([0.0; 3]);
    let unit = |a: usize| world(std::array::from_fn(|i| f64::from(u8::from(i == a))));
    let columns = [unit(0), unit(1), unit(2)];
    std::array::from_fn(|row| {
        std::array::from_fn(|column| match column {
            3 => origin[row],
            _ => columns[column][row] - origin[row],
        })
    })
}

/// First and last voxel along each axis that are not dark.
struct Seen([[usize; 2]; 3]);

impl Seen {
    fn of(volume: &Volume) -> Self {
        let (window, extent) = (Window::of(volume), volume.extent());
        let mut seen = [[usize::MAX, 0]; 3];
        for (i, value) in volume.data().iter().enumerate() {
            if window.grey(*value) > VISIBLE {
                let at = [
                    i % extent[0],
                    i / extent[0] % extent[1],
                    i / (extent[0] * extent[1]),
                ];
                for a in 0..3 {
                    seen[a] = [seen[a][0].min(at[a]), seen[a][1].max(at[a])];
                }
            }
        }
        if seen[0][0] == usize::MAX {
            seen = extent.map(|n| [0, n - 1]);
        }
        Self(seen)
    }

    /// Its slices along a plane's axis, and the part of their pixels that is shown.
    fn frame(&self, volume: &Volume, plane: Plane, centre: [f64; 3], most: usize) -> (Frame, Vec<Section>) {
        let grid = volume.geometry();
        let section = Section::new(grid, plane, centre);
        let spacing = grid.spacing_mm();
        // From the low to the high end of a world axis, in mm from the low edge of the field of view.
        let span = |world: usize| {
            let (axis, reversed) = voxel_axis(grid, world);
            let [first, last] = self.0[axis];
            let [low, high] = if reversed {
                [grid.extent[axis] - 1 - last, grid.extent[axis] - 1 - first]
            } else {
                [first, last]
            };
            [low as f64 * spacing[axis], (high + 1) as f64 * spacing[axis]]
        };
        // Pixels from the picture's left or top, where the axis ends.
        let cut = |world: usize, pixels: usize| {
            let [low, high] = span(world).map(|mm| mm / section.pixel_mm);
            let first = (pixels as f64 - high).floor().max(0.0) as usize;
            let last = (pixels as f64 - low).ceil().min(pixels as f64) as usize;
            let begin = first.saturating_sub(MARGIN);
            (begin, ((last + MARGIN).min(pixels) - begin).max(1))
        };
        let [across, down, through] = plane.axes();
        let ((left, width), (top, height)) = (cut(across, section.width), cut(down, section.height));

        let (axis, reversed) = voxel_axis(grid, through);
        let [first, last] = self.0[axis];
        let voxels = chosen(first, last, centre[axis], most);
        let mm = |voxel: f64| {
            let along = if reversed {
                grid.extent[axis] as f64 - 1.0 - voxel
            } else {
                voxel
            };
            (along + 0.5) * spacing[axis]
        };
        let mut slices: Vec<(f64, f64)> = voxels
            .into_iter()
            .map(|voxel| (mm(voxel as f64), voxel as f64))
            .collect();
        slices.sort_by(|a, b| a.0.total_cmp(&b.0));
        let distance = |voxel: f64| (voxel - centre[axis]).abs();
        let begin = (0..slices.len())
            .min_by(|a, b| distance(slices[*a].1).total_cmp(&distance(slices[*b].1)))
            .expect("a slice");
        let far = |pixels: usize, skipped: usize| (pixels - skipped) as f64 * section.pixel_mm;
        let frame = Frame {
            plane,
            width,
            height,
            pixel_mm: section.pixel_mm,
            edges: section.edges(),
            origin_mm: [far(section.width, left), far(section.height, top)],
            depths_mm: slices.iter().map(|(mm, _)| *mm).collect(),
            begin,
            left,
            top,
        };
        let sections = slices.iter().map(|(_, voxel)| section.at_depth(*voxel)).collect();
        (frame, sections)
    }
}

/// Voxels from `first` to `last`, evenly spaced, with the one nearest to `centre`.
fn chosen(first: usize, last: usize, centre: f64, most: usize) -> Vec<usize> {
    let middle = (centre.round().max(0.0) as usize).clamp(first, last);
    let step = (last - first + 1).div_ceil(most);
    let before = (middle - first) / step;
    let slices = (0..).map(|i| middle - before * step + i * step);
    slices.take_while(|voxel| *voxel <= last).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::Geometry;

    fn head(geometry: &Geometry) -> Volume {
        let mut head = Volume::filled(0.0, geometry.clone());
        for i in 0..geometry.voxels() {
            let at = [i % 40, i / 40 % 36, i / 1440];
            if (0..3).all(|a| (12..20).contains(&at[a])) {
                head.data_mut()[i] = 100.0;
            }
        }
        head
    }

    #[test]
    fn all_volumes_are_cut_alike_to_where_the_first_is_not_dark() {
        let fine = Geometry::axis_aligned([40, 36, 32], [1.0; 3]);
        let head = head(&fine);
        let stacks = Stacks::through(&head, 3);
        for frame in stacks.frames() {
            assert_eq!((frame.width, frame.height), (16, 16), "{:?}", frame.plane);
            // Voxels 12 to 19, by threes, through the middle one.
            assert_eq!(frame.depths_mm, [13.5, 16.5, 19.5], "{:?}", frame.plane);
            assert_eq!(frame.begin, 1);
            // The picture begins four pixels beyond the head's far end, at 20 mm.
            assert_eq!(frame.origin_mm, [24.0, 24.0]);
        }
        let coarse = Volume::filled(50.0, fine.with_extent([20, 18, 16]));
        for volume in [&head, &coarse] {
            for palette in [Palette::Grey, Palette::Heat] {
                let sheets = stacks.of(volume, Window::of(&head), palette);
                assert_eq!(sheets.len(), 3);
                for png in sheets {
                    assert_eq!(&png[1..4], b"PNG");
                    assert_eq!(&png[16..24], [0, 0, 0, 16, 0, 0, 0, 48]);
                }
            }
        }
        // Nothing to see: all of it is shown.
        let empty = Stacks::through(&Volume::filled(0.0, fine), 1);
        let first = empty.frames().next().expect("a plane");
        assert_eq!((first.width, first.depths_mm.len()), (40, 1));
    }

    #[test]
    fn places_lead_back_to_the_world_whatever_the_storage() {
        let turned = Geometry {
            extent: [40, 36, 32],
            world_from_voxel: [[0.0, -2.0, 0.0, 7.0], [0.0, 0.0, 1.0, 3.0], [-1.0, 0.0, 0.0, 5.0]],
        };
        let stacks = Stacks::through(&head(&turned), 4);
        let m = stacks.world_from_mm();
        // The left, back and lower corner of the field of view.
        assert_eq!(m.map(|row| row[3]), [7.0 - 71.0, 2.5, 5.0 - 39.5]);
        for a in 0..3 {
            for b in 0..3 {
                assert!((m[a][b] - f64::from(u8::from(a == b))).abs() < 1e-9, "{m:?}");
            }
        }
    }

    #[test]
    fn slices_are_chosen_evenly_and_never_more_than_asked_for() {
        assert_eq!(chosen(0, 9, 4.6, 100), (0..10).collect::<Vec<_>>());
        assert_eq!(chosen(0, 9, 4.6, 3), [1, 5, 9]);
        assert_eq!(chosen(3, 3, 9.0, 5), [3]);
        for most in 1..12 {
            let slices = chosen(2, 90, 40.0, most);
            assert!(slices.len() <= most && slices.contains(&40), "{most}: {slices:?}");
        }
    }
}
