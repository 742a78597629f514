//! Scans that do not belong in their cohort: masks and label maps, other voxels, another orientation.

use voxelift_volume::cohort::{Cohort, Role, subject_of};
use voxelift_volume::intensity::label_values;
use voxelift_volume::nifti::Header;
use voxelift_volume::resample::{Interpolation, resample_like};
use voxelift_volume::{Geometry, Scale, Volume};

/// Words of a name that only masks and label maps have.
const MASK_WORDS: [&str; 13] = [
    "mask",
    "brainmask",
    "dseg",
    "probseg",
    "seg",
    "aseg",
    "aparc",
    "label",
    "labels",
    "parc",
    "segmentation",
    "roi",
    "lesion",
];
/// Voxel sizes within this share of one another are alike.
const ALIKE: f64 = 0.1;
/// Names that a warning lists.
const LISTED: usize = 3;

/// What a scan looks like that the others of its cohort are compared with.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What it is used for.
    pub role: Role,
    /// The name of its file.
    pub name: String,
    /// Voxel sizes along the axes of training.
    pub spacing_mm: [f64; 3],
    /// Its orientation as it is stored, where it was turned.
    pub turned_from: Option<String>,
}

/// Why a scan looks like a mask or a label map, by its name and its header; nothing where it does not.
pub fn named_label_map(name: &str, header: Option<&Header>) -> Option<String> {
    let stem = name.split('.').next().unwrap_or(name).to_lowercase();
    let word = stem.split(['_', '-']).find(|word| MASK_WORDS.contains(word));
    if header.is_some_and(Header::holds_labels) {
        Some(suspected(name, "its header says that it holds labels"))
    } else {
        word.map(|word| suspected(name, &format!("its name says \"{word}\"")))
    }
}

/// The same by its voxels.
pub fn label_map(name: &str, volume: &Volume) -> Option<String> {
    let values = label_values(volume)?;
    Some(suspected(name, &format!("it holds {values} different values")))
}

fn suspected(name: &str, why: &str) -> String {
    format!("{name}: looks like a mask or a label map and no scan: {why}; leave it out of the glob")
}

/// The letters of a grid's axes: RAS where x, y and z of the file run to the right, to the front and up.
pub fn letters(geometry: &Geometry) -> String {
    let letter = |(axis, sign): (usize, f64)| {
        let pair = [['L', 'R'], ['P', 'A'], ['I', 'S']][axis];
        pair[usize::from(sign > 0.0)]
    };
    geometry.canonical_axes().map(letter).iter().collect()
}

/// Voxel sizes of a grid along the axes of `like`, each the nearest in direction.
pub fn spacing_along(grid: &Geometry, like: &Geometry) -> [f64; 3] {
    along(grid.spacing_mm(), grid, like)
}

/// What a grid has along each of its axes, along those of `like`, each the nearest in direction.
pub fn along<T: Copy>(values: [T; 3], grid: &Geometry, like: &Geometry) -> [T; 3] {
    let own = grid.canonical_axes();
    like.canonical_axes().map(|(world, _)| {
        let axis = own.iter().position(|(w, _)| *w == world);
        values[axis.expect("each world axis once")]
    })
}

/// The same scan with its axes in the order and direction of those of `like`, voxel by voxel.
pub fn turned(volume: Volume, like: &Geometry) -> Volume {
    let (own, wanted) = (volume.geometry().canonical_axes(), like.canonical_axes());
    if own == wanted {
        return volume;
    }
    let geometry = volume.geometry();
    let mut extent = [0; 3];
    let mut world_from_voxel = geometry.world_from_voxel;
    for (new, (world, sign)) in wanted.into_iter().enumerate() {
        let old = own
            .iter()
            .position(|(w, _)| *w == world)
            .expect("each world axis once");
        extent[new] = geometry.extent[old];
        let flipped = own[old].1 != sign;
        for (placed, stored) in world_from_voxel.iter_mut().zip(&geometry.world_from_voxel) {
            let step = stored[old];
            placed[new] = if flipped { -step } else { step };
            if flipped {
                placed[3] += step * (geometry.extent[old] as f64 - 1.0);
            }
        }
    }
    let grid = Geometry {
        extent,
        world_from_voxel,
    };
    resample_like(&volume, &grid, Interpolation::Nearest)
}

/// What is wrong with a cohort as a whole: voxels that are not those of the others, and scans that had to be turned.
pub fn warnings(looked: &[Looked], scale: Scale) -> Vec<String> {
    let of = |role: Role| looked.iter().filter(move |l| l.role == role).collect::<Vec<_>>();
    let (hr, lr) = (of(Role::Hr), of(Role::Lr));
    let mut warnings = Vec::new();
    let Some(fine) = median(&hr) else {
        return warnings;
    };
    warnings.extend(off(&hr, fine).map(|(names, spacing)| {
        format!(
            "HR scans differ in their voxels: {names} of {spacing} mm where the others have {} mm; degrade all to one \
             size, or leave these out",
            in_mm(fine)
        )
    }));
    let coarse = [0, 1, 2].map(|a| fine[a] * scale.0[a] as f64);
    warnings.extend(off(&lr, coarse).map(|(names, spacing)| {
        format!(
            "LR voxels are not {scale} times the HR voxels of {} mm: {names} of {spacing} mm; the model will learn a scale of {scale} \
             from scans sampled otherwise; degrade the LR scans to {} mm",
            in_mm(fine),
            in_mm(coarse)
        )
    }));
    for (title, scans) in [("HR", &hr), ("LR", &lr)] {
        let turned: Vec<&&Looked> = scans.iter().filter(|l| l.turned_from.is_some()).collect();
        if let Some(first) = turned.first() {
            warnings.push(format!(
                "{title}: {} stored in another orientation ({}) than the first HR scan; turned for the training, without loss. `upscale` \
                 takes scans as they are stored: bring those that you will give it to the orientation of the first HR scan too",
                listed(&turned.iter().map(|l| l.name.as_str()).collect::<Vec<_>>()),
                first.turned_from.as_deref().unwrap_or_default()
            ));
        }
    }
    warnings
}

/// The scans whose voxels are not of this size, and the size of the first.
fn off(scans: &[&Looked], expected: [f64; 3]) -> Option<(String, String)> {
    let differs = |l: &&&Looked| (0..3).any(|a| (l.spacing_mm[a] / expected[a] - 1.0).abs() > ALIKE);
    let found: Vec<&&Looked> = scans.iter().filter(differs).collect();
    let first = found.first()?;
    let names: Vec<&str> = found.iter().map(|l| l.name.as_str()).collect();
    Some((listed(&names), in_mm(first.spacing_mm)))
}

fn median(scans: &[&Looked]) -> Option<[f64; 3]> {
    let along = |axis: usize| {
        let mut sizes: Vec<f64> = scans.iter().map(|l| l.spacing_mm[axis]).collect();
        sizes.sort_by(f64::total_cmp);
        sizes[(sizes.len() - 1) / 2]
    };
    (!scans.is_empty()).then(|| [0, 1, 2].map(along))
}

fn in_mm(spacing_mm: [f64; 3]) -> String {
    spacing_mm.map(|mm| format!("{mm:.2}")).join(" x ")
}

/// A warning about names in `people` that no scan goes by: they join nobody.
pub fn unknown_people(cohort: &Cohort) -> Option<String> {
    let unknown = cohort.names_without_scans();
    let roles = [Role::Hr, Role::Lr, Role::Validation, Role::Test];
    let scan = roles.iter().find_map(|role| cohort.scans(*role).next())?;
    (!unknown.is_empty()).then(|| {
        format!(
            "people: no scan here goes by {}; a subject's name is taken from its file's, {} from {}. Misspelt, one person counts as two \
             and can be in two roles",
            listed(&unknown),
            subject_of(&scan.path),
            scan.path.file_name().unwrap_or_default().to_string_lossy()
        )
    })
}

fn listed(names: &[&str]) -> String {
    let first = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(role: Role, name: &str, spacing_mm: [f64; 3]) -> Looked {
        Looked {
            role,
            name: name.to_owned(),
            spacing_mm,
            turned_from: None,
        }
    }

    #[test]
    fn names_of_people_that_nobody_goes_by_are_told() {
        let mut cohort = Cohort::new();
        cohort.same_subject("ds1-anna+ds1-berta").expect("two names");
        cohort.same_subject("anna+ds1-berta").expect("two names");
        let anna = "lr/ds1-anna_run-2_T1w.nii.gz".as_ref();
        cohort.add_file(Role::Lr, anna).expect("a role");
        let told = unknown_people(&cohort).expect("two names nobody goes by");
        let expected = "no scan here goes by anna, ds1-berta; a subject's name is taken from its file's, ds1-anna from ds1-anna_run-2_T1w.nii.gz.";
        assert!(told.contains(expected), "{told}");
        let berta = "lr/ds1-berta_T1w.nii.gz".as_ref();
        cohort.add_file(Role::Lr, berta).expect("a role");
        let mut known = cohort.clone();
        assert!(unknown_people(&known).is_some_and(|told| told.contains("goes by anna;")));
        known.add("anna", Role::Lr, "anna.nii").expect("a role");
        assert_eq!(unknown_people(&known), None);
    }

    #[test]
    fn every_scan_is_compared_and_not_the_first_pair_alone() {
        let mut scans = vec![
            looked(Role::Hr, "a", [1.0; 3]),
            looked(Role::Hr, "b", [1.0; 3]),
            looked(Role::Lr, "c", [1.0, 1.0, 3.0]),
        ];
        let scale = Scale([1, 1, 3]);
        assert!(warnings(&scans, scale).is_empty());
        scans.push(looked(Role::Lr, "thick_x", [3.0, 1.0, 1.0]));
        scans.push(looked(Role::Hr, "coarse", [1.0, 1.0, 2.0]));
        let found = warnings(&scans, scale);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("coarse of 1.00 x 1.00 x 2.00 mm"), "{found:?}");
        assert!(
            found[1].contains("thick_x of 3.00 x 1.00 x 1.00 mm") && !found[1].contains("c of"),
            "{found:?}"
        );
    }

    #[test]
    fn a_turned_scan_lies_where_it_lay() {
        let geometry = Geometry {
            extent: [3, 4, 5],
            world_from_voxel: [
                [0.0, 0.0, -1.0, 4.0],
                [2.0, 0.0, 0.0, -7.0],
                [0.0, -3.0, 0.0, 9.0],
            ],
        };
        let data = (0..60).map(|i| i as f32).collect();
        let stored = Volume::new(data, geometry.clone());
        let like = Geometry::axis_aligned([9; 3], [1.0; 3]);
        assert_eq!(
            (letters(&geometry).as_str(), letters(&like).as_str()),
            ("AIL", "RAS")
        );
        let volume = turned(stored.clone(), &like);
        assert_eq!(
            (letters(volume.geometry()).as_str(), volume.extent()),
            ("RAS", [5, 3, 4])
        );
        for (voxel, value) in (0..60).map(|i| ([i % 3, i / 3 % 4, i / 12], i as f32)) {
            let world = geometry.world(voxel.map(|v| v as f64));
            let there = volume.geometry().voxel(world).map(|v| v.round() as usize);
            assert_eq!(volume.at(there), value);
        }
        assert_eq!(turned(volume, &geometry), stored, "and back");
    }

    #[test]
    fn masks_are_told_by_name_by_header_and_by_their_values() {
        let geometry = Geometry::axis_aligned([16; 3], [1.0; 3]);
        let of = |value: &dyn Fn(usize) -> f32| Volume::new((0..4096).map(value).collect(), geometry.clone());
        let scan = of(&|i| (i % 900) as f32);
        let mask = of(&|i| (i % 2) as f32);
        assert!(label_map("a_T1w.nii.gz", &scan).is_none());
        assert!(
            label_map("a_T1w.nii.gz", &mask)
                .expect("a mask")
                .contains("2 different values")
        );
        assert!(
            named_label_map("a_brain_mask.nii.gz", None)
                .expect("a mask")
                .contains("\"mask\"")
        );
        assert!(
            named_label_map("masked_T1w.nii.gz", None).is_none(),
            "a masked scan is a scan"
        );
        let mut header = Header::new(&geometry);
        assert!(named_label_map("a.nii", Some(&header)).is_none());
        header.intent.code = 1002;
        assert!(
            named_label_map("a.nii", Some(&header))
                .expect("labels")
                .contains("header")
        );
    }
}
