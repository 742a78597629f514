//! What was found out about a cohort, kept beside the run, so that a resumed one need not find it out again.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use voxelift_volume::calibration::Calibration;
use voxelift_volume::files::write_atomically;

use super::domain::DomainCheck;
use crate::cache::hexadecimal;

/// A finding, and the hash of all that it depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding<T> {
    of: String,
    what: T,
}

/// What is kept; each part is made anew where the scans or the program are others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Which operator makes HR scans look like LR ones.
    #[serde(default)]
    pub calibration: Option<Finding<Calibration>>,
    /// Whether the domains can be trained on together.
    #[serde(default)]
    pub domain: Option<Finding<DomainCheck>>,
}

/// The file's name in its folder.
const NAME: &str = "findings.toml";

impl Findings {
    /// Those kept in a folder; none where there are none, or a bit of them flipped.
    pub fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join(NAME)).unwrap_or_default();
        // TOML, since its numbers come back as they were.
        text.split_once('\n')
            .filter(|(sum, body)| *sum == sum_of(body))
            .and_then(|(_, body)| toml::from_str(body).ok())
            .unwrap_or_default()
    }

    /// Keeps them in a folder; where that fails they are found again next time.
    pub fn write(&self, folder: &Path) {
        if let Ok(body) = toml::to_string(self) {
            let text = format!("{}\n{body}", sum_of(&body));
            let _ = write_atomically(&folder.join(NAME), true, |out| out.write_all(text.as_bytes()));
        }
    }
}

fn sum_of(body: &str) -> String {
    format!(
        "# SHA-256 of what follows: {}",
        hexadecimal(&Sha256::digest(body))
    )
}

/// The hash of what a finding depends on.
pub fn key(parts: &impl Serialize) -> String {
    let text = serde_json::to_string(&(env!("CARGO_PKG_VERSION"), parts)).expect("plain data");
    hexadecimal(&Sha256::digest(text))
}

/// The finding of this key: the earlier one, or a new one in its place; and whether it is new.
pub fn found_or<T: Clone + Serialize + DeserializeOwned, E>(
    earlier: &mut Option<Finding<T>>,
    of: String,
    find: impl FnOnce() -> Result<T, E>,
) -> Result<(T, bool), E> {
    if let Some(finding) = earlier.as_ref().filter(|finding| finding.of == of) {
        return Ok((finding.what.clone(), false));
    }
    let what = find()?;
    *earlier = Some(Finding {
        of,
        what: what.clone(),
    });
    Ok((what, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::Scale;
    use voxelift_volume::calibration::calibrate;
    use voxelift_volume::degrade::Degradation;
    use voxelift_volume::phantom::{PhantomConfig, head};

    #[test]
    fn a_calibration_comes_back_to_the_last_bit_and_not_for_other_scans() {
        let hr = head(&PhantomConfig {
            seed: 3,
            extent: [40, 48, 40],
            spacing_mm: [4.0; 3],
        });
        let hr = hr.expect("a phantom");
        let lr = Degradation::default().apply(&hr, 1).expect("an LR scan");
        let calibration = calibrate(&[hr], &[lr], Scale::isotropic(2)).expect("a calibration");
        let folder = tempfile::tempdir().expect("a folder");
        let mut findings = Findings::default();
        let find = || Ok::<_, ()>(calibration.clone());
        assert!(
            found_or(&mut findings.calibration, key(&"a"), find)
                .expect("found")
                .1
        );
        findings.write(folder.path());
        let mut again = Findings::read(folder.path());
        assert_eq!(again, findings);
        let (found, is_new) = found_or(&mut again.calibration, key(&"a"), || Err("not again")).expect("kept");
        assert!(found == calibration && !is_new);
        assert!(
            found_or(&mut again.calibration, key(&"b"), find)
                .expect("found")
                .1
        );
        let path = folder.path().join(NAME);
        let mut bytes = fs::read(&path).expect("a file");
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        fs::write(&path, bytes).expect("written");
        assert_eq!(
            Findings::read(folder.path()),
            Findings::default(),
            "a flipped bit"
        );
    }
}
