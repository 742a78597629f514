//! Why a scan is not made finer.

use voxelift_volume::VolumeError;
use voxelift_volume::words::mebibytes;

use crate::error::ModelError;
use crate::memory::NoRoom;

/// Why a scan is not made finer. No message names an option of the command line: a program names its own options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpscaleError {
    /// The scan is none that the model was trained for.
    #[error(
        "outside what the model was trained for: {respects}; bring the scan there, or allow what is out of range"
    )]
    OutOfRange {
        /// In which respects.
        respects: String,
    },
    /// The output cannot come from the input.
    #[error("{found}; the model does not fit the scan: try one of the interpolating methods")]
    Unexplained {
        /// How far beyond it.
        found: String,
        /// Whether it is for the caller to allow it.
        may_be_allowed: bool,
    },
    /// Voxels far brighter than all others, in a scan for which no method was chosen by hand.
    #[error(
        "{spikes}: a finer image would spread them over their surroundings; mend the scan, or interpolate it trilinearly"
    )]
    Spikes {
        /// What they are.
        spikes: String,
    },
    /// The scan is a CT.
    #[error("air at {air}, as in a CT; the methods in the program are made and tested for MR scans")]
    Ct {
        /// The value of air.
        air: f32,
    },
    /// The scan is a mask or a label map.
    #[error(
        "holds {values} different values, all whole, as a mask or a label map does and no scan; its labels would be averaged. Carry it \
         onto the finer grid beside its scan"
    )]
    Labels {
        /// How many values it holds.
        values: usize,
    },
    /// An audit of what no model makes.
    #[error("an audit looks at what a model adds, and this scan is made finer by {because}")]
    AuditWithoutModel {
        /// What makes it finer, and why.
        because: String,
    },
    /// A scale that the model does not have.
    #[error("scale {asked}: the model's scale is {fixed}; leave the scale to it, or ask for a spacing")]
    Scale {
        /// As asked for.
        asked: voxelift_volume::Scale,
        /// The model's.
        fixed: voxelift_volume::Scale,
    },
    /// The finer grid has more voxels than may be made.
    #[error("the finer grid = {extent:?} in {frames} volume(s): more than {most} voxels")]
    TooManyVoxels {
        /// Its voxel counts along x, y, z.
        extent: [usize; 3],
        /// Volumes of the scan.
        frames: usize,
        /// The most that may be made.
        most: u64,
    },
    /// Memory that was given does not hold the work.
    #[error("{} of memory: this scan needs {}", mebibytes(*given), mebibytes(*needed))]
    Memory {
        /// Bytes given.
        given: u64,
        /// Bytes needed at least.
        needed: u64,
    },
    /// Memory that was given does not hold the program.
    #[error("{} of memory: give at least {}", mebibytes(*given), mebibytes(*least))]
    MemoryOfProgram {
        /// Bytes given.
        given: u64,
        /// The least that is sensible.
        least: u64,
    },
    /// Memory that was given does not hold fine slices.
    #[error(
        "{} of memory: learning from a scan whose fine slices are {} x {} x {} voxels takes about {}; give that, or bring the scan \
         to coarser voxels in plane first",
        mebibytes(*given), fine[0], fine[1], fine[2], mebibytes(*needed)
    )]
    MemoryOfSlices {
        /// Bytes given.
        given: u64,
        /// Bytes needed.
        needed: u64,
        /// Voxel counts of the fine slices along x, y, z.
        fine: [usize; 3],
    },
    /// The machine does not have the memory.
    #[error("{0}; limit the memory, for smaller tiles, or take the scan elsewhere")]
    NoRoom(NoRoom),
    /// A model cannot be read or applied.
    #[error("model {name}")]
    OfModel {
        /// Its file.
        name: String,
        /// Why.
        source: ModelError,
    },
    /// A model file, a device or a volume is not as it should be.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl From<VolumeError> for UpscaleError {
    fn from(error: VolumeError) -> Self {
        Self::Model(error.into())
    }
}

/// The result of whatever makes a scan finer.
pub type Result<T> = std::result::Result<T, UpscaleError>;
