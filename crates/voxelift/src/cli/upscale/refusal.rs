//! Why a scan is not made finer, with the options that would change it.

use voxelift_model::error::ModelError;
use voxelift_model::upscale::UpscaleError;
use voxelift_volume::VolumeError;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::words::mebibytes;

use crate::failure::usage;

/// The same in the words of the command line.
pub fn in_options(error: UpscaleError) -> anyhow::Error {
    match error {
        UpscaleError::OutOfRange { respects } => anyhow::anyhow!(
            "outside what the model was trained for: {respects}; bring the scan there, or pass --allow-out-of-range"
        ),
        UpscaleError::Unexplained {
            found,
            may_be_allowed: true,
        } => anyhow::anyhow!(
            "{found}; the model does not fit the scan: try one of the interpolating methods, or pass --allow-out-of-range"
        ),
        UpscaleError::Spikes { spikes } => anyhow::anyhow!(
            "{spikes}: what is made of it would spread over the image; mend it, or --method {} makes the voxels finer all the same",
            Baseline::Trilinear
        ),
        UpscaleError::Ct { .. } => anyhow::anyhow!(
            "{error}: --method {} makes the voxels finer all the same",
            Baseline::CubicBSpline
        ),
        UpscaleError::Labels { .. } => anyhow::anyhow!(
            "{error}, with --labels; --method {} makes the voxels finer all the same",
            Baseline::Trilinear
        ),
        UpscaleError::AuditWithoutModel { because } => anyhow::anyhow!(
            "--audit looks at what a model adds, and this scan is made finer by {because}; --method model --allow-out-of-range \
             takes the built-in model all the same"
        ),
        UpscaleError::Scale { asked, fixed } => usage(format!(
            "--scale {asked}: the model's scale is {fixed}; leave --scale out, or choose --spacing"
        )),
        UpscaleError::TooManyVoxels { .. } => usage(format!("{error}; see --max-voxels")),
        UpscaleError::Memory { given, needed } => usage(format!(
            "--memory {}: this scan needs {}",
            mebibytes(given),
            mebibytes(needed)
        )),
        UpscaleError::MemoryOfProgram { given, least } => usage(format!(
            "--memory {}: give at least {}",
            mebibytes(given),
            mebibytes(least)
        )),
        UpscaleError::MemoryOfSlices { given, needed, fine } => anyhow::anyhow!(
            "--memory {}: learning from a scan whose fine slices are {} x {} x {} voxels takes about {}; give that, or bring the scan to \
             coarser voxels in plane with `voxelift degrade` first",
            mebibytes(given),
            fine[0],
            fine[1],
            fine[2],
            mebibytes(needed)
        ),
        UpscaleError::Model(ModelError::Volume(error @ VolumeError::Thickness { .. })) => {
            anyhow::anyhow!("{error} with --acquired slice:gaussian,MM")
        }
        UpscaleError::NoRoom(what) => {
            anyhow::anyhow!("{what}; give --memory, for smaller tiles, or take it elsewhere")
        }
        // What is wrong with a volume or a device decides the exit code.
        UpscaleError::Model(ModelError::Volume(error)) => error.into(),
        UpscaleError::Model(error) => error.into(),
        error => error.into(),
    }
}
