"""Golden numbers for the losses: written out naively in PyTorch.

    python scripts/reference/losses_golden.py

writes crates/voxelift-model/tests/golden/losses.json; where scikit-image is installed the SSIM is compared
with it on the way. Inputs follow `formula` of networks_golden.py.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

from networks_golden import formula, numbers

OUT = Path(__file__).parents[2] / "crates/voxelift-model/tests/golden/losses.json"


def gaussian(n):
    size = max(k for k in (1, 3, 5, 7, 9, 11) if k <= n)
    g = torch.tensor([math.exp(-(i**2) / (2 * 1.5**2)) for i in range(-(size // 2), size // 2 + 1)])
    return g / g.sum()


def ssim_loss(a, b, foreground):
    """1 - SSIM as one dense 3-D convolution; only windows without a background voxel count."""
    z, y, x = (gaussian(n) for n in a.shape[2:])
    window = torch.einsum("z,y,x->zyx", z, y, x)[None, None]
    mean = lambda t: F.conv3d(t, window)
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    outside = F.conv3d(1 - foreground, torch.ones_like(window))
    inside = outside < 0.5
    return 1 - ssim[inside].mean(), int(inside.sum())


def contrastive(u, v, tau):
    """Equations 1 and 2 of GRACE with loops."""
    cos = lambda a, b: torch.dot(a, b) / (a.norm() * b.norm())
    n = len(u)

    def l(a, b, i):
        below = sum(torch.exp(cos(a[i], b[k]) / tau) for k in range(n))
        below = below + sum(torch.exp(cos(a[i], a[k]) / tau) for k in range(n) if k != i)
        return -torch.log(torch.exp(cos(a[i], b[i]) / tau) / below)

    return sum(l(u, v, i) + l(v, u, i) for i in range(n)) / (2 * n)


def images(shape):
    image = 0.4 + 0.3 * formula(shape, "image")
    reference = 0.5 + 0.3 * formula(shape, "reference") + 0.2 * formula(shape, "image")
    return image.requires_grad_(), reference


def main():
    golden = {}
    image, reference = images([2, 1, 6, 13, 12])
    foreground = torch.ones_like(reference)
    foreground[0, 0, 1, 0, 3] = 0  # spares the windows that begin at y = 1 and later
    foreground[1, 0, :, :, 10:] = 0  # leaves no window of the second sample
    loss, windows = ssim_loss(image, reference, foreground)
    loss.backward()
    assert 0 < windows < 2 * 2 * 3 * 2, windows
    golden["ssim_loss"] = loss.item()
    golden["ssim_gradient"] = numbers(image.grad.flatten()[::13])

    image, reference = images([1, 1, 13, 12, 14])
    whole, _ = ssim_loss(image, reference, torch.ones_like(reference))
    golden["ssim_whole"] = whole.item()
    try:
        from skimage.metrics import structural_similarity

        peer = structural_similarity(
            image.detach()[0, 0].numpy(),
            reference[0, 0].numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
        )
        assert abs(peer - (1 - whole.item())) < 1e-9, (peer, whole.item())
    except ImportError:
        pass

    u = formula([5, 7], "u").requires_grad_()
    v = (formula([5, 7], "v") + 0.5 * formula([5, 7], "u")).requires_grad_()
    loss = contrastive(u, v, 0.3)
    loss.backward()
    golden["contrastive"] = loss.item()
    golden["contrastive_gradient_u"] = numbers(u.grad)
    golden["contrastive_gradient_v"] = numbers(v.grad)
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
