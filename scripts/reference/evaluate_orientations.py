"""`voxelift evaluate` on all 48 storage orders of one image, against nibabel's resampling of it onto the reference.

Needs: numpy, nibabel, scipy.

    python scripts/reference/evaluate_orientations.py [--voxelift target/release/voxelift]

The image and a mask are stored in each of the 48 orders by nibabel, oblique in the world. PSNR and NRMSE, whole and masked, must
be those that numpy computes of `nibabel.processing.resample_from_to(image, reference, order=0)`, and SSIM that of the order
that the reference has. Exits with 1 where one differs.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to


def scores(program, folder, mask):
    arguments = [program, "-q", "evaluate", "--reference", folder / "ref.nii.gz", "--image", folder / "image.nii.gz", "--json", "-"]
    said = subprocess.run([*arguments, "--mask", mask], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def expected(reference, image, mask):
    """PSNR and NRMSE of voxels, by their definitions: range of the reference, norm of the reference."""
    error = image - reference
    found = {}
    for region, where in (("whole", np.ones_like(mask)), ("masked", mask)):
        mse = np.mean(error[where] ** 2)
        span = reference.max() - reference.min()
        norm = np.sqrt(np.mean(reference[where] ** 2))
        found[region] = (10 * np.log10(span**2 / mse), np.sqrt(mse) / norm)
    return found


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--voxelift", default="target/release/voxelift")
    program = arguments.parse_args().voxelift
    draw = np.random.default_rng(5)
    shape = (40, 44, 36)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    head = np.where((axes[0] / 0.8) ** 2 + axes[1] ** 2 + (axes[2] / 0.9) ** 2 < 0.8, 600 + 200 * np.sin(5 * axes[0] + axes[1]), 0)
    head = np.round(head + 50 * draw.random(shape)).astype(np.float32)
    affine = np.array([[1.1, 0.1, 0, -20], [-0.11, 1.0, 0.05, -22], [0, -0.06, 1.3, -18], [0, 0, 0, 1]])
    reference = nib.Nifti1Image(head, affine)
    wrong = head + draw.normal(0, 20, shape).astype(np.float32) * (axes[0] > 0.1) + 30 * (axes[2] > 0.5)
    image = nib.Nifti1Image(np.round(wrong).astype(np.float32), affine)
    mask = nib.Nifti1Image(((head > 300) & (axes[1] > -0.3)).astype(np.uint8), affine)
    first, worst = None, 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        nib.save(reference, folder / "ref.nii.gz")
        for order in itertools.permutations(range(3)):
            for signs in itertools.product((1, -1), repeat=3):
                turned = np.array(list(zip(order, signs)))
                stored, stored_mask = image.as_reoriented(turned), mask.as_reoriented(turned)
                nib.save(stored, folder / "image.nii.gz")
                nib.save(stored_mask, folder / "mask.nii.gz")
                # Not the default mode: rounding puts edge voxels a hair outside, and they would be 0.
                there = resample_from_to(stored, reference, order=0, mode="nearest")
                there_mask = resample_from_to(stored_mask, reference, order=0, mode="nearest")
                found = scores(program, folder, folder / "mask.nii.gz")
                wanted = expected(head.astype(float), there.get_fdata(), there_mask.get_fdata() > 0)
                first = first or found
                pairs = [
                    (found["psnr_db"], wanted["whole"][0]),
                    (found["masked"]["psnr_db"], wanted["masked"][0]),
                    (found["nrmse"], wanted["whole"][1]),
                    (found["masked"]["nrmse"], wanted["masked"][1]),
                    (found["ssim"], first["ssim"]),
                    (found["masked"]["ssim"], first["masked"]["ssim"]),
                ]
                apart = max(abs(ours - theirs) for ours, theirs in pairs)
                worst = max(worst, apart)
                if apart > 1e-4:
                    print("BROKEN", nib.aff2axcodes(stored.affine), pairs)
    print(f"48 orders: PSNR {first['psnr_db']:.3f} dB, masked {first['masked']['psnr_db']:.3f} dB; largest difference {worst:.1e}")
    return 1 if worst > 1e-4 else 0


if __name__ == "__main__":
    sys.exit(main())
