"""The real scan in the program, which `voxelift demo` begins with: crates/voxelift/assets/head-1mm/slices.png.

    python scripts/demo_head.py T1_0.8mm_brain.nii.gz voxelift slices.png

The first argument is the skull-stripped T1-weighted scan of 0.8 mm of rordenlab/niimath-bitmap (CC0), the second this program.
Needs numpy, nibabel and Pillow. The scan is cut to whole millimetres, truncated in k-space to 1 mm by `voxelift degrade`, set to
0 outside the brain, and kept in 100 greys of 3 units each, one axial slice below the other, x to the right and y down.
"""

import pathlib
import subprocess
import sys
import tempfile

import nibabel
import numpy
from PIL import Image

# 148 x 180 x 148 mm around the brain.
FIRST, EXTENT = (3, 1, 0), (185, 225, 185)
# Greys, and the units of the scan that each stands for.
GREYS, UNITS = 100, 3.0


def main(scan, voxelift, out):
    first, last = numpy.array(FIRST), numpy.array(FIRST) + EXTENT
    cut = nibabel.load(scan).slicer[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    with tempfile.TemporaryDirectory() as folder:
        fine, coarse = (str(pathlib.Path(folder, name)) for name in ("fine.nii.gz", "coarse.nii.gz"))
        nibabel.save(cut, fine)
        command = [voxelift, "degrade", fine, coarse, "--spacing", "1", "--operator", "kspace"]
        subprocess.run(command, check=True)
        image = nibabel.load(coarse)
        voxels = image.get_fdata()
    # The share of brain in each voxel, by where the centres of the finer ones lie.
    brain = numpy.asarray(cut.dataobj) > 0
    places = numpy.ix_(*[((numpy.arange(n) + 0.5) * 0.8).astype(int) for n in brain.shape])
    share, count = numpy.zeros(voxels.shape), numpy.zeros(voxels.shape)
    numpy.add.at(share, tuple(numpy.broadcast_arrays(*places)), brain)
    numpy.add.at(count, tuple(numpy.broadcast_arrays(*places)), 1)
    greys = numpy.where(share > 0.5 * count, numpy.clip(numpy.round(voxels / UNITS), 1, GREYS), 0)
    # Slices one below the other: x is fastest, then y, then z, as voxels stand in a file.
    rows = greys.astype(numpy.uint8).transpose(2, 1, 0).reshape(-1, voxels.shape[0])
    Image.fromarray(rows).save(out, optimize=True)
    print(voxels.shape, "first voxel at", image.affine[:3, 3], pathlib.Path(out).stat().st_size, "bytes")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
