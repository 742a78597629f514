"""The table of `docs/record.md` on data consistency: scans truncated in k-space, baselines, the model without and with it.

Needs numpy, nibabel and a built `voxelift`. Give the folder of the development data and one to work in:

    scripts/consistency_table.py --data ../shared/data --work /tmp/consistency --voxelift target/release/voxelift

For each scan: `degrade` (k-space 2x2x2, or --operator; with --noise a fraction of the peak), `upscale` by each method, `evaluate` in the
mask of the voxels above 5 % of the reference's maximum. "default" is the command with nothing but the scale (its voxels would be of 1 mm), "stated" the same with `--acquired` the operator that made the scan,
"free" with `--free-weights`. With --factor 1.5, or 1,1,1.3 along x, y, z, the voxels are so many times as long, and outputs are made on the reference's grid. Prints a Markdown table, and for each scan the scores and the shells
of the measured band in which the model stays behind the best baseline, and by how much. What is there already is kept.
"""

import argparse
import json
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np

SCANS = {
    "1003": "val/hr/oasis-malf1003_T1w_1mm_brain.nii.gz",
    "1009": "val/hr/oasis-malf1009_T1w_1mm_brain.nii.gz",
    "1023": "val/hr/oasis-malf1023_T1w_1mm_brain.nii.gz",
    "1101": "val/hr/oasis-malf1101_T1w_1mm_brain.nii.gz",
    "1002": "train/hr/oasis-malf1002_T1w_1mm_brain.nii.gz",
    "1008": "train/hr/oasis-malf1008_T1w_1mm_brain.nii.gz",
    "rorden": "train/hr/rorden-T1_0.8mm_brain.nii.gz",
    "t2w": "train/other/rorden-M2307_T2w_1mm_brain.nii.gz",
    "p07": "train/other/openms-p07_FLAIR_1mmMNI_brain.nii.gz",
    "p19": "val/other/openms-p19_FLAIR_1mmMNI_brain.nii.gz",
}
TUNING = ["1002", "1008"]
OASIS = ["1003", "1009", "1023", "1101"]
SCORES = {"psnr_db": 1, "ssim": 1, "haarpsi": 1, "hfen": -1}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    return done.stdout


def scores(a, name):
    """Of each method, the scores in the brain."""
    hr = a.data / SCANS[name]
    tag = f"{name}-{a.operator.replace(':', '_')}-{a.noise}" + ("" if a.factor == "2" else f"-x{a.factor}")
    lr, mask = a.work / f"lr-{tag}.nii.gz", a.work / f"mask-{name}.nii.gz"
    if not lr.exists():
        to = []
        if a.factor != "2":
            factors = [float(f) for f in a.factor.split(",")]
            spacing = nib.load(hr).header.get_zooms()[:3]
            to = ["--spacing", ",".join(f"{f * mm:.6g}" for f, mm in zip(factors * (3 // len(factors)), spacing))]
        run(a.voxelift, "-q", "degrade", hr, lr, *to, "--operator", a.operator, "--noise", a.noise, "--seed", 7)
    if not mask.exists():
        image = nib.load(hr)
        inside = np.asarray(image.dataobj) > 0.05 * np.asarray(image.dataobj).max()
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), image.affine), mask)
    spacing = max(nib.load(lr).header.get_zooms()[:3])
    out = {}
    for method in a.methods:
        image, record = a.work / f"{method}-{tag}.nii.gz", a.work / f"{method}-{tag}-scores.json"
        if not image.exists():
            grid = ["--scale", "2"] if a.factor == "2" else ["--like", hr]
            beside = grid if a.factor != "2" else []
            how = ["--method", method, *beside]
            if method in ("off", "soft", "hard"):
                how = ["--method", "model", "--allow-out-of-range", "--consistency", method, *beside]
            if method == "default":
                how = grid
            if method == "free":
                how = [*grid, "--free-weights"]
            if method == "stated":
                how = [*grid, "--acquired", a.operator]
            run(a.voxelift, "-q", "upscale", lr, "-o", image, *how)
        if not record.exists():
            run(a.voxelift, "-q", "evaluate", "--reference", hr, "--image", image, "--mask", mask, "--json", record)
        found = json.loads(record.read_text())["masked"]
        band = [v for f, v in zip(found["fsc"]["cycles_per_mm"], found["fsc"]["correlation"]) if f < 0.5 / spacing]
        out[method] = {key: found[key] for key in SCORES} | {"band": band}
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--voxelift", default="voxelift")
    parser.add_argument("--noise", type=float, default=0)
    parser.add_argument("--operator", default="kspace")
    parser.add_argument("--scans", nargs="*", default=[name for name in SCANS if name not in TUNING])
    parser.add_argument("--baselines", nargs="*", default=["zero-fill", "lanczos", "cubic", "trilinear"])
    parser.add_argument("--model", nargs="*", default=["off", "default"], help="of off, soft, hard, default, stated, free")
    parser.add_argument("--factor", default="2")
    a = parser.parse_args()
    a.methods = a.baselines + a.model
    a.work.mkdir(exist_ok=True)
    gains = {}
    print("| scan | best baseline dB | " + " | ".join(a.model) + " | SSIM, HaarPSI, HFEN of the last | behind the best baseline in |")
    print("|---|---|" + "---|" * len(a.model) + "---|---|")
    for name in a.scans:
        found = scores(a, name)
        best = {
            key: max((found[b][key] for b in a.baselines), key=lambda v: sign * v) for key, sign in SCORES.items()
        }
        last = found[a.model[-1]]
        behind = [key for key, sign in SCORES.items() if sign * last[key] < sign * best[key]]
        floor = np.max([found[b]["band"] for b in a.baselines], axis=0)
        short = floor - np.array(last["band"])
        behind.append(f"FSC by {max(0, short.max()):.1e} at most, {int((short > 1e-6).sum())} of {len(short)} shells")
        gains[name] = [found[m]["psnr_db"] - best["psnr_db"] for m in a.model]
        print(
            f"| {name} | {best['psnr_db']:.2f} | "
            + " | ".join(f"{g:+.2f}" for g in gains[name])
            + f" | {last['ssim'] - best['ssim']:+.4f}, {last['haarpsi'] - best['haarpsi']:+.4f}, {last['hfen'] - best['hfen']:+.4f}"
            + f" | {'; '.join(behind)} |",
            flush=True,
        )
    heads = [gains[n] for n in OASIS if n in gains]
    if heads:
        print("| OASIS, mean | | " + " | ".join(f"{g:+.2f}" for g in np.mean(heads, axis=0)) + " | | |")


if __name__ == "__main__":
    main()
