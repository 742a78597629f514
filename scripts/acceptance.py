"""What the model in the box reaches beside its best floor, from the folder of studies/default-model.toml.

    python scripts/acceptance.py DIR

Of every test and score: the mean of the model and of the floor that is best on average, and the least gain of one scan over the floor
that is best on that scan. Scores in the mask, Fourier shell correlation beyond the LR Nyquist frequency in the whole volume. At the end
the hallucination index of the model over the twin's, and the scans with the least gain in PSNR.
"""

import json
import statistics
import sys
from pathlib import Path

SCORES = {
    "PSNR": "masked.psnr_db",
    "SSIM": "masked.ssim",
    "HaarPSI": "masked.haarpsi",
    "FSC beyond Nyquist": "fsc.beyond_nyquist.correlation",
}
HALLUCINATION = "fsc.beyond_nyquist.hallucination_index"


def methods(folder: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text())["tests"] for path in sorted(folder.glob("*/tests.json"))}


def values(tests: dict, test: str, key: str) -> dict[str, float]:
    found = {}
    for scan in tests[test]["scans"]:
        at = scan["scores"]
        for part in key.split("."):
            at = at[part]
        found[scan["scan"]] = at
    return found


def main() -> None:
    study = Path(sys.argv[1])
    floors = methods(study / "floors")
    models = {path.name: methods(path)["seed-1"] for path in sorted((study / "runs").iterdir())}
    for name, model in models.items():
        print(f"\n{name}\n\n| test | score | model | best floor | mean gain | least gain of a scan |\n|---|---|---|---|---|---|")
        gains = []
        for test in model:
            for score, key in SCORES.items():
                own = values(model, test, key)
                others = {floor: values(tests, test, key) for floor, tests in floors.items()}
                mean = {floor: statistics.mean(of.values()) for floor, of in others.items()}
                best = max(mean, key=mean.get)
                each = {scan: own[scan] - max(of[scan] for of in others.values()) for scan in own}
                digits = 2 if score == "PSNR" else 4
                print(
                    f"| {test} | {score} | {statistics.mean(own.values()):.{digits}f} | {mean[best]:.{digits}f} ({best}) "
                    f"| {statistics.mean(own.values()) - mean[best]:+.{digits}f} | {min(each.values()):+.{digits}f} |"
                )
                if score == "PSNR":
                    gains += [(gain, test, scan) for scan, gain in each.items()]
        print("\nleast gains in PSNR:", "; ".join(f"{test} {scan} {gain:+.2f}" for gain, test, scan in sorted(gains)[:5]))
    if {"twin", "default"} <= models.keys():
        print("\n| test | hallucination index | the twin's | ratio of the means | largest ratio of a scan |\n|---|---|---|---|---|")
        for test in models["default"]:
            own, twin = (values(models[name], test, HALLUCINATION) for name in ("default", "twin"))
            a, b = statistics.mean(own.values()), statistics.mean(twin.values())
            print(f"| {test} | {a:.4f} | {b:.4f} | {a / b:.2f} | {max(own[s] / twin[s] for s in own):.2f} |")


if __name__ == "__main__":
    main()
