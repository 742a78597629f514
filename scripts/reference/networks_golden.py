"""Golden numbers for the layers and networks: the same architecture, defined here in PyTorch alone.

    python scripts/reference/networks_golden.py

writes crates/voxelift-model/tests/golden/networks.json. Weights and inputs follow a formula (`formula`), so
no weight file is needed; tests/golden/mod.rs has the same formula.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

OUT = Path(__file__).parents[2] / "crates/voxelift-model/tests/golden/networks.json"
torch.set_default_dtype(torch.float64)


def formula(shape, name, amplitude=1.0):
    """amplitude sin(12.9898 (i + 1) + 0.7 salt), the salt a weighted sum of the name's bytes."""
    salt = sum((i + 1) * byte for i, byte in enumerate(name.encode())) % 1009
    i = np.arange(math.prod(shape), dtype=np.float64)
    values = (amplitude * np.sin(12.9898 * (i + 1) + 0.7 * salt)).astype(np.float32)
    return torch.from_numpy(values.astype(np.float64)).reshape(shape)


def fill(module):
    """Weights of amplitude sqrt(3 / fan in), biases and norms of amplitude 0.1 (norm weights about 1)."""
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            fan_in = math.prod(parameter.shape[1:])
            values = formula(parameter.shape, name, math.sqrt(3 / fan_in))
        else:
            values = formula(parameter.shape, name, 0.1)
            if "norm" in name and name.endswith("weight"):
                values = values + 1
        parameter.data = values
    return module


def conv(i, o, k, stride=1):
    return nn.Conv3d(i, o, k, stride=stride, padding=[n // 2 for n in k])


def voxel_shuffle(x, scale):
    n, channels, z, y, w = x.shape
    sz, sy, sx = scale
    out = x.new_zeros(n, channels // (sz * sy * sx), z * sz, y * sy, w * sx)
    for channel in range(channels):
        c, rest = divmod(channel, sz * sy * sx)
        dz, rest = divmod(rest, sy * sx)
        dy, dx = divmod(rest, sx)
        out[:, c, dz::sz, dy::sy, dx::sx] = x[:, channel]
    return out


def lanczos4(n, scale):
    """[n scale, n]: HR voxel k sits at (k + 1/2) / scale - 1/2; ends repeat."""
    rows = torch.zeros(n * scale, n)
    for k in range(n * scale):
        at = (k + 0.5) / scale - 0.5
        js = [j for j in range(-8, n + 8) if abs(at - j) < 4]
        weights = [np.sinc(at - j) * np.sinc((at - j) / 4) for j in js]
        for j, w in zip(js, weights):
            rows[k, min(max(j, 0), n - 1)] += w / sum(weights)
    return rows


def upsample(x, scale):
    z, y, w = (lanczos4(n, s) for n, s in zip(x.shape[2:], scale))
    return torch.einsum("az,by,cx,nmzyx->nmabc", z, y, w, x)


class Attention(nn.Module):
    def __init__(self, f, reduction):
        super().__init__()
        narrow = max(4, f // reduction)
        self.down, self.up = nn.Conv3d(f, narrow, 1), nn.Conv3d(narrow, f, 1)

    def forward(self, x):
        mean = F.adaptive_avg_pool3d(x, 1)
        return x * torch.sigmoid(self.up(F.relu(self.down(mean))))


class Rcab(nn.Module):
    def __init__(self, f, reduction, k):
        super().__init__()
        self.conv1, self.conv2 = conv(f, f, k), conv(f, f, k)
        self.attention = Attention(f, reduction)

    def forward(self, x):
        return x + self.attention(self.conv2(F.relu(self.conv1(x))))


class Group(nn.Module):
    def __init__(self, f, blocks, reduction, k):
        super().__init__()
        self.blocks = nn.ModuleList(Rcab(f, reduction, k) for _ in range(blocks))
        self.close = conv(f, f, k)

    def forward(self, x):
        return x + self.close(nn.Sequential(*self.blocks)(x))


class Encoder(nn.Module):
    def __init__(self, f, k):
        super().__init__()
        self.convs = nn.ModuleList(conv(1 if i == 0 else f, f, k) for i in range(6))

    def forward(self, x):
        for c in self.convs[:-1]:
            x = F.leaky_relu(c(x), 0.2)
        return self.convs[-1](x)


class SrDecoder(nn.Module):
    def __init__(self, f, groups, blocks, reduction, scale, k):
        super().__init__()
        self.head, self.close = conv(f, f, k), conv(f, f, k)
        self.groups = nn.ModuleList(Group(f, blocks, reduction, k) for _ in range(groups))
        self.expand, self.last = conv(f, f * math.prod(scale), k), conv(f, 1, k)
        self.scale = scale

    def forward(self, x):
        shallow = self.head(x)
        deep = shallow + self.close(nn.Sequential(*self.groups)(shallow))
        return self.last(voxel_shuffle(self.expand(deep), self.scale))


class Generator(nn.Module):
    def __init__(self, f, groups, blocks, reduction, scale, k):
        super().__init__()
        self.encoder = Encoder(f, k)
        self.sr_decoder = SrDecoder(f, groups, blocks, reduction, scale, k)
        self.scale = scale

    def forward(self, x):
        return self.sr_decoder(self.encoder(x)) + upsample(x, self.scale)


class LrDecoder(nn.Module):
    def __init__(self, f, blocks, reduction, k):
        super().__init__()
        self.head, self.group, self.last = conv(f, f, k), Group(f, blocks, reduction, k), conv(f, 1, k)

    def forward(self, features, image):
        return image + self.last(self.group(self.head(features)))


def norm(kind, channels):
    return {
        "group": lambda: nn.GroupNorm(1, channels),
        "batch": lambda: nn.BatchNorm3d(channels, track_running_stats=False),
        "instance": lambda: nn.InstanceNorm3d(channels, affine=True),
        "none": nn.Identity,
    }[kind]()


class Stage(nn.Module):
    def __init__(self, i, o, k, kind, first):
        super().__init__()
        self.conv1, self.conv2 = conv(i, o, k), conv(o, o, k, [2 if n > 1 else 1 for n in k])
        self.norm1, self.norm2 = norm("none" if first else kind, o), norm(kind, o)

    def forward(self, x):
        x = F.leaky_relu(self.norm1(self.conv1(x)), 0.2)
        return F.leaky_relu(self.norm2(self.conv2(x)), 0.2)


class Discriminator(nn.Module):
    def __init__(self, channels, d, k, kind, stages):
        super().__init__()
        widths = [channels] + [d * w for w in (1, 2, 4, 8, 8)]
        self.stages = nn.ModuleList(
            Stage(widths[i], widths[i + 1], k, kind, i == 0) for i in range(stages)
        )
        self.hidden, self.score = nn.Linear(widths[stages], 100), nn.Linear(100, 1)

    def forward(self, x):
        for stage in self.stages:
            x = stage(x)
        return self.score(F.leaky_relu(self.hidden(x.mean(dim=(2, 3, 4))), 0.2))


class Head(nn.Module):
    def __init__(self, inputs, hidden, dim):
        super().__init__()
        self.hidden, self.last = nn.Linear(inputs, hidden), nn.Linear(hidden, dim)

    def forward(self, rows):
        return F.normalize(self.last(F.elu(self.hidden(rows))))


def numbers(tensor):
    return [float(f"{v:.9g}") for v in tensor.detach().flatten().tolist()]


def main():
    golden = {}
    golden["voxel_shuffle"] = numbers(voxel_shuffle(formula([1, 24, 2, 3, 2], "x"), [2, 2, 3]))
    golden["upsample"] = numbers(upsample(formula([2, 1, 5, 4, 3], "x"), [2, 3, 1]))
    golden["attention"] = numbers(fill(Attention(24, 4))(formula([2, 24, 2, 3, 2], "x")))
    for kind in ["group", "batch", "instance"]:
        layer = norm(kind, 3)
        layer.weight.data = 1 + formula([3], "norm.weight", 0.1)
        layer.bias.data = formula([3], "norm.bias", 0.1)
        golden[f"norm_{kind}"] = numbers(layer(formula([2, 3, 2, 3, 2], "x") + 0.3))

    generator = fill(Generator(8, 2, 2, 4, [2, 2, 2], [3, 3, 3]))
    image = formula([2, 1, 3, 4, 3], "image").requires_grad_()
    sr = generator(image)
    (sr * formula(sr.shape, "direction")).sum().backward()
    golden["generator"] = numbers(sr)
    golden["generator_input_gradient"] = numbers(image.grad)
    golden["generator_first_weight_gradient"] = numbers(generator.encoder.convs[0].weight.grad[:2])
    golden["generator_names"] = [name for name, _ in generator.named_parameters()]
    slices = fill(Generator(8, 1, 1, 4, [1, 2, 3], [1, 3, 3]))
    golden["generator_slices"] = numbers(slices(formula([2, 1, 1, 4, 5], "image")))
    golden["encoder"] = numbers(generator.encoder(image)[:, :2])

    lr_decoder = fill(LrDecoder(8, 2, 4, [3, 3, 3]))
    golden["lr_decoder"] = numbers(
        lr_decoder(formula([1, 8, 3, 4, 3], "features"), formula([1, 1, 3, 4, 3], "image"))
    )
    for kind in ["group", "batch", "instance", "none"]:
        discriminator = fill(Discriminator(2, 4, [3, 3, 3], kind, 2))
        golden[f"discriminator_{kind}"] = numbers(discriminator(formula([3, 2, 8, 9, 11], "x")))
    slices = fill(Discriminator(1, 4, [1, 3, 3], "group", 2))
    golden["discriminator_slices"] = numbers(slices(formula([3, 1, 1, 8, 9], "x")))

    features = formula([3, 8, 5, 3, 7], "features")
    pooled = F.adaptive_avg_pool3d(features, [4, 3, 4]).flatten(1)
    golden["projection_pool"] = numbers(fill(Head(8 * 4 * 3 * 4, 16, 6))(pooled))
    flat = features.flatten(1)
    golden["projection_flat"] = numbers(F.normalize(flat - flat.mean(0))[:, ::17])
    positions = [0, 17, 104]
    rows = features.flatten(2)[:, :, positions].transpose(1, 2).reshape(-1, 8)
    golden["projection_patch"] = numbers(fill(Head(8, 16, 6))(rows))
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
