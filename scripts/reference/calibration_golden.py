"""Golden numbers for the spectra that calibration compares, in NumPy from their definition.

Needs numpy. Writes crates/voxelift-volume/tests/golden/calibration.json: the mean power under a Hann taper along
each axis of a small volume, and the means of the first in 24 bands up to the Nyquist frequency.
"""

import json
from pathlib import Path

import numpy as np

EXTENT = [13, 10, 9]  # x, y, z
BANDS = 24
OUT = Path(__file__).parents[2] / "crates/voxelift-volume/tests/golden/calibration.json"


def mean_power(volume, axis):
    n = volume.shape[axis]
    taper = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
    lines = np.moveaxis(volume, axis, -1).reshape(-1, n)
    power = np.abs(np.fft.rfft(lines * taper, axis=1)) ** 2
    return power.mean(axis=0) / (taper**2).sum()


def banded(power, n, samples=20000):
    """The power as a step function of frequency, averaged over each band by fine sampling."""
    u = (np.arange(BANDS * samples) + 0.5) / samples / BANDS / 2
    nearest = np.minimum(np.round(u * n).astype(int), len(power) - 1)
    return power[nearest].reshape(BANDS, samples).mean(axis=1)


def main():
    rng = np.random.default_rng(8)
    volume = np.round(rng.normal(size=EXTENT[::-1]) + 1, 4)
    powers = [mean_power(volume, 2 - axis) for axis in range(3)]
    numbers = lambda v: [round(float(x), 7) for x in np.ravel(v)]
    golden = {
        "extent": EXTENT,
        "volume": numbers(volume),
        "power": [numbers(p) for p in powers],
        "bands": numbers(banded(powers[0], EXTENT[0])),
    }
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
