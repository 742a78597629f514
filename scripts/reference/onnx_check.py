"""Compares an exported model in onnxruntime, OpenVINO and PyTorch with the program itself.

    python scripts/reference/onnx_check.py target/release/voxelift [model.safetensors]

Exports the model, makes a volume of noise that is smooth and positive, super-resolves it with `upscale --tile` large enough for one
tile and without data consistency, and prints the largest difference of each engine over the 99.5th percentile of the foreground. Exit
code 1 where one exceeds 1e-4, or none of the engines is there. Two sizes are tried, one of them odd.

Needs numpy and nibabel; onnxruntime, openvino, torch and safetensors where they are to be compared.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

TOLERANCE = 1e-4


def run(program, *words):
    subprocess.run([program, "-q", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def scan_of(extent, seed):
    """Something with structure: filtered noise within a ball, zeros outside."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(extent)
    for axis in range(3):
        noise = sum(np.roll(noise, s, axis) for s in (-1, 0, 1)) / 3
    grids = np.meshgrid(*[np.linspace(-1, 1, n) for n in extent], indexing="ij")
    inside = sum(g**2 for g in grids) < 0.8
    return np.where(inside, 500 + 300 * noise / noise.std(), 0).clip(0).astype(np.float32)


def engines(folder):
    found = {}
    if importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / "m.onnx"))
        found["onnxruntime " + onnxruntime.__version__] = lambda x: session.run(None, {"lr": x})[0]
    if importlib.util.find_spec("openvino"):
        import openvino

        core = openvino.Core()
        core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        compiled = core.compile_model(str(folder / "m.onnx"), "CPU")
        found["openvino " + openvino.__version__] = lambda x: compiled([x])[0]
    if importlib.util.find_spec("torch") and importlib.util.find_spec("safetensors"):
        import torch

        sys.path.insert(0, str(folder))
        import voxelift_torch

        generator = voxelift_torch.Generator.load(str(folder / "m.safetensors"))

        def pytorch(x):
            with torch.no_grad():
                return generator(torch.from_numpy(x)).numpy()

        found["torch " + torch.__version__] = pytorch
    return found


def main(program, model=None):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run(program, "export", *([model] if model else []), "--onnx", folder / "m.onnx", "--torch", folder / "m.safetensors")
        found = engines(folder)
        if not found:
            print("none of onnxruntime, openvino, torch is there")
            return 1
        info = [program, "info", "--model", *([model] if model else []), "--json"]
        card = json.loads(subprocess.run(info, check=True, capture_output=True, text=True).stdout)
        worst = 0.0
        spacing = [sum(range_mm) / 2 for range_mm in card["lr_spacing_mm"]]
        for seed, extent in enumerate([(40, 48, 36), (33, 41, 37)]):
            scan = scan_of(extent, seed)
            nibabel.save(nibabel.Nifti1Image(scan, np.diag([*spacing, 1])), folder / "lr.nii.gz")
            words = ["--tile", "64", "--consistency", "off", "--allow-out-of-range", "--force", *(["--model", model] if model else [])]
            run(program, "upscale", folder / "lr.nii.gz", "-o", folder / "sr.nii.gz", "--method", "model", *words)
            sr = nibabel.load(folder / "sr.nii.gz").get_fdata(dtype=np.float32).transpose(2, 1, 0)
            seen = subprocess.run([program, "info", "--json", str(folder / "lr.nii.gz")], check=True, capture_output=True, text=True)
            factor = json.loads(seen.stdout)["foreground_p995"]
            lr = np.ascontiguousarray(scan.transpose(2, 1, 0)[None, None] / factor, dtype=np.float32)
            for name, engine in found.items():
                difference = float(np.abs(engine(lr)[0, 0] - sr / factor).max())
                worst = max(worst, difference)
                print(f"{name}: {extent} voxels, largest difference {difference:.2e}")
        return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
