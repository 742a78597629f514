"""A picture of a terminal in which commands run, for the documents.

    python scripts/terminal_picture.py OUT.png [--seconds N] COMMAND [COMMAND...]

Each COMMAND is one string for a shell, run in a terminal of 130 columns; with --seconds it is interrupted after that long, as by
Ctrl-C, and what stood there at that moment is kept. Needs pyte and Pillow, and DejaVu Sans Mono.
"""

import argparse
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import fcntl
import pyte
from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 130, 200
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
PAPER, INK, FAINT = "#1d2027", "#e6e8ea", "#a3abb4"


def lines_of(command, seconds):
    """What stands in the terminal when the command ends, or is about to be interrupted."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe("sh", ["sh", "-c", command], {**os.environ, "TERM": "xterm", "NO_COLOR": "1"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    end = time.monotonic() + seconds if seconds else None
    shown = None
    while True:
        if end and shown is None and time.monotonic() > end:
            shown = list(screen.display)
            os.kill(process, signal.SIGINT)
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not data:
            break
        stream.feed(data)
    os.waitpid(process, 0)
    lines = [line.rstrip() for line in shown or screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seconds", type=float, help="interrupt the first command after so long")
    parser.add_argument("commands", nargs="+")
    arguments = parser.parse_args()
    lines = []
    for i, command in enumerate(arguments.commands):
        lines.append(("$ " + command, FAINT))
        lines += [(line, INK) for line in lines_of(command, arguments.seconds if i == 0 else None)]
    font = ImageFont.truetype(FONT, 15)
    wide, high = font.getlength("m"), 20
    picture = Image.new("RGB", (int(COLUMNS * wide) + 36, len(lines) * high + 30), PAPER)
    draw = ImageDraw.Draw(picture)
    for row, (line, ink) in enumerate(lines):
        draw.text((18, 14 + row * high), line, font=font, fill=ink)
    picture.quantize(32).save(arguments.out, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
