"""Golden numbers for crates/voxelift-volume/tests/grid_golden.rs, by other people's code.

Needs numpy, scipy, scikit-image and pillow. Run from anywhere; writes tests/golden/grid.json of the crate.
Arrays are indexed [z, y, x]; extents and spacings in the file are x, y, z, values x fastest.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

OUT = Path(__file__).parents[2] / "crates/voxelift-volume/tests/golden/grid.json"


def texture(extent):
    """The volume without symmetry that the test makes too."""
    i = np.arange(np.prod(extent), dtype=np.uint64)
    return ((i * 2654435761 % 1000).astype(np.float32) / np.float32(1000)).astype(float).reshape(extent[::-1])


def centres(n, m):
    """Where the centres of m voxels lie on a line of n over the same field of view."""
    return (np.arange(m) + 0.5) * n / m - 0.5


# k-space, written as METHOD 6 writes it: the whole 3-D spectrum, bin by bin.


def signed(n):
    return np.rint(np.fft.fftfreq(n) * n).astype(int)


def truncate(v, extent):
    shape = extent[::-1]
    spectrum = np.fft.fftn(v)
    for axis, (n, m) in enumerate(zip(v.shape, shape)):
        if n == m:
            continue
        k = signed(m)
        bins = np.take(spectrum, k % n, axis=axis)
        factor = np.exp(2j * np.pi * k * (n / m - 1) / 2 / n) * (m / n)
        if m % 2 == 0:
            factor[k == -m // 2] = 0
        spectrum = bins * np.expand_dims(factor, [a for a in range(3) if a != axis])
    return np.fft.ifftn(spectrum).real


def zero_fill(v, extent):
    shape = extent[::-1]
    spectrum = np.fft.fftn(v)
    for axis, (m, n) in enumerate(zip(v.shape, shape)):
        if n == m:
            continue
        out_shape = list(spectrum.shape)
        out_shape[axis] = n
        out = np.zeros(out_shape, complex)
        source, target = np.moveaxis(spectrum, axis, 0), np.moveaxis(out, axis, 0)
        for k in signed(m):
            for place, share in [(k, 1.0)] if k != -m / 2 else [(k, 0.5), (-k, 0.5)]:
                phase = np.exp(-2j * np.pi * place * (n / m - 1) / 2 / n)
                target[place % n] += source[k % m] * share * phase * n / m
        spectrum = out
    return np.fft.ifftn(spectrum).real


# Interpolation.


def at_centres(v, extent, order, mode):
    grids = np.meshgrid(*[centres(n, m) for n, m in zip(v.shape, extent[::-1])], indexing="ij")
    return ndimage.map_coordinates(v, grids, order=order, mode=mode)


def along_axes(v, extent, line):
    for axis, m in enumerate(extent[::-1]):
        if v.shape[axis] != m:
            v = np.apply_along_axis(line, axis, v, m)
    return v


def read_between(values, position, kernel, reach):
    i = np.arange(int(np.floor(position)) - reach + 1, int(np.floor(position)) + reach + 1)
    w = kernel(i - position)
    return np.dot(w / w.sum(), values[np.clip(i, 0, len(values) - 1)])


def lanczos(v, extent):
    kernel = lambda d: np.sinc(d) * np.sinc(d / 4)
    return along_axes(v, extent, lambda l, m: [read_between(l, p, kernel, 4) for p in centres(len(l), m)])


def keys(d):
    d = np.abs(d)
    return np.where(d < 1, 1.5 * d**3 - 2.5 * d**2 + 1, np.where(d < 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0))


# The way down.


def pillow(v, extent, method):
    def line(values, m):
        image = Image.fromarray(np.asarray(values, np.float32)[None, :])
        return np.asarray(image.resize((m, 1), method))[0].astype(float)

    return along_axes(v, extent, line)


def box(v, extent):
    def line(values, m):
        integral = np.concatenate([[0], np.cumsum(values)])
        edges = np.interp(np.linspace(0, len(values), m + 1), np.arange(len(values) + 1), integral)
        return np.diff(edges) * m / len(values)

    return along_axes(v, extent, line)


def gaussian(v, extent, sigma):
    def line(values, m):
        s = sigma * len(values) / m
        soft = ndimage.gaussian_filter1d(values, s, mode="nearest", radius=int(np.ceil(4 * s)))
        return [read_between(soft, p, keys, 2) for p in centres(len(values), m)]

    return along_axes(v, extent, line)


# An oblique grid.

OBLIQUE_SOURCE = [[0.9, -0.2, 0.1, 12.0], [0.25, 0.95, -0.15, -31.0], [-0.05, 0.2, 1.1, 3.0]]
OBLIQUE_TARGET = [[-0.5, 0.6, 0.0, 14.0], [0.4, 0.7, 0.2, -30.0], [0.1, -0.1, 0.9, 2.0]]


def like(v, extent, order, mode):
    source, target = (np.vstack([a, [0, 0, 0, 1]]) for a in (OBLIQUE_SOURCE, OBLIQUE_TARGET))
    z, y, x = np.meshgrid(*[np.arange(n) for n in extent[::-1]], indexing="ij")
    index = np.linalg.inv(source) @ target @ np.stack([x.ravel(), y.ravel(), z.ravel(), np.ones(x.size)])
    coordinates = index[2::-1].reshape(3, *x.shape)
    values = ndimage.map_coordinates(v, coordinates, order=order, mode=mode)
    sizes = np.reshape(v.shape, (3, 1, 1, 1))
    inside = np.all((coordinates >= -0.5) & (coordinates <= sizes - 0.5), axis=0)
    return np.where(inside, values, 0)


def case(operator, source, target, function, *arguments):
    values = function(texture(source), target, *arguments)
    assert values.shape == tuple(target[::-1]), (operator, values.shape)
    return {"operator": operator, "from": source, "to": target, "values": np.round(values, 9).ravel().tolist()}


def mask_case():
    """Two blobs and specks over noise: threshold, component and dilation."""
    v = ndimage.gaussian_filter(texture([14, 12, 10]) - 0.5, 1.5) * 10
    v = np.round(v, 2).astype(np.float32)
    # scikit-image returns the centre of the lower class's last bin; the class ends half a bin further on.
    above = v > threshold_otsu(v) + (v.max() - v.min()) / 512
    labels, _ = ndimage.label(above)
    sizes = np.bincount(labels.ravel())[1:]
    assert np.sum(sizes == sizes.max()) == 1
    largest = labels == 1 + np.argmax(sizes)
    grown = ndimage.binary_dilation(largest, iterations=2)
    rows = lambda m: m.astype(int).ravel().tolist()
    return {
        "extent": [14, 12, 10],
        "values": [round(float(x), 2) for x in v.ravel()],
        "otsu": rows(above),
        "largest": rows(largest),
        "dilated": rows(grown),
        "percentile_99_5": float(np.percentile(v.astype(float), 99.5)),
    }


def main():
    cases = [
        case("truncate", [8, 9, 6], [4, 6, 5], truncate),
        case("truncate", [7, 5, 6], [4, 5, 3], truncate),
        case("zero_fill", [4, 5, 6], [8, 7, 9], zero_fill),
        case("zero_fill", [6, 3, 4], [7, 3, 5], zero_fill),
        case("trilinear", [5, 4, 3], [10, 7, 3], at_centres, 1, "nearest"),
        case("bspline", [5, 4, 3], [10, 7, 4], at_centres, 3, "mirror"),
        case("lanczos", [5, 9, 3], [10, 7, 4], lanczos),
        case("cubic_down", [9, 10, 7], [4, 5, 6], pillow, Image.Resampling.BICUBIC),
        case("box_down", [9, 8, 7], [6, 4, 4], box),
        case("gaussian_down", [12, 9, 7], [6, 4, 7], gaussian, 0.5),
        case("like_trilinear", [7, 6, 5], [6, 5, 4], like, 1, "nearest"),
        case("like_bspline", [7, 6, 5], [6, 5, 4], like, 3, "mirror"),
    ]
    golden = {
        "cases": cases,
        "oblique_source": OBLIQUE_SOURCE,
        "oblique_target": OBLIQUE_TARGET,
        "mask": mask_case(),
    }
    OUT.write_text(json.dumps(golden) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
