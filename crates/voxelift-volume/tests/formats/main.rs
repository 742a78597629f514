//! Scans that are no NIfTI files, byte by byte from the formats' own descriptions, and the linter of those that are.

#[cfg(feature = "dicom")]
mod dicom;
mod doctor;
#[cfg(feature = "dicom")]
mod hostile;
mod mgh;
mod misplaced;
#[cfg(feature = "dicom")]
#[path = "../python/mod.rs"]
mod python;
#[cfg(feature = "dicom")]
mod reference;
mod replay;
#[cfg(feature = "dicom")]
mod series;
