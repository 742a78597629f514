"""Golden numbers for data consistency, from dense matrices in NumPy: no transform, no alias, no transfer function.

Needs numpy. Writes crates/voxelift-volume/tests/golden/consistency.json. Along each axis the operator is the matrix of its
definition: truncation evaluates the kept frequencies at the new centres, averages are weights on voxels, mirrored at the
outer edges. A is their Kronecker product, hard is x + B^T (B B^T)^+ (y - A x) by the eigenvectors of A A^T with
eigenvalues (times the ratio of the voxels) of at least 0.01, and soft weighs the same by shells of frequency.
"""

import json
from pathlib import Path

import numpy as np

FINE, COARSE = [8, 9, 6], [4, 3, 3]  # x, y, z: even and odd ratios, an odd and an even side
SPACING = [2.0, 3.0, 2.5]  # of the scan
NOISE = 40.0  # power in one coefficient
SEEN = 1e-2
OUT = Path(__file__).parents[2] / "crates/voxelift-volume/tests/golden/consistency.json"


def centres(n, m):
    return n / m * (np.arange(m) + 0.5) - 0.5


def kspace(n, m):
    k = np.arange(-((m - 1) // 2), (m - 1) // 2 + 1)
    phase = np.exp(2j * np.pi * k * (centres(n, m)[:, None, None] - np.arange(n)[None, :, None]) / n)
    return phase.sum(axis=2).real / n


def mirrored(weights):
    """Weights at distances, put where the mirrored line has its voxels."""

    def matrix(n, m):
        a = np.zeros((m, n))
        for j, centre in enumerate(centres(n, m)):
            for i in range(-2 * n, 3 * n):
                inside = i % (2 * n)
                a[j, min(inside, 2 * n - 1 - inside)] += weights(i - centre, n / m)
        return a / a.sum(axis=1, keepdims=True)

    return matrix


def box(d, s):
    return max(0.0, min(d + 0.5, s / 2) - max(d - 0.5, -s / 2))


def keys(x):
    x = abs(x)
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else (-0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0)


def gaussian(fwhm):
    """A Gaussian on the fine voxels, cut after four sigma, read between them by the cubic."""

    def weights(d, s):
        sigma = fwhm * s / np.sqrt(8 * np.log(2))
        reach = int(np.ceil(4 * sigma))
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        taps /= taps.sum()
        return sum(t * keys(d - o) for o, t in zip(range(-reach, reach + 1), taps))

    return mirrored(weights)


OPERATORS = {
    "kspace": [kspace] * 3,
    "box": [mirrored(box)] * 3,
    "kspace/box/slice:gaussian,1.2": [kspace, mirrored(box), gaussian(1.2)],
    "slice:gaussian,0.8": [gaussian(0.8)] * 3,
}


def transform(matrix, m):
    """The rows that A A^T is diagonal in, as unnormalised as a Fourier transform, and their frequencies."""
    j = np.arange(m)
    if matrix is kspace:
        k = np.where(j < (m + 1) // 2, j, j - m)
        return np.exp(-2j * np.pi * k[:, None] * j / m), k / m
    rows = np.sqrt(2) * np.cos(np.pi * j[:, None] * (j + 0.5) / m)
    rows[0] = 1
    return rows, j / (2 * m)


def kron(axes):
    """x fastest."""
    return np.kron(axes[2], np.kron(axes[1], axes[0]))


def main():
    rng = np.random.default_rng(7)
    cases = []
    for name, operators in OPERATORS.items():
        axes = [f(n, m) for f, n, m in zip(operators, FINE, COARSE)]
        a = kron(axes)
        ratio = np.prod(FINE) / np.prod(COARSE)
        x = rng.normal(10, 2, np.prod(FINE)).round(3)
        y = rng.normal(10, 2, np.prod(COARSE)).round(3)
        d = y - a @ x
        values, vectors = np.linalg.eigh(ratio * a @ a.T)
        inverse = np.where(values >= SEEN, 1 / np.maximum(values, SEEN), 0.0)
        hard = x + ratio * a.T @ (vectors @ (inverse * (vectors.T @ d)))

        pairs = [transform(f, m) for f, m in zip(operators, COARSE)]
        f = kron([p[0] for p in pairs])
        gain = (f @ (ratio * a @ a.T) * f.conj()).sum(axis=1).real / np.prod(COARSE)
        cycles = [p[1] / mm for p, mm in zip(pairs, SPACING)]
        z, v, u = np.meshgrid(cycles[2], cycles[1], cycles[0], indexing="ij")
        width = max(1 / (n * mm) for n, mm in zip(COARSE, SPACING))
        shell = np.floor(np.sqrt(u**2 + v**2 + z**2).ravel() / width + 0.5 + 1e-9).astype(int)
        spectrum, seen = f @ d, gain >= SEEN
        weight = np.zeros(len(d))
        for s in range(shell.max() + 1):
            inside = seen & (shell == s)
            if inside.any():
                power = (np.abs(spectrum[inside]) ** 2 - NOISE).sum()
                error = max(0.0, power / gain[inside].sum())
                weight[inside] = gain[inside] * error / (gain[inside] * error + NOISE)
        factor = np.where(seen, weight / np.where(seen, gain, 1), 0)
        soft = x + ratio * a.T @ np.linalg.solve(f, factor * spectrum).real
        residual = np.linalg.norm(spectrum[seen]) / np.linalg.norm((f @ y)[seen])
        cases.append(
            {
                "operators": name,
                "image": x.round(5).tolist(),
                "scan": y.round(5).tolist(),
                "measured": (a @ x).round(5).tolist(),
                "hard": hard.round(5).tolist(),
                "soft": soft.round(5).tolist(),
                "weight": float(weight[seen].mean()),
                "residual": float(residual),
            }
        )
    golden = {"fine": FINE, "coarse": COARSE, "spacing_mm": SPACING, "noise_power": NOISE, "cases": cases}
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
