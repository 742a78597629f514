//! Options that several commands share, and how their text is read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use voxelift_volume::nifti::{NanPolicy, OutputType, ReadOptions, WriteOptions};

/// How files are read.
#[derive(Debug, Args)]
pub struct ReadArguments {
    /// What to do with NaN and infinite voxels
    #[arg(long, value_enum, default_value_t = NanArgument::Zero)]
    nan: NanArgument,
    /// Refuse files with more voxels than this [default: 2147483648, and no volume of 2^28 and more from a file 100 times smaller]
    #[arg(long, value_name = "N")]
    max_voxels: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NanArgument {
    /// Set them to zero and say how many there were
    Zero,
    /// Refuse the file
    Error,
}

impl ReadArguments {
    /// As the reader takes them.
    pub fn options(&self) -> ReadOptions {
        let nan = match self.nan {
            NanArgument::Zero => NanPolicy::Zero,
            NanArgument::Error => NanPolicy::Error,
        };
        ReadOptions {
            max_voxels: self.max_voxels.unwrap_or(ReadOptions::default().max_voxels),
            large: self.max_voxels.is_some(),
            nan,
            ..ReadOptions::default()
        }
    }
}

/// How files are written.
#[derive(Debug, Args)]
pub struct WriteArguments {
    /// The voxel type written
    #[arg(long, value_name = "same|int16|uint16|float32", default_value = "float32")]
    dtype: OutputType,
    /// Overwrite existing outputs (never an input)
    #[arg(long)]
    pub force: bool,
    /// Drop the free text of the header (descrip, aux_file, intent_name) and all extensions, which may name somebody
    #[arg(long)]
    pub anonymise: bool,
}

impl WriteArguments {
    /// As the writer takes them; the inputs are never written over.
    pub fn options(&self, inputs: &[PathBuf]) -> WriteOptions {
        WriteOptions {
            dtype: self.dtype,
            force: self.force,
            inputs: inputs.to_vec(),
        }
    }
}

/// A voxel size from the command line, x,y,z in file order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spacing(pub [f64; 3]);

impl std::str::FromStr for Spacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes = text
            .split(',')
            .map(|t| t.trim().parse().ok().filter(|mm: &f64| (1e-3..=1e4).contains(mm)));
        match sizes.collect::<Option<Vec<f64>>>().as_deref() {
            Some([mm]) => Ok(Self([*mm; 3])),
            Some([x, y, z]) => Ok(Self([*x, *y, *z])),
            _ => Err(
                "expected positive millimetres, one number or three, as 2 or 1,1,3 (0.001 to 10000)"
                    .to_owned(),
            ),
        }
    }
}

/// A noise level from the command line, as a fraction.
///
/// # Errors
/// Unless it lies between 0 and 1.
pub fn fraction(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|f| (0.0..=1.0).contains(f));
    value.ok_or_else(|| "expected a fraction between 0 and 1, as 0.03".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_reads_one_or_three_sizes() {
        assert_eq!("2".parse(), Ok(Spacing([2.0; 3])));
        assert_eq!("1, 1,3.5".parse(), Ok(Spacing([1.0, 1.0, 3.5])));
        for wrong in [
            "", "0", "-1", "1,2", "nan", "inf", "1,2,3,4", "x", "1e300", "1e-9",
        ] {
            assert!(wrong.parse::<Spacing>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn noise_is_a_fraction() {
        assert_eq!(fraction("0.03"), Ok(0.03));
        for wrong in ["3", "-0.1", "nan", "3%"] {
            assert!(fraction(wrong).is_err(), "{wrong}");
        }
    }
}
