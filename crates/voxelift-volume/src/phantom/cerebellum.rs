//! The cerebellum: thin leaves of cortex over a branching core, the finest regular detail of the head.

use super::shapes::{Ellipsoid, length, smooth_max, smooth_step};
use super::tissue::{CSF, Fractions, GREY, WHITE};
use super::waves::Waves;
use crate::random::Stream;
use std::f64::consts::{PI, TAU};

pub(super) struct Cerebellum {
    /// Leaves in a full turn about the hub.
    leaves: f64,
    warp: Waves,
    cortex_mm: f64,
}

/// The axis (along x) that the leaves fan out from, adult mm: y and z.
const HUB: [f64; 2] = [-40.0, -36.0];

impl Cerebellum {
    pub(super) fn new(stream: &mut Stream, size: f64) -> Self {
        let spacing_mm = stream.between(4.6, 5.4) * size.sqrt();
        Self {
            leaves: (TAU * 24.0 * size / spacing_mm).round(),
            warp: Waves::new(stream, 2, 26.0 * size.sqrt()),
            cortex_mm: 1.25 * size.sqrt(),
        }
    }

    /// Depth inside its outer surface, adult mm.
    pub(super) fn depth(&self, u: [f64; 3]) -> f64 {
        let side = [u[0].abs(), u[1], u[2]];
        let hemisphere = Ellipsoid {
            centre: [24.0, -54.0, -40.0],
            radii: [27.0, 27.0, 19.0],
        }
        .depth(side);
        let vermis = Ellipsoid {
            centre: [0.0, -52.0, -36.0],
            radii: [11.0, 24.0, 20.0],
        }
        .depth(u);
        smooth_max(hemisphere, vermis, 5.0)
    }

    /// The tissues at `p` (mm) = `u` (adult mm), inside.
    pub(super) fn fractions(
        &self,
        p: [f64; 3],
        u: [f64; 3],
        size: f64,
        covered: &impl Fn(f64) -> f64,
    ) -> Fractions {
        let depth = self.depth(u) * size;
        let (y, z) = ((u[1] - HUB[0]) * size, (u[2] - HUB[1]) * size);
        let radius = length([y, z, 0.0]).max(1e-6);
        let turn =
            self.leaves * (z.atan2(y) + 0.35 * self.warp.at(p) / size.sqrt() * 5.0 / (radius + 5.0)) / TAU;
        let nearest = turn.round();
        // Every fourth fissure is deep: the lobules; those between are the leaves.
        let lobule = nearest.rem_euclid(4.0) == 0.0;
        let reach = if lobule { 13.0 } else { 4.5 } * size.sqrt();
        let sideways = (turn - nearest).abs() * TAU * radius / self.leaves;
        let fissure = length([sideways, (depth - reach).max(0.0), 0.0]);
        let edge = fissure.min(depth);
        let opened = if lobule { 0.45 } else { 0.22 } * size.sqrt();
        let mut at = [0.0; 4];
        let grey = covered(self.cortex_mm + opened - edge);
        // The dentate nucleus: a folded grey band within the core.
        let dentate = Ellipsoid {
            centre: [16.0, -50.0, -38.0],
            radii: [8.0, 9.0, 5.0],
        };
        let band = (dentate.depth([u[0].abs(), u[1], u[2]]) * size + 0.8 * (PI * turn).sin()).abs();
        let nucleus = 0.6 * covered(0.7 - band) * smooth_step(3.0, 5.0, depth);
        at[GREY] = grey.max(nucleus);
        at[WHITE] = 1.0 - at[GREY];
        let fluid = covered(opened - fissure);
        at.iter_mut().for_each(|f| *f *= 1.0 - fluid);
        at[CSF] += fluid;
        at
    }
}
