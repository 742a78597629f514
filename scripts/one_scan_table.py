#!/usr/bin/env python3
"""The table of `docs/results.md` on `upscale --method self`: thick slices made of references, all baselines, what was learned.

    scripts/one_scan_table.py --voxelift target/release/voxelift --data ../shared/data --work DIR [--factors 4]
        [--profiles gaussian] [--gap 0.2] [--noise 0.01] [--steps 1600] [--references NAME ...] [--table]

Needs numpy, scipy, nibabel and a built `voxelift`. Each reference, cut to the box of its brain and 12 voxels, is degraded along its
third axis (`degrade --scale 1,1,S --operator kspace/kspace/slice:PROFILE,THICKNESS`), made fine again by each baseline, plain
and consistent with the scan, and by `--method self`, the profile told to all. Scores: `voxelift evaluate` in the brain
alone (the reference above 5 % of its maximum), and `fsc_slice`: the correlation of image and reference over all
frequencies of the same height across the slices, within the softened mask, averaged from the slices' Nyquist frequency to
that of the reference. One line a method is appended to DIR/scores.csv; lines that are there are not made again.
"""

import argparse
import csv
import json
import resource
import subprocess
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

REFERENCES = {
    "1003": "val/hr/oasis-malf1003_T1w_1mm_brain.nii.gz",
    "1009": "val/hr/oasis-malf1009_T1w_1mm_brain.nii.gz",
    "1023": "val/hr/oasis-malf1023_T1w_1mm_brain.nii.gz",
    "1101": "val/hr/oasis-malf1101_T1w_1mm_brain.nii.gz",
    "0.8mm": "train/hr/rorden-T1_0.8mm_brain.nii.gz",
    "T2w": "train/other/rorden-M2307_T2w_1mm_brain.nii.gz",
    "p07": "train/other/openms-p07_FLAIR_1mmMNI_brain.nii.gz",
    "p19": "val/other/openms-p19_FLAIR_1mmMNI_brain.nii.gz",
    # Tuning heads.
    "1002": "train/hr/oasis-malf1002_T1w_1mm_brain.nii.gz",
    "1008": "train/hr/oasis-malf1008_T1w_1mm_brain.nii.gz",
    "1017": "train/hr/oasis-malf1017_T1w_1mm_brain.nii.gz",
    "1113": "train/hr/oasis-malf1113_T1w_1mm_brain.nii.gz",
}
BASELINES = ["cubic", "zero-fill", "lanczos", "trilinear"]
COLUMNS = ["reference", "factor", "profile", "gap", "noise", "method", "steps", "psnr_db", "ssim", "haarpsi", "fsc_slice",
           "weight", "test_gain_db", "seconds", "cpu_seconds"]
MARGIN = 12


def run(*command):
    """Runs a command; its wall and processor seconds."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(str(c) for c in command)}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.monotonic() - begin, cpu


def boxed(path, out):
    """The brain's box and a margin of zeros or of what is there; the third axis a multiple of 60, so that 3, 4 and 5 go into it."""
    image = nib.load(path)
    data = np.asarray(image.dataobj, dtype=np.float32)
    inside = np.nonzero(data > 0.05 * data.max())
    low = np.array([a.min() - MARGIN for a in inside])
    size = np.array([a.max() + 1 + MARGIN for a in inside]) - low
    size[2] = -(-size[2] // 60) * 60
    box = np.zeros(size, dtype=np.float32)
    to = [slice(max(0, -l), max(0, -l) + min(n, l + s) - max(0, l)) for l, s, n in zip(low, size, data.shape)]
    source = [slice(max(0, l), min(n, l + s)) for l, s, n in zip(low, size, data.shape)]
    box[tuple(to)] = data[tuple(source)]
    affine = image.affine.copy()
    affine[:3, 3] = (image.affine @ [*low, 1])[:3]
    nib.save(nib.Nifti1Image(box, affine), out)


def fsc_slice(reference, image, mask, factor):
    """See above."""
    window = ndimage.gaussian_filter(mask.astype(np.float32), 2.0)
    a, b = (np.fft.fftn((v - v[mask].mean()) * window) for v in (reference, image))
    cross = np.real(a * np.conj(b)).sum(axis=(0, 1))
    powers = [(np.abs(v) ** 2).sum(axis=(0, 1)) for v in (a, b)]
    n = reference.shape[2]
    beyond = np.arange(n // (2 * factor) + 1, n // 2)
    return float((cross / np.sqrt(powers[0] * powers[1] + 1e-30))[beyond].mean())


class Bench:
    """One reference under one degradation."""

    def __init__(self, a, name, factor, profile):
        self.a, self.name, self.factor, self.profile = a, name, factor, profile
        self.hr, self.mask = a.work / f"{name}.nii.gz", a.work / f"{name}-mask.nii.gz"
        if not self.mask.exists():
            boxed(a.data / REFERENCES[name], self.hr)
            image = nib.load(self.hr)
            data = np.asarray(image.dataobj)
            nib.save(nib.Nifti1Image((data > 0.05 * data.max()).astype(np.uint8), image.affine), self.mask)
        self.tag = f"{name}-x{factor}-{profile}-{a.gap:g}-{a.noise:g}"
        self.scan = a.work / f"{self.tag}.nii.gz"
        if not self.scan.exists():
            operator = f"kspace/kspace/slice:{profile},{1 - a.gap:g}"
            run(a.voxelift, "-q", "degrade", self.hr, self.scan, "--scale", f"1,1,{factor}", "--operator", operator,
                "--noise", a.noise, "--seed", 7)

    def acquired(self):
        distance = float(nib.load(self.scan).header.get_zooms()[2])
        return f"slice:{self.profile},{(1 - self.a.gap) * distance:.6g}"

    def scored(self, method, steps):
        kind, _, consistent = method.partition("+")
        out = self.a.work / f"{self.tag}-{kind}.nii.gz"
        command = [self.a.voxelift, "-q", "upscale", self.scan, "-o", out, "--force"]
        command += [] if kind == "default" else ["--method", kind]
        if kind == "default":
            command += ["--acquired", self.acquired()]
        elif kind == "self":
            command += ["--acquired", self.acquired(), "--steps", steps, "--allow-no-gain"]
        else:
            command += ["--like", self.hr]
            command += ["--consistency", "soft", "--acquired", self.acquired()] if consistent else []
        _, seconds, cpu = run(*command)
        found = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}
        if kind in ("self", "default"):
            how = json.loads((self.a.work / f"{self.tag}-{kind}.json").read_text())
            found["weight"] = round(how["frames"][0]["consistency"]["mean_weight"], 3)
            found["test_gain_db"] = round(how["self_test"]["gain_over_cubic_db"], 2)
        text, _, _ = run(self.a.voxelift, "-q", "evaluate", "--reference", self.hr, "--image", out, "--mask", self.mask,
                         "--json", "-")
        scores = json.loads(text)["masked"]
        found |= {key: round(scores[key], 4) for key in ("psnr_db", "ssim", "haarpsi")}
        volumes = [np.asarray(nib.load(p).dataobj, dtype=np.float64) for p in (self.hr, out)]
        mask = np.asarray(nib.load(self.mask).dataobj) > 0
        found["fsc_slice"] = round(fsc_slice(*volumes, mask, self.factor), 4)
        if kind not in ("self", "default"):
            out.unlink()
        return found


def table(rows):
    """Markdown: gains over the cubic B-spline, and over the best baseline of each score."""
    cases = {}
    for row in rows:
        cases.setdefault(tuple(row[c] for c in COLUMNS[:5]), {})[(row["method"], row["steps"])] = row
    print("| scan | factor | cubic dB | best baseline dB | self dB (over cubic) | SSIM | HaarPSI | FSC across slices | self-test over cubic |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case, methods in cases.items():
        for (method, steps), own in methods.items():
            if method not in ("self", "default"):
                continue
            base = {m: r for (m, _), r in methods.items() if m not in ("self", "default")}
            if "cubic" not in base:
                continue
            best = {k: max(base, key=lambda m: float(base[m][k])) for k in ("psnr_db", "ssim", "haarpsi", "fsc_slice")}
            cell = lambda k: f"{float(own[k]):.4f} ({float(own[k]) - float(base[best[k]][k]):+.4f})"
            gain = float(own["psnr_db"]) - float(base["cubic"]["psnr_db"])
            print(f"| {case[0]} | {case[1]}, {case[2]}, gap {case[3]}, noise {case[4]}, {steps + ' steps' if steps else method} | {float(base['cubic']['psnr_db']):.2f} | "
                  f"{float(base[best['psnr_db']]['psnr_db']):.2f} {best['psnr_db']} | {float(own['psnr_db']):.2f} ({gain:+.2f}) | "
                  f"{cell('ssim')} | {cell('haarpsi')} | {cell('fsc_slice')} | {own['test_gain_db']} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxelift", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--references", nargs="+", default=list(REFERENCES)[:8], choices=list(REFERENCES))
    parser.add_argument("--factors", nargs="+", type=int, default=[4])
    parser.add_argument("--profiles", nargs="+", default=["gaussian"], choices=["gaussian", "box"])
    parser.add_argument("--gap", type=float, default=0.0, help="share of the slice distance")
    parser.add_argument("--noise", type=float, default=0.0, help="share of the 99.5th percentile")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--only", nargs="+", default=None, help="these methods alone, as cubic, cubic+soft, self, default (no method named)")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, and no more")
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    path = a.work / "scores.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    if a.table:
        return table(rows)
    done = {tuple(row[c] for c in COLUMNS[:7]) for row in rows}
    methods = a.only or ["cubic", "self", *(m for b in BASELINES for m in (b, f"{b}+soft") if m != "cubic")]
    for factor in a.factors:
        for profile in a.profiles:
            for name in a.references:
                for method in methods:
                    steps = str(a.steps) if method == "self" else ""
                    key = (name, str(factor), profile, f"{a.gap:g}", f"{a.noise:g}", method, steps)
                    if key in done:
                        continue
                    found = Bench(a, name, factor, profile).scored(method, a.steps)
                    row = dict(zip(COLUMNS, key)) | found
                    new = not path.exists()
                    with path.open("a", newline="") as out:
                        writer = csv.DictWriter(out, fieldnames=COLUMNS)
                        if new:
                            writer.writeheader()
                        writer.writerow(row)
                    print(row, flush=True)


if __name__ == "__main__":
    main()
