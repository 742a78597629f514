# One local command is what CI runs: `just ci`.

default:
    @just --list

# Everything that must hold before a change lands, cheapest first.
ci:
    .ci/run

# The main job with nothing but the binary.
demo *args:
    cargo run --release -- demo {{args}}

# The convolution and the training step beside the strongest settings of PyTorch and OpenVINO; needs Python with torch.
bench-peers:
    cargo build --release --workspace --benches
    python3 scripts/reference/bench_pytorch.py --best
    python3 scripts/reference/bench_pytorch.py --memory

# Each kernel by itself, with criterion; a build of its own.
bench-kernels:
    cargo bench --manifest-path benches/Cargo.toml

# Licences, sources and advisories of the dependencies; needs cargo-deny.
deny:
    cargo deny check
