"""The networks and the training step of `configs/small.toml`, with all losses of the paper, in PyTorch, as its users would write them.

Shares no code with voxelift; `bench_pytorch.py` times both. Each tensor is computed once, frozen networks take no
weight gradient, Adam is PyTorch's fused one where the version has it. Needs PyTorch and NumPy only.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from model_in_pytorch import shuffle

SLOPE = 0.2


def conv(inputs, outputs, stride=1, kernel=3):
    return nn.Conv3d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


class Block(nn.Module):
    """RCAN's residual channel attention block."""

    def __init__(self, feats, reduction=4):
        super().__init__()
        narrow = max(4, feats // reduction)
        self.conv1, self.conv2 = conv(feats, feats), conv(feats, feats)
        self.down, self.up = conv(feats, narrow, kernel=1), conv(narrow, feats, kernel=1)

    def forward(self, x):
        branch = self.conv2(F.relu(self.conv1(x)))
        scale = torch.sigmoid(self.up(F.relu(self.down(branch.mean((2, 3, 4), keepdim=True)))))
        return x + branch * scale


class Group(nn.Module):
    def __init__(self, feats, blocks):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(feats) for _ in range(blocks)))
        self.close = conv(feats, feats)

    def forward(self, x):
        return x + self.close(self.blocks(x))


class Encoder(nn.Module):
    def __init__(self, feats):
        super().__init__()
        self.convs = nn.ModuleList(conv(1 if i == 0 else feats, feats) for i in range(6))

    def forward(self, x):
        for layer in self.convs[:-1]:
            x = F.leaky_relu(layer(x), SLOPE)
        return self.convs[-1](x)


class SrDecoder(nn.Module):
    def __init__(self, feats, groups, blocks):
        super().__init__()
        self.head, self.close = conv(feats, feats), conv(feats, feats)
        self.groups = nn.Sequential(*(Group(feats, blocks) for _ in range(groups)))
        self.expand, self.last = conv(feats, 8 * feats), conv(feats, 1)

    def forward(self, features):
        shallow = self.head(features)
        deep = shallow + self.close(self.groups(shallow))
        return self.last(shuffle(self.expand(deep), (2, 2, 2)))


class LrDecoder(nn.Module):
    def __init__(self, feats, blocks):
        super().__init__()
        self.head, self.group, self.last = conv(feats, feats), Group(feats, blocks), conv(feats, 1)

    def forward(self, features, lr):
        return lr + self.last(self.group(self.head(features)))


class Discriminator(nn.Module):
    def __init__(self, channels, width, side):
        super().__init__()
        layers, stage = [], 0
        while side >= 4 and stage < 5:
            outputs = width * (1, 2, 4, 8, 8)[stage]
            layers.append(conv(channels, outputs))
            layers += [nn.GroupNorm(1, outputs)] if stage else []
            layers += [nn.LeakyReLU(SLOPE), conv(outputs, outputs, stride=2), nn.GroupNorm(1, outputs), nn.LeakyReLU(SLOPE)]
            channels, side, stage = outputs, side // 2, stage + 1
        self.stages = nn.Sequential(*layers)
        self.hidden, self.score = nn.Linear(channels, 100), nn.Linear(100, 1)

    def forward(self, x):
        return self.score(F.leaky_relu(self.hidden(self.stages(x).mean((2, 3, 4))), SLOPE))


class Projection(nn.Module):
    def __init__(self, feats):
        super().__init__()
        self.hidden, self.last = nn.Linear(feats * 64, 256), nn.Linear(256, 128)

    def forward(self, features):
        pooled = F.adaptive_avg_pool3d(features, 4).flatten(1)
        return F.normalize(self.last(F.elu(self.hidden(pooled))))


class Upsampler(nn.Module):
    """Lanczos with 4 lobes on the field-of-view grid, a matrix an axis."""

    def __init__(self, size):
        super().__init__()
        fine = np.arange(2 * size)
        centre = (fine + 0.5) / 2 - 0.5
        taps = np.floor(centre).astype(int)[:, None] + np.arange(-3, 5)
        distance = centre[:, None] - taps
        weights = np.sinc(distance) * np.sinc(distance / 4) * (np.abs(distance) < 4)
        weights /= weights.sum(1, keepdims=True)
        matrix = np.zeros((2 * size, size), dtype=np.float32)
        for row in fine:
            np.add.at(matrix[row], np.clip(taps[row], 0, size - 1), weights[row])
        self.register_buffer("matrix", torch.from_numpy(matrix))

    def forward(self, x):
        return torch.einsum("ncijk,ai,bj,dk->ncabd", x, self.matrix, self.matrix, self.matrix)


class Generator(nn.Module):
    def __init__(self, feats, groups, blocks, size):
        super().__init__()
        self.encoder, self.decoder = Encoder(feats), SrDecoder(feats, groups, blocks)
        self.upsampler = Upsampler(size)

    def decode(self, features, lr):
        return self.decoder(features) + self.upsampler(lr)

    def forward(self, lr):
        return self.decode(self.encoder(lr), lr)


def ssim_loss(image, reference, foreground):
    def windowed(x):
        for axis in (2, 3, 4):
            window = torch.arange(-5, 6, dtype=torch.float32)
            window = torch.exp(-(window**2) / (2 * 1.5**2))
            shape = [1] * 5
            shape[axis] = 11
            x = F.conv3d(x, (window / window.sum()).reshape(shape))
        return x

    n = len(image)
    mean = windowed(torch.cat([image, reference, image**2, reference**2, image * reference])).split(n)
    covariance = mean[4] - mean[0] * mean[1]
    variances = mean[2] + mean[3] - mean[0] ** 2 - mean[1] ** 2
    similarity = (2 * mean[0] * mean[1] + 1e-4) * (2 * covariance + 9e-4)
    similarity = similarity / ((mean[0] ** 2 + mean[1] ** 2 + 1e-4) * (variances + 9e-4))
    inside = (windowed(foreground) > 0.9995).float()
    return ((1 - similarity) * inside).mean() / inside.mean().clamp_min(1e-12)


def reconstruction(image, reference, foreground):
    side = image.shape[-1]
    loss = F.l1_loss(image, reference)
    return loss + 0.1 * ssim_loss(image, reference, foreground) if side >= 11 else loss


def contrastive(u, v, temperature=0.5):
    v = v.detach()
    itself = torch.eye(len(u), dtype=torch.bool)
    inter = u @ v.T / temperature

    def partition(inter, own):
        intra = (own @ own.T / temperature).masked_fill(itself, float("-inf"))
        return torch.logsumexp(torch.cat([inter, intra], 1), 1)

    return ((partition(inter, u) + partition(inter.T, v)) / 2 - inter.diagonal()).mean()


def frozen(module, *inputs):
    """The module on its weights as they are, without a gradient to them."""
    return functional_call(module, {name: p.detach() for name, p in module.named_parameters()}, inputs)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99), eps=1e-8, fused=True)


class Step:
    """The unpaired step in the sizes of `configs/small.toml`, or with `twin` that of its supervised twin."""

    def __init__(self, twin=False, feats=16, groups=2, blocks=3, lr_blocks=4, width=8, side=16, batch=8):
        self.twin = twin
        self.generator = Generator(feats, groups, blocks, side)
        self.average = Generator(feats, groups, blocks, side).requires_grad_(False)
        self.lr_decoder = LrDecoder(feats, lr_blocks)
        self.p, self.q = Projection(feats), Projection(feats)
        self.judges = nn.ModuleList(
            [Discriminator(1, width, 2 * side), Discriminator(feats, width, side), Discriminator(1, width, side)]
        )
        self.moved = nn.ModuleList([self.generator] if twin else [self.generator, self.lr_decoder, self.p, self.q])
        self.generator_adam, self.judge_adam = adam(self.moved.parameters()), adam(self.judges.parameters())
        self.hr, self.lr, self.target = (
            torch.rand(batch, 1, s, s, s) for s in (2 * side, side, side)
        )
        self.hr_foreground, self.lr_foreground = torch.ones_like(self.hr), torch.ones_like(self.lr)

    def __call__(self):
        self.generator_adam.zero_grad(set_to_none=True)
        loss = self.supervised() if self.twin else self.unpaired()
        loss.backward()
        nn.utils.clip_grad_norm_(self.moved.parameters(), 1.0)
        self.generator_adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 0.001)

    def supervised(self):
        return reconstruction(self.generator(self.lr), self.hr, self.hr_foreground)

    def unpaired(self):
        encoder, decode, decoder = self.generator.encoder, self.generator.decode, self.lr_decoder
        source, feature, target = self.judges
        feat_source, feat_target = encoder(self.lr), encoder(self.target)
        sr_source = decode(feat_source, self.lr)
        lr_target_rec, lr_styled = decoder(feat_target, self.target), decoder(feat_source, self.lr)
        sr_styled = decode(encoder(lr_styled), lr_styled)

        self.judge_adam.zero_grad(set_to_none=True)

        def judge(network, fake, real):
            return (network(fake.detach()).square().mean() + (real - 1).square().mean()) / 2

        real = source(self.hr)
        loss = judge(source, sr_source, real) + judge(source, sr_styled, real)
        loss = loss + judge(feature, feat_target, feature(feat_source.detach()))
        loss = loss + judge(target, lr_styled, target(self.target))
        loss.backward()
        self.judge_adam.step()

        loss = reconstruction(sr_source, self.hr, self.hr_foreground)
        loss = loss + reconstruction(lr_target_rec, self.target, self.lr_foreground)
        loss = loss + reconstruction(sr_styled, self.hr, self.hr_foreground)
        for features in (feat_target, feat_source):
            loss = loss + 0.01 * (frozen(feature, features) - 0.5).square().mean()
        for image in (sr_source, sr_styled):
            loss = loss + 0.01 * (frozen(source, image) - 1).square().mean()

        # What moves the LR decoder alone starts from detached features, and goes through E held constant.
        aim_source, aim_target = feat_source.detach(), feat_target.detach()
        styled, rec = decoder(aim_source, self.lr), decoder(aim_target, self.target)
        loss = loss + 0.01 * (frozen(target, styled) - 1).square().mean()
        for image, aim in ((styled, aim_source), (rec, aim_target)):
            loss = loss + 0.005 * contrastive(self.p(frozen(encoder, image)), self.p(aim))

        side = self.lr.shape[-1]

        def embed(image):
            return self.q(frozen(encoder, image[..., :side, :side, :side]))

        aim = embed(self.hr)
        for image in (sr_source, self.generator(lr_styled.detach())):
            loss = loss + 0.005 * contrastive(embed(image), aim)
        return loss
