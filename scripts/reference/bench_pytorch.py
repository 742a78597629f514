"""Times our convolution and PyTorch's, alternating, and prints the ratios.

    cargo build --release -p voxelift-model --benches
    python scripts/reference/bench_pytorch.py [--threads 2] [--rounds 9] [--only TEXT] [--json FILE]

Each round runs a case for a moment on either side, so that both meet the same disturbance; the figure is the median
over the rounds. With one thread both sides count processor time, which other work on the machine disturbs
less. PyTorch runs with oneDNN in its default layout. Needs PyTorch only.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional

CASES = [
    # kind, forward or both, batch, channels in, channels out, size
    ("conv", mode, batch, channels, channels, size)
    for channels in (16, 32, 64)
    for batch, size in ((8, 16), (1, 48))
    for mode in ("forward", "both")
] + [
    ("conv", mode, *rest)
    for rest in ((8, 1, 16, 16), (8, 1, 8, 32), (8, 16, 1, 32), (8, 8, 8, 32), (8, 16, 128, 16))
    for mode in ("forward", "both")
] + [
    ("rcab", "forward", 8, 16, 16, 16),
    ("rcab", "both", 8, 16, 16, 16),
    ("rcab", "forward", 1, 32, 32, 48),
    ("rcab", "both", 8, 32, 32, 16),
    ("body", "forward", 1, 32, 32, 48),
    ("body", "both", 8, 16, 16, 16),
]
BLOCKS, GROUPS = 4, 2


class Block(nn.Module):
    def __init__(self, feats):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv3d(feats, feats, 3, padding=1) for _ in range(2))
        narrow = max(4, feats // 4)
        self.down, self.up = nn.Conv3d(feats, narrow, 1), nn.Conv3d(narrow, feats, 1)

    def forward(self, x):
        branch = self.conv2(functional.relu(self.conv1(x)))
        scale = torch.sigmoid(self.up(functional.relu(self.down(branch.mean((2, 3, 4), keepdim=True)))))
        return x + branch * scale


class Group(nn.Module):
    def __init__(self, feats):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(feats) for _ in range(BLOCKS)))
        self.close = nn.Conv3d(feats, feats, 3, padding=1)

    def forward(self, x):
        return x + self.close(self.blocks(x))


def module(kind, channels_in, channels_out):
    if kind == "conv":
        return nn.Conv3d(channels_in, channels_out, 3, padding=1)
    if kind == "rcab":
        return Block(channels_in)
    return nn.Sequential(*(Group(channels_in) for _ in range(GROUPS)))


def torch_seconds(net, x, both):
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    wall, start, times = time.perf_counter(), clock(), 0
    while times == 0 or time.perf_counter() - wall < 0.05:
        if both:
            net.zero_grad(set_to_none=True)
            x.grad = None
            net(x).sum().backward()
        else:
            with torch.no_grad():
                net(x)
        times += 1
    return (clock() - start) / times


def find_bench():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    found = [path for path in glob.glob(f"{target}/release/deps/peers-*") if os.access(path, os.X_OK)]
    if not found:
        raise SystemExit("no bench found: cargo build --release -p voxelift-model --benches")
    return max(found, key=os.path.getmtime)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours = subprocess.Popen([find_bench()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(line):
        ours.stdin.write(line + "\n")
        ours.stdin.flush()
        return float(ours.stdout.readline())

    ask(f"pool {args.threads}")
    peak = ask("peak") / 1e9
    print(f"{torch.__version__=} threads {args.threads}, rounds {args.rounds}, FMA peak {peak:.0f} GFLOP/s")
    print(f"{'case':34} {'ours ms':>9} {'torch ms':>9} {'ratio':>6} {'ours of peak':>12}")
    results = {"peak_gflops": peak, "threads": args.threads, "cases": {}}
    for kind, mode, batch, channels_in, channels_out, size in CASES:
        name = f"{kind} {mode} {batch} {channels_in} {channels_out} {size}"
        if args.only not in name:
            continue
        both = mode == "both"
        net = module(kind, channels_in, channels_out)
        x = torch.randn(batch, channels_in, size, size, size, requires_grad=both)
        torch_seconds(net, x, both)
        pairs = [(ask(name), torch_seconds(net, x, both)) for _ in range(args.rounds)]
        ours_s, torch_s = (statistics.median(side) for side in zip(*pairs))
        ratio = statistics.median(a / b for a, b in pairs)
        flop = 2 * 27 * batch * channels_in * channels_out * size**3 * (3 if both else 1)
        flop *= {"conv": 1, "rcab": 2, "body": GROUPS * (2 * BLOCKS + 1)}[kind]
        share = flop / ours_s / peak / 1e9
        results["cases"][name] = {"ours_ms": ours_s * 1e3, "torch_ms": torch_s * 1e3, "ratio": ratio}
        print(f"{name:34} {ours_s*1e3:9.2f} {torch_s*1e3:9.2f} {ratio:6.2f} {share:11.0%}", flush=True)
    ours.stdin.close()
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
