//! Our side of `scripts/reference/bench_pytorch.py`: reads a case a line, runs it for a moment, answers with its seconds.
//!
//! Cases: `peak`, and `<conv|rcab|body> <forward|both> <batch> <channels in> <channels out> <size>`; `both` is
//! forward and backward from the sum, with gradients of input and weights. `pool N` sets the number of threads;
//! with one thread the answers are seconds of processor time, which a busy machine disturbs less.

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::Tensor;
use burn::tensor::{Device, Distribution};
use voxelift_model::conv::{Activation, Affine, conv3d, conv3d_add, fma_peak, rcab};

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
        let conv = |from, to| affine([to, from, 3, 3, 3], device);
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
            "conv" => vec![conv(channels_in, channels_out)],
            "rcab" => block().into(),
            _ => (0..GROUPS)
                .flat_map(|_| {
                    let blocks = (0..BLOCKS).flat_map(|_| block()).collect::<Vec<_>>();
                    blocks.into_iter().chain([conv(channels_out, channels_out)])
                })
                .collect(),
        };
        Self {
            x: random([batch, channels_in, size, size, size], device),
            layers,
            kind: kind.to_owned(),
        }
    }

    fn forward(&self) -> Tensor<5> {
        let x = self.x.clone();
        match self.kind.as_str() {
            "conv" => {
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

fn run(line: &str) -> f64 {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words[0] == "peak" {
        return fma_peak();
    }
    let sizes = [2, 3, 4, 5].map(|word| words[word].parse().expect("a size"));
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

fn thread_nanoseconds() -> Option<u64> {
    if rayon::current_num_threads() > 1 {
        return None;
    }
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn main() {
    let mut answers = std::io::stdout().lock();
    let mut pool = rayon::ThreadPoolBuilder::new().build().expect("a thread pool");
    // Under `cargo bench` arguments come too; the cases come on the standard input.
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line of text");
        let answer = match line.strip_prefix("pool ") {
            Some(threads) => {
                let threads = threads.trim().parse().expect("a number of threads");
                pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .expect("a thread pool");
                0.0
            }
            None => pool.install(|| run(&line)),
        };
        writeln!(answers, "{answer}")
            .and_then(|()| answers.flush())
            .expect("an open pipe");
    }
}
