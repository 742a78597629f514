//! The convolution ops, timed. `cargo bench -p voxelift-model` prints a table of our own; without `--bench` the
//! program is our side of `scripts/reference/bench_pytorch.py`: it reads a case a line, runs it for a moment,
//! replies with the seconds of one run.
//!
//! Cases: `peak`, `memory` (the most bytes this process ever held), and
//! `<conv|rcab|body|volume|step|twin> <forward|both> <batch> <channels in> <channels out> <size>`; `both` is forward
//! and backward from the sum, with gradients of input and weights. `volume` super-resolves one by tiles; `step` and
//! `twin` are the training step in the sizes of `configs/small.toml`, with all losses of the paper, and of its supervised twin, whatever the sizes. `plane` is a convolution of
//! 3x3 taps on images of this size, as self-learning has it. `precision bf16` computes what follows in bf16; `without avx512`,
//! as the first line, computes as a processor without it would. `pool N` sets the number of threads; with one thread the replies are seconds of processor time, which a busy machine disturbs
//! less.

use std::io::{BufRead, Write};
use std::time::Instant;

use std::path::Path;

use burn::Tensor;
use burn::tensor::{Device, Distribution};
use voxelift_conv::{Activation, Affine, conv3d, conv3d_add, fma_peak, rcab, without_avx512};
use voxelift_model::batch::{TargetBatch, UnpairedBatch};
use voxelift_model::config::Config;
use voxelift_model::device::{Precision, computing_in};
use voxelift_model::infer::{SuperResolver, UpscaleOptions};
use voxelift_model::networks::GeneratorConfig;
use voxelift_model::train::{TrainState, step};
use voxelift_volume::{Geometry, Scale, Volume};

/// Blocks in a group, and groups, of the `body` case: the RCAN of the published tables, small.
const BLOCKS: usize = 4;
const GROUPS: usize = 2;

struct Case {
    x: Tensor<5>,
    layers: Vec<Affine>,
    kind: String,
}

impl Case {
    fn new(kind: &str, [batch, channels_in, channels_out, size]: [usize; 4], device: &Device) -> Self {
        let depth = if kind == "plane" { 1 } else { 3 };
        let conv = |from, to| affine([to, from, depth, 3, 3], device);
        let narrow = (channels_out / 4).max(4);
        let block = || {
            [
                conv(channels_in, channels_out),
                conv(channels_out, channels_out),
                affine([narrow, channels_out, 1, 1, 1], device),
                affine([channels_out, narrow, 1, 1, 1], device),
            ]
        };
        let layers = match kind {
            "conv" | "plane" => vec![conv(channels_in, channels_out)],
            "rcab" => block().into(),
            _ => (0..GROUPS)
                .flat_map(|_| {
                    let blocks = (0..BLOCKS).flat_map(|_| block()).collect::<Vec<_>>();
                    blocks.into_iter().chain([conv(channels_out, channels_out)])
                })
                .collect(),
        };
        Self {
            x: as_a_layer_leaves_it(
                [
                    batch,
                    channels_in,
                    if kind == "plane" { 1 } else { size },
                    size,
                    size,
                ],
                device,
            ),
            layers,
            kind: kind.to_owned(),
        }
    }

    fn forward(&self) -> Tensor<5> {
        let x = self.x.clone();
        match self.kind.as_str() {
            "conv" | "plane" => {
                let (weight, bias) = self.layers[0].clone();
                conv3d(x, weight, Some(bias), [1; 3], Activation::None)
            }
            "rcab" => block(x, &self.layers),
            _ => self.layers.chunks_exact(4 * BLOCKS + 1).fold(x, |x, group| {
                let (close, blocks) = group.split_last().expect("a group's closing convolution");
                let deep = blocks.chunks_exact(4).fold(x.clone(), block);
                conv3d_add(deep, close.0.clone(), Some(close.1.clone()), x)
            }),
        }
    }
}

fn block(x: Tensor<5>, layers: &[Affine]) -> Tensor<5> {
    let [conv1, conv2, down, up] = [0, 1, 2, 3].map(|index| layers[index].clone());
    rcab(x, conv1, conv2, down, up)
}

fn affine(shape: [usize; 5], device: &Device) -> Affine {
    (random(shape, device) * 0.1, random([shape[0]], device) * 0.1)
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Noise with a voxel's channels side by side, which is how our layers leave what the next one reads.
fn as_a_layer_leaves_it([batch, channels, z, y, x]: [usize; 5], device: &Device) -> Tensor<5> {
    random([batch, z, y, x, channels], device).permute([0, 4, 1, 2, 3])
}

/// An LR volume of noise, super-resolved by RCAN's blocks in tiles of 48.
fn volume(feats: usize, size: usize, precision: Precision) -> impl FnMut() {
    let device = Device::flex();
    let config = GeneratorConfig {
        n_feats: feats,
        n_resgroups: GROUPS,
        n_resblocks: BLOCKS,
        ..GeneratorConfig::small()
    };
    let scale = Scale::isotropic(2);
    let resolver = SuperResolver::new(config.init(0, &device), scale, size.min(48), device.clone());
    let resolver = resolver.computing_in(precision.products(&device));
    let values: Vec<f32> = random([size * size * size], &device)
        .abs()
        .into_data()
        .try_into_vec()
        .expect("f32");
    let geometry = Geometry::axis_aligned([size; 3], [2.0; 3]);
    let lr = Volume::new(values, geometry);
    move || {
        let output = resolver.upscale(&lr, &UpscaleOptions::default(), &mut |_, _| ());
        assert!(output.is_ok());
    }
}

/// A training step in the sizes of `configs/small.toml` with all losses of the paper, on noise, after the schedule's quiet steps.
fn training(mode: &str, precision: Precision) -> impl FnMut() {
    let set = [
        format!("mode={mode}"),
        format!("precision=\"{}\"", precision.name()),
        "data.source_operator=\"kspace\"".to_owned(),
        // Every network and every loss of the paper.
        "loss.alignment=0.01".to_owned(),
        "loss.feature_contrastive=0.01".to_owned(),
        "loss.reconstruction_contrastive=0.01".to_owned(),
    ];
    let text = include_str!("../../../configs/small.toml");
    let config = Config::from_text(text, "small", Path::new("."), &set)
        .expect("a configuration")
        .config;
    let device = Device::flex();
    let [side, batch] = [config.patch.size, config.patch.batch];
    let image = |side: usize| random([batch, 1, side, side, side], &device.clone().autodiff()).abs();
    let target = (mode == "unpaired").then(|| TargetBatch {
        lr_target: image(side),
        lr_foreground: image(side).ones_like(),
        operators: None,
    });
    let batch = UnpairedBatch {
        hr_source: image(2 * side),
        lr_source: image(side),
        hr_foreground: image(2 * side).ones_like(),
        target,
    };
    let mut state = TrainState::new(&config, &device);
    state.step = config.steps / 4;
    move || {
        step(&mut state, &batch, &config);
    }
}

fn run(line: &str, precision: Precision) -> f64 {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[0] {
        "peak" => return fma_peak(),
        "memory" => return most_memory(),
        _ => (),
    }
    let sizes = [2, 3, 4, 5].map(|word| words[word].parse().expect("a size"));
    match words[0] {
        "volume" => return seconds(volume(sizes[1], sizes[3], precision)),
        "step" => return seconds(training("unpaired", precision)),
        "twin" => return seconds(training("supervised", precision)),
        _ => (),
    }
    let both = words[1] == "both";
    let device = if both {
        Device::flex().autodiff()
    } else {
        Device::flex()
    };
    let mut case = Case::new(words[0], sizes, &device);
    if both {
        case.x = case.x.require_grad();
        let leaf = |(weight, bias): Affine| (weight.detach().require_grad(), bias.detach().require_grad());
        case.layers = case.layers.into_iter().map(leaf).collect();
    }
    let once = || {
        let y = case.forward();
        if both {
            let gradients = y.sum().backward();
            assert!(case.x.grad(&gradients).is_some());
        }
    };
    seconds(once)
}

/// Of one call, after a first that does not count.
fn seconds(mut once: impl FnMut()) -> f64 {
    once();
    let clock = Clock::start();
    let mut times = 0.0;
    // Long enough for a coarse clock.
    while times == 0.0 || clock.wall.elapsed().as_secs_f64() < 0.05 {
        once();
        times += 1.0;
    }
    clock.seconds() / times
}

/// Time that has passed, or of this thread alone where it is the only one and Linux tells.
struct Clock {
    wall: Instant,
    thread: Option<u64>,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            thread: thread_nanoseconds(),
        }
    }

    fn seconds(&self) -> f64 {
        match (self.thread, thread_nanoseconds()) {
            (Some(before), Some(after)) => (after - before) as f64 * 1e-9,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

fn most_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.unwrap_or(f64::NAN) * 1024.0
}

fn thread_nanoseconds() -> Option<u64> {
    if rayon::current_num_threads() > 1 {
        return None;
    }
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

const TABLE: [&str; 8] = [
    "conv forward 8 16 16 16",
    "conv both 8 16 16 16",
    "conv forward 1 32 32 48",
    "conv both 1 32 32 48",
    "conv both 8 1 8 32",
    "conv both 8 16 1 32",
    "rcab both 8 16 16 16",
    "body forward 1 32 32 48",
];

fn main() -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    if std::env::args().any(|argument| argument == "--bench") {
        writeln!(output, "FMA peak {:.0} GFLOP/s", fma_peak() * 1e-9)?;
        for case in TABLE {
            writeln!(output, "{case:26} {:8.2} ms", run(case, Precision::F32) * 1e3)?;
        }
        return Ok(());
    }
    let mut precision = Precision::F32;
    let mut pool = rayon::ThreadPoolBuilder::new().build().expect("a thread pool");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let reply = match line.split_once(' ') {
            Some(("pool", threads)) => {
                let threads = threads.trim().parse().expect("a number of threads");
                pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .expect("a thread pool");
                0.0
            }
            Some(("without", "avx512")) => {
                without_avx512();
                0.0
            }
            Some(("precision", name)) => {
                precision = name.trim().parse().expect("f32 or bf16");
                0.0
            }
            _ => {
                let products = precision.products(&Device::flex());
                pool.install(|| computing_in(products, || run(&line, precision)))
            }
        };
        writeln!(output, "{reply}")?;
        output.flush()?;
    }
    Ok(())
}
