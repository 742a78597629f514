//! Which subject a file shows, from its name.

use std::path::Path;

/// Image formats, the longest suffixes first.
const FORMATS: [&str; 8] = [
    ".nii.gz", ".mgh.gz", ".img.gz", ".nii", ".mgz", ".mgh", ".hdr", ".img",
];

/// Words at the end of a name that say what the image is, not whom it shows; compared without case.
const DESCRIPTIONS: [&str; 53] = [
    "t1w",
    "t2w",
    "pdw",
    "t1",
    "t2",
    "pd",
    "t2star",
    "flair",
    "mprage",
    "mp2rage",
    "memprage",
    "spgr",
    "space",
    "tof",
    "swi",
    "inplanet1",
    "inplanet2",
    "unit1",
    "brain",
    "brainmask",
    "mask",
    "masked",
    "ss",
    "stripped",
    "skullstripped",
    "bet",
    "defaced",
    "deface",
    "orig",
    "norm",
    "nu",
    "raw",
    "preproc",
    "restore",
    "acpc",
    "dc",
    "n4",
    "biascorr",
    "reg",
    "warped",
    "mni",
    "crop",
    "cropped",
    "iso",
    "resampled",
    "hr",
    "lr",
    "sr",
    "image",
    "mri",
    "anat",
    "3t",
    "7t",
];

/// The subject that a file shows.
///
/// The BIDS label `sub-01` where the name or else a folder above has one; otherwise the name without its format
/// and without the words at its end that describe the image (`_T1w`, `_1mm`, `_brain`, `_run-2`); where nothing
/// is left of it (`bert/mri/T1.mgz`), the nearest folder that says more.
pub fn subject_of(path: &Path) -> String {
    let file = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let folders: Vec<String> = path
        .parent()
        .into_iter()
        .flat_map(Path::ancestors)
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let named = || std::iter::once(&file).chain(&folders);
    if let Some(label) = named().find_map(|name| bids_label(name)) {
        return label;
    }
    let stem = without_format(&file);
    let identity = without_description(stem);
    if !identity.is_empty() {
        return identity.to_owned();
    }
    let folder = folders
        .iter()
        .map(|f| without_description(f))
        .find(|f| !f.is_empty());
    folder.unwrap_or(stem).to_owned()
}

/// `sub-<label>` at the start of a name or after an underscore.
fn bids_label(name: &str) -> Option<String> {
    without_format(name).split('_').find_map(|entity| {
        let label = entity.strip_prefix("sub-")?;
        let alphanumeric = !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '+');
        alphanumeric.then(|| entity.to_owned())
    })
}

fn without_format(name: &str) -> &str {
    let cut = |suffix: &&str| {
        let split = name.len().checked_sub(suffix.len())?;
        let end = name.get(split..)?;
        end.eq_ignore_ascii_case(suffix).then(|| &name[..split])
    };
    FORMATS.iter().find_map(cut).unwrap_or(name)
}

/// What remains when describing words are taken from the end, one by one.
fn without_description(mut name: &str) -> &str {
    loop {
        // A key-value pair (`run-2`) is one word; other words may be joined by dashes and dots too.
        let pair = name.rfind('_').map_or(0, |i| i + 1);
        let word = name.rfind(['_', '-', '.']).map_or(0, |i| i + 1);
        let start = if describes(&name[pair..]) {
            pair
        } else if describes(&name[word..]) {
            word
        } else {
            return name;
        };
        name = name[..start].trim_end_matches(['_', '-', '.']);
        if name.is_empty() {
            return name;
        }
    }
}

fn describes(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    if DESCRIPTIONS.contains(&word.as_str()) {
        return true;
    }
    if let Some((key, value)) = word.split_once('-') {
        let keys = [
            "ses", "run", "acq", "rec", "desc", "res", "space", "ce", "part", "inv", "echo", "label",
        ];
        return keys.contains(&key) && !value.is_empty();
    }
    // A voxel size: 1mm, 0.8mm, 0p7mm, 1mmMNI.
    word.find("mm").is_some_and(|at| {
        let number = &word[..at];
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 'p')
            && word[at + 2..].chars().all(char::is_alphabetic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_what_users_mean() {
        for (path, expected) in [
            ("train/hr/oasis-malf1003_T1w_1mm_brain.nii.gz", "oasis-malf1003"),
            ("rorden-T1_0.8mm_brain.nii.gz", "rorden"),
            ("ds002748-sub34_T1w_brain.nii.gz", "ds002748-sub34"),
            ("openms-p07_FLAIR_1mmMNI_brain.nii.gz", "openms-p07"),
            ("sct-spine_T2w_1mm_crop.nii", "sct-spine"),
            ("sub-01_ses-2_T1w.nii.gz", "sub-01"),
            ("bids/sub-01/ses-2/anat/T1w.nii.gz", "sub-01"),
            ("study/sub-A1/anat/brain.mgz", "sub-A1"),
            ("group_sub-07_T1w.nii", "sub-07"),
            ("bert/mri/T1.mgz", "bert"),
            ("100307/T1w/T1w_acpc_dc_restore_brain.nii.gz", "100307"),
            ("IXI002-Guys-0828-T1.nii.gz", "IXI002-Guys-0828"),
            ("subject_001.NII.GZ", "subject_001"),
            ("patient7_run-2_res-0p7mm_T1w.hdr", "patient7"),
            ("T1.nii", "T1"),
            ("10.5mm-coil_042.nii", "10.5mm-coil_042"),
            ("sub-_T1w.nii", "sub"),
        ] {
            assert_eq!(subject_of(Path::new(path)), expected, "{path}");
        }
    }
}
