"""Times `voxelift upscale` of a whole scan beside PyTorch, and says how its time and memory grow with the scan.

    cargo build --release
    python scripts/reference/bench_upscale.py MODEL.safetensors LR.nii.gz [--threads 2] [--rounds 3] [--binary target/release/voxelift]

Ours is the whole command, files and start-up included, in f32 and bf16 (where the processor has it); PyTorch's side is the same network on the same tiles
inside a running interpreter, reading and writing with nibabel, as it comes and with channels last, in f32 and bf16 (autocast). The sizes are the scan cut or repeated along its last
axis to a half, once, twice and four times its voxels. Needs numpy, torch, safetensors and nibabel.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import torch
from safetensors.torch import load_file

from model_in_pytorch import card_of, generator, otsu_foreground
from watched import watched


def tiled(size, side):
    """As the program's tiles along an axis: the length, and where each begins; they share a quarter of `side` at least."""
    side = min(side, size)
    shared = side // 4
    steps = -(-(size - side) // (side - shared))
    length = -(-(size + steps * shared) // (steps + 1))
    length = min(length + length % 2, side)
    steps = -(-(size - length) // (length - shared))
    room = size - length
    return length, [(2 * i * room + steps) // max(2 * steps, 1) for i in range(steps + 1)]


def windows(size, length, firsts, scale):
    """The weights of each tile's voxels along an axis: squared sines over what it shares with a neighbour, all together one."""
    made = []
    for i, first in enumerate(firsts):
        window = np.ones(length * scale)
        for other, flip in ((firsts[i - 1] if i else None, 1), (firsts[i + 1] if i + 1 < len(firsts) else None, -1)):
            if other is not None:
                n = (length - abs(first - other)) * scale
                window[::flip][:n] *= np.sin(np.pi / 2 * (np.arange(n) + 0.5) / n) ** 2
        made.append(window)
    total = np.zeros(size * scale)
    for first, window in zip(firsts, made):
        total[first * scale : (first + length) * scale] += window
    return [window / total[f * scale : (f + length) * scale] for f, window in zip(firsts, made)]


def in_pytorch(model, source, target, channels_last=False, bf16=False):
    card = card_of(model)
    # A model may be kept in half precision; the program computes in f32 all the same.
    tensors = {name: t.float() for name, t in load_file(model).items()}
    scale, side = card["scale"][::-1], card["tile"]
    image = nibabel.load(source)
    lr = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    factor = np.float32(np.percentile(otsu_foreground(lr.ravel()), 99.5))
    lr = torch.from_numpy(np.ascontiguousarray(lr / factor))[None, None]
    size = lr.shape[2:]
    total = torch.zeros(1, 1, *(n * s for n, s in zip(size, scale)))
    lengths, starts = zip(*(tiled(n, side) for n in size))
    weights = [windows(*axis) for axis in zip(size, lengths, starts, scale)]
    places = list(itertools.product(*(range(len(axis)) for axis in starts)))
    if channels_last:
        tensors = {name: t.to(memory_format=torch.channels_last_3d) if t.ndim == 5 else t for name, t in tensors.items()}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        # Eight at a time: PyTorch is ten times slower on a single small tile.
        for batch in (places[i : i + 8] for i in range(0, len(places), 8)):
            begins = [[axis[i] for axis, i in zip(starts, place)] for place in batch]
            tiles = [lr[(0, 0, *(slice(f, f + n) for f, n in zip(first, lengths)))] for first in begins]
            answers = generator(tensors, card["network"], scale, torch.stack(tiles)[:, None]).float()
            for place, first, answer in zip(batch, begins, answers):
                wz, wy, wx = (torch.from_numpy(axis[i]).float() for axis, i in zip(weights, place))
                window = wz[:, None, None] * wy[:, None] * wx
                total[(0, 0, *(slice(s * f, s * (f + n)) for f, n, s in zip(first, lengths, scale)))] += window * answer[0]
    answer = total[0, 0].numpy() * factor
    affine = image.affine @ np.diag([*(1 / s for s in card["scale"]), 1])
    nibabel.save(nibabel.Nifti1Image(answer.transpose(2, 1, 0), affine), target)


def ours(binary, threads, *words):
    """Seconds of the command, and the most memory (MiB) it held."""
    took, held, code, said = watched(binary, "--threads", threads, *words)
    if code != 0:
        sys.exit(f"voxelift {words} ended with {code}: {said}")
    return took, held


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("lr")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", type=Path, default=Path("target/release/voxelift"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sr = folder / "sr.nii.gz"

        def upscale(scan, precision="f32", *more):
            words = ("upscale", scan, "-o", sr, "--model", args.model, "--force", "--allow-out-of-range", "--precision", precision, *more)
            return ours(args.binary.resolve(), args.threads, *words)

        sides = {f"PyTorch {'bf16' if bf16 else 'f32'}{', channels last' * last}": (last, bf16) for bf16 in (False, True) for last in (False, True)}
        theirs = lambda side: in_pytorch(args.model, args.lr, folder / "torch.nii.gz", *sides[side])
        mine = ("f32", "bf16") if "avx512_bf16" in Path("/proc/cpuinfo").read_text() else ("f32",)
        times = {name: [] for name in [*(f"ours {precision}" for precision in mine), *sides]}
        # The first call of each side is not like the others: PyTorch packs weights and fills its caches, files come from the disk.
        for side in sides:
            theirs(side)
        for precision in mine:
            upscale(args.lr, precision)
        for _ in range(args.rounds):
            for precision in reversed(mine):
                times[f"ours {precision}"].append(upscale(args.lr, precision)[0])
            for side in reversed(sides):
                times[side].append(seconds(lambda: theirs(side)))
        for name, values in times.items():
            print(f"a whole scan, {name}: {statistics.median(values):.2f} s", flush=True)
        upscale(args.lr, "f32", "--consistency", "off")
        images = [np.asarray(nibabel.load(path).dataobj) for path in (sr, folder / "torch.nii.gz")]
        apart = np.abs(images[0] - images[1]).max() / images[0].max()
        print(f"largest difference {apart:.1e} of the maximum, without consistency", flush=True)

        print(f"{'voxels':>10} {'seconds':>8} {'us/voxel':>9} {'MiB':>6} {'bytes/voxel':>12}")
        image = nibabel.load(args.lr)
        voxels = np.asarray(image.dataobj)
        for share in (0.5, 1, 2, 4):
            count = round(voxels.shape[2] * share)
            part = np.take(voxels, np.arange(count) % voxels.shape[2], axis=2)
            scan = folder / "part.nii.gz"
            nibabel.save(nibabel.Nifti1Image(part, image.affine), scan)
            runs = [upscale(scan) for _ in range(args.rounds)]
            took, held = (statistics.median(side) for side in zip(*runs))
            print(
                f"{part.size:10} {took:8.2f} {took / part.size * 1e6:9.2f} {held:6.0f}"
                f" {held * 2**20 / part.size:12.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
