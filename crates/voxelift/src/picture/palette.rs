//! Colours for values between black and white.

/// How the values of a window are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// Anatomy.
    Grey,
    /// Magnitudes: black, red, yellow, white.
    Heat,
    /// Values of both signs: blue below, black at the middle, orange above.
    Signed,
}

impl Palette {
    /// The colour of each of 256 values.
    pub fn colours(self) -> [[u8; 3]; 256] {
        std::array::from_fn(|i| {
            let t = i as f64 / 255.0;
            match self {
                Self::Grey => [t; 3],
                Self::Heat => [3.0 * t, 3.0 * t - 1.0, 3.0 * t - 2.0],
                Self::Signed => {
                    let s = 2.0 * t - 1.0;
                    if s < 0.0 {
                        [-0.35 * s, -0.7 * s, -1.6 * s]
                    } else {
                        [1.6 * s, 0.8 * s, 0.25 * s]
                    }
                }
            }
            .map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_signed_values_is_black_and_heat_ends_white() {
        let signed = Palette::Signed.colours();
        assert!(signed[127].iter().chain(&signed[128]).all(|v| *v < 4));
        assert!(signed[0][2] > 200 && signed[255][0] > 200);
        let heat = Palette::Heat.colours();
        assert_eq!((heat[0], heat[255]), ([0; 3], [255; 3]));
        assert_eq!(Palette::Grey.colours()[77], [77; 3]);
    }
}
