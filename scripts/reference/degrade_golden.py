"""Golden numbers for the degradation operators, from their definitions as dense matrices in NumPy.

Needs numpy. Writes crates/voxelift-volume/tests/golden/degrade.json. Nothing of the project is used: each
operator is the matrix of its equation, applied along an axis. HR index of LR voxel j: s (j + 1/2) - 1/2.
"""

import json
from pathlib import Path

import numpy as np

EXTENT, TO = [10, 9, 8], [5, 4, 3]  # x, y, z
OUT = Path(__file__).parents[2] / "crates/voxelift-volume/tests/golden/degrade.json"


def centres(n, m):
    return n / m * (np.arange(m) + 0.5) - 0.5


def kspace(n, m, window=lambda u: 1.0):
    """Kept frequencies evaluated at the new centres; u in units of the new Nyquist frequency."""
    k = np.arange(-((m - 1) // 2), (m - 1) // 2 + 1)
    weight = np.array([window(abs(i) / (m / 2)) for i in k])
    phase = np.exp(2j * np.pi * k * (centres(n, m)[:, None, None] - np.arange(n)[None, :, None]) / n)
    return (phase * weight).sum(axis=2).real / n


def window(cutoff, edge):
    def at(u):
        t = np.clip((u - cutoff) / edge + 0.5, 0, 1)
        return 0.5 * (1 + np.cos(np.pi * t))

    return lambda n, m: kspace(n, m, at)


def slices(thickness):
    """The exact share of each fine voxel in a slab; slabs that leave the line are renormalised."""

    def matrix(n, m):
        half = thickness * n / m / 2
        low, high = centres(n, m)[:, None] - half, centres(n, m)[:, None] + half
        i = np.arange(n)[None]
        share = np.clip(np.minimum(i + 0.5, high) - np.maximum(i - 0.5, low), 0, None)
        return share / share.sum(axis=1, keepdims=True)

    return matrix


def gaussian(sigma):
    """Blur on the fine line (ends repeated, cut after four sigma), then cubic convolution, a = -1/2."""

    def keys(x):
        x = np.abs(x)
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return np.where(x <= 1, near, np.where(x < 2, far, 0.0))

    def matrix(n, m):
        s = sigma * n / m
        reach = int(np.ceil(4 * s))
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / s) ** 2)
        taps /= taps.sum()
        blur, cubic = np.zeros((n, n)), np.zeros((m, n))
        for i in range(n):
            for d, t in zip(range(-reach, reach + 1), taps):
                blur[i, np.clip(i + d, 0, n - 1)] += t
        for j, c in enumerate(centres(n, m)):
            for i in range(int(np.floor(c)) - 1, int(np.floor(c)) + 3):
                cubic[j, np.clip(i, 0, n - 1)] += keys(c - i)
        return cubic @ blur

    return matrix


def along_axes(volume, matrices):
    for axis, matrix in zip((2, 1, 0), matrices):  # arrays are [z, y, x]
        volume = np.moveaxis(np.tensordot(matrix, volume, axes=(1, axis)), 0, axis)
    return volume


def main():
    rng = np.random.default_rng(5)
    hr = np.round(rng.normal(size=EXTENT[::-1]) + 2, 4).astype(np.float32).astype(np.float64)
    each = {
        "kspace": [kspace] * 3,
        "window:0.7,0.5": [window(0.7, 0.5)] * 3,
        "slice:box,0.8": [slices(0.8)] * 3,
        "slice:box,1.3": [slices(1.3)] * 3,
        "slice:gaussian,1.2": [gaussian(1.2 / (2 * np.sqrt(2 * np.log(2))))] * 3,
        "kspace/gaussian:0.4/window:0.9,0.3": [kspace, gaussian(0.4), window(0.9, 0.3)],
    }
    flat = lambda v: [round(float(x), 6) for x in v.ravel()]
    results = {
        name: flat(along_axes(hr, [f(n, m) for f, n, m in zip(fs, EXTENT, TO)])) for name, fs in each.items()
    }
    spectrum = np.fft.fft(hr, axis=0)
    k = np.abs(np.round(np.fft.fftfreq(EXTENT[2]) * EXTENT[2])).astype(int)
    spectrum[(k > 0) & (k % 2 == 0)] *= 0.6
    golden = {"extent": EXTENT, "to": TO, "hr": flat(hr), "operators": results, "ghosts": flat(np.fft.ifft(spectrum, axis=0).real)}
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
