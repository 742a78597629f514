//! The scan's own slices as training data: each of them fine, and as it would be seen across thick slices.

use voxelift_volume::Volume;
use voxelift_volume::intensity::Mask;
use voxelift_volume::random::Stream;
use voxelift_volume::resample::{Interpolation, resize};

use super::across::Across;
use super::patch::{PatchSize, share_inside, with_foreground};
use super::planes::Planes;
use super::protocol::SliceProtocol;

/// In-plane voxels that differ by less than this share from the fine slices are taken as they are.
const SAME_SIZE: f64 = 0.01;

/// Patches of one step, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    /// `rows x columns` each.
    pub coarse: Vec<f32>,
    /// `scale rows x columns` each.
    pub fine: Vec<f32>,
}

/// Several scans that are learned from; each step takes patches of all of them.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The scans.
    pub scans: Vec<Source>,
    /// The first scan's planes across its slices, where terms look at them.
    pub across: Option<Across>,
}

impl Sources {
    /// The patches of step `step`: the same for the same seed and step.
    pub fn draw(&self, size: PatchSize, least_foreground: f64, seed: u64, step: u64) -> Patches {
        let count = self.scans.len();
        let shape = self.patch_shape(size);
        let parts = self.scans.iter().enumerate().map(|(index, source)| {
            // The first get one more where the batch is no multiple of the scans.
            let batch = (size.batch + count - 1 - index) / count;
            let stream = Stream::new(seed, step * count as u64 + index as u64);
            source.draw(batch, shape, least_foreground, stream)
        });
        parts
            .reduce(|mut all, part| {
                all.coarse.extend(part.coarse);
                all.fine.extend(part.fine);
                all
            })
            .expect("a scan")
    }

    /// Rows and columns of a patch, which are fewer than asked for where a scan is small.
    pub fn patch_shape(&self, size: PatchSize) -> [usize; 2] {
        let shapes = self.scans.iter().map(|source| source.patch_shape(size));
        let least = shapes.reduce(|[a, b], [c, d]| [a.min(c), b.min(d)]);
        least.expect("a scan")
    }
}

/// The slices of a scan, along one of the two axes in plane as if that lay across the slices.
#[derive(Clone, Debug)]
struct Direction {
    /// `[slice][row][column]`, rows along the axis that is taken for the thick one.
    fine: Planes,
    /// Row `i` is what a thick slice over the fine rows `i` to `i + scale - 1` shows.
    coarse: Planes,
    /// Foreground of `fine`.
    inside: Vec<bool>,
}

/// All that is learned from one scan.
#[derive(Clone, Debug)]
pub struct Source {
    directions: Vec<Direction>,
    scale: usize,
    /// Slices that patches are drawn from.
    slices: Vec<usize>,
    /// Standard deviation of the noise added to coarse patches.
    noise: f64,
}

impl Source {
    /// Prepares the slices of a normalised scan, leaving out those `held_out`.
    ///
    /// `noise` is what a coarse patch lacks of the scan's noise, since averaging took it away.
    pub fn new(
        scan: &Volume,
        protocol: &SliceProtocol,
        held_out: &std::ops::Range<usize>,
        noise: f64,
    ) -> Self {
        let foreground = Mask::foreground(scan);
        let directions: Vec<Direction> = protocol
            .in_plane()
            .into_iter()
            .map(|axis| Direction::new(scan, &foreground, protocol, axis))
            .collect();
        let planes = scan.extent()[protocol.axis];
        let seen = |slice: usize| {
            let [_, rows, columns] = directions[0].fine.shape;
            let inside = &directions[0].inside[slice * rows * columns..][..rows * columns];
            inside.iter().filter(|inside| **inside).count() * 50 > rows * columns
        };
        let all: Vec<usize> = (0..planes).filter(|slice| !held_out.contains(slice)).collect();
        let worth: Vec<usize> = all.iter().copied().filter(|slice| seen(*slice)).collect();
        Self {
            slices: if worth.is_empty() { all } else { worth },
            directions,
            scale: protocol.scale,
            noise,
        }
    }

    /// `batch` patches.
    fn draw(&self, batch: usize, shape: [usize; 2], least_foreground: f64, mut stream: Stream) -> Patches {
        let mut patches = Patches {
            coarse: Vec::new(),
            fine: Vec::new(),
        };
        for number in 0..batch {
            let direction = &self.directions[number % self.directions.len()];
            let flips = [stream.uniform() < 0.5, stream.uniform() < 0.5];
            let place = self.place(direction, shape, least_foreground, &mut stream);
            self.cut(direction, place, shape, flips, &mut patches);
        }
        if self.noise > 0.0 {
            let mut draws = std::iter::repeat_with(|| stream.normal_pair()).flatten();
            for value in &mut patches.coarse {
                *value += (self.noise * draws.next().expect("endless")) as f32;
            }
        }
        patches
    }

    /// Slice, first fine row and first column of a patch with enough foreground.
    fn place(
        &self,
        direction: &Direction,
        [thick, width]: [usize; 2],
        least_foreground: f64,
        stream: &mut Stream,
    ) -> [usize; 3] {
        let shape @ [_, rows, columns] = direction.fine.shape;
        let height = self.scale * thick;
        let draw = |stream: &mut Stream| {
            [
                self.slices[stream.below(self.slices.len())],
                stream.below(rows - height + 1),
                stream.below(columns - width + 1),
            ]
        };
        let share = |place| share_inside(&direction.inside, shape, place, [height, width]);
        with_foreground(stream, least_foreground, draw, share)
    }

    fn cut(
        &self,
        direction: &Direction,
        [slice, row, column]: [usize; 3],
        [count, width]: [usize; 2],
        [flip_rows, flip_columns]: [bool; 2],
        patches: &mut Patches,
    ) {
        let add = |planes: &Planes, row: usize, to: &mut Vec<f32>| {
            let begin = to.len();
            to.extend_from_slice(&planes.row(slice, row)[column..column + width]);
            if flip_columns {
                to[begin..].reverse();
            }
        };
        for j in 0..count {
            let j = if flip_rows { count - 1 - j } else { j };
            add(&direction.coarse, row + self.scale * j, &mut patches.coarse);
        }
        for i in 0..count * self.scale {
            let i = if flip_rows { count * self.scale - 1 - i } else { i };
            add(&direction.fine, row + i, &mut patches.fine);
        }
    }

    /// Rows and columns of a patch, which are fewer than asked for where the scan is small.
    fn patch_shape(&self, size: PatchSize) -> [usize; 2] {
        let shapes = self.directions.iter().map(|d| d.fine.shape);
        let rows = shapes.clone().map(|s| s[1] / self.scale).min().unwrap_or(0);
        let columns = shapes.map(|s| s[2]).min().unwrap_or(0);
        [size.rows.min(rows), size.columns.min(columns)]
    }
}

impl Direction {
    fn new(scan: &Volume, foreground: &Mask, protocol: &SliceProtocol, axis: usize) -> Self {
        let scale = protocol.scale;
        let other = protocol
            .in_plane()
            .into_iter()
            .find(|a| *a != axis)
            .expect("two axes");
        let fine = at_fine_size(scan, protocol, axis, Interpolation::CubicBSpline);
        let as_volume = Volume::new(
            foreground
                .data()
                .iter()
                .map(|inside| f32::from(*inside))
                .collect(),
            scan.geometry().clone(),
        );
        let inside = at_fine_size(&as_volume, protocol, axis, Interpolation::Nearest);
        let rows = fine.extent()[axis];
        let order = [protocol.axis, axis, other];
        let operators = protocol.operators_along(axis);
        let mut coarse = Planes::zeros([
            fine.extent()[protocol.axis],
            rows + 1 - scale,
            fine.extent()[other],
        ]);
        for phase in 0..scale {
            let thick = (rows - phase) / scale;
            if thick == 0 {
                continue;
            }
            let (mut start, mut extent) = ([0; 3], fine.extent());
            start[axis] = phase;
            extent[axis] = thick * scale;
            let block = fine.crop(start, extent);
            extent[axis] = thick;
            let made = Planes::of(&operators.apply(&block, extent), order);
            for slice in 0..made.shape[0] {
                for row in 0..thick {
                    coarse
                        .row_mut(slice, phase + row * scale)
                        .copy_from_slice(made.row(slice, row));
                }
            }
        }
        Self {
            inside: Planes::of(&inside, order).data.iter().map(|v| *v > 0.5).collect(),
            fine: Planes::of(&fine, order),
            coarse,
        }
    }
}

/// A scan with voxels along `axis`, in plane, as long as the fine slices will be apart.
pub(super) fn at_fine_size(
    scan: &Volume,
    protocol: &SliceProtocol,
    axis: usize,
    method: Interpolation,
) -> Volume {
    let spacing = scan.geometry().spacing_mm()[axis];
    let mut extent = scan.extent();
    if (spacing / protocol.fine_mm()).ln().abs() < SAME_SIZE {
        return scan.clone();
    }
    extent[axis] = ((extent[axis] as f64 * spacing / protocol.fine_mm()).round() as usize).max(1);
    resize(scan, extent, method)
}
