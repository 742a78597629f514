//! A drafted configuration as TOML, with a comment at everything that its reader may want to change.

use std::path::{Component, Path, PathBuf};

use voxelift_volume::Scale;

use super::{DraftOptions, Roles};

/// `1 x 1 x 3.5`.
pub fn sizes(mm: [f64; 3]) -> String {
    let number = |mm: f64| {
        format!("{mm:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    };
    mm.map(number).join(" x ")
}

/// Synthetic heads in every role.
pub fn of_phantoms(options: &DraftOptions) -> String {
    let scale = options.scale.unwrap_or(Scale::isotropic(2));
    let data = r#"[data]
# Synthetic heads: FIRST-LAST are seeds, and each seed is a subject. Put globs of your own scans in their place, as
# "scans/hr/*.nii.gz"; relative ones start at the folder of this file.
hr = ["phantom:1-4"]
validation = ["phantom:21"]
# Which known operator makes LR scans of HR ones: "auto" finds it by comparing the spectra of the two domains.
source_operator = "auto"
notes = "Trained on synthetic heads: not for scans of people."

# LR scans are simulated from other heads; real ones are given as lr = ["scans/lr/*.nii.gz"] in [data].
[data.lr]
files = ["phantom:11-14"]
degrade = { operator = "kspace" }
"#;
    assembled(scale, 400, data, 12, Preset::TINY)
}

/// The user's scans, each by its path from `folder`.
pub fn of_roles(roles: &Roles, folder: &Path, options: &DraftOptions) -> String {
    let list = |paths: &[PathBuf]| {
        let lines = paths
            .iter()
            .map(|path| format!("    {},\n", quoted(&relative(path, folder))));
        format!("[\n{}]", lines.collect::<String>())
    };
    let validation = match roles.validation.as_slice() {
        [] => "# No subject is left to watch the run by: add HR scans of others, or let it be.\nvalidation = []\n".to_owned(),
        paths => format!(
            "# HR scans of yet other subjects: degraded, super-resolved and scored while the run goes on.\nvalidation = {}\n",
            list(paths)
        ),
    };
    let real = if roles.simulated {
        String::new()
    } else {
        format!(
            "# LR scans of other subjects, as the scanner made them: of the scanner, contrast and part of the body that the model is for.\nlr = {}\n",
            list(&roles.lr)
        )
    };
    let simulated = if roles.simulated {
        format!(
            "\n# LR scans are simulated from HR scans of other subjects, whose HR voxels training never sees. Real ones are better: give them as\n\
             # lr = [\"scans/lr/*.nii.gz\"] in [data] in place of this table.\n[data.lr]\nfiles = {}\ndegrade = {{ operator = \"kspace\" }}\n",
            list(&roles.lr)
        )
    } else {
        String::new()
    };
    let data = format!(
        "[data]\n# HR scans. Paths and globs (\"scans/hr/*.nii.gz\") start at the folder of this file.\nhr = {}\n{validation}{real}\
         # A subject belongs to one role. One who was scanned twice under two names is listed here, as \"anna-first+anna-second\".\npeople = []\n\
         # Which known operator makes LR scans of HR ones: \"auto\" finds it by comparing the spectra of the two domains.\nsource_operator = \"auto\"\n\
         # What users of the model must know of its data: licences, contrast, part of the body. It stands in the model's card.\nnotes = \"\"\n{simulated}",
        list(&roles.hr)
    );
    let (preset, steps) = if options.gpu {
        (Preset::BASE, 20_000)
    } else {
        (Preset::SMALL, 1600)
    };
    assembled(roles.scale, steps, &data, roles.patch, preset)
}

/// The sizes of a network, and the rate that goes with them.
struct Preset {
    why: &'static str,
    n_feats: usize,
    n_resgroups: usize,
    n_resblocks: usize,
    width: usize,
    batch: usize,
    learning_rate: &'static str,
    every: u64,
}

impl Preset {
    const TINY: Self = Self {
        why: "A small network, for a first look.",
        n_feats: 8,
        n_resgroups: 1,
        n_resblocks: 2,
        width: 4,
        batch: 4,
        learning_rate: "2e-3",
        every: 100,
    };
    const SMALL: Self = Self {
        why: "Sizes for a CPU; `--check` says how long it takes. No GPU that this build can use was found; with one, n_feats = 32 and 4 groups of 4 blocks.",
        n_feats: 16,
        n_resgroups: 2,
        n_resblocks: 3,
        width: 8,
        batch: 8,
        learning_rate: "1e-3",
        every: 250,
    };
    const BASE: Self = Self {
        why: "Sizes for a GPU.",
        n_feats: 32,
        n_resgroups: 4,
        n_resblocks: 4,
        width: 16,
        batch: 8,
        learning_rate: "4e-4",
        every: 1000,
    };
}

fn assembled(scale: Scale, steps: u64, data: &str, patch: usize, preset: Preset) -> String {
    let Preset {
        why,
        n_feats,
        n_resgroups,
        n_resblocks,
        width,
        batch,
        learning_rate,
        every,
    } = preset;
    format!(
        "# Written by `voxelift init`: change what you like. Every key with its meaning: docs/configuration.md.\n\
         # Look before you train:  voxelift train train.toml --run run --check\n\
         # Train, or go on:        voxelift train train.toml --run run\n\
         # Use what was learned:   voxelift upscale scan.nii.gz -o sr.nii.gz --model run/model.safetensors\n\
         # \"unpaired\" is the whole method. \"supervised\" learns from HR scans alone, degraded as the LR scans were: a quarter of the time,\n\
         # as good in our studies (one scanner) where the check finds an operator that fits (docs/decisions/0024).\n\
         mode = \"unpaired\"\nseed = 1\n# More steps later go on where the run stopped.\nsteps = {steps}\n\
         # HR voxels per LR voxel: one number, or one for each axis as \"1,1,4\".\nscale = {}\n\n{data}\n\
         [patch]\n# LR voxels along each side of a training patch, and patches of each domain in a step.\nsize = {patch}\nbatch = {batch}\n\n\
         # {why}\n[network]\nn_feats = {n_feats}\nn_resgroups = {n_resgroups}\nn_resblocks = {n_resblocks}\n\n\
         [discriminator]\nwidth = {width}\n\n\
         [optimizer]\nlearning_rate = {learning_rate}\n\n[validation]\n# Steps between scores of the validation scans.\nevery = {every}\n",
        written(scale)
    )
}

fn written(Scale(factors): Scale) -> String {
    match factors {
        [x, y, z] if x == y && y == z => x.to_string(),
        [x, y, z] => format!("[{x}, {y}, {z}]"),
    }
}

/// As TOML, so that brackets in it are brackets and no pattern.
fn quoted(path: &Path) -> String {
    let text = glob::Pattern::escape(&path.to_string_lossy());
    toml::Value::String(text).to_string()
}

/// From `folder` where both have a root in common, upwards at most four folders; else as it is.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let (path_parts, folder_parts) = (parts(path), parts(folder));
    let common = path_parts
        .iter()
        .zip(&folder_parts)
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder_parts.len() - common;
    let climbs = folder_parts[common..].contains(&Component::ParentDir);
    if common < 2 || up > 4 || climbs {
        return path.to_owned();
    }
    let ups = std::iter::repeat_n(Component::ParentDir, up);
    ups.chain(path_parts[common..].iter().copied()).collect()
}

fn parts(path: &Path) -> Vec<Component<'_>> {
    path.components().filter(|c| *c != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_from_the_folder_and_brackets_are_brackets() {
        let relative = |path: &str, folder: &str| relative(Path::new(path), Path::new(folder));
        assert_eq!(relative("/data/a/s.nii", "/data/a"), PathBuf::from("s.nii"));
        assert_eq!(
            relative("/data/a/s.nii", "/data/b/c"),
            PathBuf::from("../../a/s.nii")
        );
        assert_eq!(
            relative("/data/a/s.nii", "/home/b"),
            PathBuf::from("/data/a/s.nii")
        );
        assert_eq!(quoted(Path::new("a [1]/s.nii")), "\"a [[]1[]]/s.nii\"");
    }
}
