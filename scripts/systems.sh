#!/usr/bin/env bash
# Type-checks the program for systems other than this one: Windows, macOS and Linux on ARM. Nothing is linked, so that no compiler of
# theirs is needed; `.github/workflows/release.yml` builds the real thing on each. Needs rustup. Minutes the first time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for target in x86_64-pc-windows-gnu aarch64-apple-darwin aarch64-unknown-linux-gnu; do
  rustup target add "$target"
  cargo check --release --locked --package voxelift --lib --bins --target "$target"
done
