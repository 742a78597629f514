//! Numbers as JSON has them: what is not finite is `null` there, and is read as NaN.

use serde::{Deserialize, Deserializer};

/// What stands for a number that is not there.
pub fn absent() -> f64 {
    f64::NAN
}

/// One number.
pub fn read<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// A list of numbers.
pub fn read_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let list: Vec<Option<f64>> = Deserialize::deserialize(from)?;
    Ok(list
        .into_iter()
        .map(|number| number.unwrap_or(f64::NAN))
        .collect())
}

/// As many numbers as there are places.
pub fn read_array<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[f64; N], D::Error> {
    let list = read_list(from)?;
    let length = list.len();
    list.try_into()
        .map_err(|_| serde::de::Error::invalid_length(length, &"another count of numbers"))
}
