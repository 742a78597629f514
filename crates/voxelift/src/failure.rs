//! Layer 11 · How a command ends, and the exit code that says so.

use std::process::ExitCode;

use voxelift_model::error::ModelError;
use voxelift_volume::VolumeError;

/// How a command ended when it did not fail as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// Some inputs failed; which ones has been said.
    InPart,
    /// Asked to stop; the same command goes on.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::InPart => Self::from(3),
            Outcome::Interrupted => Self::from(4),
        }
    }
}

/// The arguments cannot be acted on; nothing has been read or written.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error of the arguments: exit code 2.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(message.into()))
}

/// What went wrong, from the outermost context inwards, and the option that would allow it; a cause that has been said already is
/// not said again.
pub fn message(error: &anyhow::Error) -> String {
    let join = |text: String, cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            before if before.contains(&cause) => text,
            before => format!("{before}: {cause}"),
        }
    };
    let words = error.chain().fold(String::new(), join);
    match error.chain().find_map(option) {
        Some(option) => format!("{words} ({option})"),
        None => words,
    }
}

/// The option of the command line for what an error says may be allowed, or be done.
fn option(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let of_volumes = |error: &VolumeError| match error {
        VolumeError::Exists { .. } => Some("--force".to_owned()),
        VolumeError::TooManyVoxels { .. } => Some("--max-voxels".to_owned()),
        VolumeError::TooDense { voxels, .. } => Some(format!("--max-voxels {voxels}")),
        VolumeError::NotFinite { .. } => Some("--nan zero".to_owned()),
        VolumeError::GridMismatch { advice, .. } if advice.starts_with("resample") => {
            Some("voxelift upscale --like REFERENCE".to_owned())
        }
        _ => None,
    };
    // A transparent error is none of the chain, and what it holds neither.
    let of_models = |error: &ModelError| match error {
        ModelError::Volume(error) => of_volumes(error),
        ModelError::Scan { source, .. } => option(&**source),
        _ => None,
    };
    let volume = error.downcast_ref::<VolumeError>().and_then(of_volumes);
    volume.or_else(|| error.downcast_ref::<ModelError>().and_then(of_models))
}

/// 2 when the arguments or the configuration were refused, 1 when data, files or the run failed.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let refused = |error: &(dyn std::error::Error + 'static)| {
        error.is::<Usage>()
            || error
                .downcast_ref::<VolumeError>()
                .is_some_and(refused_by_volumes)
            || error
                .downcast_ref::<ModelError>()
                .is_some_and(|error| match error {
                    ModelError::Volume(error) => refused_by_volumes(error),
                    error => error.is_configuration(),
                })
    };
    ExitCode::from(if error.chain().any(refused) { 2 } else { 1 })
}

/// An existing output counts as a refused argument: the user has to name another, or add `--force`.
fn refused_by_volumes(error: &VolumeError) -> bool {
    matches!(error, VolumeError::Argument { .. } | VolumeError::Exists { .. })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::Context;

    use super::*;

    #[test]
    fn what_may_be_allowed_is_told_with_its_option() {
        let path = Path::new("a.nii");
        let dense = || VolumeError::TooDense {
            path: path.to_owned(),
            bytes: 1000,
            stored: 10,
            most: 100,
            voxels: 250,
        };
        let exists = || VolumeError::Exists {
            path: path.to_owned(),
        };
        let errors = [
            (exists().into(), "(--force)"),
            (Err::<(), _>(exists()).context("here").unwrap_err(), "(--force)"),
            (ModelError::from(dense()).into(), "(--max-voxels 250)"),
            (
                ModelError::from(dense()).of_scan(Path::new("b.nii")).into(),
                "(--max-voxels 250)",
            ),
        ];
        for (error, option) in errors {
            assert!(message(&error).ends_with(option), "{}", message(&error));
        }
        let other: anyhow::Error = VolumeError::content("a", "b", "c").into();
        assert!(!message(&other).contains("--"), "{}", message(&other));
    }
}
