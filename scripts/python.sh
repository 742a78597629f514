#!/usr/bin/env bash
# Builds the Python wheel, installs it into a fresh environment, runs its tests against the program, and executes the notebook.
# Needs Rust, Python 3.10 or newer with venv, and PyPI. Minutes, most of them for building.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release
VOXELIFT=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/release/voxelift
export VOXELIFT

python3 -m venv "$work/build" && "$work/build/bin/pip" -q install 'maturin>=1.16,<2'
(cd python && "$work/build/bin/maturin" build --release -o "$work/wheels")

python3 -m venv "$work/fresh"
wheel=$(echo "$work"/wheels/*.whl)
"$work/fresh/bin/pip" -q install "$wheel[test]"
"$work/fresh/bin/python" -m pytest -q python/tests
echo "the wheel ${wheel##*/} is as large as $(stat -c %s "$wheel") bytes"
