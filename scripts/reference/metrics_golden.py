"""Golden numbers for the scores, from other people's implementations.

Needs numpy, scipy, scikit-image, torch, pytorch-msssim and piq (any recent version). Run from the repository's root:

    python scripts/reference/metrics_golden.py

It writes crates/voxelift-volume/tests/golden/metrics.json, which tests/metrics.rs compares with. The volumes are
made by a formula that the test repeats; nothing but numbers is committed.
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


def main():
    small = volumes(47, 52, 45)
    even = volumes(64, 48, 12)
    large = volumes(165, 162, 161)
    golden = {
        "small": {
            "fidelity": fidelity(*small),
            "structure": structure(*small),
            "ms_ssim": ms_ssim(*small[:2], 3),
            "perceptual": perceptual(*small),
        },
        "even": {"perceptual": perceptual(*even)},
        "large": {"ms_ssim": ms_ssim(*large[:2], 5)},
    }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
