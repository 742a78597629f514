"""The bindings make the same voxels as the program, and say what is wrong as it does."""

import json
import os
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest

import voxelift

PROGRAM = os.environ.get("VOXELIFT", "voxelift")


def program(*arguments):
    subprocess.run([PROGRAM, "-q", *map(str, arguments)], check=True)


def head(extent=(28, 30, 26), spacing=2.5, seed=0):
    """A blurred ball with structure in it, on an oblique grid."""
    random = np.random.default_rng(seed)
    at = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in extent], indexing="ij"))
    radius = np.sqrt((at**2).sum(0))
    waves = sum(np.sin(a * (3 + k) * np.pi) for k, a in enumerate(at)) * 60
    data = np.where(radius < 0.75, 500 + waves + 80 * (radius < 0.4), 0.0) + random.normal(0, 2, extent)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-30, -40, 12]
    turn = np.deg2rad(7)
    affine[:2, :2] = spacing * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    # As a NIfTI file stores it.
    return np.abs(data).astype(np.float32), affine.astype(np.float32).astype(np.float64)


@pytest.fixture
def scan(tmp_path):
    data, affine = head()
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


def same(left, right):
    np.testing.assert_array_equal(np.asanyarray(left.dataobj), np.asanyarray(right.dataobj))
    np.testing.assert_allclose(left.affine, right.affine, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "lanczos", "spacing": 1.7},
        {"method": "cubic", "scale": (2, 1, 3), "consistency": "hard"},
        {"method": "model", "allow_out_of_range": True, "tile": 16},
    ],
)
def test_upscale_gives_the_voxels_of_the_program(scan, tmp_path, options):
    out = tmp_path / "out.nii.gz"
    words = []
    for key, value in options.items():
        words.append("--" + key.replace("_", "-"))
        if value is not True:
            words.append(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
    program("upscale", scan, "-o", out, *words)
    same(voxelift.upscale(scan, **options), nibabel.load(out))
    # An image and a pair go the same way as a file.
    same(voxelift.upscale(nibabel.load(scan), **options), nibabel.load(out))
    array, affine = voxelift.upscale(head(), **options)
    np.testing.assert_array_equal(array, np.asanyarray(nibabel.load(out).dataobj))


def test_slices_learn_the_same_and_are_kept(tmp_path):
    data, affine = head((40, 40, 12), 1.0)
    affine = affine @ np.diag([1, 1, 4, 1])
    path, out, kept = tmp_path / "thick.nii.gz", tmp_path / "out.nii.gz", tmp_path / "kept.safetensors"
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    (tmp_path / "thick.json").write_text(json.dumps({"SliceThickness": 4.0}))
    program("upscale", path, "-o", out, "--method", "self", "--steps", 3, "--allow-no-gain")
    heard = []
    finer, about = voxelift.upscale(
        path, "self", steps=3, allow_no_gain=True, keep_model=kept, about=True, progress=lambda *event: heard.append(event)
    )
    same(finer, nibabel.load(out))
    assert about["steps"] == 3 and about["learned"] and "SliceThickness" in about["protocol"]["because"]
    assert ("step", 3, 0) in heard
    model = voxelift.Model.load(kept)
    assert model.card["kind"] == "self-learned"
    same(model.upscale(path, allow_no_gain=True), nibabel.load(out))


def test_degrade_and_evaluate_agree_with_the_program(scan, tmp_path):
    coarse = tmp_path / "coarse.nii.gz"
    program("degrade", scan, coarse, "--noise", 0.02, "--seed", 4)
    same(voxelift.degrade(scan, noise=0.02, seed=4), nibabel.load(coarse))
    finer, scores = tmp_path / "finer.nii.gz", tmp_path / "scores.json"
    program("upscale", coarse, "-o", finer, "--method", "trilinear")
    program("evaluate", "--reference", scan, "--image", finer, "--json", scores)
    ours = voxelift.evaluate(scan, finer)
    theirs = json.loads(scores.read_text())
    theirs = theirs["pairs"][0] if "pairs" in theirs else theirs
    assert ours["brain"]["psnr_db"] == pytest.approx(find(theirs, "brain")["psnr_db"], abs=1e-12)
    mask = np.asanyarray(nibabel.load(scan).dataobj) > 100
    in_mask = voxelift.evaluate(scan, finer, mask=mask.astype(np.float32))
    assert in_mask["brain_voxels"] == int(mask.sum())


def find(tree, key):
    if isinstance(tree, dict):
        if key in tree:
            return tree[key]
        tree = list(tree.values())
    if isinstance(tree, list):
        for one in tree:
            found = find(one, key)
            if found is not None:
                return found
    return None


def test_a_series_keeps_its_volumes():
    data, affine = head((16, 16, 16))
    series = np.stack([data, data * 2], axis=-1)
    array, grid = voxelift.upscale((series, affine), "lanczos")
    assert array.shape == (32, 32, 32, 2) and array.dtype == np.float32
    np.testing.assert_allclose(array[..., 1], 2 * array[..., 0], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(grid[:3, :3], axis=0), 1.25, atol=1e-6)


def test_what_is_wrong_is_told_in_words(tmp_path):
    data, affine = head((16, 16, 16))
    for arguments, words in [
        (dict(method="median"), "median"),
        (dict(spacing=-1), "positive"),
        (dict(consistency="firm"), "off, soft or hard"),
        (dict(method="self"), "thick"),
        (dict(method="cubic", audit=True), "audit"),
        (dict(acquired="magic"), "magic"),
        (dict(scale=2, spacing=1.0), "exclude"),
        (dict(method="cubic", spacing=9.0), "coarser"),
        (dict(memory=1000), "at least"),
    ]:
        with pytest.raises(voxelift.VoxeliftError, match=words):
            voxelift.upscale((data, affine), **arguments)
    with pytest.raises(voxelift.VoxeliftError, match="finite"):
        voxelift.upscale((np.full((8, 8, 8), np.nan), affine), "cubic")
    with pytest.raises(voxelift.VoxeliftError):
        voxelift.upscale(tmp_path / "none.nii.gz")
    with pytest.raises(TypeError):
        voxelift.upscale(3)
    with pytest.raises(voxelift.VoxeliftError, match="shape"):
        voxelift.upscale((np.zeros((4, 4)), affine), "cubic")


def test_an_exception_in_the_progress_comes_back():
    data, affine = head((40, 40, 12), 1.0)

    def stop(what, done, of):
        if what == "step":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        voxelift.upscale((data, affine @ np.diag([1, 1, 4, 1])), "self", steps=500, progress=stop)


CONFIG = {
    "mode": "unpaired",
    "steps": 4,
    "data": {
        "hr": ["phantom:1-2"],
        "lr": {"files": ["phantom:11-12"], "degrade": {"operator": "kspace"}},
        "source_operator": "kspace",
        "phantom": {"extent": [32, 36, 32], "spacing_mm": 4.8},
    },
    "patch": {"size": 8, "batch": 2},
    "network": {"n_feats": 4, "n_resgroups": 1, "n_resblocks": 1, "n_lr_blocks": 1},
    "validation": {"every": 0},
}


def test_training_stops_when_told_goes_on_and_gives_a_model(tmp_path):
    steps = []

    def watch(kind, what):
        if kind == "record" and "terms" in json.dumps(what):
            steps.append(what)
            return len(steps) != 2

    assert voxelift.train(CONFIG, tmp_path / "run", callback=watch) is None
    assert len(steps) == 2
    model = voxelift.train(CONFIG, tmp_path / "run")
    assert model.card["steps"] == 4
    data, affine = head((16, 16, 16), 9.6)
    array, _ = model.upscale((data, affine), allow_out_of_range=True)
    assert array.shape == (32, 32, 32) and np.isfinite(array).all()
    with pytest.raises(voxelift.VoxeliftError, match="steps"):
        voxelift.train(CONFIG, tmp_path / "other", set=["steps=0"])


def test_other_threads_go_on_meanwhile():
    import threading

    data, affine = head((40, 40, 40))
    counted = [0]
    done = threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            done.wait(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    voxelift.upscale((data, affine), "model", allow_out_of_range=True)
    during = counted[0] - before
    done.set()
    thread.join()
    assert during > 5


def test_every_public_name_is_in_the_stub():
    stub = (Path(voxelift.__file__).with_name("__init__.pyi")).read_text()
    for name in voxelift.__all__:
        assert f"def {name}(" in stub or f"class {name}" in stub or f"{name}:" in stub, name


def test_the_notebook_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    path = Path(__file__).parents[1] / "examples" / "voxelift.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    text = json.dumps(notebook.cells)
    assert "PSNR" in text and "image/png" in text
    ran = os.environ.get("VOXELIFT_NOTEBOOK")
    if ran:
        nbformat.write(notebook, ran)


def test_a_nipype_node_runs_the_program(scan, tmp_path, monkeypatch):
    interfaces = pytest.importorskip("voxelift.nipype", exc_type=ImportError)
    monkeypatch.setattr(interfaces.Upscale, "_cmd", f"{PROGRAM} upscale")
    monkeypatch.chdir(tmp_path)
    node = interfaces.Upscale(in_file=str(scan), method="cubic", spacing=[1.25, 1.25, 2.5], consistency="soft", acquired="kspace")
    assert node.cmdline.endswith("--spacing 1.25,1.25,2.5") and "-o " in node.cmdline, node.cmdline
    outputs = node.run().outputs
    assert Path(outputs.out_file).name == "scan_sr.nii.gz"
    assert json.loads(Path(outputs.sidecar).read_text())["method"] == "cubic"
    by_hand = tmp_path / "by-hand.nii.gz"
    program("upscale", scan, "-o", by_hand, "--method", "cubic", "--spacing", "1.25,1.25,2.5", "--consistency", "soft", "--acquired", "kspace")
    assert np.array_equal(nibabel.load(outputs.out_file).get_fdata(), nibabel.load(by_hand).get_fdata())
