//! A BIDS data set as it is found: its anatomical scans, by the names of their files, and what its sidecars say of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use voxelift_volume::sidecars::{DESCRIPTION, metadata, named};

use crate::failure::usage;

/// What the scans that are looked for show.
const SUFFIXES: [&str; 3] = ["T1w", "T2w", "FLAIR"];

/// One scan of a data set.
#[derive(Clone, Debug)]
pub struct RawScan {
    /// The file.
    pub path: PathBuf,
    /// Its name's entities in order, as `("sub", "01")`.
    pub entities: Vec<(String, String)>,
    /// What it shows: `T1w`.
    pub suffix: String,
    /// What its sidecars say, those of the folders above too.
    pub metadata: Map<String, Value>,
}

impl RawScan {
    /// The value of an entity.
    pub fn entity(&self, key: &str) -> Option<&str> {
        let found = self.entities.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value.as_str())
    }

    /// The folder of its kind within a data set: `sub-01/ses-pre/anat`.
    pub fn folder(&self) -> PathBuf {
        let own = |key: &str| Some(format!("{key}-{}", self.entity(key)?));
        let mut folder: PathBuf = ["sub", "ses"].iter().filter_map(|key| own(key)).collect();
        folder.push("anat");
        folder
    }
}

/// The scans of a data set and what was left out, and why; of the participants and sessions that are named (`01` or `sub-01`), or
/// of all.
///
/// # Errors
/// When the folder is no raw BIDS data set, or a participant that was named has no folder.
pub fn scans(
    root: &Path,
    participants: &[String],
    sessions: &[String],
) -> anyhow::Result<(Vec<RawScan>, Vec<String>)> {
    let description = root.join(DESCRIPTION);
    let text = fs::read_to_string(&description).map_err(|error| {
        usage(format!(
            "{}: {error}; a BIDS data set has one (https://bids.neuroimaging.io); `voxelift upscale FOLDER -o OUT` takes folders of any kind",
            description.display()
        ))
    })?;
    let keys: Value = serde_json::from_str(&text).with_context(|| description.display().to_string())?;
    if keys["DatasetType"] == "derivative" {
        bail!(
            "{}: says DatasetType \"derivative\"; give the raw data set that it was made from",
            description.display()
        );
    }
    let label = |prefix: &str, text: &String| text.strip_prefix(prefix).unwrap_or(text).to_owned();
    let wanted: Vec<String> = participants.iter().map(|text| label("sub-", text)).collect();
    let sessions: Vec<String> = sessions.iter().map(|text| label("ses-", text)).collect();
    for participant in &wanted {
        if !root.join(format!("sub-{participant}")).is_dir() {
            return Err(usage(format!(
                "--participant-label {participant}: {} holds no folder sub-{participant}",
                root.display()
            )));
        }
    }
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for subject in folders(root, "sub-")? {
        let name = subject
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !wanted.is_empty() && !wanted.contains(&label("sub-", &name)) {
            continue;
        }
        let mut places = vec![subject.join("anat")];
        for session in folders(&subject, "ses-")? {
            let name = session
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if sessions.is_empty() || sessions.contains(&label("ses-", &name)) {
                places.push(session.join("anat"));
            }
        }
        if !sessions.is_empty() {
            places.remove(0);
        }
        for place in places {
            let Ok(entries) = fs::read_dir(&place) else {
                continue;
            };
            let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.sort();
            for path in paths {
                match candidate(path) {
                    Candidate::Scan(scan) => found.push(*scan),
                    Candidate::LeftOut(why) => notes.push(why),
                    Candidate::Other => {}
                }
            }
        }
    }
    Ok((found, notes))
}

enum Candidate {
    Scan(Box<RawScan>),
    LeftOut(String),
    Other,
}

fn candidate(path: PathBuf) -> Candidate {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if name.starts_with('.') || !(name.ends_with(".nii.gz") || name.ends_with(".nii")) {
        return Candidate::Other;
    }
    let Some((entities, suffix)) = named(&path) else {
        return Candidate::LeftOut(format!("{}: left out: not a name of BIDS", path.display()));
    };
    if !SUFFIXES.contains(&suffix.as_str()) {
        return Candidate::Other;
    }
    let metadata = metadata(&path);
    let part = entities
        .iter()
        .find(|(key, _)| key == "part")
        .map(|(_, value)| value.as_str());
    let said = metadata.get("ImageType").and_then(Value::as_array);
    let is_phase = said.is_some_and(|words| words.iter().any(|word| word == "PHASE" || word == "P"));
    if is_phase || part.is_some_and(|part| part != "mag") {
        return Candidate::LeftOut(format!(
            "{}: left out: phase, real and imaginary parts are no images to make finer",
            path.display()
        ));
    }
    Candidate::Scan(Box::new(RawScan {
        path,
        entities,
        suffix,
        metadata,
    }))
}

/// The folders within one whose names begin so, in the order of their names.
fn folders(parent: &Path, prefix: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent).with_context(|| parent.display().to_string())?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.is_dir()
                && path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .collect();
    folders.sort();
    Ok(folders)
}
