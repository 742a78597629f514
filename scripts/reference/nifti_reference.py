"""Golden NIfTI files for `crates/voxelift-volume/tests/nifti/reference.rs`, with what nibabel reads from them.

Needs: numpy, nibabel. Writes `crates/voxelift-volume/tests/golden/nifti/` (a few kB of files, 2x3x4 voxels each) and
`nifti.json` beside it, and, given `--data FOLDER`, sum and CRC-32 (of float32 voxels, x
fastest) of the real scans there as `nifti_scans.json`.

    python scripts/reference/nifti_reference.py [--data ../shared/data]

Each entry of `nifti.json` has the file, and either `refused` (by nibabel too, checked here) or shape, affine (nibabel's
best affine) and voxels (scaled in float64, rounded to float32; what is not finite as 0, by our `--nan zero`).
`warns` is a word that our warnings must hold, none where it is null.
"""

import argparse
import gzip
import json
import struct
import warnings
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "crates/voxelift-volume/tests/golden"
OUT = GOLDEN / "nifti"
SHAPE = (2, 3, 4)
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]

# A rotation about an oblique axis, with anisotropic voxels.
OBLIQUE = nib.quaternions.quat2mat([0.9, 0.1, -0.2, 0.374165738677394]) @ np.diag([0.8, 0.9, 1.2])
AFFINE = np.vstack([np.column_stack([OBLIQUE, [-10.0, 20.0, 5.5]]), [0, 0, 0, 1]])
LEFT_HANDED = AFFINE @ np.diag([-1.0, 1.0, 1.0, 1.0])


def values(dtype, shape=SHAPE):
    """Voxels that reach the ends of the type."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    if dtype.kind == "f":
        v = np.linspace(-3.25, 1e4, count) ** 3
    else:
        info = np.iinfo(dtype)
        v = np.linspace(info.min / 2, info.max / 2, count).astype(dtype)
        v[[0, -1]] = info.min, info.max
    return v.astype(dtype).reshape(shape, order="F")


def image(data, affine=AFFINE, big=False, cls=nib.Nifti1Image, sform=1, qform=1):
    header = cls.header_class(endianness=">" if big else "<")
    header.set_data_dtype(data.dtype)
    img = cls(data, None, header)
    img.header.set_xyzt_units("mm", "sec")
    img.set_sform(affine, sform)
    img.set_qform(affine, qform)
    return img


def raw(img):
    return bytearray(img.to_bytes())


def patch(data, offset, fmt, *numbers):
    struct.pack_into(fmt, data, offset, *numbers)
    return data


def torture():
    """(name, bytes of each file, word of the warning)."""
    for dtype in TYPES:
        for big in (False, True):
            word = "rounded" if dtype in ("uint32", "int32", "uint64", "int64") else None
            yield f"{dtype}_{'be' if big else 'le'}.nii", raw(image(values(dtype), big=big)), word
    i16 = image(values("int16"))
    for big in (False, True):
        yield f"nifti2_{'be' if big else 'le'}.nii", raw(image(values("int16"), big=big, cls=nib.Nifti2Image)), None

    # Containers.
    plain = bytes(raw(i16))
    yield "one.nii.gz", gzip.compress(plain, mtime=0), None
    members = b"".join(gzip.compress(plain[at : at + 100], mtime=0) for at in range(0, len(plain), 100))
    yield "members.nii.gz", members, None
    yield "padded.nii.gz", members + bytes(700), None
    yield "misnamed_gzip.nii", gzip.compress(plain, mtime=0), "gzip"
    yield "misnamed_plain.nii.gz", plain, "gzip"
    yield "trailing.nii", plain + b"left over", "9 bytes"

    # Offsets and extensions.
    yield "offset.nii", patch(bytearray(plain[:352] + bytes(64) + plain[352:]), 108, "<f", 416.0), None
    extended = image(values("int16"))
    extended.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a comment of some length"))
    extended.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x"))
    yield "extended.nii", raw(extended), None

    # Scaling.
    yield "scaled.nii", patch(raw(i16), 112, "<2f", 0.3, -7.5), None
    yield "scaled_float.nii", patch(raw(image(values("float32"))), 112, "<2f", 2.0, 1.0), None
    yield "scaled_negative.nii", patch(raw(image(values("uint8"))), 112, "<2f", -0.1, 3.0), None
    yield "slope_zero.nii", patch(raw(i16), 112, "<2f", 0.0, 7.0), None
    yield "slope_nan.nii", patch(raw(i16), 112, "<2f", float("nan"), 7.0), "scl_slope"
    yield "slope_inf.nii", patch(raw(i16), 112, "<2f", float("inf"), 0.0), "scl_slope"
    odd = values("float32").copy()
    odd[0, 0, 0], odd[1, 2, 3], odd[1, 0, 1] = np.nan, np.inf, -np.inf
    yield "not_finite.nii", raw(image(odd)), "3 places"

    # Placement.
    yield "sform.nii", raw(image(values("int16"), qform=0)), None
    yield "qform.nii", raw(image(values("int16"), sform=0)), None
    yield "uncoded.nii", raw(image(values("int16"), sform=0, qform=0)), "left and right"
    yield "left_handed.nii", raw(image(values("int16"), LEFT_HANDED)), None
    yield "left_handed_qform.nii", raw(image(values("int16"), LEFT_HANDED, sform=0)), None
    half_turn = np.diag([-1.0, -1.0, 2.0, 1.0])
    yield "half_turn_qform.nii", raw(image(values("int16"), half_turn, sform=0)), None
    near = nib.quaternions.quat2mat([3e-3, 0.3, 0.9539, 0.0]) @ np.diag([1.0, 1.0, 2.0])
    near = np.vstack([np.column_stack([near, [1, 2, 3]]), [0, 0, 0, 1]])
    yield "near_half_turn.nii", raw(image(values("int16"), near)), None
    yield "near_half_turn_qform.nii", raw(image(values("int16"), near, sform=0)), None
    sheared = AFFINE.copy()
    sheared[0, 1] += 0.2
    two = image(values("int16"), AFFINE)
    two.set_sform(sheared, 2)
    yield "sform_differs.nii", raw(two), "differ"
    yield "qfac_zero.nii", patch(raw(image(values("int16"), sform=0)), 76, "<f", 0.0), "qfac"
    yield "qform_damaged.nii", patch(raw(i16), 256, "<f", 2.0), "dropped"
    uncoded = image(values("int16"), sform=0, qform=0)
    yield "pixdim_signs.nii", patch(raw(uncoded), 80, "<3f", -0.5, 0.0, 2.0), "pixdim[2]"
    yield "bitpix.nii", patch(raw(i16), 72, "<h", 8), "bitpix"

    # Axes.
    for shape in [(5,), (3, 4), (2, 3, 4, 3), (2, 3, 4, 1), (1, 3, 1, 1, 2), (2, 1, 2, 2, 1, 1, 2)]:
        name = "x".join(map(str, shape))
        yield f"axes_{name}.nii", raw(image(values("int16", shape), sform=1)), None

    # Refused.
    rgb = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    yield "refused_rgb.nii", raw(image(rgb)), "RGB24"
    yield "refused_complex.nii", raw(image(values("float32").astype("complex64"))), "complex64"
    yield "refused_dim.nii", patch(raw(i16), 44, "<h", -3), "dim[2]"
    yield "refused_magic.nii", patch(raw(i16), 344, "<4s", b"n+3\0"), "magic"
    yield "refused_offset.nii", patch(raw(i16), 108, "<f", 100.0), "vox_offset"
    yield "refused_inter.nii", patch(raw(i16), 112, "<2f", 2.0, float("nan")), "scl_inter"
    yield "refused_short.nii", plain[:-1], "voxel data"
    packed = gzip.compress(plain, mtime=0)
    yield "refused_short.nii.gz", packed[:-12], "gzip stream"
    crc = bytearray(packed)
    crc[-6] ^= 1
    yield "refused_crc.nii.gz", bytes(crc), "gzip stream"
    length = bytearray(packed)
    length[-1] ^= 1
    yield "refused_length.nii.gz", bytes(length), "gzip stream"


# nibabel drops the imaginary part, with a warning.
NIBABEL_READS = {"refused_complex.nii"}


def expected(path, word):
    entry = {"file": path.name, "warns": word}
    if path.name.startswith("refused_"):
        try:
            nib.load(path).get_fdata()
            assert path.name in NIBABEL_READS, f"nibabel reads {path}"
        except Exception:
            assert path.name not in NIBABEL_READS, f"nibabel refuses {path}"
        return entry | {"refused": word}
    # What is gzip by content and not by name nibabel leaves to the caller.
    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    cls = nib.Nifti2Image if b"n+2" in content[:16] else nib.Nifti1Image
    if path.suffix in (".hdr", ".img"):
        img = nib.load(path)
    else:
        img = cls.from_bytes(content)
    voxels = np.asarray(img.get_fdata(dtype=np.float64)).astype(np.float32)
    voxels[~np.isfinite(voxels)] = 0
    affine = img.affine if len(img.shape) >= 3 else img.header.get_best_affine()
    return entry | {
        "shape": list(img.shape),
        "affine": [list(map(float, row)) for row in affine[:3]],
        "voxels": [float(v) for v in voxels.ravel(order="F")],
        "datatype": img.get_data_dtype().newbyteorder("=").name,
        "sform_code": int(img.header["sform_code"]),
        "qform_code": int(img.header["qform_code"]),
    }


def scans(folder):
    for path in sorted(Path(folder).glob("*/*/*.nii.gz")):
        img = nib.load(path)
        voxels = img.get_fdata(dtype=np.float64).astype("<f4").ravel(order="F")
        yield {
            "file": str(path.relative_to(folder)),
            "shape": list(img.shape),
            "affine": [list(map(float, row)) for row in img.affine[:3]],
            "sum": float(voxels.sum(dtype=np.float64)),
            "crc32": zlib.crc32(voxels.tobytes()),
        }


def write_json(path, entries):
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    path.write_text(f"[\n{lines}\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with real scans, as FOLDER/*/*/*.nii.gz")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    nib.imageglobals.logger.disabled = True
    OUT.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, content, word in torture():
        (OUT / name).write_bytes(content)
        entries.append(expected(OUT / name, word))
    for name in ("pair.hdr", "pair_gz.hdr.gz"):
        pair = nib.Nifti1Pair(values("int16"), AFFINE)
        pair.set_qform(AFFINE, 1)
        pair.header.set_xyzt_units("mm", "sec")
        nib.save(pair, OUT / name)
        for half in (OUT / name, OUT / name.replace("hdr", "img")):
            if half.suffix == ".gz":
                half.write_bytes(gzip.compress(gzip.decompress(half.read_bytes()), mtime=0))
            entries.append(expected(half, None) if half.suffix != ".gz" else expected_pair(half))
    write_json(GOLDEN / "nifti.json", entries)
    if arguments.data:
        write_json(GOLDEN / "nifti_scans.json", scans(arguments.data))


def expected_pair(half):
    """A packed half says what the plain pair of the same voxels says."""
    plain = OUT / "pair.hdr"
    return expected(plain, None) | {"file": half.name}


if __name__ == "__main__":
    main()
