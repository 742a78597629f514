//! The images behind an evaluation, found again by the names in its scores.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::Value;
use voxelift_volume::audit::NullSpace;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::consistency::Disagreement;
use voxelift_volume::degrade::Operators;
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::resample::{Interpolation, resample_like};
use voxelift_volume::{Volume, VolumeError, scan};

use super::super::upscale::sidecar;
use super::{MONTAGE, SCORES};
use crate::report::{Evaluated, Exhibit, Made, Pairs};

/// Images of one head that are shown beside each other.
const MOST_IMAGES: usize = 4;

/// The evaluation of a folder: the scores that `evaluate --json` wrote, and the images that they are of.
///
/// # Errors
/// When the scores cannot be read or are none.
pub fn read(folder: &Path) -> anyhow::Result<Evaluated> {
    let scores = folder.join(SCORES);
    let text = fs::read_to_string(&scores).map_err(|error| VolumeError::io(&scores, "read", error))?;
    let expected = "expected the JSON of `voxelift evaluate --json`";
    let Ok(value) = serde_json::from_str::<Value>(&text) else {
        bail!("{}: is not JSON; {expected}", scores.display())
    };
    let pairs = match Pairs::read(value) {
        Ok(pairs) => pairs,
        Err(error) => bail!("{}: {error}; {expected}", scores.display()),
    };
    if pairs.rows().iter().all(|row| row.scores().voxels == 0) {
        bail!("{}: holds no score; {expected}", scores.display());
    }
    Ok(Evaluated {
        exhibit: exhibit(folder, &pairs),
        montage: fs::read(folder.join(MONTAGE)).ok(),
        pairs,
    })
}

/// As [`read`], with what the sidecar of the first image says of how it was made.
///
/// # Errors
/// As [`read`].
pub fn made(folder: &Path) -> anyhow::Result<Made> {
    let evaluated = read(folder)?;
    let first = evaluated
        .pairs
        .rows()
        .first()
        .and_then(|row| row.image.as_deref());
    let how = first
        .and_then(|image| found(folder, image))
        .and_then(|image| fs::read(sidecar::beside(&image)).ok())
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let expected = &how["expected"];
    Ok(Made {
        by: text(&how["chosen"]).or_else(|| text(&how["model"])),
        expected: expected["gain_db"].as_f64().zip(text(&expected["baseline"])),
        notes: text(&how["trained"]["notes"]),
        evaluated,
    })
}

/// The first head of an evaluation in pictures, when its files are where the scores say: relative to the folder of the
/// scores or to the one above. Whatever is not there is left out.
fn exhibit(folder: &Path, pairs: &Pairs) -> Option<Exhibit> {
    let path = |name: &Option<String>| found(folder, name.as_deref()?);
    let first = pairs.rows().first()?;
    let reference = path(&first.reference)?;
    let hr = volume(&reference)?;
    let mut images = Vec::new();
    let (mut lr, mut made_by) = (None, None);
    for row in pairs.rows() {
        let same = path(&row.reference).is_some_and(|other| other == reference);
        let Some((file, true)) = path(&row.image).map(|file| (file, same)) else {
            continue;
        };
        let Some(image) = volume(&file) else { continue };
        let method = row.method.as_deref().unwrap_or("image");
        lr = lr.or_else(|| scan_behind(&file).map(|(_, scan)| scan));
        made_by = made_by.or_else(|| acquired_by(&file));
        images.push((method.to_owned(), image));
    }
    // The baseline to beat first, the output of the model last.
    images.sort_by_key(|(method, _)| match method.parse() {
        Ok(Baseline::ZeroFill) => 0,
        Ok(_) => 1,
        Err(_) => 2,
    });
    if images.len() > MOST_IMAGES {
        let last = images.split_off(images.len() - (MOST_IMAGES - 1));
        images.truncate(1);
        images.extend(last);
    }
    let (name, answer) = images.last()?;
    let known = lr.as_ref().filter(|lr| covers(lr, answer));
    let added = known.map(|lr| NullSpace::of(answer, lr.extent()));
    let disagreement = known
        .zip(made_by)
        .and_then(|(lr, made_by)| Disagreement::of(answer, lr, &made_by).ok());
    let disagreements = disagreement
        .map(|found| (name.clone(), found))
        .into_iter()
        .collect();
    // Whole voxels apart, or they would not have been scored.
    let on_reference = |image: Volume| resample_like(&image, hr.geometry(), Interpolation::Nearest);
    let images = images
        .into_iter()
        .map(|(method, image)| (method, on_reference(image)))
        .collect();
    Some(Exhibit {
        name: first.subject.clone().unwrap_or_else(|| scan::stem(&reference)),
        lr,
        images,
        hr: Some(hr),
        added,
        disagreements,
        tiles: None,
    })
}

fn found(folder: &Path, name: &str) -> Option<PathBuf> {
    let folders = [Some(folder), folder.parent()];
    let mut places = folders.into_iter().flatten().map(|folder| folder.join(name));
    places.find(|path| path.exists())
}

fn volume(path: &Path) -> Option<Volume> {
    scan::read(path, &ReadOptions::default()).ok()?.into_single().ok()
}

/// The scan that an image was made from, as the sidecar of `upscale` names it, and its file.
pub fn scan_behind(image: &Path) -> Option<(PathBuf, Volume)> {
    let sidecar = sidecar::beside(image);
    let how: Value = serde_json::from_slice(&fs::read(&sidecar).ok()?).ok()?;
    let file = found(sidecar.parent()?, how.get("source")?.as_str()?)?;
    volume(&file).map(|scan| (file, scan))
}

/// What the scan behind an image is taken to have been made by, as the sidecar of `upscale` says.
fn acquired_by(image: &Path) -> Option<Operators> {
    let how: Value = serde_json::from_slice(&fs::read(sidecar::beside(image)).ok()?).ok()?;
    how.get("acquired")?.get("operators")?.as_str()?.parse().ok()
}

/// Whether a scan's voxels divide the image's field of view, so that the two share their frequencies.
pub fn covers(scan: &Volume, image: &Volume) -> bool {
    let grid = image.geometry().with_extent(scan.extent());
    let far = scan.extent().map(|n| n as f64 - 1.0);
    (0..3).all(|a| scan.extent()[a] <= image.extent()[a])
        && [[0.0; 3], far].iter().all(|corner| {
            let (here, there) = (grid.world(*corner), scan.geometry().world(*corner));
            (0..3).all(|a| (here[a] - there[a]).abs() < 1e-3)
        })
}
