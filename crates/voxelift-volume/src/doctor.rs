//! Layer 5 · What is wrong with a scan's file, and the same scan in a file with nothing wrong in its header.
//!
//! ```no_run
//! use voxelift_volume::doctor::{examine, mend};
//! use voxelift_volume::nifti::ReadOptions;
//!
//! let (options, scan) = (ReadOptions::default(), "scan.nii.gz".as_ref());
//! let findings = examine(scan, &options)?;
//! if !findings.is_empty() {
//!     println!("{}", findings.join("\n"));
//!     // The same voxels in a new file whose header says the same everywhere; the words in it stay.
//!     let (force, anonymise) = (false, false);
//!     mend(scan, "mended.nii.gz".as_ref(), force, anonymise, &options)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::Path;

use crate::error::{Result, VolumeError};
use crate::intensity::{Normalization, fill_value};
use crate::nifti::{self, Header, ReadOptions};
use crate::resolution::resolution;
use crate::scan;
use crate::volume::Volume;

/// Sform and qform this far apart do not differ by the rounding of a quaternion.
const ANOTHER_WORLD_MM: f64 = 0.01;

/// Axes that lean no more than this (a cosine) towards one another lean by rounding.
const UPRIGHT: f64 = 1e-4;

/// A qform holds an affine whose axes lean less than this.
const QFORM_HOLDS: f64 = 1e-5;

/// Everything about a file that may mislead its reader, a sentence each; none for a clean one.
///
/// A header that cannot be understood, or a volume that cannot be read, is a finding like any other. Of a file with several
/// volumes the first one's spectrum is looked at.
///
/// # Errors
/// When the file cannot be opened or read at all.
pub fn examine(path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
    let mut scan = match scan::open(path, options) {
        Ok(scan) => scan,
        Err(
            error @ (VolumeError::Malformed { .. }
            | VolumeError::Unsupported { .. }
            | VolumeError::TooManyVoxels { .. }
            | VolumeError::TooDense { .. }),
        ) => {
            return Ok(vec![format!("cannot be read: {}", bare(&error, path))]);
        }
        Err(error) => return Err(error),
    };
    let mut findings = scan.warnings;
    if scan::is_nifti(path) {
        findings.extend(nifti::leftovers(path)?);
    }
    findings.extend(words(&scan.header));
    findings.extend(leaning(&scan.header));
    let count = scan.header.frames();
    let of = |number: usize| match count {
        1 => String::new(),
        _ => format!("volume {number} of {count}: "),
    };
    let strange = |number: usize, volume: &Volume| {
        let strange = match Normalization::of(volume) {
            Ok(scale) => scale.spikes_in_words(volume),
            Err(_) => fill_value(volume),
        };
        Some(format!("{}{}", of(number), strange?))
    };
    let first = scan.frames.next().expect("a scan has a volume")?;
    findings.extend(strange(1, &first));
    for (number, volume) in scan.frames.enumerate() {
        match volume {
            Ok(volume) => findings.extend(strange(number + 2, &volume)),
            Err(error) => {
                findings.push(format!(
                    "{}cannot be read: {}",
                    of(number + 2),
                    bare(&error, path)
                ));
                break;
            }
        }
    }
    let axes = resolution(&first);
    let truly = axes.map(|axis| {
        axis.present_mm
            .filter(|_| axis.is_interpolated())
            .unwrap_or(axis.spacing_mm)
    });
    let advice = truly.map(|mm| format!("{mm:.3}")).join(" x ");
    for (name, axis) in ["x", "y", "z"].into_iter().zip(axes) {
        if let Some(present) = axis.present_mm.filter(|_| axis.is_interpolated()) {
            findings.push(format!(
                "interpolated along {name}: voxels of {:.3} mm show nothing finer than {present:.2} mm; never use it as \
                 a high-resolution scan before it is degraded to voxels of {advice} mm",
                axis.spacing_mm
            ));
        }
    }
    Ok(findings)
}

/// An error without the name of its file.
fn bare(error: &VolumeError, path: &Path) -> String {
    let message = error.to_string();
    message
        .strip_prefix(&format!("{}: ", path.display()))
        .unwrap_or(&message)
        .to_owned()
}

/// What every output made from the scan would repeat of it in words.
fn words(header: &Header) -> Vec<String> {
    let texts = [
        ("descrip", &header.descrip),
        ("aux_file", &header.aux_file),
        ("intent_name", &header.intent.name),
    ];
    let texts = texts
        .into_iter()
        .filter(|(_, text)| !text.trim().is_empty() && !is_program(text.trim()));
    let texts = texts.map(|(name, text)| {
        format!(
            "{name} holds {} characters of free text, which outputs repeat: does it name somebody? Anonymising the file removes it",
            text.trim().chars().count()
        )
    });
    let extensions = header.extensions.iter().map(|extension| {
        format!(
            "an extension ({}) holds {} bytes, which outputs repeat: does it name somebody? Anonymising the file removes it",
            extension.writer(),
            extension.data.len()
        )
    });
    texts.chain(extensions).collect()
}

/// Whether a text is the stamp of a program with its version, and nothing else: `FSL5.0`, `6.0.5:9e026117`, `SPM12`.
fn is_program(text: &str) -> bool {
    const PROGRAMS: [&str; 8] = [
        "fsl",
        "spm",
        "afni",
        "freesurfer",
        "ants",
        "itk",
        "mrtrix",
        "nifti-1",
    ];
    let lower = text.to_ascii_lowercase();
    let version = PROGRAMS
        .iter()
        .find_map(|name| lower.strip_prefix(name))
        .unwrap_or(&lower);
    version
        .chars()
        .all(|c| c.is_ascii_digit() || ".:-v ".contains(c) || ('a'..='f').contains(&c))
        && (version.len() < lower.len() || version.starts_with(|c: char| c.is_ascii_digit()))
        && version.len() <= 24
}

/// Axes that are not at right angles, which a qform cannot say and some tools do not take.
fn leaning(header: &Header) -> Option<String> {
    let sform = header.sform?;
    let lean = nifti::lean(&sform.affine);
    (lean > UPRIGHT).then(|| {
        let degrees = lean.asin().to_degrees();
        let q = match header.qform {
            Some(_) => "they take the qform instead",
            None => "and there is no qform that they could take instead",
        };
        format!("the sform's axes are {degrees:.3} degrees off a right angle: ITK, ANTs and SimpleITK do not take it, {q}")
    })
}

/// Copies a NIfTI file with its header mended: sizes, handedness, scaling, offset and type as they are read, the qform
/// brought to the sform, or to the rotation nearest to it where the sform is sheared (with the sform's code where they led to different
/// places), unused bytes zero, gzip as the name says, nothing behind the voxels. The stored voxels stay byte
/// for byte.
///
/// With `anonymise` the free text and the extensions are dropped too.
///
/// Codes are never invented: a file that does not say where its voxels are still does not. Voxels that are not finite and
/// axes that a scanner interpolated stay as they are.
///
/// # Errors
/// When the file cannot be read as NIfTI, or the output not be written.
pub fn mend(input: &Path, output: &Path, force: bool, anonymise: bool, options: &ReadOptions) -> Result<()> {
    if !scan::is_nifti(input) {
        let advice = "only NIfTI headers are mended";
        return Err(VolumeError::unsupported(
            input,
            "mending this kind of file",
            advice,
        ));
    }
    nifti::rewrite(input, output, force, options, |header| {
        if let (Some(sform), Some(qform)) = (header.sform, &mut header.qform) {
            // Two worlds: a code must name the one that its affine leads to.
            // What leans too far for a rotation leaves the qform as it is: it is better than none.
            if let Some(affine) = nifti::upright(&sform.affine) {
                if qform.farthest_mm(&sform, header.extent) > ANOTHER_WORLD_MM {
                    qform.code = sform.code;
                }
                let exact = nifti::lean(&sform.affine) < QFORM_HOLDS;
                qform.affine = if exact { sform.affine } else { affine };
            }
        }
        if anonymise {
            header.anonymise();
        }
    })
}
