"""The figures of `docs/the-claim.md`: what the contrastive losses gain against how far their baseline is below zero-fill.

    scripts/claim_figure.py --studies runs/studies --csv docs/the-claim.csv --svg docs/images/the-claim.svg

Reads `table.csv` of each study named below that is there, adds its runs to the CSV (one row a study, arm, seed and score, means over the test heads; rows of
studies that are not there stay), draws all of them and prints two Markdown tables: of each seed, and over subjects and seeds of the studies that are there,
with 95 % bootstrap intervals over both at once. Needs matplotlib and numpy.
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
    "p4-embeddings": [("cubic-baseline", arm) for arm in ("cubic-full", "flat", "patch")],
    "p5-alignment": [("unaligned-baseline", "unaligned-full")],
    "p6-scarcity": [("twin-whole-pool", "twin-slab"), ("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
    "p7-answer": [(where, f"{where}-{term}") for where in ("matched", "box") for term in ("measurement", "contrast")],
    "p8-slices": [("baseline", "full"), ("baseline", "identity")],
    "p9-length": [("neither", "contrast"), ("neither", "both")],
    "p10-product": [("baseline", "product")],
    "p11-fragile-parent": [("baseline", "full")],
    "p12-aligned": [("baseline", "full"), ("baseline", "full-0.1")],
    "p13-embeddings": [("neither", arm) for arm in ("contrast-0.1", "flat", "flat-0.1", "patch-0.1")],
    "d2-losses": [("neither", "alone")],
    "d1-defaults": [("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
    "d3-noise": [("neither", "alone"), ("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
    "d4-scanners": [("alone", "twin"), ("neither", "alone"), ("neither", "contrast"), ("neither", "alignment"), ("alignment", "both")],
}
# The name in the CSV of each score of a study's table.
SCORES = {
    "psnr_db": "psnr_db",
    "ssim": "ssim",
    "haarpsi": "haarpsi",
    "fsc.resolution_mm": "resolution_mm",
    "fsc.beyond_nyquist.hallucination_index": "hallucination_index",
}
FIELDS = ("study", "arm", "seed", "heads", *SCORES.values(), "psnr_sd")
DRAWS = 10_000


def scores(table):
    """Of the brain alone: variant, seed, scan, subject, score and value of each row."""
    with open(table, newline="") as file:
        for row in csv.DictReader(file):
            if row["test"] == "tuning" and row["region"] == "masked" and row["score"] in SCORES:
                yield row["variant"], row["seed"], row["subject"], row["person"], SCORES[row["score"]], float(row["value"])


def runs(study, table):
    """One row an arm and seed: means over heads, and the standard deviation of PSNR over them."""
    values = {}
    for arm, seed, _, _, score, value in scores(table):
        values.setdefault((arm, seed), {}).setdefault(score, []).append(value)
    for (arm, seed), found in values.items():
        psnr = found["psnr_db"]
        means = {score: f"{statistics.mean(of):.5f}" for score, of in found.items()}
        yield {"study": study, "arm": arm, "seed": seed, "heads": str(len(psnr)), **means, "psnr_sd": f"{statistics.stdev(psnr):.4f}"}


def differences(rows):
    """Of each pair, seed and way (alone, scan put back): the baseline's distance from zero-fill, the gain in PSNR and in SSIM,
    and the standard deviation of PSNR over the heads of both."""
    by = {(row["study"], row["arm"], row["seed"]): row for row in rows}
    value = lambda row, score: float(row[score])
    # P10 takes P1's models, and is scored on the same heads.
    by |= {("p10-product", arm, seed): row for (study, arm, seed), row in by.items() if study == "p1-parent" and arm not in ("identity", "product")}
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


def summaries(study, table):
    """Of each pair and way, on the subjects and seeds that both have: the seeds, and of each score the baseline's mean, and mean and interval of
    the difference over subjects and seeds."""
    values = {}
    for arm, seed, _, subject, score, value in scores(table):
        values.setdefault((arm, score), {}).setdefault((seed, subject), []).append(value)
    for baseline, arm in PAIRS[study]:
        for suffix in ("", "+consistency"):
            of = {}
            for score in SCORES.values():
                a, b = (values.get((name + suffix, score), {}) for name in (baseline, arm))
                seeds = sorted({seed for seed, _ in a.keys() & b.keys()})
                subjects = sorted({subject for _, subject in a.keys() & b.keys()})
                if not seeds:
                    continue
                means = [np.array([[np.mean(each[seed, subject]) for subject in subjects] for seed in seeds]) for each in (a, b)]
                apart = means[1] - means[0]
                draw = np.random.default_rng(1)
                drawn = [
                    apart[draw.integers(len(seeds), size=len(seeds))][:, draw.integers(len(subjects), size=len(subjects))].mean()
                    for _ in range(DRAWS)
                ]
                of[score] = (means[0].mean(), apart.mean(), *np.percentile(drawn, [2.5, 97.5]))
            if of:
                yield baseline, arm, suffix, seeds, of


def signed(value, places):
    """With its sign, but for what rounds to 0."""
    text = f"{value:+.{places}f}"
    return text if float(text) else text[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--svg", type=Path, required=True)
    args = parser.parse_args()
    rows = []
    if args.csv.exists():
        with open(args.csv, newline="") as file:
            rows = list(csv.DictReader(file))
    for study in PAIRS:
        table = args.studies / study / "table.csv"
        if table.exists():
            rows = [row for row in rows if row["study"] != study] + list(runs(study, table))
    rows.sort(key=lambda row: (row["study"], row["arm"], row["seed"]))
    with open(args.csv, "w", newline="") as file:
        out = csv.DictWriter(file, FIELDS, lineterminator="\n")
        out.writeheader()
        out.writerows(rows)
    found = list(differences(rows))
    figure, plot = plt.subplots(figsize=(7, 4.2))
    # What is no gain of contrast stands in the tables alone.
    drawn = [row for row in found if row[1] not in ("product", "alignment", "alone", "identity", "twin", "twin-slab")]
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
    plot.legend(fontsize=8, ncol=2, loc="upper left", bbox_to_anchor=(0, 0.95))
    figure.tight_layout()
    plt.rcParams["svg.hashsalt"] = "the-claim"
    figure.savefig(args.svg, metadata={"Date": None})
    print("| study | arm | seed | way | baseline over zero-fill | gain, dB | gain, SSIM | SSIM per dB | spread over heads, dB |\n|---|---|---|---|---|---|---|---|---|")
    for study, arm, seed, suffix, below, db, ssim, spread in found:
        ratio = f"{ssim / db:.3f}" if abs(db) > 0.1 else ""
        way = "put back" if suffix else "alone"
        gains = f"{signed(db, 2)} | {signed(ssim, 4)} | {ratio}"
        print(f"| {study.split('-')[0].upper()} | {arm} | {seed} | {way} | {below:+.2f} | {gains} | {spread[0]:.2f}, {spread[1]:.2f} |")
    print("\n| study | baseline | arm | way | seeds | PSNR, dB | SSIM | HaarPSI | effective resolution, mm | hallucination index |\n|---|---|---|---|---|---|---|---|---|---|")
    digits = {"psnr_db": 2, "ssim": 4, "haarpsi": 4, "resolution_mm": 2, "hallucination_index": 3}
    for study in PAIRS:
        table = args.studies / study / "table.csv"
        if not table.exists():
            continue
        for baseline, arm, suffix, seeds, of in summaries(study, table):
            cells = []
            for score, places in digits.items():
                if score not in of:
                    cells.append("")
                    continue
                was, apart, low, high = of[score]
                apart, low, high = (signed(value, places) for value in (apart, low, high))
                cells.append(f"{was:.{places}f} {apart} [{low}, {high}]")
            way = "put back" if suffix else "alone"
            print(f"| {study.split('-')[0].upper()} | {baseline} | {arm} | {way} | {len(seeds)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
