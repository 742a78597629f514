//! The kind of a file that is not a scan we read, by its first bytes, and advice on what to do with it.

/// Bytes that are enough to recognise it.
pub(crate) const START: usize = 256;

/// The kind of file that begins so, and advice; `None` for one that is not known.
pub(crate) fn foreign(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const UNPACK: &str = "unpack it first, or pack the scan with gzip";
    const CONVERT: &str = "convert it to NIfTI first";
    const FETCH: &str = "fetch the content first (git lfs pull, git annex get, datalad get)";
    const SERIES: &str = "name the folder that holds its series";
    let begins = |magic: &[u8]| start.starts_with(magic);
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let words = text.to_ascii_lowercase();
    let metaimage = ["ObjectType", "NDims", "Comment = "];
    Some(if begins(b"BZh") {
        ("bzip2", UNPACK)
    } else if begins(&[0x28, 0xb5, 0x2f, 0xfd]) {
        ("Zstandard (zst)", UNPACK)
    } else if begins(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        ("xz", UNPACK)
    } else if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") {
        ("a zip archive", UNPACK)
    } else if begins(b"7z\xbc\xaf\x27\x1c") {
        ("a 7-Zip archive", UNPACK)
    } else if begins(b"Rar!") {
        ("a RAR archive", UNPACK)
    } else if begins(&[0x1f, 0x9d]) || begins(&[0x1f, 0xa0]) {
        ("compress (.Z)", UNPACK)
    } else if start.get(257..262) == Some(b"ustar") {
        ("a tar archive", "unpack it first")
    } else if begins(&[0x1f, 0x8b]) {
        ("gzip within gzip", "unpack it once")
    } else if begins(b"NRRD0") {
        ("NRRD", CONVERT)
    } else if metaimage.iter().any(|key| text.starts_with(key)) {
        ("MetaImage", CONVERT)
    } else if begins(b"\x89HDF") {
        ("HDF5 (MINC 2, MATLAB 7.3)", CONVERT)
    } else if begins(b"CDF\x01") || begins(b"CDF\x02") {
        ("NetCDF (MINC 1)", CONVERT)
    } else if begins(b"MATLAB 5.0") {
        ("MATLAB", CONVERT)
    } else if begins(b"\x93NUMPY") {
        (
            "a NumPy array",
            "it says nothing of where its voxels are; save it as NIfTI with its affine",
        )
    } else if begins(&[0, 0, 0, 1, 0, 0]) {
        ("FreeSurfer MGH", "give it a name ending in .mgh or .mgz")
    } else if start.get(128..132) == Some(b"DICM") || dicom_without_preamble(start) {
        ("one DICOM image", SERIES)
    } else if begins(b"\x89PNG") || begins(b"\xff\xd8\xff") || begins(b"II*\0") || begins(b"MM\0*") {
        ("a picture (PNG, JPEG or TIFF)", "a scan is needed")
    } else if words.starts_with("version https://git-lfs") {
        ("a Git LFS pointer", FETCH)
    } else if text.contains("/annex/objects/") {
        ("a git-annex pointer", FETCH)
    } else if words.starts_with("<!doctype html") || words.starts_with("<html") {
        (
            "a web page",
            "the download gave a page (a login?) in place of the file; fetch it again",
        )
    } else if words.starts_with("<?xml") {
        ("XML", "an error message of a download? fetch it again")
    } else if words.starts_with('{') {
        ("JSON", "name the scan, not the file beside it")
    } else {
        return None;
    })
}

/// Older files start with their first element.
fn dicom_without_preamble(start: &[u8]) -> bool {
    let [a, b, c, 0, vr @ ..] = start else {
        return false;
    };
    matches!((a, b), (2 | 8, 0)) && *c < 0x20 && {
        let typed = matches!(vr, [x, y, ..] if x.is_ascii_uppercase() && y.is_ascii_uppercase());
        typed || matches!(vr, [length, 0, 0, 0, ..] if length % 2 == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_by_their_first_bytes() {
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM");
        let cases: [(&[u8], &str); 12] = [
            (b"BZh91AY", "bzip2"),
            (b"\x28\xb5\x2f\xfd", "zst"),
            (b"PK\x03\x04", "zip"),
            (b"NRRD0004\n", "NRRD"),
            (b"ObjectType = Image\n", "MetaImage"),
            (&dicom, "one DICOM image"),
            (b"\x08\0\x05\0CS\x0a\0", "one DICOM image"),
            (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
            (b"/annex/objects/MD5E-s1--0.nii.gz\n", "git-annex"),
            (b"\n<!DOCTYPE html><html>", "web page"),
            (b"{\"a\": 1}", "JSON"),
            (b"\x89HDF\r\n", "HDF5"),
        ];
        for (start, name) in cases {
            let (kind, _) = foreign(start).unwrap_or_else(|| panic!("{name}"));
            assert!(kind.contains(name), "{kind}");
        }
        // The first bytes of a NIfTI-1 header with a damaged size.
        assert_eq!(foreign(&[0x5d, 1, 0, 0, 0, 0]), None);
    }
}
