"""Whether nibabel and SimpleITK see in our files what we meant: voxels, affine, codes, and a clean header.

Needs: numpy, nibabel, SimpleITK. Run by `crates/voxelift-volume/tests/nifti/reference.rs` on a folder that it fills:

    python scripts/reference/nifti_written.py FOLDER

`FOLDER/manifest.json` lists file, shape, affine, codes and voxels (as we read them back).
"""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

# A float32 header near the scanner's edge of the world.
MM = 1e-4
# What a float32 quaternion near a half turn can hold (three epsilons under a root), times a head's 10 mm here.
QFORM_MM = 1e-2


def check(folder, case):
    path = folder / case["file"]
    image = nib.load(path)
    assert list(image.shape) == case["shape"], image.shape
    voxels = np.asarray(case["voxels"], dtype=np.float32)
    ours = image.get_fdata(dtype=np.float64).astype(np.float32).ravel(order="F")
    assert np.array_equal(ours, voxels), "nibabel sees other voxels"
    only_qform = case["sform_code"] == 0
    near = QFORM_MM if only_qform else MM
    affine = np.vstack([case["affine"], [0, 0, 0, 1]])
    assert np.abs(image.affine - affine).max() < near, image.affine
    header = image.header
    assert int(header["sform_code"]) == case["sform_code"] and int(header["qform_code"]) == case["qform_code"]
    if case["qform_code"]:
        assert np.abs(header.get_qform() - affine).max() < QFORM_MM, header.get_qform()
    assert header.get_xyzt_units() == ("mm", "sec")
    log = header.diagnose_binaryblock(header.binaryblock, endianness="<")
    assert not log, log

    # ITK reads NIfTI-1 only (5.4: it refuses nibabel's NIfTI-2 files as it does ours).
    if isinstance(image, nib.Nifti2Image):
        return
    itk = sitk.ReadImage(str(path))
    seen = sitk.GetArrayFromImage(itk).astype(np.float32).ravel()
    assert np.allclose(seen, voxels, rtol=1e-6, atol=1e-6), "SimpleITK sees other voxels"
    # ITK's world is LPS: x and y change sign.
    flip = np.array([-1.0, -1.0, 1.0])
    for index in np.ndindex(2, 2, 2):
        corner = [int(k * (n - 1)) for k, n in zip(index, case["shape"][:3])]
        itk_corner = corner + [0] * (itk.GetDimension() - 3)
        place = np.array(itk.TransformIndexToPhysicalPoint(itk_corner))[:3] * flip
        world = (affine @ [*corner, 1])[:3]
        assert np.abs(place - world).max() < near, f"SimpleITK puts {corner} at {place}, not {world}"


def main():
    folder = Path(sys.argv[1])
    wrong = []
    for case in json.loads((folder / "manifest.json").read_text()):
        try:
            check(folder, case)
        except Exception as error:
            wrong.append(f"{case['file']}: {type(error).__name__}: {error}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
