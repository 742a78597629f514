//! A slice as the perceptual scores see it, and what they do to it.

/// One slice in f64, rows along x.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plane {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f64>,
}

impl Plane {
    /// # Panics
    /// When the values do not fill the plane.
    pub fn new(width: usize, height: usize, data: Vec<f64>) -> Self {
        assert_eq!(
            data.len(),
            width * height,
            "{} values for a plane of {width} x {height}",
            data.len()
        );
        Self { width, height, data }
    }

    /// The value at (x, y), 0 outside.
    pub fn at_or_zero(&self, x: isize, y: isize) -> f64 {
        let inside = (0..self.width as isize).contains(&x) && (0..self.height as isize).contains(&y);
        if inside {
            self.data[y as usize * self.width + x as usize]
        } else {
            0.0
        }
    }

    pub fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        Self {
            data: self.data.iter().map(|&v| of(v)).collect(),
            ..*self
        }
    }

    /// Both planes combined point by point.
    pub fn zip(&self, other: &Self, of: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            data: self
                .data
                .iter()
                .zip(&other.data)
                .map(|(&a, &b)| of(a, b))
                .collect(),
            ..*self
        }
    }

    /// Averages over blocks of `size` times `size`; what does not fill a block at the far edges is left out.
    pub fn pooled(&self, size: usize) -> Self {
        let (width, height) = (self.width / size, self.height / size);
        let share = 1.0 / (size * size) as f64;
        let mean = |x: usize, y: usize| {
            let row = |dy: usize| (y * size + dy) * self.width + x * size;
            (0..size)
                .flat_map(|dy| &self.data[row(dy)..row(dy) + size])
                .sum::<f64>()
                * share
        };
        let data = (0..width * height).map(|i| mean(i % width, i / width)).collect();
        Self { width, height, data }
    }

    /// Averages of 2x2 as in the reference implementations of HaarPSI and GMSD: when either side is odd, both get
    /// a line of zeros at the far edge first.
    pub fn halved(&self) -> Self {
        if self.width.is_multiple_of(2) && self.height.is_multiple_of(2) {
            return self.pooled(2);
        }
        let (width, height) = (self.width + 1, self.height + 1);
        let value = |i: usize| self.at_or_zero((i % width) as isize, (i / width) as isize);
        Self {
            width,
            height,
            data: (0..width * height).map(value).collect(),
        }
        .pooled(2)
    }

    /// Every `step`-th value of the correlation with `taps` along x and along y, where they fit.
    pub fn filtered(&self, taps: &[f64], step: usize) -> Self {
        let places = |n: usize| (n + 1 - taps.len()).div_ceil(step);
        let (width, height) = (places(self.width), places(self.height));
        let mut rows = vec![0.0; self.width * height];
        for (y, row) in rows.chunks_exact_mut(self.width).enumerate() {
            for (source, &tap) in self.data[y * step * self.width..]
                .chunks_exact(self.width)
                .zip(taps)
            {
                row.iter_mut().zip(source).for_each(|(sum, v)| *sum += tap * v);
            }
        }
        let mut data = vec![0.0; width * height];
        for (row, out) in rows.chunks_exact(self.width).zip(data.chunks_exact_mut(width)) {
            for (shift, &tap) in taps.iter().enumerate() {
                let source = row[shift..].iter().step_by(step);
                out.iter_mut().zip(source).for_each(|(sum, v)| *sum += tap * v);
            }
        }
        Self { width, height, data }
    }

    /// The magnitude of the gradient by a 3x3 kernel of differences: `edge` weighs the outer lines, `middle` the
    /// middle one; zeros beyond the edges.
    pub fn gradient_magnitude(&self, edge: f64, middle: f64) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for y in 0..self.height as isize {
            for x in 0..self.width as isize {
                let at = |dx: isize, dy: isize| self.at_or_zero(x + dx, y + dy);
                let corner = (at(1, 1) - at(-1, -1), at(1, -1) - at(-1, 1));
                let gx = edge * (corner.0 + corner.1) + middle * (at(1, 0) - at(-1, 0));
                let gy = edge * (corner.0 - corner.1) + middle * (at(0, 1) - at(0, -1));
                data.push((gx * gx + gy * gy).sqrt());
            }
        }
        Self { data, ..*self }
    }
}

/// How alike two magnitudes are: `(2 a b + c) / (a^2 + b^2 + c)`, 1 where they agree.
pub(super) fn similarity(a: f64, b: f64, c: f64) -> f64 {
    (2.0 * a * b + c) / (a * a + b * b + c)
}
