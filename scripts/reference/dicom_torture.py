"""DICOM series in every transfer syntax that is read, and what SimpleITK (GDCM) makes of each.

Needs: numpy, pydicom, SimpleITK, pillow. Run by `crates/voxelift-volume/tests/formats/reference.rs` on a folder of its own:

    python scripts/reference/dicom_torture.py FOLDER

Writes a folder a series and `manifest.json`: folder, and either `refused`, the compression that is not read, or shape,
affine (RAS) and voxels as SimpleITK reads them, x fastest, and the `tolerance` (decoders of lossy JPEG round differently).
Among them are pydicom's own MR images in every transfer syntax that it brings.
"""

import copy
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    MRImageStorage,
    RLELossless,
    generate_uid,
)


COMPRESSED = (RLELossless, JPEGLosslessSV1, JPEGBaseline8Bit)


def compressed(ds, pixels, syntax, folder):
    """The image with its voxels compressed, and what a decoder of another make gets back from them."""
    if syntax == RLELossless:
        ds.compress(RLELossless)
        return pixels
    if syntax == JPEGBaseline8Bit:
        jpeg = io.BytesIO()
        Image.fromarray(pixels).save(jpeg, "JPEG", quality=95)
        frames, pixels = encapsulate([jpeg.getvalue()]), np.asarray(Image.open(jpeg))
    else:
        writer, path = sitk.ImageFileWriter(), folder / "written_by_gdcm.dcm"
        writer.SetFileName(str(path))
        writer.SetUseCompression(True)
        writer.SetCompressor("JPEG")
        writer.Execute(sitk.GetImageFromArray(pixels[None]))
        made = pydicom.dcmread(path)
        path.unlink()
        assert made.file_meta.TransferSyntaxUID == syntax
        frames = made.PixelData
    ds.PixelData = frames
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = syntax
    return pixels


def bundled(folder):
    """pydicom's MR image in other transfer syntaxes; SimpleITK reads the plain one."""
    names = ["", "_RLE", "_bigendian", "_expb", "_implicit", "_padded", "_jp2klossless", "_jpeg_ls_lossless"]
    refused = {"_jp2klossless": "JPEG 2000", "_jpeg_ls_lossless": "JPEG-LS"}
    plain = get_testdata_file("MR_small.dcm", download=False)
    for name in names:
        path = get_testdata_file(f"MR_small{name}.dcm", download=False)
        if path is None or plain is None:
            continue
        here = folder / f"bundled{name}"
        here.mkdir()
        shutil.copy(path, here)
        itk = sitk.ReadImage(plain)
        # Of a single slice GDCM makes 1 mm where only the slice's thickness is there.
        itk.SetSpacing([*itk.GetSpacing()[:2], float(pydicom.dcmread(plain).SliceThickness)])
        yield {"folder": here.name} | ({"refused": refused[name]} if name in refused else seen(itk))


def seen(itk, tolerance=0):
    affine = np.eye(4)
    affine[:3, :3] = np.array(itk.GetDirection()).reshape(3, 3) @ np.diag(itk.GetSpacing())
    affine[:3, 3] = itk.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return {
        "shape": list(itk.GetSize()),
        "affine": affine[:3].tolist(),
        "voxels": sitk.GetArrayFromImage(itk).astype(float).ravel().tolist(),
        "tolerance": tolerance,
    }


def image(series, number, pixels, position, along, syntax, bits, rescale):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax in COMPRESSED else syntax
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
        "jpeg_lossless": JPEGLosslessSV1,
        "jpeg": JPEGBaseline8Bit,
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
            # GDCM writes no lossless JPEG of 8 bits, and baseline JPEG has no more.
            if (name, kind) == ("jpeg_lossless", "u8") or (name == "jpeg" and kind != "u8"):
                continue
            # GDCM does not take pydicom's RLE: of what is compressed it reads a plain twin.
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
                if syntax in COMPRESSED:
                    plain = copy.deepcopy(ds)
                    plain.PixelData = compressed(ds, pixels, syntax, here).tobytes()
                    plain.save_as(twin / file, enforce_file_format=True)
                ds.save_as(here / file, enforce_file_format=True)
            reader = sitk.ImageSeriesReader()
            readable = twin if syntax in COMPRESSED else here
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(readable)))
            # Decoders of lossy JPEG may differ by a step of the stored values, which the slope doubles here.
            tolerance = 2.0 if syntax == JPEGBaseline8Bit else 0.0
            manifest.append({"folder": here.name} | seen(reader.Execute(), tolerance))
    manifest += bundled(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
