"""Golden numbers for the scores, from other people's implementations.

Needs numpy, scipy, scikit-image, scikit-learn, nibabel, torch, pytorch-msssim and piq (written with scikit-image 0.26,
piq 0.8.0 and pytorch-msssim 1.0.0). Run from the repository's root:

    python scripts/reference/metrics_golden.py

It writes crates/voxelift-volume/tests/golden/metrics.json, which tests/metrics.rs compares with. The volumes are
made by a formula that the test repeats, and one real head is taken from ../shared/data; nothing but numbers is committed.
"""

import json
from pathlib import Path

import numpy as np

OUT = Path("crates/voxelift-volume/tests/golden/metrics.json")


def volumes(nx, ny, nz):
    """A head-like reference, a blurred and noisy image of it, and a mask; arrays are [z, y, x]."""
    z, y, x = np.meshgrid(np.arange(nz), np.arange(ny), np.arange(nx), indexing="ij")
    u, v, w = ((2 * i + 1) / n - 1 for i, n in ((x, nx), (y, ny), (z, nz)))
    radius = u * u + v * v + w * w
    index = (z * ny + y) * nx + x
    noise = ((index * 2654435761) % 2**32 >> 8) / 2**24 - 0.5
    texture = np.sin(0.9 * x + 0.3 * z) * np.cos(0.7 * y - 0.2 * x) + 0.5 * np.sin(1.7 * z + 0.4 * y)
    tissue = np.where(radius < 0.25, 160.0, np.where(radius < 0.5, 110.0, 60.0))
    head = radius < 0.8
    reference = np.where(head, tissue + 20 * texture, 0.0)
    image = np.where(head, 0.93 * tissue + 12 * texture + 5, 1.0) + 9 * noise
    return reference.astype(np.float32), image.astype(np.float32), radius < 0.7


def fidelity(reference, image, mask):
    from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio

    r, x = reference.astype(np.float64), image.astype(np.float64)
    out = {}
    for name, region in (("whole", np.ones_like(mask)), ("masked", mask)):
        a, b = r[region], x[region]
        slope, intercept = np.polyfit(b, a, 1)
        matched = slope * b + intercept
        span = r.max() - r.min()
        out[name] = {
            "psnr_db": peak_signal_noise_ratio(a, b, data_range=span),
            "nrmse": normalized_root_mse(a, b, normalization="euclidean"),
            "slope": slope,
            "intercept": intercept,
            "matched_psnr_db": peak_signal_noise_ratio(a, matched, data_range=span),
        }
    return out


def structure(reference, image, mask):
    from skimage.metrics import structural_similarity

    r, x = reference.astype(np.float64), image.astype(np.float64)
    span = r.max() - r.min()
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=span, full=True)

    def means(a, b, inside):
        mean, smap = structural_similarity(a, b, **settings)
        inner = (slice(5, -5),) * a.ndim
        kept = inside[inner]
        return mean, smap[inner][kept].mean() if kept.any() else None, smap

    whole, masked, smap = means(r, x, mask)
    slices = [k for k in range(len(r)) if mask[k].mean() >= 0.05]
    per_slice = [means(r[k], x[k], mask[k])[:2] for k in slices]
    out = {
        "ssim": whole,
        "masked_ssim": masked,
        "map_corner": smap[0, 0, 0],
        "map_edge": smap[2, 1, 20],
        "ssim_slice": np.mean([s[0] for s in per_slice]),
        "masked_ssim_slice": np.mean([s[1] for s in per_slice if s[1] is not None]),
        "slices": len(slices),
    }
    for name, region in (("whole", np.ones_like(mask)), ("masked", mask)):
        slope, intercept = np.polyfit(x[region], r[region], 1)
        matched = means(r, slope * x + intercept, mask)
        out[f"matched_{name}"] = matched[0 if name == "whole" else 1]
    return out


def ms_ssim(reference, image, levels):
    """pytorch-msssim in f64; it insists on sides above 160, so fewer levels are put together from its parts."""
    import importlib

    import torch

    parts = importlib.import_module("pytorch_msssim.ssim")
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:levels]
    r, x = (torch.from_numpy(v.astype(np.float64))[None, None] for v in (reference, image))
    span = float(reference.astype(np.float64).max() - reference.astype(np.float64).min())
    if levels == 5:
        return parts.ms_ssim(r, x, data_range=span).item()
    weights /= weights.sum()
    window = parts._fspecial_gauss_1d(11, 1.5).double().repeat([1, 1, 1, 1, 1])
    value = 1.0
    for level in range(levels):
        ssim, contrast = parts._ssim(r, x, win=window, data_range=span, size_average=False)
        last = level == levels - 1
        value *= torch.relu(ssim if last else contrast).item() ** weights[level]
        padding = [s % 2 for s in r.shape[2:]]
        r, x = (torch.nn.functional.avg_pool3d(v, kernel_size=2, padding=padding) for v in (r, x))
    return value


def perceptual(reference, image, mask):
    """piq per axial slice, in f64; it wants 0 <= v <= data_range, which the shift by the minimum sees to."""
    import piq
    import torch

    r, x = reference.astype(np.float64), image.astype(np.float64)
    # The image's noise leaves the reference's range by a little: piq's check of it is not part of the score.
    for module in (piq.haarpsi, piq.gmsd, piq.vif_p, piq.fsim):
        module.__globals__["_validate_input"] = lambda *_, **__: None
    span, black = r.max() - r.min(), r.min()
    out = {}
    for name, inside in (("whole", np.ones_like(mask)), ("masked", mask)):
        scores = {"haarpsi": [], "gmsd": [], "vifp": [], "fsim": []}
        for k in (k for k in range(len(r)) if mask[k].mean() >= 0.05):
            a, b = (torch.from_numpy(np.where(inside[k], v[k] - black, 0.0))[None, None] for v in (r, x))
            scores["haarpsi"].append(piq.haarpsi(b, a, data_range=span).item())
            scores["gmsd"].append(piq.gmsd(b, a, data_range=span).item())
            scores["vifp"].append(piq.vif_p(b, a, data_range=span).item())
            scores["fsim"].append(piq.fsim(b, a, data_range=span, chromatic=False).item())
        out[name] = {key: np.mean(values) for key, values in scores.items()}
    return out


def hfen(reference, image, mask):
    from scipy.ndimage import gaussian_laplace

    log_r, log_x = (gaussian_laplace(v.astype(np.float64), 1.5, radius=7) for v in (reference, image))
    norm = np.linalg.norm
    return {
        "whole": norm(log_x - log_r) / norm(log_r),
        "masked": norm((log_x - log_r)[mask]) / norm(log_r[mask]),
    }


def face_taper(shape):
    """Half a cosine over 8 voxels, or a quarter of the side, at each face."""
    out = np.ones(shape)
    for axis, n in enumerate(shape):
        width = min(8, n // 4)
        ramp = (1 + np.cos(np.pi * (width - np.arange(width)) / (width + 1))) / 2
        line = np.ones(n)
        line[:width], line[n - width :] = ramp, ramp[::-1]
        out = out * line.reshape([-1 if a == axis else 1 for a in range(3)])
    return out


def mask_taper(mask):
    """Half a cosine over 4 city-block steps around the mask."""
    from scipy.ndimage import distance_transform_cdt

    steps = distance_transform_cdt(~mask, metric="taxicab").astype(float)
    return np.where(steps <= 4, (1 + np.cos(np.pi * np.minimum(steps, 5) / 5)) / 2, 0.0)


def spectral(reference, image, mask, spacing, measured):
    """Spacings as (z, y, x)."""
    r, x = reference.astype(np.float64), image.astype(np.float64)
    cycles = np.meshgrid(*(np.fft.fftfreq(n) for n in r.shape), indexing="ij")
    radius = np.sqrt(sum((f / d) ** 2 for f, d in zip(cycles, spacing)))
    ratio = [2 * np.abs(f) * m / d for f, d, m in zip(cycles, spacing, measured)]
    unmeasured = np.any([q > 1 + 1e-6 for q in ratio], axis=0) & (sum(4 * f * f for f in cycles) < 1 - 1e-9)
    kept = np.all([(q < 1 - 1e-6) | (m <= d) for q, d, m in zip(ratio, spacing, measured)], axis=0)
    zero_filled = np.fft.ifftn(np.fft.fftn(r) * kept).real
    width = max(1 / (n * d) for n, d in zip(r.shape, spacing))
    shell = np.rint(radius / width).astype(int)
    last = int(np.floor(min(0.5 / d for d in spacing) / width - 0.5 + 1e-9))

    def energies(a, b, region):
        index, n = shell[region], shell.max() + 1
        terms = ((a * b.conj()).real, abs(a) ** 2, abs(b) ** 2, np.ones(a.shape))
        return [np.bincount(index, t[region], n) for t in terms]

    def correlation(cross, ea, eb, a, b):
        weak = (ea <= 1e-12 * (abs(a) ** 2).sum()) | (eb <= 1e-12 * (abs(b) ** 2).sum())
        return np.where(weak, 0, cross / np.sqrt(np.where(weak, 1, ea * eb)))

    out = {}
    for name, taper in (("whole", face_taper(r.shape)), ("masked", mask_taper(mask))):
        fr, fx, fz = (np.fft.fftn(v * taper) for v in (r, x, zero_filled))
        cross, er, ex, _ = energies(fr, fx, np.ones_like(mask))
        curve = correlation(cross, er, ex, fr, fx)[1 : last + 1]
        below = np.flatnonzero(curve < 0.5)
        cutoff = last * width
        if len(below):
            i = below[0]
            cutoff = width * (i + (curve[i - 1] - 0.5) / (curve[i - 1] - curve[i])) if i else width
        cross, er, ex, count = energies(fr, fx, unmeasured)
        fsc = correlation(cross, er, ex, fr, fx)
        cross_z, _, ez, _ = energies(fr, fz, unmeasured)
        fsc_z = correlation(cross_z, er, ez, fr, fz)
        out[name] = {
            "shells": len(curve),
            "first": curve[0],
            "middle": curve[len(curve) // 2],
            "last": curve[-1],
            "cutoff": cutoff,
            "correlation": (count * fsc).sum() / count.sum(),
            "zero_fill": (count * fsc_z).sum() / count.sum(),
            "hallucination": (ex * (1 - fsc**2)).sum() / er.sum(),
            "energy": ex.sum() / er.sum(),
            "frequencies": int(count.sum()),
        }
    return out


def tissue(reference, image, mask):
    from sklearn.mixture import GaussianMixture

    fits, labels = [], []
    for volume in (reference, image):
        values = volume[mask].astype(np.float64)[:, None]
        start = np.quantile(values, [1 / 6, 1 / 2, 5 / 6])
        precision = np.full((3, 1, 1), 9 / values.var())
        mixture = GaussianMixture(
            3, tol=1e-7, max_iter=1000, weights_init=[1 / 3] * 3, means_init=start[:, None], precisions_init=precision
        ).fit(values)
        order = np.argsort(mixture.means_[:, 0])
        fits.append({"means": mixture.means_[order, 0].tolist(), "weights": mixture.weights_[order].tolist()})
        labels.append(np.argsort(order)[mixture.predict(values)])
    dice = [2 * np.sum((labels[0] == c) & (labels[1] == c)) / np.sum([v == c for v in labels]) for c in range(3)]
    volumes = [(np.sum(labels[1] == c) / np.sum(labels[0] == c) - 1) for c in range(3)]
    return {"reference": fits[0], "image": fits[1], "dice": dice, "volume_difference": volumes}


class Stream:
    """The draws of the crate's `random::Stream`: ChaCha with 8 rounds, the seed expanded by PCG32, the stream as nonce."""

    def __init__(self, seed, number):
        key, state = [], seed
        for _ in range(8):
            state = (state * 6364136223846793005 + 11634580027462260723) % 2**64
            x, turn = (((state >> 18) ^ state) >> 27) % 2**32, state >> 59
            key.append((x >> turn | x << (32 - turn)) % 2**32)
        self.key, self.number, self.counter, self.words = key, number, 0, []

    def block(self):
        halves = [self.counter % 2**32, self.counter >> 32, self.number % 2**32, self.number >> 32]
        start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *self.key, *halves]
        x = list(start)

        def quarter(a, b, c, d):
            for p, q, r, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[p] = (x[p] + x[q]) % 2**32
                v = x[r] ^ x[p]
                x[r] = (v << turn | v >> (32 - turn)) % 2**32

        for _ in range(4):
            for i in range(4):
                quarter(i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        self.counter += 1
        return [(a + b) % 2**32 for a, b in zip(x, start)]

    def uniform(self):
        if not self.words:
            self.words = self.block()
        low, high = self.words.pop(0), self.words.pop(0)
        return ((high << 32 | low) >> 11) / 2**53

    def normals(self, count):
        out = []
        while len(out) < count:
            u, v = self.uniform(), self.uniform()
            radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v
            out += [radius * np.cos(angle), radius * np.sin(angle)]
        return np.array(out[:count])


def halving(n):
    """The pyramid's kernel at every second voxel, renormalised at the ends, as a matrix; and its way back."""
    kernel = {-2: 1, -1: 4, 0: 6, 1: 4, 2: 1}
    m = (n + 1) // 2
    down = np.array([[kernel.get(j - 2 * i, 0) for j in range(n)] for i in range(m)], float)
    up = np.array([[kernel.get(2 * j - i, 0) for j in range(m)] for i in range(n)], float)
    return down / down.sum(1, keepdims=True), up / up.sum(1, keepdims=True)


def along_axes(volume, matrices):
    return np.einsum("az,by,cx,zyx->abc", *matrices, volume, optimize=True)


def sets(images, references):
    """Sliced Wasserstein distance on Laplacian pyramid patches, log power spectrum L1; see metrics/sets.rs."""
    from scipy.stats import wasserstein_distance
    from skimage.filters import threshold_otsu

    directions = np.array([Stream(0, number).normals(343) for number in range(128)])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def above_otsu(volume):
        """The bins above scikit-image's: its threshold is a bin's centre, which would divide that bin."""
        low, width = volume.min().astype(float), (volume.max().astype(float) - volume.min()) / 256
        last = np.rint((threshold_otsu(volume) - low) / width - 0.5)
        return np.minimum(np.floor((volume - low) / width), 255) > last

    def member(volume):
        values = volume[volume != 0] if (volume == 0).mean() >= 0.2 else volume[above_otsu(volume)]
        scaled = volume / np.float32(np.percentile(values.astype(np.float64), 99.5))
        inside = above_otsu(scaled)
        g, levels = scaled.astype(np.float64), []
        for level in range(3):
            matrices = [halving(n) for n in g.shape]
            coarse = along_axes(g, [m[0] for m in matrices])
            band = g if level == 2 else g - along_axes(coarse, [m[1] for m in matrices])
            room = np.zeros(band.shape, bool)
            room[3:-3, 3:-3, 3:-3] = True
            fine = [np.minimum(np.arange(n) << level, w - 1) for n, w in zip(band.shape, volume.shape)]
            centres = np.argwhere(room & inside[np.ix_(*fine)])
            chosen = centres[(2 * np.arange(512) + 1) * len(centres) // 1024]
            levels.append(np.array([band[z - 3 : z + 4, y - 3 : y + 4, x - 3 : x + 4].ravel() for z, y, x in chosen]))
            g = coarse
        power = abs(np.fft.fftn(scaled.astype(np.float64) * face_taper(volume.shape))) ** 2
        cycles = np.meshgrid(*(np.fft.fftfreq(n) for n in volume.shape), indexing="ij")
        band = np.floor(np.sqrt(sum(f * f for f in cycles)) / 0.5 * 32 + 1e-9).astype(int)
        band[0, 0, 0] = 32
        least = 1e-12 * power.mean()
        means = [power[band == b].mean() if (band == b).any() else None for b in range(32)]
        return levels, [None if m is None else np.log(max(m, least)) for m in means]

    images, references = [[member(v) for v in volumes] for volumes in (images, references)]
    distances = []
    for level in range(3):
        a, b = (np.concatenate([m[0][level] for m in s]) for s in (images, references))
        unit = b.std()
        pairs = zip((a @ directions.T / unit).T, (b @ directions.T / unit).T)
        distances.append(np.mean([wasserstein_distance(p, q) for p, q in pairs]))
    apart = []
    for band in range(32):
        a, b = ([m[1][band] for m in s] for s in (images, references))
        if None not in a + b:
            apart.append(abs(np.mean(a) - np.mean(b)))
    return {"levels": distances, "log_power_l1": np.mean(apart), "bands": len(apart)}


def statistics():
    import itertools

    from scipy.stats import bootstrap, wilcoxon

    plain = [0.31, -0.12, 0.55, 0.83, 0.07, 1.2, -0.44, 0.9, 0.61]
    tied = [1.0, 1.0, -1.0, 2.0, 2.0, -3.0, 3.0, 0.0, 4.0]
    magnitudes = np.array([d for d in tied if d])
    from scipy.stats import rankdata

    ranks = rankdata(abs(magnitudes))
    seen = min(ranks[magnitudes > 0].sum(), ranks[magnitudes < 0].sum())
    sums = [sum(r for r, s in zip(ranks, signs) if s) for signs in itertools.product((0, 1), repeat=len(ranks))]
    interval = bootstrap((plain,), np.mean, method="percentile", n_resamples=200_000, rng=1).confidence_interval
    return {
        "plain": plain,
        "plain_p": wilcoxon(plain, method="exact").pvalue,
        "tied": tied,
        "tied_p": min(1.0, 2 * np.mean([s <= seen for s in sums])),
        "sd": np.std(plain, ddof=1),
        "interval": list(interval),
    }


def real_pair():
    """A head of ../shared/data and its averages over 2x2x2 voxels, each repeated; None where it is absent."""
    import nibabel

    path = Path("../shared/data/val/hr/oasis-malf1003_T1w_1mm_brain.nii.gz")
    if not path.exists():
        return None
    head = nibabel.as_closest_canonical(nibabel.load(path))
    reference = np.asarray(head.dataobj, dtype=np.float64).T
    reference = reference[tuple(slice(0, n // 2 * 2) for n in reference.shape)].astype(np.float32)
    nz, ny, nx = (n // 2 for n in reference.shape)
    blocks = reference.astype(np.float64).reshape(nz, 2, ny, 2, nx, 2).mean(axis=(1, 3, 5))
    image = blocks.repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.float32)
    return reference, image, reference > 50


def main():
    small, even, large = volumes(47, 52, 45), volumes(64, 48, 12), volumes(165, 162, 161)
    golden = {
        "small": {
            "fidelity": fidelity(*small),
            "structure": structure(*small),
            "ms_ssim": ms_ssim(*small[:2], 3),
            "perceptual": perceptual(*small),
            "hfen": hfen(*small),
            "spectral": spectral(*small, spacing=(0.9, 1.1, 1.0), measured=(0.9, 2.2, 2.0)),
            "tissue": tissue(*small),
        },
        "even": {"perceptual": perceptual(*even)},
        "large": {"ms_ssim": ms_ssim(*large[:2], 5)},
        "statistics": statistics(),
        # Two images against three references of other sizes.
        "sets": sets([small[1], volumes(60, 52, 49)[1]], [small[0], volumes(60, 52, 49)[0], volumes(52, 60, 56)[0]]),
    }
    real = real_pair()
    if real is None:
        # Keep the numbers of an earlier run with the data.
        golden["real"] = json.loads(OUT.read_text())["real"]
    else:
        golden["real"] = {
            "fidelity": fidelity(*real),
            "structure": structure(*real),
            "ms_ssim": ms_ssim(*real[:2], 4),
            "perceptual": perceptual(*real),
            "hfen": hfen(*real),
            "spectral": spectral(*real, spacing=(1.0, 1.0, 1.0), measured=(2.0, 2.0, 2.0)),
            "tissue": tissue(*real),
            "sets": sets([real[1]], [real[0]]),
        }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
