"""DICOM series in every transfer syntax that is read, and what SimpleITK (GDCM) makes of each.

Needs: numpy, pydicom, SimpleITK. Run by `crates/voxelift-volume/tests/formats/reference.rs` on a folder of its own:

    python scripts/reference/dicom_torture.py FOLDER

Writes a folder a series and `manifest.json`: folder, shape, affine (RAS) and voxels as SimpleITK reads them, x fastest.
"""

import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    generate_uid,
)


def image(series, number, pixels, position, along, syntax, bits, rescale):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID = series, generate_uid()
    ds.Modality, ds.PatientName, ds.InstanceNumber = "MR", "Test^Phantom", number
    ds.ImagePositionPatient = [f"{v:.6f}" for v in position]
    ds.ImageOrientationPatient = [f"{v:.6f}" for v in along.ravel()]
    ds.PixelSpacing, ds.SliceThickness = ["1.250000", "0.800000"], "2.000000"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = pixels.dtype.itemsize * 8, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    if rescale:
        ds.RescaleSlope, ds.RescaleIntercept = rescale
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def main():
    folder, random, manifest = Path(sys.argv[1]), np.random.default_rng(3), []
    syntaxes = {
        "implicit": ImplicitVRLittleEndian,
        "explicit": ExplicitVRLittleEndian,
        "big_endian": ExplicitVRBigEndian,
        "deflated": DeflatedExplicitVRLittleEndian,
        "rle": RLELossless,
    }
    for name, syntax in syntaxes.items():
        for kind, (dtype, bits, rescale) in {
            "u12": ("uint16", 12, None),
            "i16": ("int16", 16, ("0.500000", "-7.25")),
            "u8": ("uint8", 8, ("2", "1")),
        }.items():
            # Of 8-bit images in words of the other order writers do not agree.
            if (name, kind) == ("big_endian", "u8"):
                continue
            # GDCM does not take pydicom's RLE: it reads a plain twin.
            here, twin = folder / f"{name}_{kind}", folder / f"{name}_{kind}_twin"
            here.mkdir()
            twin.mkdir()
            q, _ = np.linalg.qr(random.normal(size=(3, 3)))
            along = q[:, :2].T
            normal = np.cross(*along)
            start, series = random.uniform(-100, 100, 3), generate_uid()
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if dtype[0] == "i" else (0, 2**bits)
            for k in random.permutation(5):
                pixels = random.integers(low, high, size=(6, 4)).astype(dtype)
                ds = image(series, int(k) + 1, pixels, start + 2.2 * k * normal, along, syntax, bits, rescale)
                file = f"IM{random.integers(1e9)}"
                if syntax == RLELossless:
                    ds.save_as(twin / file, enforce_file_format=True)
                    ds.compress(RLELossless)
                ds.save_as(here / file, enforce_file_format=True)
            reader = sitk.ImageSeriesReader()
            seen = twin if syntax == RLELossless else here
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(seen)))
            itk = reader.Execute()
            affine = np.eye(4)
            affine[:3, :3] = np.array(itk.GetDirection()).reshape(3, 3) @ np.diag(itk.GetSpacing())
            affine[:3, 3] = itk.GetOrigin()
            affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
            manifest.append({
                "folder": here.name,
                "shape": list(itk.GetSize()),
                "affine": affine[:3].tolist(),
                "voxels": sitk.GetArrayFromImage(itk).astype(float).ravel().tolist(),
            })
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
