from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__: str

Pair: TypeAlias = tuple[ArrayLike, ArrayLike]
PairOut: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float64]]
FilePath: TypeAlias = str | PathLike[str]
Volume: TypeAlias = Any
"""A path, a nibabel image or an (array, affine) pair."""

class VoxeliftError(ValueError): ...

def upscale(
    image: Volume,
    method: Literal["model", "self", "zero-fill", "lanczos", "cubic", "trilinear"] | None = None,
    *,
    model: Model | FilePath | None = None,
    acquired: str = "auto",
    spacing: float | Sequence[float] | None = None,
    scale: int | Sequence[int] | None = None,
    consistency: Literal["off", "soft", "hard"] | None = None,
    tile: int | None = None,
    ensemble: bool = False,
    audit: bool = False,
    memory: int | None = None,
    allow_out_of_range: bool = False,
    steps: int | None = None,
    budget: float | None = None,
    seed: int = 0,
    from_scratch: bool = False,
    allow_no_gain: bool = False,
    keep_model: FilePath | None = None,
    precision: Literal["f32", "bf16"] = "f32",
    device: str = "auto",
    progress: Callable[[str, int, int], object] | None = None,
    about: bool = False,
) -> Any: ...
def degrade(
    image: Volume,
    scale: int | Sequence[int] = 2,
    *,
    spacing: float | Sequence[float] | None = None,
    operator: str = "kspace",
    noise: float = 0.0,
    seed: int = 0,
) -> Any: ...
def evaluate(
    reference: Volume,
    image: Volume,
    mask: Volume | None = None,
    *,
    data_range: float | None = None,
    measured_spacing: float | Sequence[float] | None = None,
) -> dict[str, Any]: ...
def train(
    config: FilePath | dict[str, Any],
    run: FilePath,
    *,
    set: Sequence[str] = (),
    callback: Callable[[str, Any], bool | None] | None = None,
    device: str = "auto",
) -> Model | None: ...

class Model:
    path: Path
    card: dict[str, Any]
    @classmethod
    def load(cls, path: FilePath) -> Model: ...
    def upscale(self, image: Volume, **options: Any) -> Any: ...
