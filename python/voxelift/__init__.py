"""Finer MRI scans without matching pairs, measured honestly.

>>> import voxelift
>>> finer = voxelift.upscale("scan.nii.gz")            # a nibabel image
>>> finer = voxelift.upscale((array, affine))          # an (array, affine) pair
>>> voxelift.evaluate("reference.nii.gz", finer)["brain"]["psnr_db"]

Volumes are paths (NIfTI, MGH, a folder with a DICOM series), nibabel images, or ``(array, affine)`` pairs: the array in
file order x, y, z (and t), the affine from voxel indices to millimetres, RAS+. What comes back is of the kind that was
given; for a path that is a nibabel image. Voxels are float32. An array is copied once on its way in and not on its way
out, and the interpreter's lock is let go while anything is computed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from . import _native
from ._native import VoxeliftError, __version__

__all__ = ["Model", "VoxeliftError", "__version__", "degrade", "evaluate", "train", "upscale"]

BASELINES = ("zero-fill", "lanczos", "cubic", "trilinear")


class _Volume:
    """A volume on its way in: flat frames, x fastest, and how to give a result back."""

    def __init__(self, volume):
        self.beside = {}
        self._like = None
        if isinstance(volume, (str, os.PathLike)):
            (self.frames, extent, affine), beside = _native.read(Path(volume))
            self.extent, self.affine = tuple(extent), affine
            self.beside = json.loads(beside)
            self.kind = "nibabel"
            return
        if isinstance(volume, tuple):
            array, affine = volume
            self.kind = "pair"
        elif hasattr(volume, "dataobj") and hasattr(volume, "affine"):
            array, affine, self._like = np.asanyarray(volume.dataobj), volume.affine, volume
            self.kind = "nibabel"
        else:
            raise TypeError(
                f"a volume is a path, a nibabel image or an (array, affine) pair, not {type(volume).__name__}"
            )
        array = np.asarray(array)
        affine = np.asarray(affine, dtype=np.float64)
        if array.ndim not in (3, 4) or array.dtype.kind not in "fiub":
            raise VoxeliftError(
                f"an array of shape {array.shape} and type {array.dtype}; expected numbers along x, y, z (and t)"
            )
        if affine.shape not in ((4, 4), (3, 4)):
            raise VoxeliftError(f"an affine of shape {affine.shape}; expected 4 x 4")
        self.extent = array.shape[:3]
        self.affine = affine[:3].tolist()
        frames = [array] if array.ndim == 3 else [array[..., t] for t in range(array.shape[3])]
        self.frames = [np.asfortranarray(frame, dtype=np.float32).reshape(-1, order="F") for frame in frames]
        self.four_dimensional = array.ndim == 4

    @property
    def given(self):
        return self.frames, self.extent, self.affine

    def back(self, arrays):
        """A result of the kind that was given."""
        frames, extent, affine = arrays
        volumes = [frame.reshape(extent, order="F") for frame in frames]
        several = len(volumes) > 1 or getattr(self, "four_dimensional", False)
        array = np.stack(volumes, axis=-1) if several else volumes[0]
        affine = np.vstack([affine, [0.0, 0.0, 0.0, 1.0]])
        if self.kind == "pair":
            return array, affine
        import nibabel

        image = nibabel.Nifti1Image(array, affine)
        if self._like is not None and isinstance(self._like, nibabel.Nifti1Image):
            header = self._like.header
            image.header.set_xyzt_units(*header.get_xyzt_units())
            if several:
                image.header.set_zooms(image.header.get_zooms()[:3] + (header.get_zooms()[3],))
        return image


def _three(value, name):
    if value is None:
        return None
    values = [float(v) for v in np.broadcast_to(np.asarray(value, dtype=np.float64), (3,))]
    if not all(v > 0 and np.isfinite(v) for v in values):
        raise VoxeliftError(f"{name} {value}; expected positive millimetres, one number or three")
    return values


def _scale(value):
    if value is None:
        return None
    values = np.broadcast_to(np.asarray(value), (3,))
    return ",".join(str(int(v)) if float(v).is_integer() else str(float(v)) for v in values)


def upscale(
    image,
    method=None,
    *,
    model=None,
    acquired="auto",
    spacing=None,
    scale=None,
    consistency=None,
    tile=None,
    ensemble=False,
    audit=False,
    memory=None,
    allow_out_of_range=False,
    steps=None,
    budget=None,
    seed=0,
    from_scratch=False,
    allow_no_gain=False,
    keep_model=None,
    precision="f32",
    device="auto",
    progress=None,
    about=False,
):
    """A scan on a finer grid.

    Parameters
    ----------
    image : path, nibabel image or (array, affine)
        The scan.
    method : str, optional
        ``"model"`` (the built-in model, or ``model``), ``"self"`` (a network learned from the slices of this scan), or a
        baseline: ``"zero-fill"``, ``"lanczos"``, ``"cubic"``, ``"trilinear"``. By default whatever does best on the scan
        itself.
    model : Model or path, optional
        A trained model, or one learned from another scan of the same protocol.
    acquired : str
        What made the scan: ``auto``, ``kspace``, ``box``, ``gaussian:SIGMA``, ``slice:gaussian,MM[,GAP]``, or three of them
        as ``x/y/z``.
    spacing : float or three, optional
        The voxel size wanted, in mm.
    scale : int or three, optional
        Voxels of the output per voxel of the scan.
    consistency : {"off", "soft", "hard"}, optional
        Whether what the scan measured is put back; by default soft where a model is at work.
    tile, ensemble, audit, memory, allow_out_of_range, steps, budget, seed, from_scratch, allow_no_gain, precision, device
        As the options of ``voxelift upscale`` of these names; ``memory`` in bytes, ``budget`` in seconds.
    keep_model : path, optional
        Where to keep what was learned from the slices of this scan.
    progress : callable, optional
        Hears ``(what, done, of)``; an exception that it raises stops the work.
    about : bool
        Whether to return how the output was made, too.

    Returns
    -------
    The finer scan, of the kind that was given; with ``about`` a pair of it and a dict.

    Raises
    ------
    VoxeliftError
        For what cannot be done right, in a sentence that says what to do next.
    """
    volume = _Volume(image)
    if model is not None and not isinstance(model, Model):
        model = Model.load(model)
    beside = volume.beside
    asked = {
        "method": method,
        "spacing": _three(spacing, "spacing"),
        "scale": _scale(scale),
        "consistency": consistency,
        "acquired": acquired,
        "tile": tile,
        "ensemble": bool(ensemble),
        "audit": bool(audit),
        "memory": memory,
        "allow_out_of_range": bool(allow_out_of_range),
        "steps": steps,
        "budget": budget,
        "seed": seed,
        "from_scratch": bool(from_scratch),
        "allow_no_gain": bool(allow_no_gain),
        "keep_model": None if keep_model is None else os.fspath(keep_model),
        "precision": precision,
        "device": device,
        "thickness_mm": beside.get("thickness_mm"),
        "distance_mm": beside.get("distance_mm"),
        "axis": beside.get("axis"),
        "two_dimensional": beside.get("two_dimensional"),
    }
    arrays, made = _native.upscale(*volume.given, model and model._loaded, json.dumps(asked), progress)
    made = json.loads(made)
    made["warnings"] = beside.get("warnings", []) + made["warnings"]
    for warning in made["warnings"]:
        import warnings

        warnings.warn(warning, stacklevel=2)
    finer = volume.back(arrays)
    return (finer, made) if about else finer


def degrade(image, scale=2, *, spacing=None, operator="kspace", noise=0.0, seed=0):
    """A simulated low-resolution acquisition of a scan, as ``voxelift degrade`` makes it.

    Parameters
    ----------
    image : path, nibabel image or (array, affine)
        The scan.
    scale : int or three
        HR voxels per LR voxel.
    spacing : float or three, optional
        The LR voxel size in mm, in place of ``scale``.
    operator : str
        ``kspace``, ``box``, ``cubic``, ``gaussian[:SIGMA]``, ``window:CUTOFF,EDGE``, ``slice:gaussian,THICKNESS``, or three as ``x/y/z``.
    noise : float
        Standard deviation of the Rician noise as a fraction of the foreground's 99.5th percentile.
    seed : int
        Keys the noise; the n-th volume of a series takes the n-th seed from here on.
    """
    volume = _Volume(image)
    arrays = _native.degrade(
        *volume.given, _scale(scale), _three(spacing, "spacing"), operator, float(noise), int(seed)
    )
    return volume.back(arrays)


def evaluate(reference, image, mask=None, *, data_range=None, measured_spacing=None):
    """Scores an image against its reference, as ``voxelift evaluate --json`` does.

    Returns a dict; ``scores["brain"]`` are the ones to quote (the voxels above 5 % of the reference's maximum, or the mask).
    """
    given = None
    reference = _Volume(reference)
    if mask is not None:
        if isinstance(mask, np.ndarray):
            mask = (mask, np.vstack([reference.affine, [0, 0, 0, 1]]))
        mask = _Volume(mask)
        if mask.extent != reference.extent:
            raise VoxeliftError(f"a mask of {mask.extent} voxels for a reference of {reference.extent}")
        given = mask.frames
    return json.loads(
        _native.evaluate(
            reference.given, _Volume(image).given, given, data_range, _three(measured_spacing, "measured_spacing")
        )
    )


def train(config, run, *, set=(), callback=None, device="auto"):
    """Trains as ``voxelift train`` does, into a run folder, from where it stands.

    Parameters
    ----------
    config : path, or dict
        A TOML file, or the same keys as nested dicts.
    run : path
        The run folder.
    set : sequence of str
        Changes of keys, as ``"steps=500"``.
    callback : callable, optional
        Hears ``(kind, what)``: ``("record", dict)`` after each step and validation, ``("note", str)`` and
        ``("warning", str)``. Training stops where it returns ``False``, and the same call goes on later.

    Returns
    -------
    Model, or None where it was stopped before the end.
    """
    changes = list(set)
    if isinstance(config, dict):
        text, is_text = "", True
        changes = [f"{key}={json.dumps(value)}" for key, value in _flat(config)] + changes
    else:
        text, is_text = os.fspath(config), False

    def hear(kind, what):
        return callback(kind, json.loads(what) if kind == "record" else what)

    model = _native.train(text, is_text, Path(run), changes, callback and hear, device)
    return None if model is None else Model.load(model)


def _flat(table, before=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


class Model:
    """A model file, read once."""

    def __init__(self, loaded, path):
        self._loaded = loaded
        self.path = Path(path)
        self.card = json.loads(loaded.card())

    @classmethod
    def load(cls, path):
        """Reads a model: one that was trained, or one that was learned from the slices of a scan."""
        return cls(_native.LoadedModel.load(Path(path)), path)

    def upscale(self, image, **options):
        """As :func:`upscale`, by this model."""
        return upscale(image, model=self, **options)

    def __repr__(self):
        return f"Model({str(self.path)!r})"
