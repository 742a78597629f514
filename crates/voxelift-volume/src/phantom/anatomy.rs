//! The anatomy of one synthetic head: which tissues a point is made of.
//!
//! Coordinates are millimetres from the middle of the brain, RAS+ (x to the right, y to the front, z up). Large
//! structures are placed for an adult brain and shrink with [`Anatomy::size`]; cortex and sulci shrink less, so
//! that a small head still has a ribbon of a few voxels.

use super::cerebellum::Cerebellum;
use super::shapes::{Ellipsoid, Rod, barrel, dot, length, minus, smooth_max, smooth_min, smooth_step};
use super::tissue::{CSF, DEEP, Fractions, GREY, WHITE};
use super::waves::Waves;
use crate::random::Stream;

/// Half the extent of an adult brain with room to spare for its variation, mm.
const HALF_EXTENT_MM: [f64; 3] = [73.0, 92.0, 69.0];
/// The thin layer of fluid between cortex and the edge of a skull-stripped brain, mm.
const RIM_MM: f64 = 1.0;
/// The distance from a hemisphere's middle at which folding is not stretched, adult mm.
const FOLDING_RADIUS: f64 = 56.0;

pub(super) struct Anatomy {
    /// Size against an adult brain, at most 1.
    pub(super) size: f64,
    /// `1 / (size * individual stretch)` per axis: adult coordinates from millimetres.
    adult_from_mm: [f64; 3],
    shape: Waves,
    folds: Waves,
    small_folds: Waves,
    variation: Waves,
    midline: Waves,
    sulcus_depth_mm: f64,
    sulcus_width_mm: f64,
    cortex_mm: f64,
    ventricles: f64,
    cerebellum: Cerebellum,
}

/// What varies so slowly that one value a voxel is enough.
pub(super) struct Place {
    depth_mm: [f64; 2],
    width_mm: f64,
    cortex_mm: f64,
    midline: f64,
    bulge: f64,
}

impl Anatomy {
    /// The head of `stream`, as large as fits into a field of view (mm) but no larger than an adult's.
    pub(super) fn new(stream: &mut Stream, field_of_view_mm: [f64; 3]) -> Self {
        let fits = (0..3)
            .map(|a| 0.5 * field_of_view_mm[a] / HALF_EXTENT_MM[a])
            .fold(1.0, f64::min);
        // Detail shrinks with the square root of the size: gyri narrow, but are not lost.
        let detail = fits.sqrt();
        let gyri = stream.between(0.9, 1.1);
        let stretch: [f64; 3] = std::array::from_fn(|_| stream.between(0.93, 1.03));
        Self {
            size: fits,
            adult_from_mm: stretch.map(|s| 1.0 / (s * fits)),
            shape: Waves::new(stream, 2, 90.0),
            folds: Waves::new(stream, 5, gyri * 23.0 * detail),
            small_folds: Waves::new(stream, 4, gyri * 11.5 * detail),
            variation: Waves::new(stream, 2, 30.0 * detail),
            midline: Waves::new(stream, 1, 60.0 * detail),
            sulcus_depth_mm: stream.between(13.0, 17.0) * detail,
            sulcus_width_mm: stream.between(0.15, 0.45) * detail,
            cortex_mm: stream.between(2.4, 2.9) * detail,
            ventricles: stream.between(0.75, 1.3),
            cerebellum: Cerebellum::new(stream, fits),
        }
    }

    /// The slowly varying part at `p` (mm).
    pub(super) fn place(&self, p: [f64; 3]) -> Place {
        let vary = self.variation.at(p);
        let other = self.variation.at([p[1] + 37.0, p[2] - 11.0, p[0] + 5.0]);
        Place {
            // Where the first wave is low a sulcus is shallow or absent: gyri join.
            depth_mm: [
                self.sulcus_depth_mm * smooth_step(-1.6, 0.4, vary) * (1.0 + 0.12 * other),
                0.42 * self.sulcus_depth_mm * smooth_step(-0.5, 0.6, other),
            ],
            width_mm: self.sulcus_width_mm * (1.0 + 0.3 * other.clamp(-2.0, 2.0)),
            cortex_mm: self.cortex_mm * (1.0 + 0.09 * vary.clamp(-2.0, 2.0)),
            midline: 1.5 * self.midline.at(p),
            bulge: 1.5 * self.shape.at(p.map(|v| v / self.size)),
        }
    }

    /// How far inside the skull-stripped brain `p` is, mm.
    pub(super) fn depth_mm(&self, p: [f64; 3], place: &Place) -> f64 {
        let u = self.adult(p);
        let brain = self
            .hull(u, place)
            .max(self.cerebellum.depth(u))
            .max(brainstem(u));
        brain * self.size + RIM_MM
    }

    /// Depth below the cerebrum's outer surface, mm.
    pub(super) fn cerebrum_depth_mm(&self, p: [f64; 3], place: &Place) -> f64 {
        self.hull(self.adult(p), place) * self.size
    }

    /// The tissues at `p` (mm); `blur_mm` is the width over which a boundary is spread (the sample's own size).
    pub(super) fn fractions(&self, p: [f64; 3], place: &Place, blur_mm: f64) -> Fractions {
        let covered = |depth_mm: f64| (0.5 + depth_mm / blur_mm).clamp(0.0, 1.0);
        let u = self.adult(p);
        let mut at = [1.0, 0.0, 0.0, 0.0];
        let cerebellum = self.cerebellum.depth(u) * self.size;
        if cerebellum > -blur_mm {
            let inside = self.cerebellum.fractions(p, u, self.size, &covered);
            mix(&mut at, inside, covered(cerebellum));
        }
        let hull = self.hull(u, place) * self.size;
        if hull > -blur_mm {
            let (pia, inside) = self.cerebrum(p, u, hull, place, &covered);
            mix(&mut at, inside, covered(pia));
        }
        let stem = brainstem(u) * self.size;
        if stem > -blur_mm {
            mix(&mut at, [0.0, 0.0, 0.85, 0.15], covered(stem));
            over(&mut at, CSF, covered(self.size * fourth_ventricle().depth(u)));
        }
        at
    }

    /// Depth below the pia (mm) and the tissues under it.
    fn cerebrum(
        &self,
        p: [f64; 3],
        u: [f64; 3],
        hull: f64,
        place: &Place,
        covered: &impl Fn(f64) -> f64,
    ) -> (f64, Fractions) {
        let side = [u[0].abs(), u[1], u[2]];
        // The fissure between the hemispheres ends on the corpus callosum, an ellipse in the median plane.
        let median = (u[0] - place.midline) * self.size;
        let callosum = 1.0 - (((u[1] + 4.0) / 38.0).powi(2) + ((u[2] - 8.0) / 20.0).powi(2)).sqrt();
        let callosum = callosum * 22.0 * self.size;
        let fissure = length([median, callosum.max(0.0), 0.0]);
        let sylvian = sylvian(side, place.bulge) * self.size;
        let opened = place.width_mm + 0.1;
        // A hemisphere's medial wall fades out as it comes near the callosum, which has no cortex.
        let medial_wall = median.abs() + 4.0 * (callosum + 2.0).max(0.0);
        let surface = hull.min(medial_wall);
        let [deep, shallow] = self.sulci(p, u, surface, place);

        let crease = 1.6 * self.size.sqrt();
        let folded = smooth_min(smooth_min(hull, deep, crease), shallow, crease);
        let pia = smooth_min(folded, sylvian - opened, crease).min(fissure - opened);
        let cortex = smooth_min(folded, sylvian - opened, crease).min(medial_wall - opened);

        let mut at = [0.0; 4];
        at[WHITE] = 1.0;
        over(&mut at, GREY, covered(place.cortex_mm - cortex));
        for (shape, white) in deep_grey() {
            let depth = self.size * shape.depth(side);
            over(&mut at, DEEP, covered(depth) * (1.0 - white));
        }
        over(
            &mut at,
            CSF,
            covered(self.size * ventricles(side, self.ventricles)),
        );
        let third = (1.2 * self.ventricles - (u[0] - 0.3 * place.midline).abs())
            .min(10.0 - ((u[1] + 10.0) / 1.6).abs())
            .min(9.0 - (u[2] - 1.0).abs());
        over(&mut at, CSF, covered(third * self.size));
        (pia, at)
    }

    /// Distances (mm) from the walls of the large and the small sulci: sheets on which a random field is zero,
    /// as deep as `place` says below `surface`.
    ///
    /// The field is read at a point pulled towards one radius, so that the sheets stand upright on the surface.
    fn sulci(&self, p: [f64; 3], u: [f64; 3], surface: f64, place: &Place) -> [f64; 2] {
        let beyond = |i: usize| surface - place.depth_mm[i];
        let reach = place.cortex_mm + 3.0;
        if beyond(0) > reach && beyond(1) > reach {
            return [reach; 2];
        }
        let middle = [if u[0] > 0.0 { 24.0 } else { -24.0 }, -4.0, 6.0].map(|m| m * self.size);
        let from = minus(p, middle);
        let radius = length(from).max(1e-6);
        let radial = from.map(|d| d / radius);
        const KEPT: f64 = 0.3;
        let read_at = FOLDING_RADIUS * self.size * (1.0 - KEPT) + KEPT * radius;
        let q = std::array::from_fn(|a| middle[a] + radial[a] * read_at);
        let sheet = |waves: &Waves, beyond: f64, width: f64| {
            if beyond > reach {
                return reach;
            }
            let (value, gradient) = waves.with_gradient(q);
            let along = dot(gradient, radial);
            let across = dot(gradient, gradient) - along * along;
            let slope = ((read_at / radius).powi(2) * across + (KEPT * along).powi(2)).sqrt();
            // A saddle of the field has no slope: bound it, or a sulcus would open there into a cave.
            let distance = value.abs() / slope.max(1e-9);
            length([distance, beyond.max(0.0), 0.0]) - width * (1.0 - 0.5 * smooth_step(-12.0, 0.0, beyond))
        };
        [
            sheet(&self.folds, beyond(0), place.width_mm),
            sheet(&self.small_folds, beyond(1), 0.6 * place.width_mm),
        ]
    }

    fn adult(&self, p: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|a| p[a] * self.adult_from_mm[a])
    }

    /// Depth inside the cerebrum's outer surface, adult mm.
    fn hull(&self, u: [f64; 3], place: &Place) -> f64 {
        let height = if u[2] > 4.0 { 60.0 } else { 31.0 };
        let main = barrel([u[0], u[1], u[2] - 4.0], [65.0, 84.0, height]);
        let temporal = Ellipsoid {
            centre: [42.0, 4.0, -22.0],
            radii: [22.0, 45.0, 23.0],
        };
        smooth_max(main, temporal.depth([u[0].abs(), u[1], u[2]]), 10.0) + place.bulge
    }
}

/// Lays a tissue over what is there.
fn over(at: &mut Fractions, tissue: usize, covered: f64) {
    at.iter_mut().for_each(|f| *f *= 1.0 - covered);
    at[tissue] += covered;
}

/// Lays a mixture of tissues over what is there.
fn mix(at: &mut Fractions, inside: Fractions, covered: f64) {
    for (f, g) in at.iter_mut().zip(inside) {
        *f += covered * (g - *f);
    }
}

/// Distance (adult mm) from the sheet of the lateral fissure, which ends in the insula; `side` has x > 0.
fn sylvian([x, y, z]: [f64; 3], wobble: f64) -> f64 {
    let above = 0.91 * (z + 3.0 + 0.45 * y) - 1.5 * wobble;
    let ends = (-46.0 - y).max(y - 36.0).max(0.0);
    let bent = x - 36.0 - wobble + 0.006 * (y + 5.0).powi(2);
    let slit = length([above, (-bent).max(0.0), ends]);
    let insula = length([bent, (above.abs() - 9.0).max(0.0), ends + (y - 20.0).max(0.0)]);
    slit.min(insula)
}

fn brainstem(u: [f64; 3]) -> f64 {
    let stem = Rod {
        ends: [[0.0, -19.0, -8.0], [0.0, -30.0, -64.0]],
        radii: [11.5, 8.0],
    }
    .depth(u);
    let pons = Ellipsoid {
        centre: [0.0, -18.0, -32.0],
        radii: [15.0, 12.0, 13.0],
    }
    .depth(u);
    smooth_max(stem, pons, 5.0)
}

fn fourth_ventricle() -> Ellipsoid {
    Ellipsoid {
        centre: [0.0, -35.0, -33.0],
        radii: [6.0, 4.0, 10.0],
    }
}

/// Nuclei of one side with the share of white matter in them: caudate, putamen, pallidum, thalamus, hippocampus.
fn deep_grey() -> [(Solid, f64); 6] {
    let ellipsoid = |centre, radii| Solid::Ellipsoid(Ellipsoid { centre, radii });
    let rod = |ends, radii| Solid::Rod(Rod { ends, radii });
    [
        (rod([[13.0, 21.0, 6.0], [15.5, 12.0, 15.0]], [6.0, 4.5]), 0.0),
        (rod([[15.5, 12.0, 15.0], [18.5, -14.0, 20.0]], [4.5, 2.5]), 0.0),
        (ellipsoid([26.5, 3.0, 3.0], [5.0, 16.0, 10.0]), 0.1),
        (ellipsoid([19.0, -1.0, 0.0], [4.5, 9.0, 6.5]), 0.6),
        (ellipsoid([11.0, -17.0, 6.0], [9.0, 14.0, 9.5]), 0.35),
        (rod([[27.0, -10.0, -19.0], [25.0, -34.0, -6.0]], [5.5, 4.0]), 0.0),
    ]
}

enum Solid {
    Ellipsoid(Ellipsoid),
    Rod(Rod),
}

impl Solid {
    fn depth(&self, p: [f64; 3]) -> f64 {
        match self {
            Self::Ellipsoid(e) => e.depth(p),
            Self::Rod(r) => r.depth(p),
        }
    }
}

/// Depth inside the lateral ventricle of one side (adult mm); `wide` scales its girth.
fn ventricles(side: [f64; 3], wide: f64) -> f64 {
    const COURSE: [([f64; 3], f64); 7] = [
        ([8.0, 30.0, 6.0], 3.0),
        ([7.0, 18.0, 13.0], 4.2),
        ([9.0, -6.0, 20.0], 4.0),
        ([17.0, -30.0, 17.0], 4.6),
        ([25.0, -40.0, 5.0], 4.8),
        ([31.0, -26.0, -10.0], 2.4),
        ([33.0, -8.0, -18.0], 1.8),
    ];
    let mut depth = Rod {
        ends: [[25.0, -40.0, 5.0], [22.0, -58.0, 4.0]],
        radii: [4.2 * wide, 1.5 * wide],
    }
    .depth(side);
    for pair in COURSE.windows(2) {
        let rod = Rod {
            ends: [pair[0].0, pair[1].0],
            radii: [pair[0].1 * wide, pair[1].1 * wide],
        };
        depth = smooth_max(depth, rod.depth(side), 3.0);
    }
    depth
}
