"""Times `voxelift upscale` of a whole scan beside PyTorch, and says how its time and memory grow with the scan.

    cargo build --release
    python scripts/reference/bench_upscale.py MODEL.safetensors LR.nii.gz [--threads 2] [--rounds 3] [--binary target/release/voxelift]

Ours is the whole command, files and start-up included, in f32 and bf16 (where the processor has it); PyTorch's side is the same network on the same tiles
inside a running interpreter, reading and writing with nibabel, as it comes and with channels last, in f32 and bf16 (autocast). The sizes are the scan cut or repeated along its last
axis to a half, once, twice and four times its voxels. Needs numpy, torch, safetensors and nibabel.
"""

import argparse
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


def starts(size, tile):
    """As the program's tiles: they overlap by a quarter, and the last ends with the volume."""
    tile = min(tile, size)
    return sorted({min(start, size - tile) for start in range(0, max(size - tile // 4, 1), tile - tile // 4)})


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
    weight = torch.zeros_like(total)
    firsts = [(z, y, x) for z in starts(size[0], side) for y in starts(size[1], side) for x in starts(size[2], side)]
    if channels_last:
        tensors = {name: t.to(memory_format=torch.channels_last_3d) if t.ndim == 5 else t for name, t in tensors.items()}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        # Eight at a time: PyTorch is ten times slower on a single small tile.
        for batch in (firsts[i : i + 8] for i in range(0, len(firsts), 8)):
            tiles = [lr[(0, 0, *(slice(f, f + side) for f in first))] for first in batch]
            answers = generator(tensors, card["network"], scale, torch.stack(tiles)[:, None]).float()
            for first, answer in zip(batch, answers):
                place = (0, 0, *(slice(s * f, s * (f + side)) for f, s in zip(first, scale)))
                total[place] += answer[0]
                weight[place] += 1
    answer = (total / weight)[0, 0].numpy() * factor
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

        def upscale(scan, precision="f32"):
            words = ("upscale", scan, "-o", sr, "--model", args.model, "--force", "--allow-out-of-range", "--precision", precision)
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
        images = [np.asarray(nibabel.load(path).dataobj) for path in (sr, folder / "torch.nii.gz")]
        apart = np.abs(images[0] - images[1]).max() / images[0].max()
        print(f"largest difference {apart:.1e} of the maximum (the blends of the overlaps differ)", flush=True)

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
