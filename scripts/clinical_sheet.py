#!/usr/bin/env python3
"""The contact sheet of `docs/results.md`: clinical scans of thick slices beside what the default command makes of them.

    voxelift upscale ../shared/data/thick -o OUT
    scripts/clinical_sheet.py --scans ../shared/data/thick --made OUT --out docs/images/clinical-sheet.jpg

Needs numpy, scipy, nibabel and Pillow. A row a scan: sagittal, coronal and axial plane through the middle of the brain, the scan (nearest voxel) left of the
output, one window for both, in millimetres of the world; 120 mm of brain alone. `--only NAME --focus X Y Z --half MM` shows one place of one scan, the
cubic B-spline between both.
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage


class Seen:
    """A volume in the world."""

    def __init__(self, path):
        image = nib.load(path)
        self.data = np.asarray(image.dataobj, dtype=np.float32)
        self.affine, self.inverse = image.affine, np.linalg.inv(image.affine)

    def plane(self, axis, centre, half, step, order):
        """The values on a square of the world across `axis`, superior or anterior up."""
        across, up = [a for a in range(3) if a != axis]
        line = np.arange(-half, half, step)
        u, v = np.meshgrid(line, line[::-1])
        at = [np.full(u.shape, c) for c in centre]
        at[across], at[up] = at[across] + u, at[up] + v
        index = np.tensordot(self.inverse[:3, :3], np.stack(at), 1) + self.inverse[:3, 3][:, None, None]
        return ndimage.map_coordinates(self.data, index, order=order)


def middle(seen):
    """The centre of the brain, about: of what is in the middle half of the foreground, 10 mm to the left of it."""
    inside = np.argwhere(seen.data[::4, ::4] > 0.3 * np.percentile(seen.data, 99)) * [4, 4, 1]
    world = inside @ seen.affine[:3, :3].T + seen.affine[:3, 3]
    low, high = np.percentile(world, [5, 95], axis=0)
    return 0.5 * (low + high) + [-10.0, 0.0, 0.0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--made", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--focus", type=float, nargs=3, help="world coordinates in mm")
    parser.add_argument("--half", type=float, default=60.0)
    parser.add_argument("--tile", type=int, default=150, help="pixels along a tile")
    a = parser.parse_args()
    rows = []
    for path in sorted(a.scans.glob("*.nii.gz")):
        stem = path.name.removesuffix(".nii.gz")
        if a.only not in stem:
            continue
        scan, made = Seen(path), Seen(a.made / f"{stem}_sr.nii.gz")
        centre = a.focus or middle(scan)
        tiles = []
        for axis in range(3):
            step = 2 * a.half / a.tile
            kinds = [(scan, 0), (scan, 3), (made, 1)] if a.focus else [(scan, 0), (made, 1)]
            planes = [of.plane(axis, centre, a.half, step, order) for of, order in kinds]
            # Bright fat does not set the window: brain fills the middle of the tile.
            inner = planes[0][a.tile // 4 : -a.tile // 4, a.tile // 4 : -a.tile // 4]
            high = np.percentile(inner, 99.8)
            tiles += [np.pad(np.clip(plane / high, 0, 1), 1) for plane in planes]
        strip = Image.fromarray((255 * np.concatenate(tiles, axis=1)).astype(np.uint8))
        row = Image.new("L", (strip.size[0], strip.size[1] + 13))
        row.paste(strip, (0, 13))
        ImageDraw.Draw(row).text((3, 0), stem, fill=255)
        rows.append(row)
    sheet = Image.new("L", (rows[0].size[0], sum(row.size[1] for row in rows)))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.size[1]
    sheet.save(a.out, quality=85)
    print(a.out, sheet.size)


if __name__ == "__main__":
    main()
