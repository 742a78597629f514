#!/usr/bin/env bash
# Builds the archive of this machine's Linux as the release does, and runs the program from it where nothing else is: in a Debian with no package but
# the essential ones, without a network, as nobody. The second half needs root and debootstrap, and a mirror of Debian. Minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${1:-$(rustc -vV | sed -n 's/^host: //p')}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --locked --package voxelift --target "$target"
built=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/$target/release/voxelift
name=voxelift-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-$target
mkdir "$work/$name"
cp README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$built" "$work/$name/"
strip "$work/$name/voxelift"
tar czf "target/$name.tar.gz" -C "$work" "$name"
(cd target && sha256sum "$name.tar.gz" | tee "$name.tar.gz.sha256")

debootstrap --variant=minbase bookworm "$work/debian" > "$work/debootstrap.log"
tar xzf "target/$name.tar.gz" -C "$work/debian/opt"
cat > "$work/debian/opt/try.sh" <<TRY
set -eu
cd "\$(mktemp -d)"
/opt/$name/voxelift --version
/opt/$name/voxelift -q demo --quick --out demo
/opt/$name/voxelift -q upscale demo/lr.nii.gz -o sr.nii.gz
ls -l demo/report.html sr.nii.gz
TRY
unshare --net chroot --userspec=65534:65534 "$work/debian" /bin/sh /opt/try.sh
