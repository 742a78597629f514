"""Runs a command and says how long it took and how much memory it held."""

import subprocess
import tempfile
import time
from pathlib import Path


def watched(*words, cwd=None):
    """Seconds of the command, the most memory (MiB) it held, its exit code and what it printed."""
    start = time.perf_counter()
    # Into a file: a pipe that nobody reads meanwhile would fill up and hold the command.
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([*map(str, words)], stdout=said, stderr=subprocess.STDOUT, cwd=cwd)
        most = 0
        while process.poll() is None:
            # Not the kernel's account at the end: that begins with the memory of this interpreter.
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    most = max(most, int(line.split()[1]) / 1024)
            time.sleep(0.005)
        took = time.perf_counter() - start
        said.seek(0)
        return took, most, process.returncode, said.read()
