//! `--consistency`: whether what the scan measured is put back.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use voxelift_volume::consistency::Mode;

/// What `--consistency` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeArgument(pub Mode);

impl ValueEnum for ModeArgument {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [ModeArgument; 3] = [
            ModeArgument(Mode::Off),
            ModeArgument(Mode::Soft),
            ModeArgument(Mode::Hard),
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self.0 {
            Mode::Off => "The output stays as the method made it",
            Mode::Soft => "What the scan measured comes back as far as its noise allows",
            Mode::Hard => "What the scan measured is the scan's own, to five digits",
        };
        Some(PossibleValue::new(self.0.name()).help(help))
    }
}
