"""200 damaged DICOM files, each read by the program: none may take more than 200 MB or 5 s, end in a panic, or say nothing.

Needs: pydicom. Linux (peak memory by `wait4`).

    python scripts/reference/dicom_mutated.py [--voxelift target/release/voxelift] [--files 200] [--seed 1]

The files are pydicom's own MR and CT images in every transfer syntax that it brings, each with a few bytes changed, lengths
set to the largest, pieces cut out, doubled or cut off; every file is the only one of its folder, read by `voxelift info`. Times are processor
times, so that a busy machine does not count. Prints a table, and exits with 1 where a bound is broken.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pydicom.data import get_testdata_file

SOURCES = [
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_expb.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_padded.dcm",
    "CT_small.dcm",
    "JPEG-lossy.dcm",
    "JPGExtended.dcm",
    "image_dfl.dcm",
    "no_meta.dcm",
    "nested_priv_SQ.dcm",
    "emri_small.dcm",
    "emri_small_RLE.dcm",
]
MOST_BYTES = 200e6
MOST_SECONDS = 5.0


def damaged(whole, draw):
    """A copy with one to eight changes, most of them in the elements before the voxels."""
    data = bytearray(whole)
    for _ in range(draw.randint(1, 8)):
        end = len(data) if draw.random() < 0.3 else min(len(data), 4096)
        at = draw.randrange(end)
        kind = draw.randrange(7)
        if kind == 0:
            data[at] = draw.randrange(256)
        elif kind == 1:
            data[at : at + 4] = b"\xff\xff\xff\xff"
        elif kind == 2:
            data[at : at + 4] = draw.choice([b"\xf0\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xfe\xff\xff\xff"])
        elif kind == 3:
            del data[at : at + draw.randrange(1, 64)]
        elif kind == 4:
            data[at:at] = data[at : at + draw.randrange(1, 256)]
        elif kind == 5:
            data[at] ^= 1 << draw.randrange(8)
        else:
            del data[max(at, 140) :]
    return bytes(data)


def run(program, folder):
    """Exit code, seconds of the processor, bytes at most, and what was said."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [program, "--threads", "2", "info", str(folder)],
            stdout=said,
            stderr=said,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (30, 30)),
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, text


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--voxelift", default="target/release/voxelift")
    arguments.add_argument("--files", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    paths = [get_testdata_file(name, download=False) for name in SOURCES]
    wholes = [Path(path).read_bytes() for path in paths if path]
    draw = random.Random(arguments.seed)
    codes, broken, slowest, largest = {}, [], 0.0, 0
    begin = time.time()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a"
        for number in range(arguments.files):
            file.write_bytes(damaged(wholes[number % len(wholes)], draw))
            code, seconds, size, said = run(arguments.voxelift, folder)
            codes[code] = codes.get(code, 0) + 1
            slowest, largest = max(slowest, seconds), max(largest, size)
            silent = code not in (0, 1, 2) or not said.strip() or "a fault of the program" in said
            if seconds > MOST_SECONDS or size > MOST_BYTES or silent:
                broken.append((number, code, seconds, size, said.strip()[-200:]))
    print(f"{arguments.files} damaged files of {len(wholes)} images: exit codes {dict(sorted(codes.items()))}")
    print(f"slowest {slowest:.2f} s, largest {largest / 1e6:.0f} MB; {time.time() - begin:.0f} s in all")
    for row in broken:
        print("BROKEN", *row)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
