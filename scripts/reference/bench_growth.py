"""How time and memory of `voxelift` grow: with the size of a scan, the width of the network, the threads, and the scans of a cohort.

    cargo build --release
    python scripts/reference/bench_growth.py [--binary target/release/voxelift] [--parts upscale,head,cohort]

`upscale`: four sizes of a synthetic scan, four widths of a network that has learned nothing (2 groups of 4 blocks), three numbers of threads, soft
consistency as by default; seconds of the whole command and the most memory that it held. `head`: a scan of 180^3 voxels of 1 mm to 360^3 of 0.5 mm, and
one of 360^3 voxels of 0.5 mm as far as 4 GiB go. `cohort`: 1000 synthetic heads trained through `data.cache`, then gone on with. Needs numpy and nibabel.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from watched import watched

CONFIG = """
mode = "supervised"
steps = 2
[data]
hr = ["phantom:1-2"]
source_operator = "kspace"
phantom = {{ extent = [64, 64, 64], spacing_mm = 3.0 }}
[patch]
size = 12
batch = 2
[network]
n_feats = {feats}
n_resgroups = 2
n_resblocks = 4
"""
COHORT = """
mode = "supervised"
steps = 20
[data]
hr = ["phantom:1-{scans}"]
source_operator = "kspace"
cache = "cache"
phantom = {{ extent = [64, 72, 64], spacing_mm = 3.0 }}
[patch]
size = 12
batch = 8
[network]
n_feats = 16
n_resgroups = 2
n_resblocks = 2
"""


def head(side, spacing, path):
    """A skull-stripped head of smooth noise in three tissues."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in side]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    radius = np.sqrt((z / 0.8) ** 2 + (y / 0.9) ** 2 + (x / 0.75) ** 2)
    folds = np.sin(9 * z + 4 * y) * np.sin(11 * y - 3 * x) * np.sin(10 * x + 5 * z)
    tissue = np.select([radius > 1, radius > 0.9 + 0.05 * folds, folds > 0.05], [0, 300, 900], 600).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal(tissue.shape, dtype=np.float32)
    image = np.where(radius > 1, 0, tissue + 10 * noise).clip(0).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, np.diag([spacing] * 3 + [1])), path)
    return path


def model(binary, folder, feats):
    """The file of a network of this width after two steps."""
    config = folder / f"net-{feats}.toml"
    config.write_text(CONFIG.format(feats=feats))
    _, _, code, said = watched(binary, "train", config, "--run", folder / f"run-{feats}", "--device", "cpu", "-q")
    if code != 0:
        sys.exit(f"training a network of {feats} features ended with {code}: {said}")
    return folder / f"run-{feats}" / "model.safetensors"


def upscale(binary, folder):
    scans = [head([side] * 3, 2.0, folder / f"scan-{side}.nii.gz") for side in (40, 56, 80, 112)]
    print(f"{'features':>8} {'threads':>7} {'voxels':>9} {'seconds':>8} {'us/voxel':>8} {'MiB':>6} {'bytes/voxel':>11}")
    for feats in (8, 16, 32, 64):
        weights = model(binary, folder, feats)
        for threads in (1, 2, 4):
            for scan in scans:
                words = ("upscale", scan, "-o", folder / "sr.nii.gz", "--model", weights, "--force", "--allow-out-of-range")
                took, held, code, said = watched(binary, "--threads", threads, *words)
                if code != 0:
                    sys.exit(f"{words} ended with {code}: {said}")
                voxels = np.prod(nibabel.load(scan).shape)
                per = f"{took / voxels * 1e6:8.2f} {held:6.0f} {held * 2**20 / voxels:11.0f}"
                print(f"{feats:8} {threads:7} {voxels:9} {took:8.2f} {per}", flush=True)


def whole_head(binary, folder):
    for side, spacing in ((180, 1.0), (360, 0.5)):
        scan = head([side] * 3, spacing, folder / "head.nii.gz")
        words = ("upscale", scan, "-o", folder / "sr.nii.gz", "--force", "--memory", "4G")
        took, held, code, said = watched(binary, *words)
        made = nibabel.load(folder / "sr.nii.gz").shape if code == 0 else "no"
        print(f"{side}^3 of {spacing} mm with --memory 4G: exit code {code}, {took:.1f} s, {held:.0f} MiB, {made} voxels\n{said}", flush=True)


def cohort(binary, folder, scans):
    (folder / "cohort.toml").write_text(COHORT.format(scans=scans))
    for what, more in (("first", []), ("gone on with", ["--set", "steps=40"])):
        words = ("train", folder / "cohort.toml", "--run", folder / "cohort", "--device", "cpu", *more)
        took, held, code, said = watched(binary, *words)
        cache = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file()) / 2**20
        print(f"cohort of {scans}, {what}: exit code {code}, {took:.1f} s, {held:.0f} MiB, cache of {cache:.0f} MiB\n{said[-600:]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/voxelift"))
    parser.add_argument("--parts", default="upscale,head,cohort")
    parser.add_argument("--scans", type=int, default=1000)
    args = parser.parse_args()
    binary = args.binary.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for part in args.parts.split(","):
            {"upscale": upscale, "head": whole_head, "cohort": lambda *at: cohort(*at, args.scans)}[part](binary, folder)


if __name__ == "__main__":
    main()
