#!/usr/bin/env python3
"""ECLARE 1.0.1 and `voxelift upscale --method self` side by side, both as processes on the same inputs.

    python scripts/reference/eclare.py --voxelift target/release/voxelift --data ../shared/data --work DIR
        [--factors 4] [--profiles gaussian] [--references NAME ...] [--arms told blind] [--patches N] [--gpu 0]
        [--simulator voxelift|eclare] [--gap 0.2] [--noise 0.01] [--crop 32]

ECLARE (GPL-3) is installed from PyPI into a virtual environment of its own under DIR and run through its command
`run-eclare`; nothing of it is imported or copied here. Each reference is degraded across its third axis by
`voxelift degrade`, or with `--simulator eclare` by the command `apply-degrade` that comes with ECLARE; then, for each arm:

* told: both sides are given the profile (`--relative-slice-thickness`, `--acquired slice:gaussian,MM`);
* blind: both estimate it (ESPRESO there, the calibration here).

Equal time: ours is run first and timed; ECLARE gets as many patches as fit into the same wall time, from a first run on
`--probe` patches; the share of its default of 1 000 000 is written beside the scores. `--patches` overrides that. Both run
on the processors that this process may use.

Scores are `voxelift evaluate`'s, in one mask for both (the reference above 5 % of its maximum), raw and after a
least-squares match of intensities (ECLARE clips to the input's range). A Gaussian blob is put through both first: where
its centroid moves, the difference in place is reported before any score.

What is known of ECLARE 1.0.1 and stated for fairness: its profile network runs 2000 steps of a schedule made for 8000, its
patches are padded with zeros, and it is not seeded. Of ours: one orientation is tested by the hold-out, and the
calibration of the profile is coarse.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import nibabel as nib
import numpy as np

DEFAULT_PATCHES = 1_000_000
BATCH = 128

REFERENCES = {
    "oasis-1003": "val/hr/oasis-malf1003_T1w_1mm_brain.nii.gz",
    "oasis-1009": "val/hr/oasis-malf1009_T1w_1mm_brain.nii.gz",
    "oasis-1023": "val/hr/oasis-malf1023_T1w_1mm_brain.nii.gz",
    "oasis-1101": "val/hr/oasis-malf1101_T1w_1mm_brain.nii.gz",
    "rorden-0.8mm": "train/hr/rorden-T1_0.8mm_brain.nii.gz",
    "M2307-T2w": "train/other/rorden-M2307_T2w_1mm_brain.nii.gz",
    "p07-FLAIR": "train/other/openms-p07_FLAIR_1mmMNI_brain.nii.gz",
    "p19-FLAIR": "val/other/openms-p19_FLAIR_1mmMNI_brain.nii.gz",
}


def eclare_command(work):
    """`run-eclare` of a virtual environment with ECLARE 1.0.1, made where it is missing."""
    home = work / "eclare-venv"
    command = home / "bin" / "run-eclare"
    if not command.exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", "eclare==1.0.1"], check=True)
    return command


def timed(arguments, log):
    """Runs a command, its words into a file; the wall time in seconds."""
    begin = time.monotonic()
    with open(log, "w") as out:
        done = subprocess.run([str(a) for a in arguments], stdout=out, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"{arguments[0]} failed with {done.returncode}; see {log}")
    return time.monotonic() - begin


def degrade(voxelift, reference, out, factor, profile, gap, noise, simulator=None):
    thickness = 1.0 - gap
    if simulator is not None:
        if profile != "gaussian" or noise:
            sys.exit("ECLARE's simulator makes Gaussian slices without noise here")
        distance = factor * float(nib.load(reference).header.get_zooms()[2])
        subprocess.run([str(a) for a in (simulator, "--in-fpath", reference, "--out-hr-fpath", out.with_suffix(".hr.nii.gz"),
                                         "--out-lr-fpath", out, "--axis", 2, "--slice-thickness", thickness * distance,
                                         "--slice-separation", distance, "--slice-profile", "gaussian", "--sizing-edge", "none")],
                       check=True, stdout=subprocess.DEVNULL)
        return thickness
    operator = f"kspace/kspace/slice:{profile},{thickness:g}"
    arguments = [voxelift, "-q", "degrade", reference, out, "--scale", f"1,1,{factor}", "--operator", operator]
    if noise:
        arguments += ["--noise", noise, "--seed", 1]
    subprocess.run([str(a) for a in arguments + ["--force"]], check=True, stdout=subprocess.DEVNULL)
    return thickness


def eclare(command, scan, folder, patches, thickness, profile, gpu):
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [command, "--in-fpath", scan, "--out-dir", folder, "--n-patches", patches, "--gpu-id", gpu]
    if thickness is not None:
        kind = "rect" if profile == "box" else profile
        arguments += ["--relative-slice-thickness", thickness, "--relative-slice-profile-type", kind]
    seconds = timed(arguments, folder / "log.txt")
    made = sorted(folder.rglob("*_eclare.nii*"))
    if len(made) != 1:
        sys.exit(f"expected one output of ECLARE under {folder}, found {made}")
    return made[0], seconds


def ours(voxelift, scan, out, thickness, profile, steps):
    distance = float(nib.load(scan).header.get_zooms()[2])
    arguments = [voxelift, "upscale", scan, "-o", out, "--method", "self", "--steps", steps, "--allow-no-gain", "--force"]
    if thickness is not None:
        arguments += ["--acquired", f"slice:{profile},{thickness * distance:g}"]
    return timed(arguments, out.with_suffix(".log"))


def on_grid(image, reference):
    """The first voxels of `image`, as many as the reference has; grids that differ otherwise are refused."""
    data, want = np.asarray(image.dataobj, dtype=np.float64), reference.shape
    offset = np.abs(image.affine @ [0, 0, 0, 1] - reference.affine @ [0, 0, 0, 1]).max()
    spacing = np.abs(np.array(image.header.get_zooms()[:3]) - reference.header.get_zooms()[:3]).max()
    if spacing > 0.02 or offset > 0.05 or any(a < b for a, b in zip(data.shape, want)):
        sys.exit(f"grids differ: {data.shape} {image.header.get_zooms()} against {want}, first voxel {offset:.3f} mm away")
    return data[tuple(slice(0, n) for n in want)]


def scored(voxelift, reference_path, image_path, work, name):
    """Scores raw and after a least-squares match, in one mask."""
    reference, image = nib.load(reference_path), nib.load(image_path)
    truth = np.asarray(reference.dataobj, dtype=np.float64)
    mask = truth > 0.05 * truth.max()
    data = on_grid(image, reference)
    slope, intercept = np.polyfit(data[mask], truth[mask], 1)
    mask_path = work / f"{name}-mask.nii.gz"
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), reference.affine), mask_path)
    scores = {}
    for kind, values in (("raw", data), ("matched", slope * data + intercept)):
        path = work / f"{name}-{kind}.nii.gz"
        nib.save(nib.Nifti1Image(values.astype(np.float32), reference.affine), path)
        arguments = [voxelift, "-q", "evaluate", "--reference", reference_path, "--image", path, "--mask", mask_path,
                     "--json", "-"]
        done = subprocess.run([str(a) for a in arguments], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)["masked"]
        scores[kind] = {key: found[key] for key in ("psnr_db", "ssim", "haarpsi")}
    return scores


def cropped(path, out, side):
    """The middle of the brain, at most `side` voxels along each axis: where ECLARE has no time for more."""
    image = nib.load(path)
    data = np.asarray(image.dataobj, dtype=np.float32)
    inside = [np.nonzero(data.sum(axis=tuple(b for b in range(3) if b != a)))[0] for a in range(3)]
    size = [min(side, n) for n in data.shape]
    start = [int(np.clip((a[0] + a[-1] + 1 - n) // 2, 0, full - n)) for a, n, full in zip(inside, size, data.shape)]
    affine = image.affine.copy()
    affine[:3, 3] = (image.affine @ [*start, 1])[:3]
    nib.save(nib.Nifti1Image(data[tuple(slice(s, s + n) for s, n in zip(start, size))], affine), out)
    return out


def blob_test(voxelift, command, work, gpu, patches, steps):
    """How far (voxels of 1 mm) each side moves the centroid of a Gaussian blob, along each axis."""
    n, factor = 64, 4
    axes = np.indices((n, n, n), dtype=np.float64)
    centre = [31.3, 30.7, 32.2]
    blob = 1000.0 * np.exp(-sum((a - c) ** 2 for a, c in zip(axes, centre)) / (2 * 5.0**2))
    path, scan = work / "blob.nii.gz", work / "blob-thick.nii.gz"
    nib.save(nib.Nifti1Image(blob.astype(np.float32), np.eye(4)), path)
    degrade(voxelift, path, scan, factor, "gaussian", 0.0, None)

    def centroid(image):
        data = np.asarray(image.dataobj, dtype=np.float64)
        data = np.where(data > 50.0, data, 0.0)
        at = [(a * data).sum() / data.sum() for a in np.indices(data.shape)]
        return (image.affine @ [*at, 1.0])[:3]

    want = centroid(nib.load(path))
    mine = work / "blob-ours.nii.gz"
    ours(voxelift, scan, mine, 1.0, "gaussian", steps)
    theirs, _ = eclare(command, scan, work / "blob-eclare", patches, 1.0, "gaussian", gpu)
    return {name: (centroid(nib.load(image)) - want).round(3).tolist() for name, image in
            (("voxelift", mine), ("eclare", theirs))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxelift", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--references", nargs="+", default=list(REFERENCES), choices=list(REFERENCES))
    parser.add_argument("--factors", nargs="+", type=int, default=[3, 4, 5])
    parser.add_argument("--profiles", nargs="+", default=["gaussian"], choices=["gaussian", "box"])
    parser.add_argument("--gap", type=float, default=0.0, help="share of the slice distance")
    parser.add_argument("--noise", type=float, default=None, help="share of the 99.5th percentile")
    parser.add_argument("--simulator", default="voxelift", choices=["voxelift", "eclare"])
    parser.add_argument("--arms", nargs="+", default=["told", "blind"], choices=["told", "blind"])
    parser.add_argument("--probe", type=int, default=4 * BATCH, help="patches of the run that times ECLARE")
    parser.add_argument("--patches", type=int, default=None, help="patches for ECLARE, in place of equal time")
    parser.add_argument("--steps", type=int, default=1600, help="of voxelift")
    parser.add_argument("--crop", type=int, default=None, help="the middle of each reference alone, so many voxels along a side")
    parser.add_argument("--blob-patches", type=int, default=10 * BATCH)
    parser.add_argument("--gpu", type=int, default=-1)
    parser.add_argument("--no-blob", action="store_true")
    options = parser.parse_args()
    options.voxelift = options.voxelift.resolve()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    command = eclare_command(work)
    print(f"processors: {len(os.sched_getaffinity(0))}")
    if not options.no_blob:
        print("blob moved by (mm):", blob_test(options.voxelift, command, work, options.gpu,
                                              options.blob_patches, options.steps))
    simulator = command.with_name("apply-degrade") if options.simulator == "eclare" else None
    rows = []
    for name in options.references:
        reference = options.data / REFERENCES[name]
        if options.crop:
            reference = cropped(reference, work / f"{name}-reference.nii.gz", options.crop)
        for factor in options.factors:
            for profile in options.profiles:
                tag = f"{name}-x{factor}-{profile}"
                scan = work / f"{tag}.nii.gz"
                thickness = degrade(options.voxelift, reference, scan, factor, profile, options.gap, options.noise,
                                    simulator)
                for arm in options.arms:
                    told = thickness if arm == "told" else None
                    mine = work / f"{tag}-{arm}-ours.nii.gz"
                    seconds = ours(options.voxelift, scan, mine, told, profile, options.steps)
                    patches = options.patches
                    if patches is None:
                        probe = work / f"{tag}-{arm}-probe"
                        _, short = eclare(command, scan, probe, BATCH, told, profile, options.gpu)
                        _, longer = eclare(command, scan, probe, options.probe + BATCH, told, profile, options.gpu)
                        pace = max(longer - short, 1e-3) / options.probe
                        patches = max(BATCH, int((seconds - short) / pace) // BATCH * BATCH)
                    folder = work / f"{tag}-{arm}-eclare"
                    theirs, their_seconds = eclare(command, scan, folder, patches, told, profile, options.gpu)
                    for side, image, took in (("voxelift", mine, seconds), ("eclare", theirs, their_seconds)):
                        scores = scored(options.voxelift, reference, image, work, f"{tag}-{arm}-{side}")
                        for kind, found in scores.items():
                            rows.append({"reference": name, "factor": factor, "profile": profile, "arm": arm,
                                         "side": side, "seconds": round(took, 1),
                                         "share_of_default": patches / DEFAULT_PATCHES if side == "eclare" else "",
                                         "scores": kind, **{k: round(v, 4) for k, v in found.items()}})
                            print(rows[-1], flush=True)
    with open(work / "eclare.csv", "w", newline="") as out:
        table = csv.DictWriter(out, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    print(work / "eclare.csv")


if __name__ == "__main__":
    main()
