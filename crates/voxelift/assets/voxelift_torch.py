"""A voxelift model in PyTorch: written by `voxelift export --torch`, needs torch and safetensors.

    model = Generator.load("model.safetensors")
    sr = model(lr)      # lr [N, 1, Z, Y, X], a scan over the 99.5th percentile of its foreground
"""

import json

import torch
import torch.nn.functional as F
from safetensors import safe_open


class Generator(torch.nn.Module):
    def __init__(self, tensors, card):
        super().__init__()
        self.network, self.scale = card["network"], card["scale"][::-1]
        self.card = card
        self.convs = sum(name.startswith("encoder.convs.") and name.endswith(".weight") for name in tensors)
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor)

    @classmethod
    def load(cls, path):
        with safe_open(path, "pt") as file:
            card = json.loads(file.metadata()["voxelift"])
            return cls({name: file.get_tensor(name).float() for name in file.keys()}, card)

    def conv(self, name, x):
        weight, bias = (getattr(self, f"{name}_{part}".replace(".", "_")) for part in ("weight", "bias"))
        return F.conv3d(x, weight, bias, padding=[k // 2 for k in weight.shape[2:]])

    def block(self, name, x):
        y = self.conv(name + ".conv2", F.relu(self.conv(name + ".conv1", x)))
        mean = y.mean(dim=(2, 3, 4), keepdim=True)
        return x + y * torch.sigmoid(self.conv(name + ".attention.up", F.relu(self.conv(name + ".attention.down", mean))))

    def deep(self, x):
        for i in range(self.convs):
            x = self.conv(f"encoder.convs.{i}", x)
            x = F.leaky_relu(x, 0.2) if i + 1 < self.convs else x
        shallow = y = self.conv("sr_decoder.head", x)
        for g in range(self.network["n_resgroups"]):
            z = y
            for b in range(self.network["n_resblocks"]):
                z = self.block(f"sr_decoder.groups.{g}.blocks.{b}", z)
            y = y + self.conv(f"sr_decoder.groups.{g}.close", z)
        return self.conv("sr_decoder.expand", shallow + self.conv("sr_decoder.close", y))

    def forward(self, image):
        if self.network.get("placed"):
            scan = image[:, :1]
            n, _, z, y, x = scan.shape
            blocks = scan.reshape(n, z // 2, 2, y // 2, 2, x // 2, 2).permute(0, 2, 4, 6, 1, 3, 5).reshape(n, 8, z // 2, y // 2, x // 2)
            return scan + shuffle(self.deep(torch.cat([blocks, image[:, 1:, ::2, ::2, ::2]], 1)), [2, 2, 2])
        detail = self.conv("sr_decoder.last", shuffle(self.deep(image), self.scale))
        return detail + lanczos(image, self.scale) if self.network["sr_residual"] else detail


def shuffle(x, scale):
    n, c, z, y, w = x.shape
    (sz, sy, sx) = scale
    x = x.reshape(n, c // (sz * sy * sx), sz, sy, sx, z, y, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(n, -1, z * sz, y * sy, w * sx)


def lanczos(x, scale):
    """Four lobes on the field-of-view grid, end values repeated."""
    for axis, s in zip((2, 3, 4), scale):
        n = x.shape[axis]
        centre = (torch.arange(n * s, dtype=torch.float64) + 0.5) / s - 0.5
        taps = centre.floor()[:, None] + torch.arange(-3, 5)
        d = centre[:, None] - taps
        weights = torch.sinc(d) * torch.sinc(d / 4) * (d.abs() < 4)
        weights = weights / weights.sum(1, keepdim=True)
        matrix = torch.zeros(n * s, n, dtype=torch.float64)
        matrix.scatter_add_(1, taps.clamp(0, n - 1).long(), weights)
        x = torch.movedim(torch.movedim(x, axis, -1) @ matrix.T.to(x), -1, axis) if s > 1 else x
    return x
