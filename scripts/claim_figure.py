"""The figure and tables of `docs/the-claim.md`: what the contrastive losses gain against how far their baseline is below zero-fill.

    scripts/claim_figure.py --studies runs/studies --csv docs/the-claim.csv --heads docs/the-claim-heads.csv --svg docs/images/the-claim.svg

Reads `table.csv` of each study named below that is there and adds its runs to both CSV files: one row a study, arm and seed, means over the test heads, and
one row a head; runs that are not there stay as they were. It draws all of them and prints three Markdown tables: the gains of contrast in brief, each seed, and over subjects and
seeds of the studies that are there, with 95 % bootstrap intervals over both at once. A seed of which the heads are not in the second file counts with its mean over
heads, whichever subjects are drawn. Needs matplotlib and numpy.
"""

import argparse
import csv
import itertools
import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

# Study, then pairs of a baseline and an arm that is compared with it.
PAIRS = {
    "p1-parent": [("baseline", "full"), ("baseline", "identity")],
    "p2-fragile": [("baseline", "full")],
    "p3-operators": [(f"{operator}-baseline", f"{operator}-full") for operator in ("cubic", "gaussian", "box")],
    "p4-embeddings": [("cubic-baseline", arm) for arm in ("flat", "patch")],
    "p5-alignment": [("unaligned-baseline", "unaligned-full")],
    "p6-scarcity": [("twin-whole-pool", "twin-slab"), ("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
    "p7-answer": [(where, f"{where}-{term}") for where in ("matched", "box") for term in ("measurement", "contrast")],
    "p8-slices": [("baseline", "full"), ("baseline", "identity")],
    "p9-length": [("neither", "patch-0.1")],
    "p10-product": [("baseline", "product")],
    "p11-fragile-parent": [("baseline", "full")],
    "p12-aligned": [("baseline", "full"), ("baseline", "full-0.1")],
    "p13-embeddings": [("neither", arm) for arm in ("contrast-0.1", "flat", "flat-0.1", "patch-0.1", "patch-1")],
    "p14-scarce-parent": [("baseline", "full"), ("baseline", "patch-0.1")],
    "d2-losses": [("neither", "alone")],
    "d1-defaults": [("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
    "d3-noise": [("neither", "alone"), ("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
    "d4-scanners": [("alone", "twin"), ("neither", "alone"), ("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
}
# Arms that say nothing of contrast: they stand in the tables of all arms and seeds, and in no figure.
NOT_CONTRAST = ("product", "alignment", "alone", "identity", "twin", "twin-slab")
# What a study takes from another one, whose models it tests: all arms that it has no rows of.
TAKEN = {"p4-embeddings": "p3-operators", "p10-product": "p1-parent", "p13-embeddings": "p6-scarcity"}
# The name in the CSV of each score of a study's table.
SCORES = {
    "psnr_db": "psnr_db",
    "ssim": "ssim",
    "haarpsi": "haarpsi",
    "fsc.resolution_mm": "resolution_mm",
    "fsc.beyond_nyquist.hallucination_index": "hallucination_index",
}
RUN = ("study", "arm", "seed")
FIELDS = (*RUN, "heads", *SCORES.values(), "psnr_sd")
HEADS = (*RUN, "head", "person", *SCORES.values())
DRAWS = 10_000


def heads(study, table):
    """Of the brain alone: one row an arm, seed and head."""
    found = {}
    with open(table, newline="") as file:
        for row in csv.DictReader(file):
            if row["test"] == "tuning" and row["region"] == "masked" and row["score"] in SCORES:
                of = found.setdefault((row["variant"], row["seed"], row["subject"]), {"person": row["person"]})
                of[SCORES[row["score"]]] = f"{float(row['value']):.7f}"
    for (arm, seed, head), of in found.items():
        yield {"study": study, "arm": arm, "seed": seed, "head": head, **of}


def runs(rows):
    """One row a study, arm and seed: means over heads, and the standard deviation of PSNR over them."""
    of = {}
    for row in rows:
        of.setdefault(tuple(row[key] for key in RUN), []).append(row)
    for run, found in of.items():
        means = {score: f"{statistics.mean(float(row[score]) for row in found):.5f}" for score in SCORES.values() if all(score in row for row in found)}
        spread = statistics.stdev(float(row["psnr_db"]) for row in found)
        yield {**dict(zip(RUN, run)), "heads": str(len(found)), **means, "psnr_sd": f"{spread:.4f}"}


def merged(path, fields, new):
    """The rows of the CSV at `path`, those of runs that are in `new` in their place; written back."""
    rows = []
    if path.exists():
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    key = lambda row: tuple(row[field] for field in RUN)
    there = {key(row) for row in new}
    rows = sorted([row for row in rows if key(row) not in there] + new, key=lambda row: (*key(row), row.get("head", "")))
    with open(path, "w", newline="") as file:
        out = csv.DictWriter(file, fields, lineterminator="\n")
        out.writeheader()
        out.writerows(rows)
    return rows


def with_taken(rows):
    """Study, arm and seed to its rows; what a study takes from another one stands under both."""
    by = {}
    for row in rows:
        by.setdefault((row["study"], row["arm"], row["seed"]), []).append(row)
    for study, other in TAKEN.items():
        named = {name for pair in PAIRS[study] for name in pair} | {"zero-fill"}
        for (of, arm, seed), found in list(by.items()):
            if of == other and arm.removesuffix("+consistency") in named:
                by.setdefault((study, arm, seed), found)
    return by


def differences(by):
    """Of each pair, seed and way (alone, scan put back): the baseline's distance from zero-fill, the gain in PSNR and in SSIM,
    and the standard deviation of PSNR over the heads of both. `by`: the means of each run."""
    value = lambda row, score: float(row[0][score])
    for study, pairs in PAIRS.items():
        floor = by.get((study, "zero-fill", ""))
        if not floor:
            continue
        for baseline, arm in pairs:
            for suffix in ("", "+consistency"):
                for seed in sorted({seed for (of, _, seed) in by if of == study and seed}):
                    a, b = by.get((study, baseline + suffix, seed)), by.get((study, arm + suffix, seed))
                    if a and b:
                        below = value(a, "psnr_db") - value(floor, "psnr_db")
                        gains = [value(b, score) - value(a, score) for score in ("psnr_db", "ssim")]
                        spread = [value(row, "psnr_sd") for row in (a, b)]
                        yield study, arm, seed, suffix, below, *gains, spread


def people(rows, score):
    """Person to the mean of the score over that person's scans."""
    of = {}
    for row in rows:
        if row.get(score):
            of.setdefault(row["person"], []).append(float(row[score]))
    return {person: statistics.mean(values) for person, values in of.items()}


def summaries(study, means, each):
    """Of each pair and way: the seeds that both have, and of each score the baseline's mean, and mean and interval of the difference over subjects and
    seeds. `means` and `each`: of every run the means over its heads, and its heads. Nothing of a pair with no head of either arm."""
    for baseline, arm in PAIRS[study]:
        for suffix in ("", "+consistency"):
            pair = [(study, name + suffix) for name in (baseline, arm)]
            seeds = sorted({seed for (*of, seed) in means if seed and all((*name, seed) in means for name in pair)})
            if not any((*name, seed) in each for name in pair for seed in seeds):
                continue
            of = {}
            for score in SCORES.values():
                if any(not means[*name, seed][0].get(score) for name in pair for seed in seeds):
                    continue
                known = [[people(each.get((*name, seed), []), score) for name in pair] for seed in seeds]
                # Without heads, over seeds alone.
                subjects = sorted({person for a, b in known for person in a.keys() & b.keys()}) or [None]
                was, apart = [], []
                for seed, (a, b) in zip(seeds, known):
                    if a and b:
                        was.append(np.mean([a[person] for person in subjects]))
                        apart.append([b[person] - a[person] for person in subjects])
                    else:
                        a, b = (float(means[*name, seed][0][score]) for name in pair)
                        was.append(a)
                        apart.append([b - a] * len(subjects))
                apart = np.array(apart)
                draw = np.random.default_rng(1)
                drawn = [
                    apart[draw.integers(len(seeds), size=len(seeds))][:, draw.integers(len(subjects), size=len(subjects))].mean()
                    for _ in range(DRAWS)
                ]
                of[score] = (np.mean(was), apart.mean(), *np.percentile(drawn, [2.5, 97.5]))
            yield baseline, arm, suffix, seeds, of


def signed(value, places):
    """With its sign, but for what rounds to 0."""
    text = f"{value:+.{places}f}"
    return text if float(text) else text[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--svg", type=Path, required=True)
    args = parser.parse_args()
    there = [study for study in PAIRS if (args.studies / study / "table.csv").exists()]
    new = [row for study in there for row in heads(study, args.studies / study / "table.csv")]
    each = with_taken(merged(args.heads, HEADS, new))
    means = with_taken(merged(args.csv, FIELDS, list(runs(new))))
    found = list(differences(means))
    figure, plot = plt.subplots(figsize=(7, 4.2))
    drawn = [row for row in found if row[1] not in NOT_CONTRAST]
    ways = {"": ("o", "alone"), "+consistency": ("^", "scan put back")}
    for study, colour in zip(dict.fromkeys(of for of, *_ in drawn), itertools.cycle(plt.get_cmap("tab20").colors)):
        for suffix, (marker, _) in ways.items():
            points = [(below, gain) for of, _, _, way, below, gain, *_ in drawn if of == study and way == suffix]
            plot.scatter(*zip(*points), marker=marker, color=colour, alpha=0.8)
        plot.scatter([], [], marker="s", color=colour, label=study.split("-")[0].upper())
    for marker, what in ways.values():
        plot.scatter([], [], marker=marker, color="black", label=what)
    plot.axhline(0, color="grey", linewidth=0.8)
    plot.axhline(1.1802, color="grey", linewidth=0.8, linestyle="--")
    plot.annotate("the paper's gain", (0.99, 1.1802), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8, color="grey")
    plot.set_xlabel("baseline over zero-fill (dB)")
    plot.set_ylabel("gain over the baseline (dB)")
    plot.legend(fontsize=8, ncol=3, loc="upper left", bbox_to_anchor=(0, 0.95))
    figure.tight_layout()
    plt.rcParams["svg.hashsalt"] = "the-claim"
    figure.savefig(args.svg, metadata={"Date": None})
    print("| study | baseline | over zero-fill, dB | arm | by seed, dB | mean | scan put back, by seed | mean |\n|---|---|---|---|---|---|---|---|")
    for study, pairs in PAIRS.items():
        for baseline, arm in pairs:
            gains = {way: [(below, db) for of, name, _, at, below, db, *_ in drawn if (of, name, at) == (study, arm, way)] for way in ways}
            if gains[""]:
                below = sorted(below for below, _ in gains[""])
                below = " to ".join(dict.fromkeys(signed(value, 1) for value in (below[0], below[-1])))
                cells = [part for way in ways for part in (", ".join(signed(db, 2) for _, db in gains[way]), signed(np.mean([db for _, db in gains[way]]), 2))]
                print(f"| {study.split('-')[0].upper()} | {baseline} | {below} | {arm} | {' | '.join(cells)} |")
    print("\n| study | arm | seed | way | baseline over zero-fill | gain, dB | gain, SSIM | SSIM per dB | spread over heads, dB |\n|---|---|---|---|---|---|---|---|---|")
    for study, arm, seed, suffix, below, db, ssim, spread in found:
        ratio = f"{ssim / db:.3f}" if abs(db) > 0.1 else ""
        way = "put back" if suffix else "alone"
        gains = f"{signed(db, 2)} | {signed(ssim, 4)} | {ratio}"
        print(f"| {study.split('-')[0].upper()} | {arm} | {seed} | {way} | {below:+.2f} | {gains} | {spread[0]:.2f}, {spread[1]:.2f} |")
    print("\n| study | baseline | arm | way | seeds | PSNR, dB | SSIM | HaarPSI | effective resolution, mm | hallucination index |\n|---|---|---|---|---|---|---|---|---|---|")
    digits = {"psnr_db": 2, "ssim": 4, "haarpsi": 4, "resolution_mm": 2, "hallucination_index": 3}
    for study in there:
        for baseline, arm, suffix, seeds, of in summaries(study, means, each):
            cells = []
            for score, places in digits.items():
                if score not in of:
                    cells.append("")
                    continue
                was, *rest = of[score]
                apart, low, high = (signed(value, places) for value in rest)
                # One seed without heads has no interval.
                interval = f" [{low}, {high}]" if rest[1] < rest[2] else ""
                cells.append(f"{was:.{places}f} {apart}{interval}")
            way = "put back" if suffix else "alone"
            print(f"| {study.split('-')[0].upper()} | {baseline} | {arm} | {way} | {len(seeds)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
