"""Times our convolution, inference and training step and PyTorch's, alternating, and prints the ratios.

    cargo build --release --workspace --benches
    python scripts/reference/bench_pytorch.py [--threads 2] [--rounds 9] [--only TEXT] [--json FILE] [--memory] [--best [--compile]] [--avx2]

`--best` compares with the strongest of several settings: PyTorch as it comes, with channels last, both in bf16 (autocast), with `--compile` both through `torch.compile` too (it needs a C++
compiler; not the training step), and, where they are installed, OpenVINO in f32 and bf16 and onnxruntime in f32 (forward passes); ours
in f32 and in bf16. Each round times all of
them, one after the other; the peer is the setting with the least median in its format. `--avx2` holds ours and PyTorch to AVX2, as on an older
processor; OpenVINO and onnxruntime, which do not let themselves be held so, are left out then. `--memory` prints instead what a case adds to the most memory that a fresh process of either side ever held.

Each round runs a case for a moment on either side, so that both meet the same disturbance; the figure is the median
over the rounds. With one thread both sides count processor time, which other work on the machine disturbs
less. PyTorch runs with oneDNN in its default layout. Needs PyTorch only.
"""

import argparse
import glob
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time

if "--avx2" in sys.argv:
    # Read by PyTorch, oneDNN and OpenVINO when they are loaded.
    os.environ |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"}

import torch
from torch import nn

from step_in_pytorch import Block, Generator, Group, Step

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
    # Images of 3x3 taps, as learning from one scan has them.
    ("plane", "forward", 16, 32, 32, 32),
    ("plane", "both", 16, 32, 32, 32),
    ("rcab", "forward", 8, 16, 16, 16),
    ("rcab", "both", 8, 16, 16, 16),
    ("rcab", "forward", 1, 32, 32, 48),
    ("rcab", "both", 8, 32, 32, 16),
    ("body", "forward", 1, 32, 32, 48),
    ("body", "both", 8, 16, 16, 16),
    # A generator of 2 groups of 4 blocks on an LR volume of this size, in tiles of 48 that overlap by 12.
    ("volume", "forward", 1, 32, 32, 48),
    ("volume", "forward", 1, 32, 32, 84),
    # The training step in the sizes of `configs/small.toml` and of its supervised twin.
    ("twin", "both", 8, 16, 16, 16),
    ("step", "both", 8, 16, 16, 16),
]
MEMORY = [("body", "forward", 1, 32, 32, 48), ("volume", "forward", 1, 32, 32, 84), *CASES[-2:]]
BLOCKS, GROUPS = 4, 2
TILE, OVERLAP = 48, 12
# Seconds before each side: threads of the one before wait for work on a core of their own for up to 0.2.
REST = 0.3


def module(kind, channels_in, channels_out):
    if kind == "conv":
        return nn.Conv3d(channels_in, channels_out, 3, padding=1)
    if kind == "plane":
        return nn.Conv2d(channels_in, channels_out, 3, padding=1)
    if kind == "rcab":
        return Block(channels_in)
    return nn.Sequential(*(Group(channels_in, BLOCKS) for _ in range(GROUPS)))


def tiled(net, x):
    """The volume in tiles, blended by plain averages."""
    size, step = x.shape[-1], TILE - OVERLAP
    tile = min(TILE, size)
    starts = sorted({min(start, size - tile) for start in range(0, max(size - OVERLAP, 1), step)})
    total, weight = torch.zeros(1, 1, *[2 * size] * 3), torch.zeros(1, 1, *[2 * size] * 3)
    for z in starts:
        for y in starts:
            for k in starts:
                place = (..., *(slice(2 * a, 2 * (a + tile)) for a in (z, y, k)))
                total[place] += net(x[..., z : z + tile, y : y + tile, k : k + tile])
                weight[place] += 1
    return total / weight


def work(kind, mode, batch, channels_in, channels_out, size, channels_last=False, bf16=False, compiled=False):
    """What one run of a case does."""
    format = {4: torch.channels_last, 5: torch.channels_last_3d}
    autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=bf16)
    if kind in ("step", "twin"):
        step = Step(twin=kind == "twin")
        if channels_last:
            for value in vars(step).values():
                if isinstance(value, nn.Module):
                    value.to(memory_format=torch.channels_last_3d)

        def one_step():
            with autocast():
                step()

        return one_step
    both = mode == "both"
    space = [size] * (2 if kind == "plane" else 3)
    x = torch.randn(batch, channels_in, *space)
    if kind == "volume":
        net, x = Generator(channels_in, GROUPS, BLOCKS, min(TILE, size)), x[:, :1]
    else:
        net = module(kind, channels_in, channels_out)
    if channels_last:
        net, x = net.to(memory_format=format[x.ndim]), x.contiguous(memory_format=format[x.ndim])
    x.requires_grad_(both)
    if compiled:
        net = torch.compile(net)

    def forward():
        with torch.no_grad(), autocast():
            tiled(net, x) if kind == "volume" else net(x)

    def both_ways():
        net.zero_grad(set_to_none=True)
        x.grad = None
        with autocast():
            y = net(x)
        y.sum().backward()

    return both_ways if both else forward


def loaded(case):
    """The network of a forward case, and what it is given: for a volume a tile of it."""
    kind, _, batch, channels_in, channels_out, size = case
    if kind == "volume":
        return Generator(channels_in, GROUPS, BLOCKS, min(TILE, size)).eval(), torch.randn(1, 1, *[min(TILE, size)] * 3)
    net = module(kind, channels_in, channels_out).eval()
    return net, torch.randn(batch, channels_in, *[size] * (2 if kind == "plane" else 3))


def once_by(infer, case, x):
    """One run of a case by a program that infers what lies in NumPy."""
    if case[0] != "volume":
        array = x.numpy()
        return lambda: infer(array)
    volume = torch.randn(1, 1, *[case[-1]] * 3)
    return lambda: tiled(lambda tile: torch.from_numpy(infer(tile.contiguous().numpy())), volume)


def in_openvino(case, threads, bf16):
    """The forward pass in OpenVINO; nothing where it is not there."""
    try:
        import openvino
    except ImportError:
        return None
    if case[1] != "forward":
        return None
    net, x = loaded(case)
    model = openvino.convert_model(net, example_input=x, input=[list(x.shape)])
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()
    return once_by(lambda array: request.infer([array])[0], case, x)


def in_onnxruntime(case, threads):
    """The forward pass in onnxruntime, in f32; nothing where it is not there."""
    try:
        import onnxruntime
    except ImportError:
        return None
    if case[1] != "forward":
        return None
    net, x = loaded(case)
    file = io.BytesIO()
    torch.onnx.export(net, (x,), file, input_names=["x"], **({"dynamo": False} if torch.__version__ >= "2.6" else {}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return once_by(lambda array: session.run(None, {"x": array})[0], case, x)


def best(cases, args, ours):
    """Against the strongest setting of each peer."""
    # Without AVX-512 nobody has products of bf16: ours refuses, PyTorch takes minutes.
    formats = (False,) if args.avx2 else (False, True)
    half = "" if args.avx2 else f" {'bf16 ms':>8} | {'peer bf16':>9} {'ratio':>6} {'on f32':>6}"
    print(f"{'case':30} {'f32 ms':>8} {'peer f32':>9} {'ratio':>6}{half}  peers")
    for case in cases:
        name = " ".join(map(str, case))
        sides = {}
        for bf16 in formats:
            for last in (False, True):
                label = f"torch{' channels last' if last else ''}"
                sides[label, bf16] = work(*case, channels_last=last, bf16=bf16)
                if args.compile and case[0] not in ("step", "twin"):
                    sides[f"{label} compiled", bf16] = work(*case, channels_last=last, bf16=bf16, compiled=True)
            sides["openvino", bf16] = None if args.avx2 else in_openvino(case, args.threads, bf16)
        sides["onnxruntime", False] = None if args.avx2 else in_onnxruntime(case, args.threads)
        sides = {key: once for key, once in sides.items() if once}
        for once in sides.values():
            once()
        times = {key: [] for key in [*sides, *(("ours", bf16) for bf16 in formats)]}
        for _ in range(args.rounds):
            for bf16 in formats:
                ours.ask(f"precision {'bf16' if bf16 else 'f32'}")
                time.sleep(REST)
                times["ours", bf16].append(ours.ask(name))
            for key, once in sides.items():
                time.sleep(REST)
                times[key].append(torch_seconds(once))
        ms = {key: statistics.median(values) * 1e3 for key, values in times.items()}
        peer = {bf16: min((key for key in sides if key[1] == bf16), key=ms.get) for bf16 in formats}
        row = f"{name:30} {ms['ours', False]:8.2f} {ms[peer[False]]:9.2f} {ms['ours', False] / ms[peer[False]]:6.2f}"
        if not args.avx2:
            bf16 = ms["ours", True]
            row += f" {bf16:8.2f} | {ms[peer[True]]:9.2f} {bf16 / ms[peer[True]]:6.2f} {bf16 / ms[peer[False]]:6.2f}"
        print(row, "", "; ".join(key[0] for key in peer.values()), flush=True)
        print("    " + ", ".join(f"{key[0]} {'bf16' if key[1] else 'f32'} {value:.2f}" for key, value in ms.items()), flush=True)


def torch_seconds(once):
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    wall, start, times = time.perf_counter(), clock(), 0
    while times == 0 or time.perf_counter() - wall < 0.05:
        once()
        times += 1
    return (clock() - start) / times


def find_bench():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    found = [path for path in glob.glob(f"{target}/release/deps/peers-*") if os.access(path, os.X_OK)]
    if not found:
        raise SystemExit("no bench found: cargo build --release -p voxelift-model --benches")
    return max(found, key=os.path.getmtime)


class Ours:
    """Our side, a case a line."""

    def __init__(self, threads, avx2=False):
        self.process = subprocess.Popen([find_bench()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if avx2:
            self.ask("without avx512")
        self.ask(f"pool {threads}")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def most_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory(threads):
    print(f"{'case':34} {'ours MiB':>9} {'torch MiB':>9} {'ratio':>6}")
    for case in MEMORY:
        name = " ".join(map(str, case))
        ours = Ours(threads)
        before = ours.ask("memory")
        ours.ask(name)
        ours = ours.ask("memory") - before
        command = [sys.executable, __file__, "--threads", str(threads), "--alone", name]
        theirs = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(f"{name:34} {ours/2**20:9.0f} {theirs/2**20:9.0f} {ours/theirs:6.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.memory:
        return memory(args.threads)
    if args.alone:
        kind, mode, *sizes = args.alone.split()
        before = most_memory()
        once = work(kind, mode, *map(int, sizes))
        for _ in range(3):
            once()
        print(most_memory() - before)
        return None
    ours = Ours(args.threads, args.avx2)
    peak = ours.ask("peak") / 1e9
    print(f"{torch.__version__=} threads {args.threads}, rounds {args.rounds}, FMA peak {peak:.0f} GFLOP/s")
    if args.best:
        return best([case for case in CASES if args.only in " ".join(map(str, case))], args, ours)
    print(f"{'case':34} {'ours ms':>9} {'torch ms':>9} {'ratio':>6}")
    results = {"peak_gflops": peak, "threads": args.threads, "cases": {}}
    for case in CASES:
        name = " ".join(map(str, case))
        if args.only not in name:
            continue
        once = work(*case)
        torch_seconds(once)
        pairs = [(ours.ask(name), torch_seconds(once)) for _ in range(args.rounds)]
        ours_s, torch_s = (statistics.median(side) for side in zip(*pairs))
        ratio = statistics.median(a / b for a, b in pairs)
        results["cases"][name] = {"ours_ms": ours_s * 1e3, "torch_ms": torch_s * 1e3, "ratio": ratio}
        print(f"{name:34} {ours_s*1e3:9.2f} {torch_s*1e3:9.2f} {ratio:6.2f}", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)
    return None


if __name__ == "__main__":
    main()
