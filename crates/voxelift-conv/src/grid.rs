//! Layer 0 · Voxels in a fixed order, each with its place in two memories.

/// A box of voxels `[n, z, y, x]`, walked x fastest, and where each of them lies in an input and an output.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub size: [usize; 4],
    pub input: Places,
    pub output: Places,
}

/// Offset of a voxel: `base + index . step`.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub base: usize,
    pub step: [usize; 4],
}

impl Places {
    /// Channels-last memory without gaps.
    pub fn dense([z, y, x]: [usize; 3], channels: usize) -> Self {
        Self {
            base: 0,
            step: [z * y * x * channels, y * x * channels, x * channels, channels],
        }
    }

    /// Every `stride`-th voxel along z, y, x, from voxel `first`.
    pub fn every(&self, stride: [usize; 3], first: [usize; 3]) -> Self {
        let [n, z, y, x] = self.step;
        Self {
            base: self.base + first[0] * z + first[1] * y + first[2] * x,
            step: [n, z * stride[0], y * stride[1], x * stride[2]],
        }
    }

    /// Offset of the last voxel of a box of this size.
    pub fn last(&self, size: [usize; 4]) -> usize {
        self.of(size.map(|count| count - 1))
    }

    fn of(&self, index: [usize; 4]) -> usize {
        self.base
            + index
                .iter()
                .zip(self.step)
                .map(|(i, step)| i * step)
                .sum::<usize>()
    }
}

impl Grid {
    pub fn voxels(&self) -> usize {
        self.size.iter().product()
    }

    /// Begins at the voxel of this rank.
    pub fn walk(&self, rank: usize) -> Walk<'_> {
        let mut index = [0; 4];
        let mut rest = rank;
        for axis in (0..4).rev() {
            index[axis] = rest % self.size[axis];
            rest /= self.size[axis];
        }
        Walk {
            grid: self,
            index,
            input: self.input.of(index),
            output: self.output.of(index),
        }
    }
}

/// The voxels of a [`Grid`] one after the other.
pub(crate) struct Walk<'a> {
    grid: &'a Grid,
    index: [usize; 4],
    input: usize,
    output: usize,
}

impl Walk<'_> {
    /// (input offset, output offset) of the current voxel; steps to the next.
    #[inline(always)]
    pub fn advance(&mut self) -> (usize, usize) {
        let place = (self.input, self.output);
        self.index[3] += 1;
        if self.index[3] < self.grid.size[3] {
            self.input += self.grid.input.step[3];
            self.output += self.grid.output.step[3];
        } else {
            self.next_row();
        }
        place
    }

    fn next_row(&mut self) {
        for axis in (1..4).rev() {
            if self.index[axis] == self.grid.size[axis] {
                self.index[axis] = 0;
                self.index[axis - 1] += 1;
            }
        }
        self.input = self.grid.input.of(self.index);
        self.output = self.grid.output.of(self.index);
    }
}
