"""Times `voxelift degrade` and `voxelift evaluate` beside what the field would write in Python, on one head.

    cargo build --release
    python scripts/reference/bench_numpy.py HEAD.nii.gz [--rounds 3]

Ours is the whole command, files and start-up included. Python's side is inside a running interpreter with everything
imported: `degrade` is NumPy's transforms between nibabel's reading and writing, `evaluate` the libraries that the
golden numbers of `metrics_golden.py` come from, each score once, whole and masked.
Needs numpy, scipy, scikit-image, scikit-learn, nibabel, torch, pytorch-msssim and piq.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np

import metrics_golden as golden

BINARY = Path("target/release/voxelift")


def degrade(source, target):
    """k-space truncation by 2 on the field-of-view grid, as METHOD's formula reads."""
    image = nibabel.load(source)
    spectrum = np.asarray(image.dataobj, dtype=np.float64)
    spectrum = np.fft.fftn(np.pad(spectrum, [(0, n % 2) for n in spectrum.shape]))
    for axis, n in enumerate(spectrum.shape):
        m = n // 2
        k = np.fft.fftfreq(m, 1 / m).astype(int)
        spectrum = np.take(spectrum, k % n, axis=axis)
        phase = np.exp(1j * np.pi * k / n) * (m / n)
        phase[(k == -m // 2) & (m % 2 == 0)] = 0
        spectrum = spectrum * phase.reshape([-1 if a == axis else 1 for a in range(3)])
    affine = image.affine @ np.diag([2, 2, 2, 1])
    affine[:3, 3] = nibabel.affines.apply_affine(image.affine, [0.5] * 3)
    nibabel.save(nibabel.Nifti1Image(np.fft.ifftn(spectrum).real.astype(np.float32), affine), target)


def evaluate(reference, image):
    load = lambda path: np.asarray(nibabel.load(path).dataobj, dtype=np.float32).T
    r, x = load(reference), load(image)
    mask = r > 0.05 * np.percentile(r, 99.5)
    golden.fidelity(r, x, mask)
    golden.structure(r, x, mask)
    golden.ms_ssim(r, x, 4)
    golden.perceptual(r, x, mask)
    golden.hfen(r, x, mask)
    golden.spectral(r, x, mask, (1, 1, 1), tuple(n // 2 for n in r.shape))
    golden.tissue(r, x, mask)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("head")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    import piq, pytorch_msssim, scipy, skimage, sklearn, torch  # noqa: F401, E401  imported before the clock starts

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        lr, zero_fill = folder / "lr.nii.gz", folder / "zero-fill.nii.gz"

        def ours(*words):
            subprocess.run([BINARY, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        ours("degrade", args.head, lr)
        ours("upscale", lr, "-o", zero_fill, "--method", "zero-fill", "--like", args.head)
        cases = {
            "degrade": (
                lambda: ours("degrade", args.head, lr, "--force"),
                lambda: degrade(args.head, folder / "numpy.nii.gz"),
            ),
            "evaluate": (
                lambda: ours("evaluate", "--reference", args.head, "--image", zero_fill, "--json", "-"),
                lambda: evaluate(args.head, zero_fill),
            ),
        }
        print(f"{'command':10} {'ours s':>8} {'python s':>9} {'times faster':>13}")
        for name, (mine, theirs) in cases.items():
            pairs = [(seconds(mine), seconds(theirs)) for _ in range(args.rounds)]
            a, b = (statistics.median(side) for side in zip(*pairs))
            print(f"{name:10} {a:8.2f} {b:9.2f} {statistics.median(t / o for o, t in pairs):13.1f}", flush=True)
        if not np.allclose(
            nibabel.load(lr).get_fdata(), nibabel.load(folder / "numpy.nii.gz").get_fdata(), atol=1e-2
        ):
            sys.exit("the two degraded volumes differ")


if __name__ == "__main__":
    main()
