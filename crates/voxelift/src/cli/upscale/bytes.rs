//! An amount of memory on the command line.

use std::str::FromStr;

/// Bytes, as `4G`, `512M` or `800000K` (powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: expected a number with K, M or G behind it, as 4G or 512M");
        let unit = text.chars().last().map(|c| c.to_ascii_uppercase());
        let shift = match unit {
            Some('K') => 10,
            Some('M') => 20,
            Some('G') => 30,
            _ => return Err(wrong()),
        };
        let number: f64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        let bytes = number * f64::from(1_u32 << shift);
        if !(1.0..1e18).contains(&bytes) {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!("4G".parse(), Ok(Bytes(4 << 30)));
        assert_eq!("1.5m".parse(), Ok(Bytes(3 << 19)));
        for wrong in ["", "G", "4", "-1G", "4GB", "nanG", "1e30G"] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
        }
    }
}
