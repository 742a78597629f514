"""Times `voxelift degrade` and `voxelift evaluate` beside what the field would write in Python, on one head.

    cargo build --release
    python scripts/reference/bench_numpy.py HEAD.nii.gz [--rounds 3]

Ours is the whole command, files and start-up included. Python's side is timed twice: as a command too, and inside a
running interpreter with everything imported. `degrade` is NumPy's transforms between nibabel's reading and writing,
`evaluate` the libraries that the golden numbers of `metrics_golden.py` come from, each score once, whole and masked.
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
    import metrics_golden as golden

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
    parser.add_argument("--only", default="", help="degrade or evaluate")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        name, other = args.alone
        return {"degrade": degrade, "evaluate": evaluate}[name](args.head, other)
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
                folder / "numpy.nii.gz",
            ),
            "evaluate": (
                lambda: ours("evaluate", "--reference", args.head, "--image", zero_fill, "--json", "-"),
                lambda: evaluate(args.head, zero_fill),
                zero_fill,
            ),
        }
        print(f"{'command':10} {'ours s':>8} {'python s':>9} {'times':>6} {'as a command s':>15} {'times':>6}")
        for name, (mine, theirs, other) in cases.items():
            if args.only not in name:
                continue
            command = [sys.executable, __file__, args.head, "--alone", name, str(other)]
            whole = lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rounds = [(seconds(mine), seconds(theirs), seconds(whole)) for _ in range(args.rounds)]
            a, b, c = (statistics.median(side) for side in zip(*rounds))
            inside, outside = (statistics.median(r[i] / r[0] for r in rounds) for i in (1, 2))
            print(f"{name:10} {a:8.2f} {b:9.2f} {inside:6.1f} {c:15.2f} {outside:6.1f}", flush=True)
        if not np.allclose(
            nibabel.load(lr).get_fdata(), nibabel.load(folder / "numpy.nii.gz").get_fdata(), atol=1e-2
        ):
            sys.exit("the two degraded volumes differ")


if __name__ == "__main__":
    main()
