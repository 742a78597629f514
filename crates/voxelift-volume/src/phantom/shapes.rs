//! The solids that a head is put together from, by the depth of a point below their surface.
//!
//! Depths are in the unit of the coordinates, positive inside, and close to the true distance near the surface.

/// An ellipsoid along the axes.
pub(super) struct Ellipsoid {
    pub(super) centre: [f64; 3],
    pub(super) radii: [f64; 3],
}

impl Ellipsoid {
    /// How far inside `p` is (first-order distance).
    pub(super) fn depth(&self, p: [f64; 3]) -> f64 {
        let q: [f64; 3] = std::array::from_fn(|a| (p[a] - self.centre[a]) / self.radii[a]);
        let slope = length(std::array::from_fn(|a| q[a] / self.radii[a]));
        let k = length(q);
        if slope > 0.0 {
            k * (1.0 - k) / slope
        } else {
            self.radii.iter().copied().fold(f64::INFINITY, f64::min)
        }
    }
}

/// How far inside `p` is of a body a little squarer than an ellipsoid: `sum |p / radii|^2.25 = 1`.
pub(super) fn barrel(p: [f64; 3], radii: [f64; 3]) -> f64 {
    let q: [f64; 3] = std::array::from_fn(|a| (p[a] / radii[a]).abs());
    let root = q.map(|v| v.sqrt().sqrt());
    let k = (0..3)
        .map(|a| q[a] * q[a] * root[a])
        .sum::<f64>()
        .max(1e-12)
        .powf(1.0 / 2.25);
    let slope = length(std::array::from_fn(|a| q[a] * root[a] / radii[a])) / (k * k.sqrt().sqrt());
    (1.0 - k) / slope
}

/// A rod with round ends whose radius goes from one end's to the other's.
pub(super) struct Rod {
    pub(super) ends: [[f64; 3]; 2],
    pub(super) radii: [f64; 2],
}

impl Rod {
    /// How far inside `p` is.
    pub(super) fn depth(&self, p: [f64; 3]) -> f64 {
        let [a, b] = self.ends;
        let along = minus(b, a);
        let from = minus(p, a);
        let t = (dot(from, along) / dot(along, along)).clamp(0.0, 1.0);
        let radius = self.radii[0] + t * (self.radii[1] - self.radii[0]);
        radius - length(std::array::from_fn(|i| from[i] - t * along[i]))
    }
}

/// The smaller of two depths (intersection), its crease rounded over a width of `k`.
pub(super) fn smooth_min(a: f64, b: f64, k: f64) -> f64 {
    let h = (k - (a - b).abs()).max(0.0);
    a.min(b) - h * h / (4.0 * k)
}

/// The larger of two depths (union), its crease rounded over a width of `k`.
pub(super) fn smooth_max(a: f64, b: f64, k: f64) -> f64 {
    -smooth_min(-a, -b, k)
}

/// `low` below `from`, rising smoothly to 1 at `to`.
pub(super) fn smooth_step(from: f64, to: f64, x: f64) -> f64 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

pub(super) fn length(v: [f64; 3]) -> f64 {
    dot(v, v).sqrt()
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| a[i] - b[i])
}
