"""Applies a voxelift model in PyTorch, with a definition of the networks that shares no code, and compares.

    voxelift upscale lr.nii.gz -o sr.nii.gz --model model.safetensors --tile 64
    python scripts/reference/model_in_pytorch.py model.safetensors lr.nii.gz sr.nii.gz

The LR volume must fit into one tile (`--tile` at least its longest side), since channel attention averages over a
tile. Prints the largest difference over the factor that intensities are divided by; exit code 1 where it exceeds 1e-4.

Needs numpy, torch, safetensors, nibabel.
"""

import json
import struct
import sys

import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

TOLERANCE = 1e-4


def card_of(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(json.loads(file.read(length))["__metadata__"]["voxelift"])


def conv(tensors, name, x, slope=None):
    weight = tensors[name + ".weight"]
    x = F.conv3d(x, weight, tensors[name + ".bias"], padding=[k // 2 for k in weight.shape[2:]])
    return x if slope is None else F.leaky_relu(x, slope)


def rcab(tensors, name, x):
    y = conv(tensors, name + ".conv2", conv(tensors, name + ".conv1", x, 0.0))
    scale = y.mean(dim=(2, 3, 4), keepdim=True)
    scale = conv(tensors, name + ".attention.down", scale, 0.0)
    return x + y * torch.sigmoid(conv(tensors, name + ".attention.up", scale))


def group(tensors, name, x, blocks):
    y = x
    for block in range(blocks):
        y = rcab(tensors, f"{name}.blocks.{block}", y)
    return x + conv(tensors, name + ".close", y)


def shuffle(x, scale):
    n, c, z, y, w = x.shape
    sz, sy, sx = scale
    x = x.reshape(n, c // (sz * sy * sx), sz, sy, sx, z, y, w)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, -1, z * sz, y * sy, w * sx)


def lanczos(x, scale):
    """Eight taps a phase on the field-of-view grid, normalised, end values repeated."""
    for axis, s in zip((2, 3, 4), scale):
        if s == 1:
            continue
        n = x.shape[axis]
        k = np.arange(n * s)
        centre = (k + 0.5) / s - 0.5
        taps = np.floor(centre).astype(int)[:, None] + np.arange(-3, 5)
        distance = centre[:, None] - taps
        weights = np.sinc(distance) * np.sinc(distance / 4) * (np.abs(distance) < 4)
        weights /= weights.sum(1, keepdims=True)
        matrix = np.zeros((n * s, n))
        for row in range(n * s):
            np.add.at(matrix[row], np.clip(taps[row], 0, n - 1), weights[row])
        x = torch.movedim(torch.movedim(x, axis, -1) @ torch.from_numpy(matrix.T).to(x.dtype), -1, axis)
    return x


def generator(tensors, network, scale, image):
    x = image
    for i in range(6):
        x = conv(tensors, f"encoder.convs.{i}", x, 0.2 if i < 5 else None)
    shallow = conv(tensors, "sr_decoder.head", x)
    deep = shallow
    for i in range(network["n_resgroups"]):
        deep = group(tensors, f"sr_decoder.groups.{i}", deep, network["n_resblocks"])
    deep = shallow + conv(tensors, "sr_decoder.close", deep)
    detail = conv(tensors, "sr_decoder.last", shuffle(conv(tensors, "sr_decoder.expand", deep), scale))
    return detail + lanczos(image, scale) if network["sr_residual"] else detail


def otsu_foreground(values):
    """The rule of `voxelift_volume::intensity`: non-zero voxels where a fifth are exactly 0, else Otsu."""
    if np.mean(values == 0) >= 0.2:
        return values[values != 0]
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    mean_above = (np.cumsum((counts * centres)[::-1]) / np.maximum(above[::-1], 1))[::-1]
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return values[values > centres[:-1][np.argmax(between)]]


def main(model, lr_path, sr_path):
    card = card_of(model)
    tensors = {name: tensor.double() for name, tensor in load_file(model).items()}
    scale = card["scale"][::-1]
    lr = nibabel.load(lr_path).get_fdata(dtype=np.float64).transpose(2, 1, 0)
    sr = nibabel.load(sr_path).get_fdata(dtype=np.float64).transpose(2, 1, 0)
    # The factor multiplies out again; it need not be voxelift's to the last bit.
    factor = np.percentile(otsu_foreground(lr.ravel()), 99.5)
    image = torch.from_numpy(lr / factor)[None, None]
    with torch.no_grad():
        answer = generator(tensors, card["network"], scale, image)[0, 0].numpy()
    difference = np.abs(answer - sr / factor).max()
    print(f"largest difference {difference:.2e} of the foreground's 99.5th percentile, tolerance {TOLERANCE}")
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
