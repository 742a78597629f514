"""A torture set of scans, and what nibabel and SimpleITK make of each.

Needs: numpy, nibabel, SimpleITK. Run by `crates/voxelift-volume/tests/nifti/torture.rs` on a folder of its own:

    python scripts/reference/nifti_torture.py FOLDER [SEED]

Writes some 700 files and `manifest.json`, an entry a file: `kind`, and either `refused` (nibabel's words) or shape, affine
(nibabel's best) and CRC-32 of the voxels (scaled in float64, rounded to float32, what is not finite as 0, x fastest), and
where SimpleITK reads it too `itk_corners` (RAS) and whether its voxels are `itk_close` to nibabel's: it scales in
float32, and adds the intercept to a slope of 0 or NaN, where neither the standard nor nibabel does (null there).
"""

import gzip
import itertools
import json
import struct
import sys
import warnings
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
CONTAINERS = [".nii", ".nii.gz", ".hdr", ".hdr.gz"]


def orientations():
    """The 48 ways to lay axes along the body's, as 3x3 matrices."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product([1.0, -1.0], repeat=3):
            matrix = np.zeros((3, 3))
            for axis, (world, sign) in enumerate(zip(order, signs)):
                matrix[world, axis] = sign
            yield matrix


def rotation(random):
    q, r = np.linalg.qr(random.normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def affine(random, matrix):
    out = np.eye(4)
    out[:3, :3] = matrix @ np.diag(random.uniform(0.4, 4.0, 3))
    out[:3, 3] = random.uniform(-200, 200, 3)
    return out


def values(random, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (random.normal(size=shape) * 10.0 ** random.integers(-3, 6)).astype(dtype)
    info = np.iinfo(dtype)
    # float64 cannot tell the largest 64-bit integers apart, and nibabel scales in it.
    limit = min(info.max, 2**52)
    return random.integers(max(info.min, -limit), limit, size=shape, endpoint=True, dtype=dtype)


def image(data, placed, version=1, big=False, sform=1, qform=1, pair=False):
    classes = {(1, False): nib.Nifti1Image, (1, True): nib.Nifti1Pair, (2, False): nib.Nifti2Image, (2, True): nib.Nifti2Pair}
    cls = classes[version, pair]
    header = cls.header_class(endianness=">" if big else "<")
    header.set_data_dtype(data.dtype)
    made = cls(data, None, header)
    made.header.set_xyzt_units("mm", "sec")
    made.set_sform(placed, sform)
    made.set_qform(placed, qform)
    return made


def shape(random):
    axes = random.integers(3, 6)
    return tuple(int(n) for n in random.choice([1, 2, 3, 4, 5], size=axes))


def files(folder, random):
    """(path, kind) of each file, written."""
    matrices = list(orientations())
    # A stem each: ITK takes `a.nii` for `a.nii.gz` where both are there.
    for k, (dtype, version, big, ending) in enumerate(itertools.product(TYPES, (1, 2), (False, True), CONTAINERS)):
        path = folder / f"type_{k}_{dtype}_{version}_{'be' if big else 'le'}{ending}"
        placed = affine(random, matrices[random.integers(48)])
        made = image(values(random, dtype, shape(random)), placed, version, big, pair=".hdr" in ending)
        if random.random() < 0.5:
            made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", bytes(random.integers(1, 90))))
        nib.save(made, path)
        yield path, "type"
    for k, matrix in enumerate(matrices):
        for sform, qform in ((1, 1), (0, 1), (3, 0)):
            path = folder / f"orientation_{k}_{sform}{qform}.nii"
            nib.save(image(values(random, "int16", (3, 4, 5)), affine(random, matrix), sform=sform, qform=qform), path)
            yield path, "orientation"
    for k in range(60):
        placed = affine(random, rotation(random))
        path = folder / f"oblique_{k}.nii.gz"
        sform, qform = ((1, 1), (0, 2), (4, 0))[k % 3]
        nib.save(image(values(random, "int16", (4, 5, 3)), placed, 1 + k % 2, sform=sform, qform=qform), path)
        yield path, "oblique"
    for k in range(12):
        placed = affine(random, rotation(random))
        placed[:3, 1] += 0.3 * placed[:3, 0]
        path = folder / f"sheared_{k}.nii"
        nib.save(image(values(random, "int16", (4, 5, 3)), placed, 1 + k % 2, qform=0), path)
        yield path, "sheared"
    slopes = [(0.5, 3.0), (-0.25, 0.0), (1e-3, -17.0), (0.0, 5.0), (float("nan"), 5.0), (float("inf"), 0.0), (3.7, 1e4)]
    for dtype, (k, (slope, inter)) in itertools.product(TYPES, enumerate(slopes)):
        data = bytearray(image(values(random, dtype, (4, 3, 2)), affine(random, rotation(random))).to_bytes())
        struct.pack_into("<2f", data, 112, slope, inter)
        path = folder / f"scaled_{dtype}_{k}.nii"
        path.write_bytes(data)
        yield path, "scaled"
    for k in range(10):
        data = image(values(random, "int16", (6, 5, 4)), affine(random, rotation(random))).to_bytes()
        cuts = sorted(random.integers(0, len(data), size=3))
        parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
        path = folder / f"members_{k}.nii.gz"
        path.write_bytes(b"".join(gzip.compress(part, mtime=0) for part in parts) + bytes(k))
        yield path, "members"
    for k in range(10):
        data = bytearray(image(values(random, "int16", (6, 5, 4)), affine(random, rotation(random))).to_bytes())
        gap = int(16 * random.integers(1, 20))
        struct.pack_into("<f", data, 108, 352.0 + gap)
        path = folder / f"offset_{k}.nii"
        path.write_bytes(bytes(data[:352]) + bytes(gap) + bytes(data[352:]))
        yield path, "offset"
    for k, (dtype, ending) in enumerate(itertools.product(["uint8", "int16", "int32", "float32"], [".mgh", ".mgz"])):
        for n in range(4):
            placed = affine(random, rotation(random) if n % 2 else matrices[random.integers(48)])
            path = folder / f"mgh_{k}_{n}{ending}"
            extent = tuple(int(m) for m in random.integers(2, 6, size=3 + n // 2))
            nib.save(nib.MGHImage(values(random, dtype, extent), placed), path)
            yield path, "mgh"
    # One header byte of a good file changed: most are refused, some read otherwise, and never differently by us.
    for k in range(250):
        version = 1 + k % 2
        made = image(values(random, "int16", (4, 5, 3)), affine(random, rotation(random)), version, sform=k % 3, qform=1)
        data = bytearray(made.to_bytes())
        at = int(random.integers(0, 348 if version == 1 else 540))
        data[at] ^= int(1 << random.integers(0, 8))
        path = folder / f"damaged_{k}_{at}.nii"
        path.write_bytes(data)
        yield path, "damaged"


def crc(voxels):
    voxels = np.asarray(voxels, dtype=np.float64).astype("<f4")
    voxels[~np.isfinite(voxels)] = 0
    # Zero has one sign here.
    voxels += 0.0
    return zlib.crc32(voxels.tobytes())


def stray_intercept(path):
    """Whether a NIfTI-1 header has an intercept beside a slope that is 0 or no number."""
    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    order = "<" if content[:2] == b"\x5c\x01" else ">"
    slope, inter = struct.unpack_from(order + "2f", content, 112)
    return not (np.isfinite(slope) and slope != 0) and np.isfinite(inter) and inter != 0


def seen(path, kind):
    entry = {"file": path.name, "kind": kind}
    try:
        made = nib.load(path)
        voxels = made.get_fdata(dtype=np.float64)
        affine = made.affine if len(made.shape) >= 3 else made.header.get_best_affine()
        if isinstance(made, nib.MGHImage):
            # nibabel multiplies in float32.
            columns = made.header["Mdc"].T.astype(np.float64) * made.header["delta"].astype(np.float64)
            centre = made.header["Pxyz_c"].astype(np.float64) - columns @ made.header["dims"][:3] / 2
            assert np.allclose(affine[:3, 3], centre, atol=1e-4)
            affine = np.vstack([np.column_stack([columns, centre]), [0, 0, 0, 1]])
        if not np.isfinite(affine).all():
            raise ValueError("an affine that is not finite")
    except Exception as error:
        return entry | {"refused": f"{type(error).__name__}: {error}"}
    entry |= {
        "shape": [int(n) for n in made.shape],
        "affine": [list(map(float, row)) for row in affine[:3]],
        "crc32": crc(voxels.ravel(order="F")),
    }
    try:
        itk = sitk.ReadImage(str(path))
    except Exception:
        return entry
    if itk.GetDimension() < 3 or itk.GetNumberOfComponentsPerPixel() != 1:
        return entry
    corners = []
    for index in np.ndindex(2, 2, 2):
        at = [int(k * (n - 1)) for k, n in zip(index, made.shape[:3])]
        place = np.array(itk.TransformIndexToPhysicalPoint(at + [0] * (itk.GetDimension() - 3)))[:3]
        # ITK's world is LPS.
        corners.append([float(v) for v in place * [-1.0, -1.0, 1.0]])
    theirs = sitk.GetArrayFromImage(itk).astype(np.float64).ravel()
    close = bool(np.allclose(theirs, voxels.ravel(order="F"), rtol=1e-6, atol=1e-5 * np.abs(voxels).max()))
    return entry | {"itk_corners": corners, "itk_close": None if stray_intercept(path) else close}


def main():
    folder = Path(sys.argv[1])
    random = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    nib.imageglobals.logger.disabled = True
    sitk.ProcessObject_SetGlobalWarningDisplay(False)
    manifest = [seen(path, kind) for path, kind in files(folder, random)]
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
